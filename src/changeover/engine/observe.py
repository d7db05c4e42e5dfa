"""Ports -> World: one frozen observation, made in parallel. What does not answer is unknown, never zero."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from changeover.core.errors import BalancerMisconfigured, BalancerUnreachable, RouteDrift
from changeover.core.model import PoolHealth, RouteReading, World
from changeover.core.ports import Ports

PARALLEL = 8  # outside calls at the same time


def observe(ports: Ports, pools: Sequence[str]) -> World:
    """Look at everything. Raises DatabaseUnreachable; a silent balancer is a reading with a problem."""
    slots = [(pool, slot) for pool in pools for slot in ports.runtime.slots(pool)]
    with ThreadPoolExecutor(min(PARALLEL, len(slots) + 4)) as many:
        instances = [(pool, many.submit(ports.runtime.observe, slot)) for pool, slot in slots]
        route = many.submit(_route, ports)
        flying = {pool: many.submit(ports.balancer.in_flight, pool) for pool in pools}
        health = {pool: many.submit(_health, ports, pool) for pool in pools}
        schema = None if ports.database is None else many.submit(ports.database.read)
        return World(
            at=ports.clock.now(),
            route=route.result(),
            pools={p: tuple(f.result() for q, f in instances if q == p) for p in pools},
            in_flight={p: f.result() for p, f in flying.items()},
            health={p: f.result() for p, f in health.items()},
            schema=None if schema is None else schema.result(),
        )


def _route(ports: Ports) -> RouteReading:
    try:
        return ports.balancer.read()
    except BalancerUnreachable as error:
        return RouteReading(ports.balancer.name, {}, None, f"unreachable: {error.what}")
    except (BalancerMisconfigured, RouteDrift) as error:
        return RouteReading(ports.balancer.name, {}, None, f"{error.what} ({error.code})", refusal=error)


def _health(ports: Ports, pool: str) -> PoolHealth:
    try:
        return ports.balancer.health(pool)
    except BalancerUnreachable as error:
        return PoolHealth(0, 0, f"unreachable: {error.what}")
    except BalancerMisconfigured as error:
        return PoolHealth(0, 0, f"{error.what} ({error.code})")
