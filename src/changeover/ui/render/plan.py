"""A plan as terminal text: what changes, who can live with it, the steps with their way back, the point of no return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from changeover.core import steps as s
from changeover.core.model import Lock, Verdict
from changeover.core.steps import Plan
from changeover.ui.render import words

LOCKS: Mapping[Lock, str] = {
    Lock.NONE: "nobody waits",
    Lock.BRIEF: "lock < 1 s (catalogue only)",
    Lock.SCAN: "BLOCKS WRITERS while it reads every row",
    Lock.REWRITE: "BLOCKS EVERYBODY while it writes every row",
}


def text(plan: Plan, *, utf8: bool = True) -> str:
    """The plan for people. The same hash is on paper, in the log and in the run."""
    return "\n".join(words.clean(line) for line in _lines(plan, words.marks(utf8=utf8))) + "\n"


def _lines(plan: Plan, mark: Mapping[str, str]) -> Iterator[str]:
    yield f"{header(plan, mark)}   read at {words.clock(plan.at)} {words.zone(plan.at)}"
    if plan.because:
        yield f"because {plan.because}"
    yield from _schema(plan, mark)
    yield from _proved(plan)
    for note in plan.notes:
        yield f"  ! {note}"
    for version in plan.ends:
        yield f"  ! this plan ends the way back to v{version}"
    for ack in plan.acknowledged:
        yield f"  accepted by {ack.by}: {ack.name}"
    yield from _steps(plan, mark)
    yield f"{len(plan.steps)} steps, about {words.duration(plan.takes)}, no outage expected."
    if plan.owed:
        yield "Owed afterwards, until cleanup:"
        yield from (f"  {owed}" for owed in plan.owed)


def _steps(plan: Plan, mark: Mapping[str, str]) -> Iterator[str]:
    width = max((len(st.words.task) for st in plan.steps), default=5)
    yield f"{'Steps':<{width + 5}}{'takes':>9}   way back"
    before = ""
    for step in plan.steps:
        if plan.last_safe and step.n == plan.last_safe + 1:
            yield f"  {mark['line'] * 8} point of no return {mark['line'] * 8}"
        back = step.words.way_back
        takes = words.duration(step.takes) if step.takes else "a person"
        yield f"{step.n:>4} {step.words.task:<{width}}{takes:>9}   {'as above' if back == before else back}"
        before = back
    if not plan.last_safe and plan.kind == "release" and plan.owed:
        yield f"  {mark['line'] * 4} point of no return: not in this plan; changeover cleanup {mark['line'] * 4}"


def name(plan: Plan) -> str:
    """`shop PRODUCTION`."""
    return f"{plan.app} {words.environment(plan.environment)}"


def header(plan: Plan, mark: Mapping[str, str]) -> str:
    """`shop PRODUCTION   v1.0.0 → v1.1.0   release   plan 7f3a91c2`."""
    if plan.kind == "cleanup":
        return f"{name(plan)}   cleanup while v{plan.target} serves   plan {plan.short}"
    undone = next((st.action.version for st in plan.steps if isinstance(st.action, s.Undo)), None)
    if undone is not None:
        return f"{name(plan)}   undo of v{undone} while v{plan.target} serves   plan {plan.short}"
    return f"{name(plan)}   v{plan.source} {mark['arrow']} v{plan.target}   {plan.kind}   plan {plan.short}"


def _schema(plan: Plan, mark: Mapping[str, str]) -> Iterator[str]:
    if plan.schema_from != plan.schema_to:
        yield f"Schema {plan.schema_from} {mark['arrow']} {plan.schema_to}"
    for step in plan.steps:
        action = step.action
        match action:
            case s.Expand() | s.Sync() | s.Finalize() | s.Contract() | s.Drop() | s.Undo():
                for statement in action.statements:
                    yield f"  {statement.title:<54} {LOCKS[statement.lock]}"
                    if statement.verdict is Verdict.WARN:
                        yield f"      WARN: {statement.reason}"
            case s.Backfill():
                for fill in action.statements:
                    yield f"  {fill.title:<54} in batches of {fill.table}.{fill.key}"
            case _:
                pass


def _proved(plan: Plan) -> Iterator[str]:
    """Which versions are proved, and when."""
    for step in plan.steps:
        action = step.action
        if isinstance(action, s.Prove):
            names = ", ".join(f"v{version}" for version, _ in action.versions)
            yield f"Proved by their probes in step {step.n} ({action.when}): {names}"
