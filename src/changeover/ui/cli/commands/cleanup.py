# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""cleanup: the point of no return."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from changeover.core.errors import ConfirmationWrong, Exit, UsageError
from changeover.core.steps import Plan, dump
from changeover.ui.cli import planfile
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.outcome import BACKWARD, conclude
from changeover.ui.cli.session import Session
from changeover.ui.cli.teller import Teller
from changeover.ui.cli.travel import Left, travel
from changeover.ui.render import documents, plan_sql, words
from changeover.ui.render import plan as _plan

if TYPE_CHECKING:
    from changeover.service.door import Changeover

SHORTEST = 8  # digits of a hash: what plans and runbooks show
BY_PLAN = "changeover cleanup --out FILE    then    changeover cleanup --plan FILE --accept-hash HASH"


def cleanup(
    *,
    through: str | None = None,
    ack: Annotated[tuple[str, ...], Flag] = (),
    plan: Path | None = None,
    accept_hash: str | None = None,
    out: Path | None = None,
    sql: Path | None = None,
    yes: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Retire what nobody needs and contract the schema: the point of no return. It is confirmed by typing what it ends.

    Parameters
    ----------
    through
        Contract the changes up to this version only.
    ack
        Accept a named risk, with your name; may be repeated.
    plan
        Run this saved plan.
    accept_hash
        The hash of the saved plan, in the place of typing.
    out
        Save the plan and do nothing.
    sql
        Write the exact SQL to this file; only with --out.
    yes
        Does not answer this question.
    """
    door = session.door()
    if sql is not None and out is None:
        raise UsageError("--sql belongs to --out: what is read is what will run", next=(BY_PLAN,))
    made = _planned(door, plan, accept_hash, through=through, ack=ack, out=out)
    if sql is not None:
        planfile.write(sql, plan_sql.sql(made))
    if out is not None:
        planfile.write(out, dump(made))
        session.answer(_saved(session, made, out), documents.plan(made, session.now()))
        return Exit.DONE
    terminal = session.terminal
    if plan is None:
        terminal.tell(_plan.text(made, utf8=terminal.utf8_told))
    _confirm(session, made, accept_hash if plan is not None else None, yes=yes)
    run = door.submit(made)
    terminal.say(f"{words.clock(session.now())}  {run} started")
    teller = Teller(session, door, lambda: run)

    def act(interrupt: threading.Event) -> Left:
        return Left(run, door.drive(run, interrupt=interrupt))

    return conclude(session, door, travel(session, door, act, teller), BACKWARD)


def _planned(
    door: Changeover,
    plan: Path | None,
    accept_hash: str | None,
    *,
    through: str | None,
    ack: tuple[str, ...],
    out: Path | None,
) -> Plan:
    if plan is None:
        if accept_hash is not None:
            raise UsageError("--accept-hash belongs to a saved plan: --plan FILE", next=(BY_PLAN,))
        return door.plan_cleanup(through=through, acknowledge=ack)
    if through is not None or ack or out is not None:
        raise UsageError("--through, --ack and --out make a plan; --plan runs one", next=(BY_PLAN,))
    made = planfile.read(plan)
    planfile.must_fit(made, door.site, "cleanup")
    return made


def phrase(plan: Plan) -> str:
    """What is typed: `shop production 42->43`."""
    return f"{plan.app} {plan.environment} {plan.schema_from}->{plan.schema_to}"


def _confirm(session: Session, plan: Plan, accepted: str | None, *, yes: bool) -> None:
    """Raises ConfirmationWrong, or UsageError where nobody can type. --yes answers nothing here."""
    if accepted is not None:
        if len(accepted) < SHORTEST or not plan.hash.startswith(accepted.lower()):
            raise ConfirmationWrong(
                f"the plan's hash is {plan.short}, not {accepted}", next=("read the plan, then repeat with its hash",)
            )
        return
    terminal = session.terminal
    why = "--yes does not confirm the point of no return" if yes else "the point of no return is confirmed by typing"
    terminal.must_be_interactive(f"{why}, and nobody is there to type", next_=(BY_PLAN,))
    said = terminal.ask_typed(f"POINT OF NO RETURN. Type   {phrase(plan)}   to go on: ")
    if " ".join(said.replace("→", "->").split()) != phrase(plan):
        raise ConfirmationWrong("what was typed is not what was asked for", next=(f"type: {phrase(plan)}",))


def _saved(session: Session, plan: Plan, out: Path) -> str:
    text = _plan.text(plan, utf8=session.terminal.utf8)
    return f"{text}Saved {out}  {plan.short}. Next:  changeover cleanup --plan {out} --accept-hash {plan.short}\n"
