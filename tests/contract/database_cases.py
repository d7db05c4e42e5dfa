"""What a database fixture offers to the contract suite.

The module `tests.fixtures.KIND_database` (memory, sqlite, postgresql) has a context manager `database_under_test()` that yields
a `DatabaseUnderTest`: the table `orders(id, price)` with `ROWS` rows, restore points configured, nobody connected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from changeover.core.errors import FencedOut
from changeover.core.model import Applied, BackfillStatement, Claim, Phase, Statement, Version
from changeover.core.ports import Database

ROWS = 250
V1 = Version("1.1.0")
STORE = "store-a"
ENVIRONMENT = "production"


@dataclass(frozen=True)
class TestFence:
    """The right to act in a test. `after` checks it is lost; None: never."""

    __test__ = False

    token: int = 1
    run: str = "r-1"
    held: Callable[[], bool] = lambda: True

    def check(self) -> None:
        if not self.held():
            raise FencedOut("the test took it away")


def lost_after(checks: int) -> TestFence:
    """A fence that holds for so many checks."""
    seen = iter(range(checks))
    return TestFence(held=lambda: next(seen, None) is not None)


def claim_of(fence: int = 1, store: str = STORE, environment: str = ENVIRONMENT) -> Claim:
    return Claim(environment, store, fence, "ann@ops", 1_000.0)


def marker_of(
    statement: Statement | None = None, index: int = 0, phase: Phase = Phase.EXPAND, fence: int = 1
) -> Applied:
    text = statement.sql if statement is not None else "whole"
    return Applied(V1, phase, index, hashlib.sha256(text.encode()).hexdigest(), 1_000.0 + index, "r-1", fence)


class DatabaseUnderTest(Protocol):
    """One database and the driver that is tested."""

    kind: str
    driver: Database

    def second(self) -> Database:
        """Another driver for the same database, as another process would have it."""

    def statement(self, name: str) -> Statement:
        """add_column, index, table, drop_column, failing (price_cents, orders_price, notes, price)."""

    def backfill(self) -> BackfillStatement:
        """price_cents = price * 100 where it was never filled; needs add_column."""

    def by_hand(self, statement: Statement) -> None:
        """Run the statement past the driver, without a marker."""

    def insert(self, rows: int) -> None:
        """Rows with the next keys, price_cents not filled."""

    def unfilled(self) -> int:
        """Rows whose price_cents was never filled."""

    def damage(self, location: str) -> None:
        """Change the restore point that lies there."""
