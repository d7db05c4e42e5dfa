"""The route of a classic load balancer: which instances are registered. Pure.

There are no weights: each registered instance gets as much as any other. So a share is a count of instances, and the finest one
is one instance of the candidate beside all of the live pool. All of the live pool stays registered while a share is out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from changeover.core.errors import BalancerRefused
from changeover.core.model import ALL, Route


@dataclass(frozen=True, slots=True)
class Terms:
    """`instances`: pool -> ids of its EC2 instances, by slot number."""

    instances: Mapping[str, tuple[str, ...]]

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.instances)

    @property
    def finest(self) -> int:
        """Basis points of one instance beside the largest pool."""
        return round(ALL / (max(map(len, self.instances.values())) + 1))


def demand(route: Route, terms: Terms) -> None:
    """Raises BalancerRefused for a pool that this balancer has not."""
    for pool in (route.live, route.candidate):
        if pool not in terms.instances:
            raise BalancerRefused(
                f"there are no instances for a pool {pool!r}; there are for {', '.join(terms.pools)}",
                next=("compare the pools of changeover.yml with `instances`: changeover doctor",),
            )


def share_of(live: int, candidate: int) -> int:
    """Basis points that `candidate` instances get beside `live` ones."""
    return round(ALL * candidate / (live + candidate))


def count(route: Route, terms: Terms) -> int:
    """How many instances of the candidate give the share best; at least one of a share that is not 0."""
    if not route.share or route.candidate == route.live:
        return 0
    live, most = len(terms.instances[route.live]), len(terms.instances[route.candidate])
    return min(range(1, most + 1), key=lambda n: (abs(share_of(live, n) - route.share), n))


def members(route: Route, terms: Terms) -> frozenset[str]:
    """Who is registered under this route."""
    candidate = terms.instances[route.candidate][: count(route, terms)]
    return frozenset((*terms.instances[route.live], *candidate))


def derive(found: frozenset[str], terms: Terms) -> Route | None:
    """What the membership alone says. None: instances of both pools are there, or none."""
    holders = [pool for pool, ids in terms.instances.items() if found & set(ids)]
    if len(holders) != 1:
        return None
    live = holders[0]
    return Route(live, next((p for p in terms.pools if p != live), live))


def shares(terms: Terms, live: str, candidate: str) -> tuple[int, ...]:
    """Every share that there is, in basis points."""
    return tuple(share_of(len(terms.instances[live]), n) for n in range(1, len(terms.instances[candidate]) + 1))
