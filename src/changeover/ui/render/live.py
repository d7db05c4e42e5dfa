"""The live view: at most 24 rows that say where a run stands. Columns are cut from the right where the screen ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from changeover.core.model import Process
from changeover.core.steps import Plan
from changeover.ui.render import evidence, words
from changeover.ui.render import status as _status
from changeover.ui.render.heads import head

if TYPE_CHECKING:
    from changeover.service.status import Status, StepLine

ROWS = 24
Row = tuple[str, str]  # text, style

STYLES = {"done": "", "now": "now", "waiting": "waiting", "failed": "failed", "next": "note"}


def rows(
    status: Status,
    plan: Plan | None,
    *,
    now: float,
    height: int = ROWS,
    keys: str = "",
    utf8: bool = True,
) -> list[Row]:
    """The view. `now` is the present; the age of the reading is shown when it is older than a few seconds."""
    top = list(_top(status, plan, now))
    bottom = [*_traffic(status), *_problem(status), *([(keys, "note")] if keys else [])]
    room = min(ROWS, height - 1) - len(top) - len(bottom)
    tree = list(_tree(status, plan, now, max(3, room), words.marks(utf8=utf8)))
    shown = [*top, *tree, *bottom]
    return [(text if utf8 else words.fold(text), style) for text, style in shown[: min(ROWS, height - 1)]]


def _top(status: Status, plan: Plan | None, now: float) -> Iterator[Row]:
    name = f"{status.app} {words.environment(status.environment)}"
    if status.run is None or plan is None:
        yield f"{name}   times {words.zone(now)}", "bold"
    else:
        began = next((s.began for s in status.steps if s.began is not None), None)
        lasts = "" if began is None else f"   {words.duration(max(0.0, now - began))}"
        what = f"v{plan.source} → v{plan.target}" if plan.source != plan.target else f"v{plan.target}"
        who = f"by {status.by}   plan {status.plan}   times {words.zone(now)}"
        yield f"{name}   {status.kind} {what}   {status.run}{lasts}   {who}", "bold"
    style = {"held": "failed", "unknown": "failed", "blocked": "failed", "waiting": "waiting", "paused": "waiting"}
    yield status.sentence, style.get(status.state, "bold" if status.state == "going-back" else "")
    back = _status.way_back(status.way_back, status.at)
    yield f"way back: {back}", "" if status.way_back.possible else "failed"
    if now - status.at > STALE:
        yield (
            f"this was read {words.ago(status.at, now)}: the environment does not answer; the traffic is as it was",
            "warn",
        )


STALE = 5.0  # seconds


def _tree(status: Status, plan: Plan | None, now: float, room: int, marks: Mapping[str, str]) -> Iterator[Row]:
    steps = status.steps
    if not steps or plan is None:
        return
    names = {s.n: head(s.action) for s in plan.steps}
    current = next((i for i, s in enumerate(steps) if s.mark != "done"), len(steps))
    keep = max(1, room - 3)  # rows for finished steps; one each for those before, the current one, those after
    first = max(0, current - keep)
    if first:
        yield f"├─ {marks['done']} {', '.join(names[s.n] for s in steps[:first])}", "note"
    for step in steps[first:current]:
        yield _step(step, names[step.n], now, marks)
    if current < len(steps):
        yield _step(steps[current], names[steps[current].n], now, marks)
        after = steps[current + 1 :]
        if after:
            yield "├─ " + "  ".join(f"{marks['next']} {names[s.n]}" for s in after), "note"
    if not plan.last_safe:
        yield "└─ ┄ point of no return ┄  not in this plan: changeover cleanup", "note"
    else:
        passed = any(s.n > plan.last_safe and s.began is not None for s in steps)
        yield f"└─ ┄ point of no return ┄  after step {plan.last_safe}{': PASSED' if passed else ''}", "warn"


def _step(step: StepLine, name: str, now: float, marks: Mapping[str, str]) -> Row:
    end = step.ended if step.ended is not None else now
    lasted = "" if step.began is None else words.duration(max(0.0, end - step.began))
    said = evidence.of(step.kind, step.data) if step.mark == "done" else ""
    return f"├─ {marks[step.mark]} {name:<27} {lasted:>8}   {said}".rstrip(), STYLES.get(step.mark, "")


def _traffic(status: Status) -> Iterator[Row]:
    seen = _status.observed(status.world)
    if seen is None:
        yield f"traffic UNKNOWN: {status.world.route.problem or 'the workers of the balancer disagree'}", "failed"
    for pool in sorted(status.world.pools):
        takes = "?" if seen is None else words.share(seen[pool])
        yield f"# {pool:<8} {takes:>6}   {_status.pool_words(status.world, pool)}", ""
        cells = [
            f"{'■' if i.process is Process.RUNNING else '?' if i.process is Process.UNKNOWN else '□'} {i.slot.address} "
            + ("ready" if i.ready else i.note or i.process.value)
            for i in status.world.pools[pool]
        ]
        if status.world.running(pool):
            yield "    " + "   ".join(cells), "" if all(i.ready for i in status.world.pools[pool]) else "warn"
    if status.watched:
        yield status.watched, "warn" if status.watched.lower().startswith("unwatched") else "note"


def _problem(status: Status) -> Iterator[Row]:
    if status.problem:
        yield f"{status.problem.get('what', '')}  {status.problem.get('code', '')}", "failed"
