# ruff: noqa: ARG001, D417 - every command declares the common options; cyclopts reads the docstrings
"""approve, pause: what a person says to a run."""

from __future__ import annotations

from typing import Annotated

from changeover.core.errors import Exit
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents


def approve(
    what: str | None = None,
    /,
    *,
    note: str = "",
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Open the gate that waits.

    Parameters
    ----------
    what
        The gate, such as 50%; the one that waits if it is left out.
    note
        Why; it is kept with your name.
    yes
        Do not ask.

    """
    door = session.door()
    gate = what or door.gate()
    if not session.confirm(f"Approve {gate} on {session.name}?", yes=yes):
        session.terminal.tell("Nothing was approved.")
        return Exit.FAILED
    run = door.approve(gate, note)
    document = {**documents.head("approval", session.now()), "run": run, "gate": gate, "note": note or None}
    session.answer(f"{gate} of {run} is approved.{_unadvanced(session)}", document)
    return Exit.DONE


def pause(
    *,
    note: str = "",
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Hold at the next safe point; the share stays as it is and is watched. Never asks: holding is always safe.

    Parameters
    ----------
    note
        Why; it is kept with your name.

    """
    door = session.door()
    run = door.pause(note)
    document = {**documents.head("pause", session.now()), "run": run, "note": note or None}
    session.answer(f"{run} pauses at the next safe point.{_unadvanced(session)} Go on: changeover resume", document)
    return Exit.DONE


def _unadvanced(session: Session) -> str:
    """A warning when nobody is there to answer."""
    holder = session.door().holder()
    if holder is not None and holder.alive:
        return ""
    return " NOBODY advances it now: changeover resume"
