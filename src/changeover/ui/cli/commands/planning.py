# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""plan: what will be done, before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from changeover.core.errors import Exit, NothingToDo
from changeover.core.steps import dump
from changeover.ui.cli import planfile
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents, plan_sql
from changeover.ui.render import plan as _plan


def plan(
    version: str,
    /,
    *,
    out: Path | None = None,
    sql: Path | None = None,
    build: str = "",
    no_schema_change: Annotated[bool, Flag] = False,
    ack: Annotated[tuple[str, ...], Flag] = (),
    check: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Exact SQL, exact balancer commands, durations and the way back of each step. Nothing is changed.

    Parameters
    ----------
    version
        The version to release.
    out
        Save the plan: what is saved is what will run.
    sql
        Write the exact SQL to this file, by phase, with lock, algorithm and expected time, for the one who reviews it.
    build
        The build that every instance must report.
    no_schema_change
        The version has no changes of the schema, and that is meant.
    ack
        Accept a named risk, with your name; may be repeated.
    check
        Exit 3 if there is something to do, 0 if the version serves already.
    """
    door = session.door()
    terminal = session.terminal
    try:
        made = door.plan(version, build=build, no_schema_change=no_schema_change, acknowledge=ack)
    except NothingToDo as nothing:
        if not check:
            raise
        document = {**documents.head("plan", session.now()), "hash": None, "plan": None, "nothing_to_do": nothing.what}
        session.answer(f"Nothing to do: {nothing.what}", document)
        return Exit.DONE
    if sql is not None:
        planfile.write(sql, plan_sql.sql(made))
    if out is not None:
        planfile.write(out, dump(made))
    session.answer(_plan.text(made, utf8=terminal.utf8), documents.plan(made, session.now()))
    if sql is not None:
        terminal.say(f"The SQL is in {sql}.")
    if out is not None:
        terminal.say(f"Saved {out}  {made.short}. Next:  changeover runbook {out}    or    changeover release {out}")
    return Exit.DIFFERENT if check else Exit.DONE
