"""The end of every command that drove a run: look once more, say it, and give the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError, Exit
from changeover.core.states import ENDED, EXITS, State
from changeover.ui.cli.session import Session, plan_of
from changeover.ui.cli.travel import Left
from changeover.ui.render import ending
from changeover.ui.render.events import Event

if TYPE_CHECKING:
    from changeover.service.door import Changeover
    from changeover.service.status import Status

FORWARD: Mapping[State, Exit] = EXITS
"""release, resume, watch: as the table of states says."""

BACKWARD: Mapping[State, Exit] = {
    **EXITS,
    State.ABORTED: Exit.DONE,  # what was asked for
    State.FAILED: Exit.FAILED,
    State.WENT_BACK: Exit.DONE,  # the old version serves: what was asked for
    State.RUNNING: Exit.UNKNOWN,  # a way back that is not finished is never success, and nothing to wait for lightly
    State.WAITING: Exit.UNKNOWN,
    State.PAUSED: Exit.UNKNOWN,
}
"""rollback, abort, cleanup: a run that did not end is a person's business."""


def conclude(session: Session, door: Changeover, left: Left, exits: Mapping[State, Exit]) -> Exit:
    """Say how it ended. `left.run` is not None."""
    assert left.run is not None
    plan = plan_of(door, left.run)
    record = door.run_of(left.run)
    state = left.state if left.state not in ENDED and record.state not in ENDED else record.state
    stopped = left.stopped and state not in ENDED
    exit_ = Exit.INTERRUPTED if stopped else exits[state]
    if left.handed and state is State.GOING_BACK and exits is FORWARD:
        exit_ = Exit.WAITING
    seconds = None if record.ended is None else record.ended - record.at
    end = ending.Ending(
        left.run,
        plan,
        state,
        look(door),
        events_of(door, left.run),
        seconds,
        handed=left.handed,
        stopped=stopped,
        elsewhere=left.elsewhere,
    )
    document = ending.document(end, int(exit_), session.now())
    if session.common.json:
        session.answer("", document)
    else:
        session.terminal.answer(ending.text(end))
    return exit_


def events_of(door: Changeover, run: str) -> list[Event]:
    """Everything that happened in a run and in its way back."""
    found: list[Event] = list(door.events(run))
    for event in tuple(found):
        if event.kind == "way-back":
            found += door.events(str(event.data["run"]))
    return found


def look(door: Changeover) -> Status | None:
    """The status, None when the environment cannot be looked at: the command has its result all the same."""
    try:
        return door.status()
    except ChangeoverError:
        return None
