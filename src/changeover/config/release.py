"""`release:` — how carefully a version is brought in, and when it goes back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field, Tag

from changeover.config.kinds import Name, Or, Seconds, Section, variants
from changeover.config.kinds import Share as SharePattern
from changeover.config.literals import DURATION_PATTERN
from changeover.core.model import ALL, AtDeadline, GoBackRule, Leave, Linger, Policy, RuleMetric
from changeover.core.model import Lasting as Kind

_POLICY = Policy()
Share = Annotated[int, SharePattern()]
_HARD = Seconds("1s", "24h")


class Drain(Section):
    """How long requests in flight on the old version get."""

    soft: Annotated[float, Seconds("0s", "24h")] = Field(
        default=_POLICY.drain_soft, description="who is left, and how old, is told after this"
    )
    hard: Annotated[float, _HARD] = Field(default=_POLICY.drain_hard, description="`at_deadline` decides after this")
    at_deadline: Literal["wait", "cut", "hold"] = Field(
        default=_POLICY.at_deadline.value,
        description="wait for the rest; cut and count them; hold the run and ask a person",
    )


class Lasting(Section):
    """What is done about one kind of long-lived connections to a version that drains."""

    policy: Literal["wait", "signal", "cut"] = Field(
        default="wait",
        description="wait, as for requests; tell the application, then cut the rest; or only cut the rest",
    )
    within: Annotated[float, Seconds("0s", "24h")] = Field(
        default=300.0, description="from the begin of the drain to the cut (signal, cut)"
    )


class LongLived(Section):
    """Connections that outlive a request."""

    websockets: Lasting = Field(default_factory=Lasting, description="websockets")
    event_streams: Lasting = Field(default_factory=Lasting, description="server-sent events")

    def lingers(self) -> tuple[Linger, ...]:
        """The same in the core's words."""
        kinds = ((Kind.WEBSOCKETS, self.websockets), (Kind.EVENT_STREAMS, self.event_streams))
        return tuple(Linger(k, Leave(said.policy), said.within) for k, said in kinds if said.policy != "wait")


def _from_duration(value: Any) -> Any:
    if isinstance(value, Mapping | Drain):
        return value
    hard = _HARD.parse(value)
    return Drain.model_construct(soft=min(_POLICY.drain_soft, hard), hard=hard, at_deadline=_POLICY.at_deadline.value)


class Approve(Section):
    """Gates: the release waits for a person before these shares."""

    before: tuple[Share, ...] = Field(min_length=1, description="the shares of `shift` that wait")
    by: Name = Field(description="the role that opens the gates")


class ErrorsRule(Section):
    """Server errors of the new version."""

    metric: Literal["errors_5xx"] = Field(description="5xx answers of the new version itself")
    above: Share = Field(description="of its requests, more than this goes back")
    min_requests: int = Field(default=200, ge=1, le=1_000_000_000, description="fewer requests decide nothing")

    def rule(self) -> GoBackRule:
        return GoBackRule(RuleMetric.ERRORS_5XX, above=self.above / ALL, min_requests=self.min_requests)


class FallbacksRule(Section):
    """Visitors whom the new version could not serve and the old one did."""

    metric: Literal["fallbacks"] = Field(description="requests that the old version had to serve for the new one")

    def rule(self) -> GoBackRule:
        return GoBackRule(RuleMetric.FALLBACKS)


class InstanceRule(Section):
    """An instance of the new version that is not healthy."""

    instance: Literal["unhealthy"] = Field(description="any instance of the new version is not ready")
    seconds: Annotated[float, Seconds("1s", "1h")] = Field(default=15.0, alias="for", description="for this long")

    def rule(self) -> GoBackRule:
        return GoBackRule(RuleMetric.INSTANCE, seconds=self.seconds)


def _rule_shape(value: Any) -> str | None:
    match value:
        case {"metric": "errors_5xx"} | ErrorsRule():
            return "(errors_5xx)"
        case {"metric": "fallbacks"} | FallbacksRule():
            return "(fallbacks)"
        case {"instance": _} | InstanceRule():
            return "(instance)"
        case _:
            return None


Rule = Annotated[
    Annotated[ErrorsRule, Tag("(errors_5xx)")]
    | Annotated[FallbacksRule, Tag("(fallbacks)")]
    | Annotated[InstanceRule, Tag("(instance)")],
    variants(
        "metric", "errors_5xx", "fallbacks", later=("p95", "p99"), instead="instance: unhealthy", choose=_rule_shape
    ),
]


def _default_rules() -> tuple[Rule, ...]:
    """The rules of `core.model.Policy`, as somebody would have written them."""
    return tuple(_written(rule) for rule in _POLICY.go_back_when)


def _written(rule: GoBackRule) -> Rule:
    match rule.metric:
        case RuleMetric.ERRORS_5XX:
            above = round(rule.above * ALL)
            return ErrorsRule.model_construct(metric="errors_5xx", above=above, min_requests=rule.min_requests)
        case RuleMetric.FALLBACKS:
            return FallbacksRule.model_construct(metric="fallbacks")
        case RuleMetric.INSTANCE:
            return InstanceRule.model_construct(instance="unhealthy", seconds=rule.seconds)
        case _:
            assert_never(rule.metric)


class ReleasePolicy(Section):
    """How the environment wants its releases."""

    shift: tuple[Share, ...] = Field(
        default=_POLICY.shift, min_length=1, description="shares of the traffic, ascending to 100%"
    )
    bake: Annotated[float, Seconds("0s", "7d")] = Field(
        default=_POLICY.bake, description="how long each share is watched"
    )
    min_requests: int = Field(
        default=_POLICY.min_requests,
        ge=0,
        le=1_000_000_000,
        description="fewer on the new version during a bake hold the release",
    )
    drain: Annotated[
        Drain, Or(_from_duration, {"type": "string", "pattern": DURATION_PATTERN}, "duration, or keys")
    ] = Field(
        default_factory=Drain,
        description="time for requests in flight on the old version; one duration is the hard limit",
    )
    long_lived: LongLived = Field(
        default_factory=LongLived, description="what is done about websockets and event streams of the old version"
    )
    keep_old: Annotated[float, Seconds("0s", "365d")] = Field(
        default=_POLICY.keep_old, description="earliest cleanup; until then the way back is promised"
    )
    unwatched: Annotated[float, Seconds("2s", "1h")] = Field(
        default=_POLICY.expiry, description="a share that nobody watches goes home after this"
    )
    approve: Approve | None = Field(default=None, description="gates that wait for a person")
    go_back_when: tuple[Rule, ...] = Field(
        default_factory=_default_rules, description="when it goes back without asking; an empty list: never"
    )

    def gates(self) -> Mapping[int, str]:
        """Share in basis points -> role that opens it."""
        return {} if self.approve is None else dict.fromkeys(self.approve.before, self.approve.by)

    def at_deadline(self) -> AtDeadline:
        return AtDeadline(self.drain.at_deadline)
