"""Requests of three seconds in flight across a flip."""

from __future__ import annotations

from bench.figures import Figure, lost
from bench.stage import RATE, VERSIONS, Stage, sleep_until

COUNT = 50
SECONDS = 3.0


def measure(stage: Stage, *, quick: bool) -> list[Figure]:
    """Bound: all of them complete, on the version where they began, while other traffic moves without a loss."""
    part = f"{COUNT} requests of {SECONDS:g} s in flight across a flip, other traffic at {RATE:,.0f} requests/s: {stage.kind}"
    seconds = 1.5 if quick else SECONDS
    stage.start_state()
    crowd = stage.load(seconds + 1.5)
    waiting = stage.load(0, connections=COUNT, rate=500, path=f"/slow?s={seconds}", once=True)
    sleep_until(waiting.start + seconds / 2)
    entered, left = stage.flip("green")
    slow, others = waiting.records(), crowd.records()
    crossed = [r for r in slow if 0 < r.sent < entered and r.ended > left]
    if len(crossed) != COUNT:
        raise RuntimeError(f"only {len(crossed)} of {COUNT} requests were in flight when the route changed")
    late = [r for r in others if r.planned > left + 0.1 and r.version == VERSIONS["blue"]]
    strayed = sum(1 for r in slow if not r.error and r.version != VERSIONS["blue"])
    failed = [r for r in slow if r.error]
    bad = [r for r in others if r.error]
    return [
        lost(part, "slow requests lost", len(failed), COUNT, failed[0].error if failed else ""),
        Figure(part, "slow requests answered by another version", strayed, "requests", 0),
        lost(part, "other requests lost", len(bad), len(others), bad[0].error if bad else ""),
        Figure(part, "others answered by the old version after the flip", len(late), "requests", 0),
    ]
