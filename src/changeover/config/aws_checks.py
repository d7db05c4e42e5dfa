"""What must fit together at a balancer of AWS although each key alone is right. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.config.aws import Alb, Elb
from changeover.config.instances import CommandInstances, ProcessInstances
from changeover.config.literals import format_duration, format_percent
from changeover.config.release import ReleasePolicy
from changeover.core.model import AtDeadline
from changeover.yaml.tree import Loc

Hint = tuple[Loc, str]
FINEST = 10  # basis points: weights of an ALB are whole numbers up to 999


def of_balancer(index: int, balancer: Alb | Elb) -> Iterator[Hint]:
    """What concerns the balancer alone."""
    here: Loc = ("balancers", index)
    if isinstance(balancer, Elb):
        yield from _twice(here, balancer)
        return
    named: list[tuple[Loc, str]] = [
        *(((*here, "listeners", n), arn) for n, arn in enumerate(balancer.listeners)),
        *(((*here, "target_groups", pool), arn) for pool, arn in balancer.target_groups.items()),
    ]
    for loc, arn in named:
        _, _, _, region, account, *_ = arn.split(":")
        if (region, account) != (balancer.region, balancer.account):
            yield loc, f"belongs to {account} in {region}, not to {balancer.account} in {balancer.region}"
    for n, arn in enumerate(balancer.listeners):
        if arn in balancer.listeners[:n]:
            yield (*here, "listeners", n), "is named twice"


def _twice(here: Loc, balancer: Elb) -> Iterator[Hint]:
    seen: dict[str, str] = {}
    for pool, ids in balancer.instances.items():
        for n, one in enumerate(ids):
            if one in seen:
                yield (*here, "instances", pool, n), f"{one} is named twice, for {seen[one]} and {pool}"
            seen.setdefault(one, pool)


def with_instances(index: int, balancer: Alb | Elb, instances: ProcessInstances | CommandInstances) -> Iterator[Hint]:
    """A classic load balancer knows instances by their ids: one for each slot."""
    if not isinstance(balancer, Elb):
        return
    for pool, ids in balancer.instances.items():
        if pool in instances.pools and len(ids) != len(instances.slots(pool)):
            wanted = len(instances.slots(pool))
            yield ("balancers", index, "instances", pool), f"names {len(ids)} EC2 instances; the pool has {wanted}"


def with_release(balancer: Alb | Elb, release: ReleasePolicy) -> Iterator[Hint]:
    """Shares that weights cannot give, a bake in which nothing is counted, a cut that AWS does not know."""
    if isinstance(balancer, Alb):
        for n, share in enumerate(release.shift):
            if share % FINEST:
                yield ("release", "shift", n), f"{format_percent(share)} is finer than 0.1%, the finest share of an ALB"
    if release.at_deadline() is AtDeadline.CUT:
        yield ("release", "drain", "at_deadline"), "a load balancer of AWS cannot cut requests; write wait or hold"
    lag = balancer.metrics.lag
    if release.bake <= lag and len(release.shift) > 1:
        bake, late = format_duration(release.bake), format_duration(lag)
        yield ("release", "bake"), f"{bake} is not longer than the lag of the metrics, {late}: nothing would be judged"
