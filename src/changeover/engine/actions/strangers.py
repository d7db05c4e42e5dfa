"""A balancer that nobody configured: the instances' own counts must agree with what the balancers report.

Balancers are asked before the instances when counting begins, and after them when it ends. So whatever arrives meanwhile is never
held against them; only requests that no balancer sent make the instances' number the larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from changeover.core.errors import UnknownBalancer
from changeover.core.model import Counters, Instance, World
from changeover.engine.actions.instances import look
from changeover.engine.context import Context, last_asked

SLACK = 0.01  # of what the balancers report; monitoring that asks instances directly is no user
FEWEST = 10  # requests that are never held against anybody

Own = dict[str, list[Any]]  # slot -> [its start, its own count]


def own(instances: tuple[Instance, ...]) -> Own:
    """What the instances say that they were asked; nothing for those that keep no count."""
    return {i.slot.name: [i.started, i.requests] for i in instances if i.requests is not None}


def begin(ctx: Context, world: World, pools: tuple[str, ...]) -> dict[str, Own]:
    """By pool: their own counts, to be kept in an event; the balancers' counts were taken before. Asks only if they keep any."""
    if not ctx.ports.balancer.capabilities.counts_at_once or not any(own(world.pools[p]) for p in pools):
        return {}
    return {p: own(look(ctx, p)) for p in pools}


def found(ctx: Context, world: World, pool: str, counts: Counters) -> UnknownBalancer | None:
    """The error if somebody else sends requests to the pool. `world` was observed before `counts` were taken."""
    now = own(world.pools[pool])
    if not now or not ctx.ports.balancer.capabilities.counts_at_once:
        return None
    start = _start(ctx, pool)
    if start is None:
        remember(ctx, world, pool)
        return None
    before, then = start
    if counts.requests < then:
        return None  # the balancer counts anew: nothing can be compared
    arrived = sum(n - before[s][1] for s, (born, n) in now.items() if s in before and before[s][0] == born)
    sent = counts.requests - then
    under_way = world.in_flight[pool].requests or 0
    if arrived <= sent + under_way + max(FEWEST, SLACK * sent):
        return None
    return UnknownBalancer(
        f"the instances of {pool} took {arrived} requests, the configured balancers sent {sent}",
        now="Both pools are up; nothing was stopped.",
        next=(
            f"find out who sends to {', '.join(i.slot.address for i in world.pools[pool])}: another balancer, a name in DNS",
            "name it under `balancers`, or take it away, then: changeover resume",
        ),
    )


def remember(ctx: Context, world: World, pool: str) -> None:
    """After a hold, and for a new owner, counting begins anew with the step: note from where, once."""
    if own(world.pools[pool]) and _start(ctx, pool) is None:
        counts = ctx.ports.balancer.counters(pool)
        ctx.note("counted", {"pool": pool, "balancers": counts.requests, "own": own(look(ctx, pool))})


def _start(ctx: Context, pool: str) -> tuple[Mapping[str, list[Any]], int] | None:
    """From where is counted: the shift, or what `remember` noted."""
    mine = [e for e in ctx.events if e.kind == "counted" and e.fence == ctx.hold.token]
    held = ctx.last("held")
    if mine and (held is None or mine[-1].seq > held.seq):
        return mine[-1].data["own"], int(mine[-1].data["balancers"])
    asked = last_asked(ctx.history)
    if held is None and asked is not None and asked.fence == ctx.hold.token and asked.data.get("own", {}).get(pool):
        return asked.data["own"][pool], int(asked.data["counts"][pool][0])
    return None
