"""Plain rules of going back: counters of the new version -> pass, abort or inconclusive. Too little traffic is never a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from changeover.core.model import Counters, GoBackRule, RuleMetric


class Judgement(StrEnum):
    """What a bake concludes."""

    PASS = "pass"  # noqa: S105 - a verdict
    ABORT = "abort"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of the new version since its bake began. `unhealthy`: seconds by instance name."""

    counts: Counters
    unhealthy: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A judgement and its reason, with the sample count that it rests on."""

    judgement: Judgement
    reason: str


def enough(rules: Sequence[GoBackRule], min_requests: int) -> int:
    """How many requests of the new version a pass needs: the most that any rule needs to say anything."""
    return max([min_requests, *(r.min_requests for r in rules)])


def judge(rules: Sequence[GoBackRule], sample: Sample, min_requests: int) -> Finding:
    """Abort if any rule says so; else pass with enough requests; else inconclusive."""
    for rule in rules:
        reason = _broken(rule, sample)
        if reason:
            return Finding(Judgement.ABORT, reason)
    need = enough(rules, min_requests)
    seen = sample.counts.requests
    if seen < need:
        return Finding(
            Judgement.INCONCLUSIVE, f"not enough data: {seen} requests on the new version, {need} are needed"
        )
    return Finding(
        Judgement.PASS, f"{seen} requests, {sample.counts.errors_5xx} answered 5xx, {sample.counts.failed} failed"
    )


def _broken(rule: GoBackRule, sample: Sample) -> str:
    counts = sample.counts
    match rule.metric:
        case RuleMetric.INSTANCE:
            for name, seconds in sample.unhealthy:
                if seconds >= rule.seconds:
                    return (
                        f"instance {name} of the new version is unhealthy for {seconds:.0f} s, limit {rule.seconds:g} s"
                    )
            return ""
        case RuleMetric.FALLBACKS:
            if counts.fallbacks:
                return f"{counts.fallbacks} visitors could not be served by the new version and got the old one"
            return ""
        case RuleMetric.ERRORS_5XX:
            bad = counts.errors_5xx + counts.failed
            if counts.requests >= max(1, rule.min_requests) and bad > rule.above * counts.requests:
                share = 100 * bad / counts.requests
                return (
                    f"5xx on the new version {share:.1f} %, limit {100 * rule.above:g} % ({counts.requests} requests)"
                )
            return ""
        case _:
            assert_never(rule.metric)
