"""Several balancers at once: how long one flip of all of them takes, and how many control-plane calls it costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, median, median_of
from bench.stage import Stage, other, stage
from changeover.drivers.balancers.haproxy_socket import MasterSocket

PART = "One flip of several HAProxies at once, all read back, nothing else going on"
COUNTS = (1, 2, 8)
PER_MORE = (
    3.0  # eight balancers cost at most this many times eight single ones: looking is parallel, committing is one by one
)


class Calls:
    """How many commands went to master sockets since it was last asked."""

    def __init__(self) -> None:
        self.count = 0

    def taken(self) -> int:
        count, self.count = self.count, 0
        return count


@contextmanager
def counted() -> Iterator[Calls]:
    """Count every exchange with a master socket inside the block."""
    calls, exchange = Calls(), MasterSocket._exchange

    def counting(self: MasterSocket, command: str) -> str:
        calls.count += 1
        return exchange(self, command)

    MasterSocket._exchange = counting  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        MasterSocket._exchange = exchange  # type: ignore[method-assign]


def flips(scene: Stage, calls: Calls, count: int) -> tuple[list[float], list[int]]:
    """(milliseconds, calls) of each commit."""
    took, asked, live = [], [], "blue"
    scene.start_state()
    for _ in range(count):
        live = other(live)
        calls.taken()
        entered, left = scene.flip(live)
        took.append(1000 * (left - entered))
        asked.append(calls.taken())
        time.sleep(0.05)
    return took, asked


def measure(*, quick: bool) -> Iterator[Figure]:
    """Bounds: calls per balancer do not grow with their number; eight take at most three times as long as eight single flips."""
    single = 0.0
    for number in COUNTS[:2] if quick else COUNTS:
        with counted() as calls, stage("haproxy", balancers=number) as scene:
            took, asked = flips(scene, calls, 5 if quick else 30)
        name = f"{number} balancer{'s' if number > 1 else ''}"
        single = single or median(took)
        ratio = median(took) / (single * number)
        yield Figure(PART, f"{name}: the driver's commit", median(took), "ms", note=median_of(took), raw=tuple(took))
        yield Figure(
            PART,
            f"{name}: time / as many single flips",
            ratio,
            "x",
            PER_MORE,
            judged=not quick and number > 1,
            raw=tuple(took),
        )
        yield Figure(
            PART, f"{name}: control-plane calls", median(asked), "calls", note=f"{median(asked) / number:g} each"
        )
