"""How often and how long a lock is tried for, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from changeover.core.errors import FencedOut, LockNotObtained, Where
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, until_locked

WANTED = Wanted("+ column orders.a", (Where("1.1.0.expand.sql", 3),))


@dataclass
class Time:
    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.at += seconds

    def pace(self, jitter: float = 1.0) -> Pace:
        return Pace(lambda: self.at, self.sleep, lambda: jitter)


@dataclass
class Fence:
    token: int = 1
    run: str = "r-1"
    left: int = 1_000

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise FencedOut("taken over")


def busy(times: int, *blockers: str):
    """An attempt that is refused so often, then returns."""
    seen = iter([Busy(0.1 * (n + 1), blockers[n] if n < len(blockers) else "") for n in range(times)])

    def attempt() -> str:
        found = next(seen, None)
        if found is not None:
            raise found
        return "done"

    return attempt


def test_the_first_attempt_does_not_wait():
    time = Time()
    done, waited = until_locked(busy(0), WANTED, Limits(), Fence(), time.pace())
    assert (done, waited.attempts, waited.waited, waited.blocker, time.slept) == ("done", 1, 0.0, "", [])


def test_pauses_double_up_to_two_seconds():
    time = Time()
    _, waited = until_locked(busy(7), WANTED, Limits(), Fence(), time.pace())
    assert waited.attempts == 8
    assert waited.waited == pytest.approx(0.7)
    assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_pauses_are_jittered():
    low, high = Time(), Time()
    until_locked(busy(3), WANTED, Limits(), Fence(), low.pace(0.5))
    until_locked(busy(3), WANTED, Limits(), Fence(), high.pace(1.5))
    assert low.slept == pytest.approx([0.05, 0.1, 0.2])
    assert high.slept == pytest.approx([0.15, 0.3, 0.6])
    assert all(0.05 <= p <= 3.0 for p, _ in zip(Pace().pauses(), range(50), strict=False))


def test_the_last_blocker_that_was_seen_is_named():
    _, waited = until_locked(busy(3, "a", "b", ""), WANTED, Limits(), Fence(), Time().pace())
    assert waited.blocker == "b"


def test_at_the_deadline_it_gives_up_after_a_last_attempt():
    time = Time()
    with pytest.raises(LockNotObtained) as failed:
        until_locked(busy(1_000, "pid 7"), WANTED, Limits(lock_deadline=5.0), Fence(), time.pace())
    assert time.at == pytest.approx(5.0)
    assert "pid 7" in failed.value.what
    assert "5 s" in failed.value.what
    assert failed.value.where == WANTED.where


def test_the_fence_is_checked_before_every_attempt():
    with pytest.raises(FencedOut):
        until_locked(busy(1_000), WANTED, Limits(), Fence(left=3), Time().pace())
    with pytest.raises(FencedOut):
        until_locked(busy(0), WANTED, Limits(), Fence(left=0), Time().pace())
