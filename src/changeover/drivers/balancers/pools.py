"""What every balancer says in the same words about its pools."""

from __future__ import annotations

from collections.abc import Iterable

from changeover.core.errors import BalancerMisconfigured, BalancerRefused


def no_such_pool(balancer: str, pool: str, pools: Iterable[str], of: str) -> BalancerMisconfigured:
    """`balancer`: its name, or `the balancer`; `of`: where the balancer's pools are named, in words."""
    return BalancerMisconfigured(
        f"{balancer} has no pool {pool!r}; it has {', '.join(pools)}",
        next=(f"compare the pools of changeover.yml with {of}: changeover doctor",),
    )


def cannot_cut(balancer: str, pool: str) -> BalancerRefused:
    """For a balancer that has no means to close what is in flight."""
    return BalancerRefused(
        f"{balancer} cannot close what is in flight on {pool}",
        now="Nothing was closed; the requests go on.",
        next=(
            "wait until they end: changeover resume",
            f"or stop the instances of {pool}, which ends their requests",
            f"at_deadline: wait or hold is what fits {balancer}",
        ),
    )
