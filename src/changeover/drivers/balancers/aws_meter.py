"""Counts of a pool: from CloudWatch, or from the instances themselves.

CloudWatch is late, by minutes on a bad day, and keeps sums of minutes. A cumulative count is the sum since the first of the
month; that it starts again then is what `Counters.since` is made for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from changeover.core.errors import BalancerUnreachable, ChangeoverError
from changeover.core.model import Counters, Slot
from changeover.core.ports import Clock, Finding, Web
from changeover.drivers.balancers.aws_flight import number
from changeover.drivers.balancers.aws_session import Aws

DAY = 86_400  # seconds: one sum for each
ALB = ("AWS/ApplicationELB", "RequestCount", "HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
ELB = ("AWS/ELB", "RequestCount", "HTTPCode_Backend_5XX", "BackendConnectionErrors")


@dataclass(frozen=True, slots=True)
class CloudWatch:
    """`dimensions`: pool -> what its metrics are filed under. `names`: namespace, requests, 5xx, connection errors."""

    aws: Aws
    clock: Clock
    dimensions: Mapping[str, Mapping[str, str]]
    names: tuple[str, str, str, str] = ALB
    lag: float = 180.0

    def counters(self, pool: str) -> Counters:
        """One call for the three counts. Raises BalancerUnreachable, AwsDenied, AwsAccountRefused."""
        namespace, *metrics = self.names
        dimensions = [{"Name": n, "Value": v} for n, v in self.dimensions[pool].items()]
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        answer = self.aws.look(
            "cloudwatch",
            "get_metric_data",
            StartTime=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
            EndTime=datetime.fromtimestamp((int(self.clock.now()) // 60 + 2) * 60, UTC),
            MetricDataQueries=[
                {
                    "Id": f"m{n}",
                    "MetricStat": {
                        "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                        "Period": DAY,
                        "Stat": "Sum",
                    },
                }
                for n, metric in enumerate(metrics)
            ],
        )
        sums = {r["Id"]: round(sum(r.get("Values", []))) for r in answer.get("MetricDataResults", [])}
        return Counters(sums.get("m0", 0), sums.get("m1", 0), sums.get("m2", 0), None)

    def inspect(self) -> Sequence[Finding]:
        pool = next(iter(self.dimensions))
        try:
            counted = self.counters(pool)
        except ChangeoverError as error:
            return (Finding("CloudWatch", False, error.what, "; ".join(error.next), cause=error),)
        words = f"{counted.requests} requests of {pool} this month; what happened is counted after {self.lag:.0f} s"
        return (Finding("CloudWatch", True, words),)


@dataclass(frozen=True, slots=True)
class ApplicationMeter:
    """The instances' own counts: `get` answers with a JSON object; `requests` and `errors` are keys, nested with dots.

    A key that holds an object is the sum of its numbers; one that is not there yet is 0. What an instance counted is lost when
    it ends: a count that went back counts from 0.
    """

    web: Web
    slots: Mapping[str, Sequence[Slot]]
    get: str
    requests: str
    errors: str
    timeout: float = 5.0
    lag: float = 1.0

    def counters(self, pool: str) -> Counters:
        """Raises BalancerUnreachable if an instance answers something else; one where nothing listens has counted nothing."""
        from changeover.drivers.balancers.aws_flight import REFUSED

        requests = errors = 0
        for slot in self.slots[pool]:
            answer = self.web.get(f"http://{slot.address}{self.get}", timeout=self.timeout)
            if answer.note == REFUSED:
                continue
            data = _object(answer.body) if answer.status == 200 else None
            if data is None:
                raise BalancerUnreachable(
                    f"{slot.name} does not say what it counted: {answer.note or f'it answers {answer.status}'}",
                    next=(f"curl http://{slot.address}{self.get}",),
                )
            requests += _count(data, self.requests)
            errors += _count(data, self.errors)
        return Counters(requests, errors, 0, None)

    def inspect(self) -> Sequence[Finding]:
        return (Finding("counts", True, f"the instances count for themselves: {self.get}"),)


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        data = json.loads(body)
    except ValueError:
        return None
    return data if isinstance(data, Mapping) else None


def _count(data: Mapping[str, Any], path: str) -> int:
    try:
        return int(number(data, path))
    except ValueError:
        return 0
