"""The states of a run as one table: (state, event) -> state. The diagram in the docs is drawn from it."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from changeover.core.errors import Exit


class State(StrEnum):
    """Where a run stands."""

    RUNNING = "running"  # somebody may advance it
    WAITING = "waiting"  # at a gate: a person decides
    PAUSED = "paused"  # a person stopped it at a safe point
    HELD = "held"  # something is unknown or failed where going on and going back are both decisions
    BLOCKED = "blocked"  # a step of a kind that this changeover does not know
    GOING_BACK = "going-back"  # failed, aborted or judged bad: its way back runs as a plan of its own
    DONE = "done"
    FAILED = "failed"  # nothing changed, or undone; no user saw the new version
    WENT_BACK = "went-back"  # traffic had moved and is back, by itself
    ABORTED = "aborted"  # given up by a person; undone
    PREEMPTED = "preempted"  # a rollback by a person took its place
    UNKNOWN = "unknown"  # a person must look


class Event(StrEnum):
    """What may happen to a run."""

    GO = "go"  # resumed, approved, or taken over
    WAIT = "wait"
    PAUSE = "pause"
    HOLD = "hold"
    BLOCK = "block"
    GO_BACK = "go-back"
    FINISH = "finish"
    UNDONE = "undone"
    RETURNED = "returned"
    ABORTED = "aborted"
    PREEMPT = "preempt"
    LOSE = "lose"  # nobody can say what the world is


_OPEN = (State.RUNNING, State.WAITING, State.PAUSED, State.HELD, State.BLOCKED)

MOVES: MappingProxyType[tuple[State, Event], State] = MappingProxyType(
    {
        **{(s, Event.GO): State.RUNNING for s in _OPEN},
        **{(s, Event.PREEMPT): State.PREEMPTED for s in (*_OPEN, State.GOING_BACK, State.UNKNOWN)},
        **{(s, Event.GO_BACK): State.GOING_BACK for s in (*_OPEN, State.UNKNOWN)},
        **{(s, Event.PAUSE): State.PAUSED for s in (State.RUNNING, State.WAITING)},
        **{(s, Event.LOSE): State.UNKNOWN for s in (*_OPEN, State.GOING_BACK)},
        (State.RUNNING, Event.WAIT): State.WAITING,
        **{(s, Event.HOLD): State.HELD for s in (State.RUNNING, State.WAITING, State.PAUSED, State.BLOCKED)},
        (State.RUNNING, Event.BLOCK): State.BLOCKED,
        (State.RUNNING, Event.FINISH): State.DONE,
        (State.GOING_BACK, Event.UNDONE): State.FAILED,
        (State.GOING_BACK, Event.RETURNED): State.WENT_BACK,
        (State.GOING_BACK, Event.ABORTED): State.ABORTED,
        (State.UNKNOWN, Event.GO): State.RUNNING,
    }
)

ENDED = frozenset({State.DONE, State.FAILED, State.WENT_BACK, State.ABORTED, State.PREEMPTED})

EXITS: MappingProxyType[State, Exit] = MappingProxyType(
    {
        State.RUNNING: Exit.WAITING,
        State.WAITING: Exit.WAITING,
        State.PAUSED: Exit.WAITING,
        State.HELD: Exit.UNKNOWN,
        State.BLOCKED: Exit.UNKNOWN,
        State.GOING_BACK: Exit.UNKNOWN,
        State.DONE: Exit.DONE,
        State.FAILED: Exit.FAILED,
        State.WENT_BACK: Exit.WENT_BACK,
        State.ABORTED: Exit.FAILED,
        State.PREEMPTED: Exit.FAILED,
        State.UNKNOWN: Exit.UNKNOWN,
    }
)


def move(state: State, event: Event) -> State:
    """The next state. Raises ValueError for a move that the table does not have: a bug, never bad input."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise ValueError(f"a run that is {state} cannot {event}") from None
