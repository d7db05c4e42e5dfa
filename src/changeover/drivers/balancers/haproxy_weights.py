"""A route as weights of servers, and back. Pure.

Every server of a pool has the same weight, so a pool's part of the traffic is its weight times its servers. Weights are whole
numbers from 0 to 256 (HAProxy refuses others), which bounds how finely a share can be cut: see `finest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from changeover.core.errors import BalancerRefused
from changeover.core.model import ALL, Route
from changeover.drivers.balancers.haproxy_wire import strange

MOST: Final = 256
WHOLE: Final = 100  # of every server of the pool that has everything
_MAINTENANCE: Final = (
    0x01 | 0x02 | 0x20 | 0x40
)  # forced, inherited, unresolved name; 0x04 says only that it was configured so
_DRAIN: Final = 0x08 | 0x10  # forced, inherited
OUT: Final = _MAINTENANCE | _DRAIN


@dataclass(frozen=True, slots=True)
class ServerState:
    """One line of `show servers state`: `initial` is the weight of haproxy.cfg, `admin` HAProxy's bits."""

    backend: str
    name: str
    address: str
    weight: int
    initial: int
    admin: int

    @property
    def is_out(self) -> bool:
        """In maintenance or draining, by somebody's order: its weight does not count."""
        return bool(self.admin & OUT)


@dataclass(frozen=True, slots=True)
class Split:
    """What each server of the two pools of a route weighs."""

    live: int
    candidate: int

    @property
    def text(self) -> str:
        return f"{self.live}:{self.candidate}"


def split_for(share: int, live_servers: int, candidate_servers: int) -> Split:
    """The weights whose share is nearest to `share` basis points; of equally near ones the smallest. Both pools have a server."""
    if share == 0:
        return Split(WHOLE, 0)
    best: tuple[float, int, Split] | None = None
    for candidate in range(1, MOST + 1):
        exact = candidate * candidate_servers * (ALL - share) / (share * live_servers)
        for live in {int(exact), int(exact) + 1}:
            if 1 <= live <= MOST:
                one = Split(live, candidate)
                off = abs(share_of(one, live_servers, candidate_servers) - share)
                rank = (round(off, 9), live + candidate, one)
                best = rank if best is None or rank[:2] < best[:2] else best
    if best is None:  # beyond what 1:256 can say
        return Split(MOST, 1) if share < ALL / 2 else Split(1, MOST)
    return best[2]


def share_of(split: Split, live_servers: int, candidate_servers: int) -> float:
    """The share in basis points that these weights give."""
    new, old = split.candidate * candidate_servers, split.live * live_servers
    return ALL * new / (new + old)


def finest(live_servers: int, candidate_servers: int) -> int:
    """The smallest share in basis points: 39 for pools of the same size."""
    return round(share_of(Split(MOST, 1), live_servers, candidate_servers))


def parse_states(text: str) -> tuple[ServerState, ...]:
    """`show servers state`, or a state file: every server, by the names of the columns. Raises BalancerRefused."""
    header: list[str] = []
    found = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("# be_id"):
            header = words[1:]
        elif words and not line.startswith("#") and len(words) > 1:
            found.append(_state(dict(zip(header, words, strict=False)), line))
    if not header and found:
        raise strange("show servers state", text)
    return tuple(found)


def _state(row: Mapping[str, str], line: str) -> ServerState:
    try:
        return ServerState(
            row["be_name"],
            row["srv_name"],
            f"{row['srv_addr']}:{row['srv_port']}",
            int(row["srv_uweight"]),
            int(row["srv_iweight"]),
            int(row["srv_admin_state"]),
        )
    except (KeyError, ValueError):
        raise strange("show servers state", line) from None


def pool_weight(pool: str, states: Sequence[ServerState]) -> int:
    """What each server of the pool weighs; those that are out do not count, 0 if all are out. Raises ValueError."""
    weights = {s.weight for s in states if not s.is_out}
    if len(weights) > 1:
        each = ", ".join(f"{s.name} {s.weight}" for s in states if not s.is_out)
        raise ValueError(f"the servers of {pool} have different weights: {each}")
    return weights.pop() if weights else 0


def route_of(pools: Mapping[str, Sequence[ServerState]], written: tuple[Route, Split] | None) -> Route:
    """The route that weights mean: the one that was `written` if they are its weights, else the one that they say themselves.

    Raises ValueError for weights that are no route of two pools.
    """
    weights = {pool: pool_weight(pool, states) for pool, states in pools.items()}
    if written is not None:
        route, split = written
        if (weights[route.live], weights[route.candidate]) == (split.live, split.candidate):
            return route
    parts = {p: weights[p] * sum(1 for s in states if not s.is_out) for p, states in pools.items()}
    total = sum(parts.values())
    if not total:
        raise ValueError("no server of any pool takes traffic")
    live = max(parts, key=lambda p: parts[p])
    other = next(p for p in parts if p != live)
    share = round(ALL * parts[other] / total)
    return Route(live, other, max(1, min(share, ALL - 1)) if parts[other] else 0)


def commands(backend: str, states: Mapping[str, Sequence[ServerState]], weights: Mapping[str, int]) -> tuple[str, ...]:
    """What brings a worker to these weights (pool -> weight): first those who get more, then those who get less.

    A server that somebody took out stays out, unless the whole pool is: that is how an idle pool looks before it is adopted.
    Its weight is set first, so that it takes no traffic that it should not.
    """
    found: list[str] = []
    for pool in sorted(weights, key=lambda p: -weights[p]):
        whole = all(s.is_out for s in states[pool])
        for state in states[pool]:
            found.append(f"set server {backend}/{state.name} weight {weights[pool]}")
            if whole:
                found.append(f"set server {backend}/{state.name} state ready")
    return tuple(found)


def demand_set(command: str, reply: str) -> None:
    """For `set server`: a blank line is success. Raises CannotWeigh, BalancerMisconfigured, BalancerRefused."""
    said = reply.strip()
    if "static LB algorithm" in said or said.startswith("Permission denied"):
        raise CannotWeigh(said)
    if said.startswith("No such"):
        raise BalancerRefused(
            f"HAProxy does not know the server of {command!r}",
            next=("compare `servers` in changeover.yml with haproxy.cfg: changeover doctor",),
        )
    if said:
        raise strange(command, reply)


class CannotWeigh(Exception):
    """The running HAProxy does not let weights be set: a static algorithm, or a socket without level admin."""
