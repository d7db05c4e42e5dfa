"""`balancers:` of AWS — an Application Load Balancer or a classic one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, Tag, WithJsonSchema

from changeover.config.kinds import (
    BaseUrl,
    HerePath,
    Name,
    PlainText,
    Seconds,
    Section,
    UrlPath,
    Words,
    refuse,
    text_of,
    variants,
)
from changeover.config.references import shown


def _matching(pattern: str, wanted: str) -> tuple[Any, ...]:
    """The annotations of a text that matches a pattern; `wanted` says what to write."""
    full: Final = re.compile(pattern)

    def parse(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            raise refuse(f"{shown(value)} is a number; write it in quotes")
        text = text_of(value)
        if not full.fullmatch(text):
            raise refuse(f"{shown(text)} is not {wanted}")
        return text

    check: Callable[[object], str] = parse
    return PlainValidator(check), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"}), Words(wanted)


_ARN: Final = r"arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:\d{12}"
Account = Annotated[str, *_matching(r"\d{12}", "an AWS account: 12 digits")]
Region = Annotated[str, *_matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region, such as eu-central-1")]
ListenerArn = Annotated[
    str, *_matching(rf"{_ARN}:listener(-rule)?/app/[\w./-]+", "the ARN of a listener or rule of an ALB")
]
GroupArn = Annotated[str, *_matching(rf"{_ARN}:targetgroup/[\w-]+/[0-9a-f]+", "the ARN of a target group")]
BalancerName = Annotated[str, *_matching(r"[A-Za-z0-9-]{1,32}", "the name of a classic load balancer")]
InstanceId = Annotated[str, *_matching(r"i-[0-9a-f]{8,17}", "the id of an EC2 instance, such as i-0123456789abcdef0")]


class InFlight(Section):
    """Where an instance says what it is processing: a JSON object over HTTP. A load balancer of AWS does not tell."""

    get: UrlPath = Field(description="path that answers with a JSON object; it does not count itself")
    in_flight: PlainText = Field(
        default="in_flight", description="its key with the requests in flight; nested with dots"
    )
    last_arrival: PlainText | None = Field(
        default=None, description="its key with the time of the last request, in seconds since 1970; nested with dots"
    )


class ReadBack(Section):
    """How a change is read back: describes of AWS may be stale."""

    times: int = Field(default=3, ge=1, le=10, description="looks in a row that must agree")
    every: Annotated[float, Seconds("50ms", "30s")] = Field(default=2.0, description="time between two looks")
    within: Annotated[float, Seconds("1s", "10m")] = Field(
        default=60.0, description="how long a change may take, its repetitions included"
    )


class Retries(Section):
    """How calls are tried again, by botocore itself, and how many a second are made."""

    mode: Literal["standard", "adaptive", "legacy"] = Field(default="standard", description="botocore's retry mode")
    attempts: int = Field(default=5, ge=1, le=10, description="attempts in all")
    per_second: int = Field(
        default=5, ge=1, le=100, description="calls a second, at most; AWS throttles whole accounts"
    )


class CloudWatch(Section):
    """Counts from CloudWatch: late, and in sums of minutes."""

    type: Literal["cloudwatch"] = Field(description="CloudWatch")
    lag: Annotated[float, Seconds("1s", "1h")] = Field(
        default=180.0, description="after this long what happened is counted; a bake must be longer"
    )


class ApplicationCounts(Section):
    """Counts of the instances themselves: a JSON object over HTTP."""

    type: Literal["application"] = Field(description="the instances themselves")
    get: UrlPath = Field(description="path that answers with a JSON object; it does not count itself")
    requests: PlainText = Field(description="its key with all requests; nested with dots, an object is summed")
    errors_5xx: PlainText = Field(description="its key with the answers of 5xx; nested with dots, an object is summed")

    @property
    def lag(self) -> float:
        """Seconds."""
        return 1.0


Metrics = Annotated[
    Annotated[CloudWatch, Tag("(cloudwatch)")] | Annotated[ApplicationCounts, Tag("(application)")],
    variants("type", "cloudwatch", "application"),
]


class _Aws(Section):
    """What both kinds have in common."""

    account: Account = Field(description="the AWS account, in quotes; credentials of any other one are refused")
    region: Region = Field(description="the region; anything named in another one is refused")
    profile: PlainText | None = Field(default=None, description="profile of the AWS configuration files")
    endpoint: BaseUrl | None = Field(
        default=None, description="instead of AWS's own; on this machine, no real credentials are sent there"
    )
    in_flight: InFlight | None = Field(default=None, description="without it, drained is a matter of time only")
    propagation: Annotated[float, Seconds("100ms", "5m")] = Field(
        default=10.0, description="how long a change may take to reach every node, and answers may be stale"
    )
    quiet: Annotated[float, Seconds("100ms", "5m")] = Field(
        default=2.0, description="how long nothing must have arrived on a drained pool"
    )
    read_back: ReadBack = Field(default_factory=ReadBack, description="how changes are read back")
    retries: Retries = Field(default_factory=Retries, description="how calls are tried again")
    metrics: Metrics = Field(
        default_factory=lambda: CloudWatch(type="cloudwatch"), description="who counts the requests of a pool"
    )


class Alb(_Aws):
    """An Application Load Balancer: one target group per pool, the route in the weights of listeners and rules."""

    type: Literal["alb"] = Field(description="an Application Load Balancer (ELBv2)")
    name: Name = Field(default="alb", description="how it is called in what people read")
    listeners: Annotated[tuple[ListenerArn, ...], Field(min_length=1)] = Field(
        description="every listener and rule that sends requests to the pools; the preview goes beside the first"
    )
    target_groups: dict[Name, GroupArn] = Field(description="pool: target group")
    entry: BaseUrl = Field(description="where users reach the application through this balancer")
    preview_secret: HerePath = Field(description="file that keeps the secret that leads to the idle pool")
    preview_priority: int = Field(default=1, ge=1, le=50_000, description="priority of the preview's rule")
    stickiness: Annotated[float, Seconds("1s", "7d")] = Field(
        default=3600.0, description="how long a visitor keeps his side while a share is out"
    )
    other_rules: Literal["refuse", "leave"] = Field(
        default="refuse", description="`leave`: rules of others on the same listener are left alone"
    )

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return self.target_groups


class Elb(_Aws):
    """A classic load balancer: the route is who is registered; a share is a count of instances."""

    type: Literal["elb"] = Field(description="a classic Elastic Load Balancer")
    name: Name = Field(default="elb", description="how it is called in what people read")
    load_balancer: BalancerName = Field(description="its name in AWS")
    instances: dict[Name, tuple[InstanceId, ...]] = Field(
        description="pool: EC2 instances, in the order of `instances.pools`"
    )
    entry: BaseUrl = Field(description="where users reach the application through this balancer")

    @property
    def targets(self) -> Mapping[str, str]:
        """Pool -> what the balancer calls it."""
        return {pool: " ".join(ids) for pool, ids in self.instances.items()}
