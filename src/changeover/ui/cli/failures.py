"""How a command that failed ends: its exit code, its words, and whether anything had been changed."""

from __future__ import annotations

import traceback

from changeover.core.errors import ChangeoverError, Exit, UnexpectedError
from changeover.core.states import ENDED, State
from changeover.ui.cli.redact import redact
from changeover.ui.cli.session import Session, plan_of
from changeover.ui.cli.table import Command
from changeover.ui.render import documents, errors
from changeover.ui.render.events import LOOKS_ONLY

FINE = frozenset({State.DONE, State.FAILED, State.WENT_BACK, State.ABORTED})
"""States in which nothing is half done."""


def report(session: Session, command: Command | None, error: ChangeoverError) -> Exit:
    """Tell a foreseen failure and return the exit code."""
    exit_ = error.exit
    if command is not None and command.acts and exit_ is Exit.FAILED:
        left = half_done(session, command)
        if left:
            exit_ = Exit.UNKNOWN
            more = tuple(
                n for n in ("changeover status", "changeover resume", "changeover rollback") if n not in error.next
            )
            again = type(error)(error.what, now=left, next=(*error.next, *more), where=error.where)
            again.__cause__ = error
            error = again
    _tell(session, error, exit_)
    return exit_


def unexpected(session: Session, command: Command | None, error: BaseException) -> Exit:
    """Tell a failure that nobody foresaw: 1 before the first change, 7 after it, never 0."""
    left = half_done(session, command) if command is not None and command.acts else ""
    what = redact(f"{type(error).__name__}: {error}", session.common.config)
    next_ = (
        ("changeover status", "changeover resume    or    changeover rollback")
        if left
        else ("repeat it with -v for the traceback",)
    )
    told = UnexpectedError(what, next=next_) if not left else UnexpectedError(what, now=left, next=next_)
    exit_ = Exit.UNKNOWN if left else Exit.FAILED
    if session.common.verbose:
        text = "".join(traceback.format_exception(error))
        session.terminal.tell(redact(text, session.common.config))
    _tell(session, told, exit_)
    return exit_


def _tell(session: Session, error: ChangeoverError, exit_: Exit) -> None:
    terminal = session.terminal
    if session.common.json:
        terminal.answer(documents.dump(errors.document(error, session.now(), exit_), utf8=terminal.utf8))
    else:
        terminal.tell(errors.text(error, exit_))


def half_done(session: Session, command: Command) -> str:
    """What is half done, in words; "" if nothing can be. Asks the journal; a journal that is away means: unknown.

    A command that begins a run answers for the runs that began with it; the others for whatever they took up or ended.
    """
    door = session.opened
    if door is None or not door.site.store.exists():
        return ""
    try:
        for run in door.history(limit=5):
            begins = command.words in {"release", "cleanup"}
            touched = run.at >= session.began if begins else run.ended is None or run.ended >= session.began
            if not touched or (run.state in ENDED and run.state in FINE):
                continue
            kinds = {s.key: s.action.kind for s in plan_of(door, run.id).steps}
            begun = [kinds[e.step] for e in door.events(run.id) if e.kind == "begin" and e.step in kinds]
            if any(kind not in LOOKS_ONLY for kind in begun):
                return f"{run.id} ({run.kind}) is {run.state} and not finished: it had begun to change the environment."
    except Exception as away:
        return f"Whether something is half done is unknown: the journal cannot be read ({type(away).__name__})."
    return ""
