"""Errors of MariaDB and MySQL in changeover's words, told apart by their number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from changeover.core.errors import (
    NOTHING_CHANGED,
    ChangeoverError,
    DatabaseDenied,
    DatabaseUnreachable,
    StatementFailed,
    Where,
)
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import Sessions

Error = pymysql.err.Error

LOCK_WAIT_TIMEOUT = 1205
DEADLOCK = 1213
NO_SUCH_THREAD = 1094
NOT_YOUR_THREAD = 1095
NO_SUCH_TRIGGER = 1360
INTERRUPTED = 1317
_BUSY = (LOCK_WAIT_TIMEOUT, DEADLOCK, 3058, 3572)  # user-level deadlock, NOWAIT of MySQL
_CANCELLED = (INTERRUPTED, 1969, 3024)  # KILL QUERY; max_statement_time; max_execution_time
_LOST = (1053, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2055, 3169, 4031)
_REFUSED = (1040, 1045, 1049, 1129, 1130, 1203, 1226, 1251, 1698, 2002, 2003, 2005, 2026, 2059, 2061, 3118, 4151)
_READ_ONLY = (1290, 1792, 1836)
_DENIED = (1044, NOT_YOUR_THREAD, 1142, 1143, 1227, 1370, 1419)
_DISK = (1021, 1114, 28)
_UNKNOWN_FATE = (
    "It is not known whether it was done; the database's own ledger tells, and resume looks there before it acts."
)
_VALUES = (  # up to the last quote that can end it: a value may hold quotes itself
    re.compile(r"(entry |value:? )'.*'(?= for (?:key|column) )", re.DOTALL | re.IGNORECASE),
    re.compile(r"(entry |value:? )'(?!…').*'", re.DOTALL | re.IGNORECASE),
)


@dataclass(frozen=True, slots=True)
class Doing:
    """What was being done, for the error: words, the place in the change file, and what the system is now."""

    title: str
    where: tuple[Where, ...] = ()
    now: str = NOTHING_CHANGED
    rolled_back: bool = False


def number_of(error: Error) -> int:
    """The error's number; 0 if it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def is_lost(error: Error) -> bool:
    """The connection is gone: what it was doing may or may not have been done."""
    return number_of(error) in _LOST or isinstance(error, pymysql.err.InterfaceError)


def is_busy(error: Error) -> bool:
    """A lock was not got, or another transaction went first: the same again may work."""
    return number_of(error) in _BUSY


def is_denied(error: Error) -> bool:
    return number_of(error) in _DENIED


def is_full(error: Error) -> bool:
    """The server's disk is full."""
    return number_of(error) in _DISK


@contextmanager
def translated(sessions: Sessions, doing: Doing) -> Iterator[None]:
    """Errors of PyMySQL as changeover's."""
    try:
        yield
    except Error as error:
        raise translate(error, sessions, doing) from None


def translate(error: Error, sessions: Sessions, doing: Doing) -> ChangeoverError:
    """What happened, in words. Values of rows are masked: they are other people's data."""
    number = number_of(error)
    what = f"{doing.title}: {said(error, sessions)}"
    now = "The statement did not run or was rolled back." if doing.rolled_back else doing.now
    if number in _READ_ONLY:
        return DatabaseUnreachable(
            f"{doing.title}: the database takes no writes; it is a replica, or read-only ({said(error, sessions)})",
            now=now,
            next=("point the URL at the primary", "changeover doctor"),
        )
    if number in _DENIED:
        return DatabaseDenied(
            what,
            now=now,
            next=("changeover doctor --grants    (prints the minimal GRANTs; an administrator runs them)",),
            where=doing.where,
        )
    if number in _REFUSED or is_lost(error):
        return DatabaseUnreachable(
            what, now=doing.now, next=("see to it that the database answers", "changeover doctor")
        )
    return StatementFailed(
        f"{what} (error {number})", now=now, next=(_hint(number), "changeover status"), where=doing.where
    )


def _hint(number: int) -> str:
    if number in _CANCELLED:
        return "it was cancelled: by somebody, or because it ran longer than a change of the catalogue alone may"
    return "mend the statement; the server's log has the details"


def said(error: Error, sessions: Sessions) -> str:
    """The message without row values and secrets, on one line."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    text = re.sub(r"\s+", " ", text).strip()
    for values in _VALUES:
        text = values.sub(r"\1'…'", text)
    return sessions.redact(text) or "the connection was lost"


def lost_reply(doing: Doing) -> Doing:
    """The same, when the connection was lost after the statement may have been done."""
    return Doing(doing.title, doing.where, _UNKNOWN_FATE)
