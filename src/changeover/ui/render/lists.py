"""Tables for people: findings, runs, events, who holds the environment, an error's page."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

from changeover.core.errors import ChangeoverError
from changeover.core.ports import Finding
from changeover.core.steps import Plan
from changeover.ui.render import words
from changeover.ui.render.events import TROUBLE, Event, Holder, Run
from changeover.ui.render.narrate import Narrator


def doctor(findings: Sequence[Finding], *, utf8: bool = True) -> str:
    """Every finding with its mark; the fix below what is not fine."""
    marks = words.marks(utf8=utf8)
    width = max((len(f.subject) for f in findings), default=0)
    lines = []
    for f in findings:
        mark = marks["done"] if f.ok else marks["failed"] if f.fatal else marks["warn"]
        lines.append(f"{mark:<{1 if utf8 else 4}} {words.clean(f.subject):<{width}}  {words.clean(f.detail)}".rstrip())
        if not f.ok and f.fix:
            lines.append(f"{'':<{1 if utf8 else 4}} {'':<{width}}  fix: {words.clean(f.fix)}")
    bad = sum(1 for f in findings if not f.ok and f.fatal)
    warned = sum(1 for f in findings if not f.ok and not f.fatal)
    verdict = f"{words.many(bad, 'problem')} would stop a release" if bad else "nothing would stop a release"
    lines.append(
        f"{words.many(len(findings), 'finding')}: {verdict}" + (f", {words.many(warned, 'warning')}" if warned else "")
    )
    return "\n".join(lines) + "\n"


def history(runs: Sequence[Run], plans: Sequence[Plan]) -> str:
    """The newest run first."""
    if not runs:
        return "Nothing was ever run here.\n"
    lines = [f"{'run':<8} {'began':<24} {'lasted':>9}  {'what':<30} {'plan':<9} {'state':<10} by"]
    for run, plan in zip(runs, plans, strict=True):
        lasted = "" if run.ended is None else words.duration(run.ended - run.at)
        name = f"{run.id}" if run.parent is None else f" {run.id}"
        what = (
            f"{run.kind} v{plan.source} -> v{plan.target}"
            if plan.source != plan.target
            else f"{run.kind} at v{plan.target}"
        )
        lines.append(
            f"{name:<8} {words.moment(run.at):<24} {lasted:>9}  {what:<30} {run.plan_hash[:8]:<9} {run.state.value:<10} {run.by}"
        )
    return "\n".join(words.clean(li).rstrip() for li in lines) + "\n"


def log(events: Iterable[Event], plan: Plan, *, failed: bool, verbose: bool, utf8: bool = True) -> str:
    """A run told again."""
    narrator = Narrator(plan, verbose=verbose)
    lines = []
    for event in events:
        told = list(narrator.tell(event))
        if not failed or event.kind in TROUBLE:
            lines += [line.text(utf8=utf8) for line in told]
    if not lines:
        return "Nothing failed.\n" if failed else "Nothing has happened yet.\n"
    return "\n".join(lines) + "\n"


def lock(holder: Holder | None, environment: str, now: float) -> str:
    """Who may act on the environment."""
    if holder is None:
        return f"Nobody holds {environment}.\n"
    if holder.alive:
        return f"{environment} is held by {words.clean(holder.words(now))}.\n"
    return (
        f"{environment} was held by {words.clean(holder.words(now))}; that process is gone or its lease is over: "
        "`changeover resume` takes it over.\n"
    )


def explain(kind: type[ChangeoverError]) -> str:
    """The page of an error."""
    page = inspect.cleandoc(kind.__doc__ or "")
    return f"{kind.code}  {kind.title}  (exit {int(kind.exit)})\n\n{page}\n"
