"""What AWS does not accept and moto does: limits and values. Each refusal has AWS's own code.

Sources: the service models of botocore and the API reference of Elastic Load Balancing. That all weights 0 are refused is our
own severity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from changeover.demo.aws.answer import Refused

MOST_GROUPS = 5
MOST_RULES = 100
MOST_TAGS = 50
LONGEST_STICK = 604_800
_TAG = re.compile(r"[\w \-+=._:/@]*")
_NUMBERS = {
    "HealthCheckIntervalSeconds": (5, 300),
    "HealthCheckTimeoutSeconds": (2, 120),
    "HealthyThresholdCount": (2, 10),
    "UnhealthyThresholdCount": (2, 10),
}
_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": (0, 3600),
    "slow_start.duration_seconds": (0, 900),
    "stickiness.lb_cookie.duration_seconds": (1, LONGEST_STICK),
    "stickiness.app_cookie.duration_seconds": (1, LONGEST_STICK),
}
_WORDS = (
    "stickiness.enabled",
    "stickiness.type",
    "stickiness.app_cookie.cookie_name",
    "load_balancing.algorithm.type",
    "load_balancing.cross_zone.enabled",
)


class Facts(Protocol):
    """What checks need to know of the world."""

    def vpc_of_group(self, arn: str) -> str | None:
        """None: there is no such group."""

    def vpc_of_balancer(self, arn: str) -> str: ...

    def balancers_of_group(self, arn: str) -> Sequence[str]: ...

    def group_type(self, arn: str) -> str: ...

    def network_of(self, vpc: str) -> str:
        """Its address range."""

    def instance_vpc(self, instance: str) -> str | None:
        """None: there is no such instance."""

    def balancer_of(self, arn: str) -> str:
        """The load balancer of a listener or rule."""

    def rules_of(self, listener: str) -> int: ...

    def classic_vpc(self, name: str) -> str: ...


def number(text: Any, low: int, high: int, what: str) -> int:
    """Raises Refused for anything but a whole number between the two."""
    if not re.fullmatch(r"-?\d+", str(text)) or not low <= int(text) <= high:
        raise Refused("ValidationError", f"{what} '{text}' must be between {low} and {high} inclusive")
    return int(text)


def v2(action: str, asked: Mapping[str, Any], facts: Facts) -> None:
    """Raises Refused for what elbv2 would not accept."""
    match action:
        case "CreateListener":
            _actions(asked.get("DefaultActions"), asked["LoadBalancerArn"], facts)
        case "ModifyListener":
            if "DefaultActions" in asked:
                _actions(asked["DefaultActions"], facts.balancer_of(asked["ListenerArn"]), facts)
        case "CreateRule":
            number(asked.get("Priority"), 1, 50_000, "priority")
            if facts.rules_of(asked["ListenerArn"]) >= MOST_RULES:
                raise Refused("TooManyRules", "the limit of rules is reached")
            _actions(asked.get("Actions"), facts.balancer_of(asked["ListenerArn"]), facts)
        case "ModifyRule":
            if "Actions" in asked:
                _actions(asked["Actions"], facts.balancer_of(asked["RuleArn"]), facts)
        case "CreateTargetGroup" | "ModifyTargetGroup":
            for name, (low, high) in _NUMBERS.items():
                if name in asked:
                    number(asked[name], low, high, name)
        case "ModifyTargetGroupAttributes":
            for attribute in asked.get("Attributes", []):
                _attribute(str(attribute.get("Key")), attribute.get("Value"))
        case "RegisterTargets":
            _targets(asked["TargetGroupArn"], asked.get("Targets", []), facts)
        case "AddTags":
            _tags(asked.get("Tags", []))


def classic(action: str, asked: Mapping[str, Any], facts: Facts) -> None:
    """Raises Refused for what the classic API would not accept."""
    match action:
        case "RegisterInstancesWithLoadBalancer":
            for one in asked.get("Instances", []):
                vpc = facts.instance_vpc(str(one.get("InstanceId")))
                if vpc is None:
                    raise Refused("InvalidInstance", f"Could not find EC2 instance {one.get('InstanceId')}.")
                if vpc != facts.classic_vpc(asked["LoadBalancerName"]):
                    raise Refused(
                        "InvalidInstance", f"EC2 instance {one.get('InstanceId')} is not in the same VPC as ELB."
                    )
        case "ModifyLoadBalancerAttributes":
            draining = asked.get("LoadBalancerAttributes", {}).get("ConnectionDraining", {})
            if "Timeout" in draining:
                number(draining["Timeout"], 1, 3600, "ConnectionDraining timeout")
        case "ConfigureHealthCheck":
            check = asked.get("HealthCheck", {})
            for name, (low, high) in {
                "Interval": (5, 300),
                "HealthyThreshold": (2, 10),
                "UnhealthyThreshold": (2, 10),
            }.items():
                number(check.get(name), low, high, name)
        case "AddTags":
            _tags(asked.get("Tags", []))


def _actions(actions: Any, balancer: str, facts: Facts) -> None:
    if not actions:
        raise Refused("ValidationError", "A listener must have at least one action")
    for action in actions:
        if action.get("Type") == "forward":
            _forward(action, balancer, facts)


def _forward(action: Mapping[str, Any], balancer: str, facts: Facts) -> None:
    config = action.get("ForwardConfig") or {}
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn")}]
    if len(groups) > MOST_GROUPS:
        raise Refused("TooManyTargetGroups", f"the limit of {MOST_GROUPS} target groups per action is exceeded")
    weights = [number(g.get("Weight", 1), 0, 999, "target group weight") for g in groups]
    if not any(weights):
        raise Refused("ValidationError", "at least one target group must have a weight")
    for group in groups:
        arn = str(group.get("TargetGroupArn"))
        vpc = facts.vpc_of_group(arn)
        if vpc is None:
            raise Refused("TargetGroupNotFound", f"Target groups '{arn}' not found")
        if vpc != facts.vpc_of_balancer(balancer):
            raise Refused("InvalidConfigurationRequest", f"target group '{arn}' is not in the VPC of the load balancer")
        if any(other != balancer for other in facts.balancers_of_group(arn)):
            raise Refused(
                "TargetGroupAssociationLimit",
                f"The following target groups cannot be associated with more than one load balancer: {arn}",
            )
    sticky = config.get("TargetGroupStickinessConfig") or {}
    if str(sticky.get("Enabled", "false")).lower() == "true":
        if "DurationSeconds" not in sticky:
            raise Refused("ValidationError", "target group stickiness duration must be specified")
        number(sticky["DurationSeconds"], 1, LONGEST_STICK, "target group stickiness duration")


def _attribute(key: str, value: Any) -> None:
    if key in _ATTRIBUTES:
        low, high = _ATTRIBUTES[key]
        number(value, low, high, key)
    elif key not in _WORDS:
        raise Refused("ValidationError", f"Target group attribute key '{key}' is not recognized")


def _targets(group: str, targets: Sequence[Mapping[str, Any]], facts: Facts) -> None:
    vpc = facts.vpc_of_group(group)
    if vpc is None:
        raise Refused("TargetGroupNotFound", "One or more target groups not found")
    for target in targets:
        name = str(target.get("Id"))
        if "Port" in target:
            number(target["Port"], 1, 65_535, "port")
        if facts.group_type(group) == "ip":
            try:
                fits = ip_address(name) in ip_network(facts.network_of(vpc))
            except ValueError:
                fits = False
            if not fits:
                raise Refused("ValidationError", f"The IP address '{name}' is not within a subnet of the VPC")
        elif facts.instance_vpc(name) != vpc:
            raise Refused("InvalidTarget", f"The following targets are not in the target group VPC: '{name}'")


def _tags(tags: Sequence[Mapping[str, Any]]) -> None:
    if len(tags) > MOST_TAGS:
        raise Refused("TooManyTags", "the limit of tags is exceeded")
    for tag in tags:
        key, value = str(tag.get("Key", "")), str(tag.get("Value", ""))
        if not _TAG.fullmatch(key) or not _TAG.fullmatch(value) or not key or len(key) > 128 or len(value) > 256:
            raise Refused("ValidationError", f"the tag {key!r} is not valid")
