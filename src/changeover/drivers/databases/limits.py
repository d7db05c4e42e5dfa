"""What a schema change may cost the application, and how long its lock is tried for."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from changeover.core.errors import LockNotObtained, Where
from changeover.core.ports import Fence, Lockwait

T = TypeVar("T")

FIRST_PAUSE = 0.1  # seconds
LONGEST_PAUSE = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `lock`: how long one attempt waits (others queue behind it); `lock_deadline`: how long attempts are repeated.

    `statement_timeout`: how long a statement may run that only changes the catalogue; one that unexpectedly rewrites a
    table dies there. `replica_lag`: how far replicas may be behind while a backfill goes on; `sessions`: how many sessions of
    others may be at work meanwhile (None: any number). Defaults: measured on PostgreSQL 15 with a reader in the way, where 0.1 s got
    the lock under load and kept everybody else's wait below that.
    """

    lock: float = 0.1
    lock_deadline: float = 60.0
    statement_timeout: float = 30.0
    replica_lag: float = 5.0
    sessions: int | None = None


class Busy(Exception):
    """One attempt did not get its lock; its transaction is rolled back. Never leaves the drivers."""

    def __init__(self, waited: float, blocker: str = "") -> None:
        super().__init__(f"waited {waited:.3f} s for {blocker or 'a lock'}")
        self.waited = waited
        self.blocker = blocker


@dataclass(frozen=True, slots=True)
class Pace:
    """The time between two attempts: 0.1 s, doubling to 2 s, times 0.5…1.5 so that two actors do not march in step."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.5, 1.5))

    def pauses(self) -> Iterator[float]:
        """The pauses in seconds, without end."""
        for n in count():
            yield min(FIRST_PAUSE * 2 ** min(n, 10), LONGEST_PAUSE) * self.jitter()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the lock is wanted for: words for people, and where it is written."""

    title: str
    where: tuple[Where, ...] = ()


def until_locked(
    attempt: Callable[[], T], wanted: Wanted, limits: Limits, fence: Fence, pace: Pace | None = None
) -> tuple[T, Lockwait]:
    """Attempt until the lock is got or `limits.lock_deadline` has passed; the fence is checked before each attempt.

    Raises LockNotObtained, with the blocker named, and whatever `attempt` raises except Busy.
    """
    pace = pace or Pace()
    pauses = pace.pauses()
    until = pace.now() + limits.lock_deadline
    longest, blocker = 0.0, ""
    for n in count(1):
        fence.check()
        try:
            return attempt(), Lockwait(n, longest, blocker)
        except Busy as busy:
            longest, blocker = max(longest, busy.waited), busy.blocker or blocker
        left = until - pace.now()
        if left <= 0:
            raise not_obtained(wanted, limits, n, blocker)
        pace.sleep(min(next(pauses), left))
    raise AssertionError("count() ended")


def not_obtained(wanted: Wanted, limits: Limits, attempts: int, blocker: str) -> LockNotObtained:
    """The error that names who stood in the way."""
    return LockNotObtained(
        f"{wanted.title}: no lock within {limits.lock_deadline:g} s ({attempts} attempts); "
        f"in the way: {blocker or 'unknown'}",
        now="The statement did not run; nothing is half done.",
        next=("let the blocker finish, or end it yourself", "changeover resume"),
        where=wanted.where,
    )
