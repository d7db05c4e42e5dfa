"""What the batches of a backfill share: a connection for each would cost as much as a small batch itself."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from changeover.drivers.databases.ledger_sql import Owner


class Line(Protocol):
    """A connection for several acts of one owner."""

    def close(self) -> None: ...


L = TypeVar("L", bound=Line)


class Kept(Generic[L]):
    """The line of the batches that are under way. Between two of them its session holds no lock and no transaction.

    It is closed by what goes wrong, by another owner, and with the driver whose it is.
    """

    def __init__(self, whose: object) -> None:
        self._line: L | None = None
        self._owner: Owner | None = None
        weakref.finalize(whose, self.close)

    @contextmanager
    def line(self, owner: Owner, make: Callable[[], L]) -> Iterator[L]:
        """The owner's line; `make` opens it."""
        if self._line is None or owner != self._owner:
            self.close()
            self._line, self._owner = make(), owner
        try:
            yield self._line
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()
