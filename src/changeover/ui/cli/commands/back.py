# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""rollback, abort: going back must be easier than going on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

from changeover.core.errors import Exit
from changeover.core.states import ENDED, State
from changeover.ui.cli.commands.release import _seen
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.outcome import BACKWARD, conclude, look
from changeover.ui.cli.session import Session
from changeover.ui.cli.teller import Teller
from changeover.ui.cli.travel import Left, known_runs, newest, travel
from changeover.ui.render import documents, words
from changeover.ui.render import status as _status

if TYPE_CHECKING:
    from changeover.service.door import Changeover


def rollback(
    *,
    to: str | None = None,
    because: str = "",
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Take the old version back, now. Ends whatever is under way. Never touches the schema.

    Parameters
    ----------
    to
        The version; the one that is kept as the way back if it is left out.
    because
        Why; it is kept with your name.
    yes
        Do not ask.
    """
    door = session.door()
    if not yes and session.production:
        question = _question(session, door, to)
        if not session.confirm(question, yes=False, default=True):
            session.terminal.tell("Nothing was changed.")
            return Exit.FAILED
    known = known_runs(door)
    teller = Teller(session, door, lambda: newest(door, known))

    def act(interrupt: threading.Event) -> Left:
        outcome = door.rollback(to=to, because=because, interrupt=interrupt)
        return Left(outcome.run, outcome.state, outcome.words)

    return _end(session, door, travel(session, door, act, teller), teller)


def abort(
    *,
    because: str = "",
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Give a release up: traffic home, then the new instances are stopped; what expand added stays and is owed.

    Parameters
    ----------
    because
        Why; it is kept with your name.
    yes
        Do not ask.
    """
    door = session.door()
    if not session.confirm(f"Give the release on {session.name} up and stop the new instances?", yes=yes):
        session.terminal.tell("Nothing was changed.")
        return Exit.FAILED
    open_run = next((r.id for r in door.history(limit=5) if r.ended is None and r.parent is None), None)
    teller = Teller(session, door, lambda: open_run, after={} if open_run is None else _seen(door, open_run))

    def act(interrupt: threading.Event) -> Left:
        outcome = door.abort(because, interrupt=interrupt)
        return Left(outcome.run, outcome.state, outcome.words)

    return _end(session, door, travel(session, door, act, teller), teller)


def _question(session: Session, door: Changeover, to: str | None) -> str:
    """What going back means here; without figures when the environment does not answer: that must not stop anybody."""
    found = look(door)
    if found is None or not found.way_back.possible:
        return f"Take the old version back on {session.name}?"
    back = _status.way_back(found.way_back, found.at)
    schema = "" if found.world.schema is None else f"  Schema stays at {found.world.schema.revision}."
    version = to or found.way_back.to
    return f"Take v{version.removeprefix('v')} back on {session.name}?  {back}.{schema}"


def _end(session: Session, door: Changeover, left: Left, teller: Teller) -> Exit:
    if left.run is not None:
        if left.words:
            session.terminal.say(left.words)
        return conclude(session, door, left, BACKWARD)
    return _unrecorded(session, door, left)


def _unrecorded(session: Session, door: Changeover, left: Left) -> Exit:
    """Nothing had to be moved, or the state store was away: there is no run to speak of."""
    exit_ = BACKWARD[left.state]
    found = look(door)
    lines = [left.words] if left.words else []
    if left.state not in ENDED or left.state is not State.DONE:
        lines.insert(0, "A person must look: the way back is not finished.")
    lines.append(
        "The environment cannot be looked at: changeover status" if found is None else f"Now: {found.sentence}"
    )
    document = {
        **documents.head("run", session.now()),
        "run": None,
        "state": left.state.value,
        "exit": int(exit_),
        "sentence": lines[0],
        "now": lines[-1],
        "next": [] if exit_ is Exit.DONE else ["changeover status"],
    }
    session.answer(words.clean("\n".join(lines)), document)
    return exit_
