# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""schema owed, drift, split, undo, format: the schema outside of a release."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from changeover.core.errors import Exit, UsageError
from changeover.core.steps import Plan, dump
from changeover.ui.cli import planfile
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.outcome import BACKWARD, conclude
from changeover.ui.cli.session import Session
from changeover.ui.cli.teller import Teller
from changeover.ui.cli.travel import Left, travel
from changeover.ui.render import documents, words
from changeover.ui.render import plan as _plan
from changeover.ui.render import schema as shown

if TYPE_CHECKING:
    from changeover.service.door import Changeover


def owed(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """What waits to be taken away: since when, what stands in its way, until when, and the command that ends it."""
    door = session.door()
    found = door.owed()
    session.answer(shown.owed(found, session.now()), shown.owed_document(found, session.now()))
    return Exit.DONE


def drift(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """The database against what changeover's ledger in it, its journal and the change files say. Exit 3 if they differ.

    Read-only. It tells that something was changed by hand (the catalogue since the last proof), what (each object that was added or
    taken away), and whether the database is another one than the journal speaks of, such as one that was restored.
    """
    door = session.door()
    found = door.drift()
    session.answer(shown.drift(found, utf8=session.terminal.utf8), shown.drift_document(found, session.now()))
    return Exit.DIFFERENT if found.deviations else Exit.DONE


def split(
    file: Path,
    /,
    *,
    version: str = "VERSION",
    out: Path | None = None,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """A migration of plain SQL, written anew in two parts: what adds, and what waits for cleanup. Touches no server.

    What two statements cannot say (a rename, a new type, a rule that the running version breaks) becomes an operation. A statement
    that cannot be split is refused, with the reason.

    Parameters
    ----------
    file
        The migration.
    version
        The version that brings it: the new files are named by it.
    out
        Write the files into this folder; none that is there is replaced.
    """
    found = session.door().split(file, version)
    document = {**documents.head("split", session.now()), "files": dict(found.files), "notes": list(found.notes)}
    if out is None:
        session.answer(shown.parted(found.files), document)
    else:
        there = [name for name in found.files if (out / name).exists()]
        if there or not out.is_dir():
            raise UsageError(f"{out / there[0]} is there already" if there else f"{out} is no folder")
        for name, text in found.files.items():
            planfile.write(out / name, text)
        session.answer("".join(f"{out / name}\n" for name in found.files), document)
    for note in found.notes:
        session.terminal.say(f"! {words.clean(note)}", "warn")
    session.terminal.say("Read them, then: changeover check")
    return Exit.DONE


def undo(
    version: str | None = None,
    /,
    *,
    ack: Annotated[tuple[str, ...], Flag] = (),
    plan: Path | None = None,
    out: Path | None = None,
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Take back what was added for a version of which no instance ever started. Its next release adds it again.

    Parameters
    ----------
    version
        The version whose release was given up.
    ack
        Accept a named risk, with your name; may be repeated.
    plan
        Run this saved plan.
    out
        Save the plan and do nothing.
    yes
        Do not ask.
    """
    door = session.door()
    made = _planned(door, version, plan, ack=ack, out=out)
    terminal = session.terminal
    if out is not None:
        planfile.write(out, dump(made))
        text = _plan.text(made, utf8=terminal.utf8)
        session.answer(
            f"{text}Saved {out}  {made.short}. Next:  changeover schema undo --plan {out}\n",
            documents.plan(made, session.now()),
        )
        return Exit.DONE
    terminal.tell(_plan.text(made, utf8=terminal.utf8_told))
    if not session.confirm("Take it back?", yes=yes):
        terminal.tell("Nothing was changed.")
        return Exit.FAILED
    run = door.submit(made)
    terminal.say(f"{words.clock(session.now())}  {run} started")
    teller = Teller(session, door, lambda: run)

    def act(interrupt: threading.Event) -> Left:
        return Left(run, door.drive(run, interrupt=interrupt))

    return conclude(session, door, travel(session, door, act, teller), BACKWARD)


def _planned(
    door: Changeover, version: str | None, plan: Path | None, *, ack: tuple[str, ...], out: Path | None
) -> Plan:
    if (version is None) is (plan is None):
        raise UsageError(
            "name a version, or a saved plan",
            next=("changeover schema undo VERSION", "changeover schema undo --plan FILE", "changeover schema owed"),
        )
    if version is not None:
        return door.plan_undo(version, acknowledge=ack)
    assert plan is not None
    if ack or out is not None:
        raise UsageError(
            "--ack and --out make a plan; --plan runs one", next=("changeover schema undo VERSION --out FILE",)
        )
    made = planfile.read(plan)
    planfile.must_fit(made, door.site, "undo")
    return made


def format_(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """JSON Schema of a change file with operations, `VERSION.yml`, for editors."""
    session.terminal.answer(json.dumps(session.doors.change_schema(), indent=1, ensure_ascii=not session.terminal.utf8))
    return Exit.DONE
