"""What Envoy counts of a pool: requests in flight, answers and errors, and the visitors that live served for a candidate.

Envoy books on three kinds of names, measured on 1.40:

* on the instances (`/clusters`): requests, and `rq_error` = answers 5xx + resets + connections that failed;
* on the cluster that an instance belongs to: requests in flight, resets, connections that failed;
* on the cluster that the route names, which is the aggregate one for a candidate: visitors for whom no instance was healthy.

An Envoy-made 503 is not in the first two, so what is left of `rq_error` is what the version itself answered. The
instances of live are a second time in the fallback clusters, which only serve what a candidate could not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from changeover.core.errors import BalancerMisconfigured
from changeover.core.model import Counters, InFlight, PoolHealth
from changeover.drivers.balancers.envoy_admin import Admin, Host
from changeover.drivers.balancers.envoy_route import Terms, aggregate, fallback

_IN_FLIGHT: Final = ("upstream_rq_active", "upstream_rq_pending_active")
_RESET: Final = "upstream_cx_destroy_remote_with_active_rq"
_NOT_CONNECTED: Final = "upstream_rq_pending_failure_eject"
_NOBODY: Final = "upstream_cx_none_healthy"


def members(terms: Terms, pool: str) -> tuple[str, ...]:
    """The clusters that hold the pool's instances: its own, and those that serve what another pool could not."""
    own = terms.clusters[pool]
    return (own, *(fallback(other, own) for other in _others(terms, pool)))


def fallbacks(terms: Terms, pool: str) -> tuple[str, ...]:
    """The clusters that serve what this pool could not."""
    return tuple(fallback(terms.clusters[pool], other) for other in _others(terms, pool))


def aggregates(terms: Terms, pool: str) -> tuple[str, ...]:
    """The clusters that a share for this pool is routed to."""
    return tuple(aggregate(terms.clusters[pool], other) for other in _others(terms, pool))


def all_clusters(terms: Terms) -> tuple[str, ...]:
    """Every cluster that Envoy must have."""
    return tuple(name for pool in terms.pools for name in (*members(terms, pool), *aggregates(terms, pool)))


def _others(terms: Terms, pool: str) -> Sequence[str]:
    return [cluster for other, cluster in terms.clusters.items() if other != pool]


def health(admin: Admin, terms: Terms, pool: str) -> PoolHealth:
    """Instances that Envoy has checked and sends to. Raises BalancerUnreachable, BalancerMisconfigured."""
    cluster = terms.clusters[pool]
    hosts = _hosts(admin.clusters(), [cluster])
    if not is_checked(admin, cluster):
        return PoolHealth(0, len(hosts), f"the cluster {cluster!r} has no health checks")
    ill = [f"{host.address}: {', '.join(host.trouble)}" for host in hosts if host.trouble]
    return PoolHealth(len(hosts) - len(ill), len(hosts), "; ".join(ill))


def in_flight(admin: Admin, terms: Terms, pool: str) -> InFlight:
    """Read from gauges that a hot restart carries over, so requests of the old process are among them.

    Websockets are among `requests`: Envoy counts them apart only for all pools together. Raises BalancerUnreachable.
    """
    found = _stats(admin, members(terms, pool), _IN_FLIGHT)
    requests = sum(found.values())
    upgraded = sum(admin.stats(r"^http\..*\.downstream_cx_upgrades_active$").values()) if requests else 0
    detail = f"{upgraded} websockets in Envoy, of all pools, count as requests" if upgraded else ""
    return InFlight(requests, 0, detail)


def counters(admin: Admin, terms: Terms, pool: str) -> Counters:
    """Raises BalancerUnreachable, BalancerMisconfigured.

    A reset after the answer's head is counted as failed and taken off the 5xx; the sum of both is right either way.
    """
    own, routed = members(terms, pool), (*members(terms, pool), *aggregates(terms, pool))
    lost = sum(_stats(admin, own, (_RESET, _NOT_CONNECTED)).values())
    nobody = sum(_stats(admin, routed, (_NOBODY,)).values())
    clusters = admin.clusters()
    hosts = _hosts(clusters, own)
    return Counters(
        requests=_sum(hosts, "rq_total"),
        errors_5xx=max(0, _sum(hosts, "rq_error") - lost),
        failed=lost + nobody,
        fallbacks=_sum(_hosts(clusters, fallbacks(terms, pool)), "rq_total"),
    )


def is_checked(admin: Admin, cluster: str) -> bool:
    """Whether the cluster has active health checks; without them every instance looks healthy."""
    return bool(admin.stats(rf"^cluster\.{re.escape(cluster)}\.health_check\.healthy$"))


def _sum(hosts: Iterable[Host], name: str) -> int:
    return sum(host.stats.get(name, 0) for host in hosts)


def _hosts(clusters: Mapping[str, Sequence[Host]], names: Sequence[str]) -> list[Host]:
    if missing := [name for name in names if name not in clusters]:
        raise _absent(missing[0])
    return [host for name in names for host in clusters[name]]


def _stats(admin: Admin, clusters: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """One answer for all of them. What is missing is an error, not zero."""
    which = "|".join(re.escape(cluster) for cluster in clusters)
    found = admin.stats(rf"^cluster\.({which})\.({'|'.join(names)})$")
    for cluster in clusters:
        if any(f"cluster.{cluster}.{name}" not in found for name in names):
            raise _absent(cluster)
    return found


def _absent(cluster: str) -> BalancerMisconfigured:
    return BalancerMisconfigured(
        f"Envoy has no cluster {cluster!r}, or does not show its statistics",
        next=("add it to Envoy's bootstrap and restart Envoy", "changeover doctor"),
    )
