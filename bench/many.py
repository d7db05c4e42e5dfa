"""Several balancers at once: how soon the old version sees its last request, what the floor costs, and the control-plane calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench import moment
from bench.figures import Figure, median, median_of
from bench.stage import RATE, stage
from changeover.drivers.balancers.haproxy_socket import MasterSocket

PART = f"One flip of several HAProxies at once, all read back, while {RATE:,.0f} requests/s come through all of them"
COUNTS = (1, 2, 8)
FEW = (1, 2, 3)  # for a smoke run
LONGER = 3.0  # the whole commit of eight, in eight single ones: looking is parallel, committing is one after the other
AGREEING = (
    2.0  # calls to each of several, in those to a single one: all are looked at and staged before the first is changed
)


class Calls:
    """How many commands went to master sockets since it was last asked; they come from several threads."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def one(self) -> None:
        with self._lock:
            self._count += 1

    def taken(self) -> int:
        with self._lock:
            count, self._count = self._count, 0
        return count


@contextmanager
def counted() -> Iterator[Calls]:
    """Count every exchange with a master socket inside the block."""
    calls, exchange = Calls(), MasterSocket._exchange

    def counting(self: MasterSocket, command: str) -> str:
        calls.one()
        return exchange(self, command)

    MasterSocket._exchange = counting  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        MasterSocket._exchange = exchange  # type: ignore[method-assign]


def measure(*, quick: bool) -> Iterator[Figure]:
    """Bounds: three times as many single commits; calls to each are twice those to a single one, and not more for eight than for two."""
    single = 0.0  # ms of the whole commit
    most: float | None = None  # calls to each control plane
    for number in FEW if quick else COUNTS:
        with counted() as calls, stage("haproxy", balancers=number) as scene:
            found = moment.flips(scene, *((5, 0.5) if quick else (20, 0.5)), calls.taken)
            floor = moment.bare(scene, 10 if quick else 50)
        name = f"{number} balancer{'s' if number > 1 else ''}"
        last, whole, mixed = ([getattr(f, what) for f in found] for what in ("last", "whole", "mixed"))
        single = single or median(whole)
        each = max(f.calls for f in found) / number
        yield from (
            Figure(PART, f"{name}: floor, one bare `set map` to each", median(floor), "ms", note=median_of(floor)),
            Figure(PART, f"{name}: last arrival at the old version", median(last), "ms", note=median_of(last), raw=tuple(last)),
            Figure(PART, f"{name}: last arrival / floor", median(last) / median(floor), "x"),
            Figure(PART, f"{name}: both versions got requests for", median(mixed), "ms", note=median_of(mixed), raw=tuple(mixed)),
            Figure(PART, f"{name}: the whole commit", median(whole), "ms", note=median_of(whole), raw=tuple(whole)),
            *((Figure(PART, f"{name}: whole commit / as many single ones", median(whole) / (number * single), "x", LONGER, judged=not quick),)
              if number > 1 else ()),
            Figure(PART, f"{name}: calls to each control plane", each, "calls", most, note=f"{max(f.calls for f in found)} in all"),
        )  # fmt: skip
        most = AGREEING * each if most is None else min(most, each)
