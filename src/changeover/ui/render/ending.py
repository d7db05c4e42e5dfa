"""How a run ended, or where this command left it: the last thing a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from changeover.core.states import State
from changeover.core.steps import Plan
from changeover.ui.render import status as _status
from changeover.ui.render import words
from changeover.ui.render.events import Event

if TYPE_CHECKING:
    from changeover.service.status import Status


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known at the end of a command that drove a run.

    `status` None: the environment could not be looked at. `handed`: a background worker goes on. `stopped`: this
    process was interrupted. `elsewhere`: another process advances the run. `events` are those of the run and of its way back.
    """

    run: str
    plan: Plan
    state: State
    status: Status | None
    events: Sequence[Event] = ()
    seconds: float | None = None
    handed: bool = False
    stopped: bool = False
    elsewhere: bool = False


def text(end: Ending) -> str:
    """The last lines of a command."""
    return "\n".join(words.clean(line) for line in _lines(end)) + "\n"


def _lines(end: Ending) -> Iterator[str]:
    yield sentence(end)
    if end.state is State.DONE and end.status is not None and end.status.serving != end.plan.target.text:
        yield f"OBSERVED NOW: {end.status.sentence}"
    elif end.state is not State.DONE:
        yield f"Now: {now(end)}"
    if end.status is not None:
        if end.status.watched and not (end.handed or end.elsewhere):
            yield end.status.watched
        if end.state in _RETURNED and end.status.world.schema is not None:
            yield f"The schema was left alone: {end.status.world.schema.revision}."
        elif end.state not in _RETURNED and (end.state is not State.DONE or end.plan.kind in {"release", "cleanup"}):
            yield f"Way back: {_status.way_back(end.status.way_back, end.status.at)}"
        if end.status.owed:
            yield f"Owed until cleanup: {', '.join(end.status.owed)}"
    for index, command in enumerate(commands(end)):
        yield f"{'Next:' if index == 0 else '     '}  {command}"


_RETURNED = frozenset({State.WENT_BACK, State.FAILED, State.ABORTED})
"""The old version serves: it needs no way back."""


def now(end: Ending) -> str:
    """What the system is now, as observed."""
    if end.status is None:
        return "What is served now could not be looked at: changeover status"
    return end.status.sentence


def sentence(end: Ending) -> str:
    """One sentence that no reader can take for another outcome."""
    state, plan = end.state, end.plan
    lasted = _turned(end.events) if state in _RETURNED else end.seconds
    took = "" if lasted is None else f" in {words.duration(lasted)}"
    if end.stopped:
        return f"Interrupted. {end.run} is saved and nobody advances it: `changeover resume` looks before it acts and goes on."
    match state:
        case State.DONE:
            return _done(end, took)
        case State.WENT_BACK:
            return f"Went back by itself{took}: {_reason(end)}. v{plan.source} has the traffic; v{plan.target} is kept, out of traffic, for you to look at."
        case State.FAILED:
            return f"Failed: {_reason(end)}. {_unseen(plan)}"
        case State.ABORTED:
            return f"Given up{took}: v{plan.source} has the traffic; what was added to the schema stays and is owed."
        case State.PREEMPTED:
            return f"{end.run} was ended by a rollback that a person ordered."
        case State.WAITING | State.PAUSED | State.RUNNING if end.handed:
            return f"{_waits(end)} A background worker watches it and goes on with it."
        case State.WAITING | State.PAUSED | State.RUNNING if end.elsewhere:
            return f"{_waits(end)} Another process advances it."
        case State.WAITING | State.PAUSED | State.RUNNING:
            return f"{_waits(end)} Nobody advances it."
        case State.HELD | State.BLOCKED:
            return f"A person must look: {end.run} is {state}: {_reason(end)}."
        case State.GOING_BACK if end.handed:
            return f"{end.run} is going back. A background worker goes on with it."
        case State.GOING_BACK | State.UNKNOWN:
            return f"A person must look: the way back of {end.run} is not finished: {_reason(end)}."
        case _:
            assert_never(state)


def _done(end: Ending, took: str) -> str:
    plan = end.plan
    match plan.kind:
        case "release":
            return f"Done{took}: v{plan.target} serves everything. {counted(end.events)}".rstrip()
        case "cleanup":
            schema = f"schema {plan.schema_from} → {plan.schema_to}. " if plan.schema_from != plan.schema_to else ""
            ended = f"There is no way back to {', '.join(f'v{v}' for v in plan.ends)} any more. " if plan.ends else ""
            return f"Cleaned up{took}: v{plan.target} serves everything; {schema}{ended}".rstrip("; ")
        case "abort":
            return f"Given up{took}: v{plan.target} serves everything; v{plan.source} is stopped; what it added to the schema stays and is owed."
        case _:
            return (
                f"v{plan.target} serves everything again{took}. The schema was left alone; "
                f"v{plan.source} is out of traffic. A fix is released as a new plan."
            )


def counted(events: Sequence[Event]) -> str:
    """What was counted on the new version while it was watched; "" if nothing was watched."""
    bakes = [e for e in events if e.kind == "done" and "errors_5xx" in e.data]
    if not bakes:
        return ""
    requests, errors, failed = (sum(int(e.data[k] or 0) for e in bakes) for k in ("requests", "errors_5xx", "failed"))
    return (
        f"While it was watched: {words.many(requests, 'request')} on it, {words.count(errors)} answered 5xx, "
        f"{words.count(failed)} failed."
    )


def _unseen(plan: Plan) -> str:
    if plan.kind == "release":
        return (
            f"No user saw v{plan.target}; what was started is stopped; what was added to the schema stays and is owed."
        )
    if plan.kind == "cleanup":
        return "Nothing was contracted."
    return ""


def _turned(events: Sequence[Event]) -> float | None:
    """Seconds from the decision to go back until that was done."""
    decided = next((e.at for e in events if e.kind in {"go-back", "aborted"}), None)
    return None if decided is None else max(e.at for e in events) - decided


def _waits(end: Ending) -> str:
    match end.state:
        case State.WAITING:
            return f"{end.run} waits for an approval."
        case State.PAUSED:
            return f"{end.run} is paused."
        case _:
            return f"{end.run} is under way."


def _reason(end: Ending) -> str:
    """The newest reason in the journal, without a full stop."""
    for event in reversed(end.events):
        found = event.data.get("because") or event.data.get("what")
        if event.kind in {"lost", "held", "blocked", "go-back", "failed"} and found:
            return str(found).rstrip(".")
    return "the journal names no reason"


def commands(end: Ending) -> tuple[str, ...]:
    """What to do next."""
    if end.stopped:
        return ("changeover resume", "changeover rollback", "changeover status")
    match end.state:
        case State.WENT_BACK | State.FAILED:
            return ("changeover log --failed",)
        case State.DONE | State.ABORTED | State.PREEMPTED:
            return ()
        case _:
            alive = end.handed or end.elsewhere
            if end.status is None or end.status.run is None:
                return ("changeover status",)
            return _status.next_commands(end.status, alive=alive)


def document(end: Ending, exit_: int, at: float) -> dict[str, Any]:
    """The end for machines: `changeover.run/1`."""
    from changeover.ui.render import documents

    return {
        "format": "changeover.run/1",
        "at": words.iso(at),
        "run": end.run,
        "kind": end.plan.kind,
        "plan": end.plan.hash,
        "source": end.plan.source.text,
        "target": end.plan.target.text,
        "state": end.state.value,
        "exit": exit_,
        "sentence": sentence(end),
        "now": now(end),
        "seconds": end.seconds,
        "interrupted": end.stopped,
        "watched_by": "worker" if end.handed else "other" if end.elsewhere else "",
        "way_back": None if end.status is None else documents.way_back(end.status.way_back),
        "owed": [] if end.status is None else list(end.status.owed),
        "next": list(commands(end)),
    }
