"""The route as the actions of an ALB listener or rule, and back again. Pure.

One forward action names both target groups, always: a group that no action names is not checked by AWS, and the idle pool must
be known to be healthy before it gets traffic and as long as it is the way back. Weights of a share add up to 1000. Stickiness
is on only while a share is out: it is a cookie bound to a group, and with it switched off all visitors go where the weights say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from changeover.core.errors import BalancerRefused
from changeover.core.model import ALL, Route

WHOLE: Final = 1000  # the weights of a share; each is at most 999
STEP: Final = ALL // WHOLE  # basis points: the finest share
PREVIEW_HEADER: Final = "x-changeover-preview"


class NotARoute(ValueError):
    """What an action does that no route does. `weights`: it is our groups, with weights that give no share."""

    def __init__(self, what: str, *, weights: bool = False) -> None:
        super().__init__(what)
        self.weights = weights


@dataclass(frozen=True, slots=True)
class Terms:
    """`groups`: pool -> ARN of its target group. `sticky`: seconds that a visitor keeps his side while a share is out."""

    groups: Mapping[str, str]
    sticky: int

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.groups)


def demand(route: Route, terms: Terms) -> None:
    """Raises BalancerRefused for a pool or a share that this balancer has not."""
    for pool in (route.live, route.candidate):
        if pool not in terms.groups:
            raise BalancerRefused(
                f"there is no target group for a pool {pool!r}; there is one for {', '.join(terms.pools)}",
                next=("compare the pools of changeover.yml with target_groups: changeover doctor",),
            )
    if 0 < route.share < STEP:
        raise BalancerRefused(
            f"{route.share / 100:g} % cannot be given: weights of an ALB are whole numbers up to 999, so 0.1 % is the finest share",
            next=("use shares of 0.1 % and more in release.shift",),
        )


def split(share: int) -> tuple[int, int]:
    """(weight of the live pool, weight of the candidate) for basis points: to the nearest 0.1 %, never none of a share."""
    if not share:
        return 1, 0
    candidate = min(max(round(share * WHOLE / ALL), 1), WHOLE - 1)
    return WHOLE - candidate, candidate


def weights(route: Route, terms: Terms) -> dict[str, int]:
    """Pool -> weight, for every pool."""
    live, candidate = split(route.share)
    return {pool: live if pool == route.live else candidate if pool == route.candidate else 0 for pool in terms.pools}


def actions(route: Route, terms: Terms) -> list[dict[str, Any]]:
    """The actions of a listener's default or of a rule."""
    sticky: dict[str, Any] = {"Enabled": bool(route.share)}
    if route.share:
        sticky["DurationSeconds"] = terms.sticky
    groups = [{"TargetGroupArn": terms.groups[p], "Weight": w} for p, w in weights(route, terms).items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups, "TargetGroupStickinessConfig": sticky}}]


def preview_actions(route: Route, terms: Terms) -> list[dict[str, Any]]:
    """To the pool that is not live, and nowhere else."""
    return [
        {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": idle(route, terms), "Weight": 1}]}}
    ]


def idle(route: Route, terms: Terms) -> str:
    """The target group that the preview leads to."""
    pool = route.candidate if route.candidate != route.live else next(p for p in terms.pools if p != route.live)
    return terms.groups[pool]


@dataclass(frozen=True, slots=True)
class Forward:
    """What an action does: pool -> weight, and for how long visitors stick (0: not at all)."""

    weights: Mapping[str, int]
    sticky: int

    def gives(self, route: Route, terms: Terms) -> bool:
        """Exactly what `actions` would write for it."""
        return self.weights == weights(route, terms) and self.sticky == (terms.sticky if route.share else 0)

    def route(self) -> Route:
        """What the weights alone say. Raises NotARoute if nobody is served."""
        carrying = {p: w for p, w in self.weights.items() if w}
        others = [p for p in self.weights if p not in carrying]
        if not carrying:
            raise NotARoute("all weights are 0, so nobody is served", weights=True)
        if len(carrying) == 1:
            live = next(iter(carrying))
            return Route(live, others[0] if others else live)
        (first, a), (second, b) = carrying.items()
        small, large, weight = (first, second, a) if a <= b else (second, first, b)
        return Route(large, small, max(1, round(ALL * weight / (a + b))))


def parse(found: Sequence[Mapping[str, Any]], terms: Terms) -> Forward:
    """What these actions do. Raises NotARoute, in words, if they do anything else than share out our groups."""
    kinds = [str(a.get("Type", "?")) for a in found]
    if kinds != ["forward"]:
        raise NotARoute(f"its action is {' and '.join(kinds) or 'nothing'}, not one forward to the target groups")
    config = found[0].get("ForwardConfig") or {}
    groups = config.get("TargetGroups") or [{"TargetGroupArn": found[0].get("TargetGroupArn", ""), "Weight": 1}]
    pools = {arn: pool for pool, arn in terms.groups.items()}
    strange = [str(g.get("TargetGroupArn", "")) for g in groups if g.get("TargetGroupArn") not in pools]
    if strange:
        raise NotARoute(f"it forwards to {', '.join(map(short, strange))}, which is no pool of the configuration")
    named = {pools[g["TargetGroupArn"]]: int(g.get("Weight", 1)) for g in groups}
    if len(groups) == 1:
        named = dict.fromkeys(named, 1)  # the weight of an only group means nothing
    sticky = config.get("TargetGroupStickinessConfig") or {}
    duration = int(sticky.get("DurationSeconds", 0)) if str(sticky.get("Enabled", False)).lower() == "true" else 0
    return Forward({pool: named.get(pool, 0) for pool in terms.pools}, duration)


def mentions(found: Sequence[Mapping[str, Any]], terms: Terms) -> bool:
    """Whether an action sends anybody to one of our groups."""
    text = str(found)
    return any(arn in text for arn in terms.groups.values())


def short(arn: str) -> str:
    """A target group or listener as people call it."""
    words = arn.rpartition(":")[2].split("/")
    return words[1] if len(words) > 1 and words[0] == "targetgroup" else "/".join(words[2:]) or arn
