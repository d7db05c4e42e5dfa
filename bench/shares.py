"""The share that was asked for against the share that new visitors got, and whether visitors who return keep their side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from bench.figures import Figure
from bench.stage import VERSIONS, Always, Stage
from bench.visitors import Visitor, send, served
from changeover.core.model import ALL, Route
from changeover.core.ports import Balancer, Rounds

PART = "Share asked against share measured, {visitors:,} new visitors (no cookie) for each: {kind}"
SHARES = (100, 500, 2500, 5000)  # basis points, growing: one release
VISITORS = 100_000
RETURNING = 2_500  # of the visitors of each share
BOUND = 0.6  # percentage points from what the driver can do at all; 3.8 standard deviations of 100,000 at 50 %
SPREADS = {
    "alb": 2.0,
    "elb": 2.0,
}  # seconds until every node has heard of a commit: `propagation` of their configuration
SALT = 4711
BLUE, GREEN = VERSIONS["blue"], VERSIONS["green"]


def possible(balancer: Balancer, route: Route) -> float:
    """The share in basis points that the driver itself says it gives for this route."""
    return balancer.nearest(route) if isinstance(balancer, Rounds) else route.share


def cut(balancer: Balancer) -> list[int]:
    """Those shares that are not too fine for it: `changeover plan` refuses the others by the same rule."""
    finest = balancer.capabilities.finest_share
    return [share for share in SHARES if min(share, ALL - share) >= finest / 2]


def measure(scene: Stage, *, quick: bool) -> Iterator[Figure]:
    """Bounds: at most 0.6 points from what is possible; no visitor changes sides, is sent back as the share grows, or is left behind.

    Fewer visitors scatter more: the bound of a smoke run is as many standard deviations.
    """
    visitors = VISITORS // 25 if quick else VISITORS
    part = PART.format(visitors=visitors, kind=scene.kind)
    balancer, known, returns = scene.balancer, list[Visitor](), _Returns()
    scene.start_state()
    for share in cut(balancer):
        route = Route("blue", "green", share, SALT, 0, "bench")
        can = possible(balancer, route) / 100
        _commit(scene, route)
        new = send(scene.ports[0], [""] * visitors)
        got = 100 * served(new, GREEN) / visitors
        yield Figure(
            part, f"asked for {share / 100:g} %: off", abs(got - can), "points", BOUND * math.sqrt(VISITORS / visitors),
            note=f"possible {can:.2f} %, measured {got:.2f} %",
        )  # fmt: skip
        newest = new[-RETURNING:]
        again = send(scene.ports[0], [v.cookie for v in (*known, *newest)])
        returns.grown(known, again[: len(known)])
        returns.stayed(newest, again[len(known) :])
        known = again
    _commit(scene, Route("blue", "green", 0, SALT, 0, "bench"))
    home = send(scene.ports[0], [v.cookie for v in known])
    if balancer.capabilities.moves_settled and not returns.over:
        raise RuntimeError("the growing share moved nobody who had been here before")
    yield from returns.figures(part, sticky=balancer.capabilities.sticky)
    yield Figure(
        part,
        "left on the new version when the share went home",
        served(home, GREEN),
        "visitors",
        0,
        note=f"of {len(home):,}",
    )


class _Returns:
    """What became of visitors who came again with their cookie."""

    def __init__(self) -> None:
        self.changed = self.after_same = 0
        self.back = self.over = self.after_grown = 0

    def stayed(self, before: Sequence[Visitor], after: Sequence[Visitor]) -> None:
        """The share was the same."""
        self.after_same += len(before)
        self.changed += sum(1 for b, a in zip(before, after, strict=True) if b.version != a.version)

    def grown(self, before: Sequence[Visitor], after: Sequence[Visitor]) -> None:
        """The share was smaller before."""
        self.after_grown += len(before)
        self.back += sum(1 for b, a in zip(before, after, strict=True) if (b.version, a.version) == (GREEN, BLUE))
        self.over += sum(1 for b, a in zip(before, after, strict=True) if (b.version, a.version) == (BLUE, GREEN))

    def figures(self, part: str, *, sticky: bool) -> Iterator[Figure]:
        """No bound where the driver says that it keeps nobody's side."""
        bound = 0 if sticky else None
        own = "" if sticky else "; the driver says that it keeps nobody's side"
        yield Figure(
            part, "changed sides though the share stayed", self.changed, "visitors", bound,
            note=f"of {self.after_same:,} returns{own}",
        )  # fmt: skip
        yield Figure(
            part, "sent back to the old version as the share grew", self.back, "visitors", bound,
            note=f"of {self.after_grown:,} returns; {self.over:,} went over to the new one{own}",
        )  # fmt: skip


def _commit(scene: Stage, route: Route) -> None:
    scene.balancer.commit(route, Always())
    time.sleep(SPREADS.get(scene.kind, 0.0))
