"""What a connection to a SQL Server can end in, apart from an answer. None of these leaves the driver."""

from __future__ import annotations

from dataclasses import dataclass

LOCK_TIMEOUT = 1222
DEADLOCK = 1205
SNAPSHOT_CONFLICTS = (3960, 3961)  # another transaction, or a change of the catalogue, went first
FATAL = 20  # the severity from which on the server ends the connection


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the server. Severities up to 10 are no errors. `text` is in the login's language."""

    number: int
    severity: int
    text: str


class Fault(Exception):
    """The server did not do what was asked, or nobody knows whether it did."""


class Refused(Fault):
    """The server answered with an error. `said` are its error messages in order; the first is the cause."""

    def __init__(self, said: tuple[Message, ...]) -> None:
        super().__init__(" ".join(m.text for m in said))
        self.said = said

    @property
    def number(self) -> int:
        return self.said[0].number

    @property
    def numbers(self) -> frozenset[int]:
        return frozenset(m.number for m in self.said)


class Lost(Fault):
    """The connection is gone: what it was doing may or may not have been done."""


class Cancelled(Fault):
    """It took longer than it may; the server confirmed that it has stopped it and rolled it back."""


def is_busy(fault: Fault) -> bool:
    """A lock was not got, or another transaction went first: the same again may work."""
    return isinstance(fault, Refused) and not fault.numbers.isdisjoint((LOCK_TIMEOUT, DEADLOCK, *SNAPSHOT_CONFLICTS))
