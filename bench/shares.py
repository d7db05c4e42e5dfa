"""The share that was asked for against the share that 100,000 new visitors got."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure
from bench.stage import VERSIONS, Always, Stage
from changeover.core.model import Route
from changeover.drivers.balancers.haproxy_weights import share_of, split_for

PART = "Share asked against share measured over {visitors:,} visitors, each new (no cookie)"
SHARES = (100, 500, 2500, 5000)  # basis points
BOUND = 0.6  # percentage points from what the driver can do at all
RATE = 4000.0  # requests per second


def possible(kind: str, share: int) -> float:
    """The share in basis points that the driver can do: weights are whole numbers."""
    return share_of(split_for(share, 2, 2), 2, 2) if kind == "haproxy-servers" else float(share)


def measure(scene: Stage, *, quick: bool) -> Iterator[Figure]:
    """Visitors are spread over the shares evenly."""
    visitors = 2_000 if quick else 100_000
    each = visitors // len(SHARES)
    part = PART.format(visitors=visitors)
    for share in SHARES:
        scene.start_state()
        scene.balancer.commit(Route("blue", "green", share, 0 if scene.kind == "envoy" else 4711, 0, "bench"), Always())
        records = scene.load(each / RATE, rate=RATE).records()
        failed = [r for r in records if r.error]
        if failed:
            raise RuntimeError(f"{len(failed)} requests were lost: {failed[0].error}")
        got = 100 * sum(1 for r in records if r.version == VERSIONS["green"]) / len(records)
        off = abs(got - possible(scene.kind, share) / 100)
        note = f"asked {share / 100:g} %, possible {possible(scene.kind, share) / 100:.2f} %, measured {got:.2f} %"
        bound = BOUND if each >= 20_000 else 4 * BOUND  # the deviation of a smoke run
        yield Figure(part, f"{scene.kind}: off at {share / 100:g} %", off, "points", bound, note=note)
