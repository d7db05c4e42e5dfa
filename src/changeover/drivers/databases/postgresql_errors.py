"""Errors of PostgreSQL in changeover's words, told apart by SQLSTATE: messages come in the server's language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from changeover.core.errors import (
    NOTHING_CHANGED,
    ChangeoverError,
    DatabaseDenied,
    DatabaseUnreachable,
    StatementFailed,
    Where,
)
from changeover.drivers.databases.postgresql_session import Sessions

LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
SERIALIZATION = "40001"
CANCELLED = "57014"
READ_ONLY = "25006"
DENIED = "42501"
_SHUTDOWN = ("57P01", "57P02", "57P03")
_REFUSED = ("28000", "28P01", "3D000", "53300")
_UNKNOWN_FATE = (
    "It is not known whether it was done; the database's own ledger tells, and resume looks there before it acts."
)


@dataclass(frozen=True, slots=True)
class Doing:
    """What was being done, for the error: words, the place in the change file, and what the system is now."""

    title: str
    where: tuple[Where, ...] = ()
    now: str = NOTHING_CHANGED
    rolled_back: bool = False


def is_lost(error: psycopg.Error) -> bool:
    """The connection is gone: what it was doing may or may not have been done."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in _SHUTDOWN or state.startswith("08")


def is_busy(error: psycopg.Error) -> bool:
    """A lock was not got, or another transaction went first: the same again may work."""
    return error.sqlstate in (LOCK_NOT_AVAILABLE, DEADLOCK, SERIALIZATION)


@contextmanager
def translated(sessions: Sessions, doing: Doing) -> Iterator[None]:
    """Errors of psycopg as changeover's."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, sessions, doing) from None


def translate(error: psycopg.Error, sessions: Sessions, doing: Doing) -> ChangeoverError:
    """What happened, in words. DETAIL is left out: it quotes rows, and rows are other people's data."""
    state = error.sqlstate
    said = _said(error, sessions)
    now = "The statement did not run or was rolled back." if doing.rolled_back else doing.now
    if state == READ_ONLY:
        return DatabaseUnreachable(
            f"{doing.title}: the database takes no writes; it is in recovery, a replica, or read-only ({said})",
            now=now,
            next=("point the URL at the primary", "changeover doctor"),
        )
    if state == DENIED:
        return DatabaseDenied(
            f"{doing.title}: {said}",
            now=now,
            next=("changeover doctor --grants    (prints the minimal GRANTs; an owner of the tables runs them)",),
            where=doing.where,
        )
    if state in _REFUSED or is_lost(error):
        return DatabaseUnreachable(
            f"{doing.title}: {said}", now=doing.now, next=("see to it that the database answers", "changeover doctor")
        )
    return StatementFailed(
        f"{doing.title}: {said} (SQLSTATE {state})",
        now=now,
        next=(_hint(error), "changeover status"),
        where=doing.where,
    )


def _hint(error: psycopg.Error) -> str:
    if error.sqlstate == CANCELLED:
        return "it was cancelled: by somebody, or because it ran longer than a change of the catalogue alone may"
    return "mend the statement; the server's log has the details"


def _said(error: psycopg.Error, sessions: Sessions) -> str:
    """The message without row values and secrets, on one line."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = next((line for line in lines if "FATAL" in line), lines[0] if lines else "no message")
    return sessions.redact(re.sub(r"\s+", " ", wanted))


def lost_reply(doing: Doing) -> Doing:
    """The same, when the connection was lost after the statement may have been committed."""
    return Doing(doing.title, doing.where, _UNKNOWN_FATE)
