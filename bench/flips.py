"""Many flips under load: what is lost, and what the tail costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.client import Record
from bench.figures import Figure, lost, median, median_of, percentile
from bench.stage import CONNECTIONS, RATE, VERSIONS, WARM, Stage, other, sleep_until

PART = (
    "{flips} flips {pause:g} ms apart at {rate:,.0f} requests/s over {connections} connections, reused blindly: {kind}"
)
APART = 0.1  # seconds between the begins of two flips
TAIL_BOUND = 3.0  # p99 while flipping, in p99 of the steady time of the same run
PACE_BOUND = 5.0  # ms; a client that is later in the steady time measures the other work of the machine


@dataclass(frozen=True)
class Run:
    """One client's run: steady, flips, steady."""

    records: Sequence[Record]
    steady: Sequence[float] = field(repr=False)  # latencies in seconds
    flipping: Sequence[float] = field(repr=False)
    commits: Sequence[float]  # seconds that the driver took
    arrived: int
    late: float  # seconds that the client sent after the planned time, p99 of the steady time

    @property
    def ratio(self) -> float:
        return percentile(self.flipping, 99) / percentile(self.steady, 99)


def once(stage: Stage, flips: int, steady: float) -> Run:
    """Half of the steady time is before the flips and half after, so that a drift of the machine hits both."""
    stage.start_state()
    before = stage.instances.arrived()
    load = stage.load(WARM + steady + flips * APART + 1.0)
    begin = load.start + WARM + steady / 2
    live, commits = "blue", []
    for number in range(flips):
        sleep_until(begin + number * APART)
        live = other(live)
        entered, left = stage.flip(live)
        commits.append(left - entered)
    sleep_until(begin + flips * APART)
    end = time.time()
    records = load.records()
    calm = (load.start + WARM, end + 0.3)
    steadily = [r for r in records if calm[0] <= r.planned < begin - 0.05 or calm[1] <= r.planned]
    return Run(
        records,
        [r.latency for r in steadily if not r.error],
        [r.latency for r in records if not r.error and begin <= r.planned < end],
        commits,
        stage.instances.arrived() - before,
        percentile([r.sent - r.planned for r in steadily if r.sent], 99),
    )


def measure(stage: Stage, *, quick: bool) -> list[Figure]:
    """Bounds: nothing is lost; p99 while flipping is at most 3 times that of the steady time."""
    flips, repeats, steady = (10, 1, 1.0) if quick else (50, 3, 6.0)
    part = PART.format(flips=flips, pause=1000 * APART, rate=RATE, connections=CONNECTIONS, kind=stage.kind)
    runs = [once(stage, flips, steady) for _ in range(repeats)]
    records = [r for run in runs for r in run.records]
    failed = [r for r in records if r.error]
    by_version = {v: sum(1 for r in records if r.version == v) for v in VERSIONS.values()}
    if not all(by_version.values()):
        raise RuntimeError(f"the flips moved nobody: {by_version}")
    ratios = tuple(run.ratio for run in runs)
    commits = [c for run in runs for c in run.commits]

    def p99(which: str) -> float:
        return 1000 * median(percentile(getattr(run, which), 99) for run in runs)

    def p50(which: str) -> float:
        return 1000 * median(percentile(getattr(run, which), 50) for run in runs)

    late = tuple(1000 * run.late for run in runs)
    return [
        Figure(
            part, "the client's own delay in the steady time, p99", median(late), "ms", PACE_BOUND, judged=not quick, raw=late,
            note=f"{median_of(late)}; above the bound the machine is too busy to measure on",
        ),
        lost(part, "requests lost", len(failed), len(records), failed[0].error if failed else ""),
        Figure(
            part, "arrivals in the instances without an answer, or twice",
            abs(sum(run.arrived for run in runs) - (len(records) - len(failed))), "requests", 0,
            note=", ".join(f"{count:,} answered by {version}" for version, count in by_version.items()), judged=not failed,
        ),
        Figure(
            part, "p99 while flipping / p99 steady", median(ratios), "x", TAIL_BOUND,
            note=f"{p99('steady'):.2f} -> {p99('flipping'):.2f} ms; p50 {p50('steady'):.2f} -> {p50('flipping'):.2f} ms; {median_of(ratios)}",
            judged=not quick, raw=ratios,
        ),
        Figure(
            part, "one commit of the driver, read-back included", 1000 * median(commits), "ms",
            note=f"median of {len(commits)}, longest {1000 * max(commits):.1f} ms",
            raw=tuple(1000 * c for c in commits),
        ),
    ]  # fmt: skip
