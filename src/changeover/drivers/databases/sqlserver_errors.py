"""Faults of a SQL Server in changeover's words, told apart by number: messages come in the login's language."""

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
from changeover.drivers.databases.sqlserver_faults import Cancelled, Fault, Lost, Message, Refused
from changeover.drivers.databases.sqlserver_session import Sessions

READ_ONLY = frozenset({3906, 3908, 15460})  # the database takes no writes, or is in emergency mode
DENIED = frozenset({229, 230, 262, 297, 300, 916, 3110, 5011, 6102, 15247})
NO_LOGIN = frozenset({18401, 18452, 18456, 18461, 18470, 18486, 18487, 18488, 4060, 4064, 17142, 17892})
UNAVAILABLE = frozenset({922, 923, 924, 926, 927, 942, 945, 976, 978, 979, 982, 983})  # restoring, offline, a secondary
CLOUD = frozenset({10928, 10929, 40197, 40501, 40613, 40615, 49918, 49919, 49920})  # throttled or moved: Azure SQL
FULL = frozenset({1105, 3202, 3203, 3257, 9002})  # no room for rows, log or backup
_KEYS = frozenset({1505, 2601, 2627})  # quote a key in parentheses, after the names
_TRUNCATED = 2628  # quotes a text, after the names of table and column
_VALUES = frozenset({241, 244, 245, 248, 295, 8114})  # quote a value, and no name
_NUMBERS = frozenset({220, 232, 8115})  # quote a number

_UNKNOWN_FATE = (
    "It is not known whether it was done; the database's own ledger tells, and resume looks there before it acts."
)
_ROLLED_BACK = "The statement did not run or was rolled back."


@dataclass(frozen=True, slots=True)
class Doing:
    """What was being done, for the error: words, the place in the change file, and what the system is now."""

    title: str
    where: tuple[Where, ...] = ()
    now: str = NOTHING_CHANGED
    rolled_back: bool = False


@contextmanager
def translated(sessions: Sessions, doing: Doing) -> Iterator[None]:
    """Faults as changeover's errors."""
    try:
        yield
    except Fault as fault:
        raise translate(fault, sessions, doing) from None


def translate(fault: Fault, sessions: Sessions, doing: Doing) -> ChangeoverError:
    """What happened, in words. Values are left out: they are rows, and rows are other people's data."""
    if not isinstance(fault, Refused):
        return _unanswered(fault, sessions, doing)
    said = sessions.redact("; ".join(dict.fromkeys(masked(m) for m in fault.said)))
    numbers, now = fault.numbers, _ROLLED_BACK if doing.rolled_back else doing.now
    if numbers & READ_ONLY:
        return DatabaseUnreachable(
            f"{doing.title}: the database takes no writes; it is read-only, or a secondary ({said})",
            now=now,
            next=("point the URL at the primary", "changeover doctor"),
        )
    if numbers & DENIED:
        return DatabaseDenied(
            f"{doing.title}: {said}",
            now=now,
            next=("changeover doctor --grants    (prints the minimal GRANTs; an administrator runs them)",),
            where=doing.where,
        )
    if numbers & (NO_LOGIN | UNAVAILABLE | CLOUD):
        return DatabaseUnreachable(
            f"{doing.title}: {said} (error {fault.number})",
            now=doing.now,
            next=("see to it that the database answers this login", "changeover doctor"),
        )
    hint = "make room for it" if numbers & FULL else "mend the statement; the server's log has the details"
    return StatementFailed(
        f"{doing.title}: {said} (error {fault.number})", now=now, next=(hint, "changeover status"), where=doing.where
    )


def _unanswered(fault: Fault, sessions: Sessions, doing: Doing) -> ChangeoverError:
    if isinstance(fault, Cancelled):
        hint = "it ran longer than a change of the catalogue alone may: does it rewrite the table?"
        return StatementFailed(
            f"{doing.title}: {fault}", now=_ROLLED_BACK, next=(hint, "changeover status"), where=doing.where
        )
    assert isinstance(fault, Lost), "there is no other fault"
    said = re.sub(r"\s+", " ", sessions.redact(str(fault)))
    return DatabaseUnreachable(
        f"{doing.title}: {said}", now=doing.now, next=("see to it that the database answers", "changeover doctor")
    )


def masked(message: Message) -> str:
    """The message on one line, without what it quotes of rows. The language of the text does not matter."""
    text = re.sub(r"\s+", " ", message.text).strip()
    if message.number in _KEYS:
        return re.sub(r"\(.*", "(…)", text)
    if message.number == _TRUNCATED:
        names = re.match(r"(?:[^']*'[^']*'){2}", text)
        return f"{names[0] if names else ''} …".strip()
    if message.number in _VALUES:
        return re.sub(r"'.*'|'.*", "'…'", text)
    if message.number in _NUMBERS:
        return re.sub(r"-?\d[\d.,]*", "…", text)
    return text


def lost_reply(doing: Doing) -> Doing:
    """The same, when the connection was lost after the statement may have been committed."""
    return Doing(doing.title, doing.where, _UNKNOWN_FATE)
