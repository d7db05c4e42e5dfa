"""The smallest IAM policy that is enough, as JSON lines. Pure.

ELB's describe actions know no resources, so they are allowed on `*` (AWS's own rule, Service Authorization Reference); what
changes something is allowed on the named listeners and load balancers only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from changeover.drivers.balancers.alb_survey import listener_of
from changeover.drivers.balancers.aws_session import Access


def alb(access: Access, listeners: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
    """For an Application Load Balancer. Groups are only described: what is registered in them is the owner's."""
    _ = groups
    first = listeners[0]
    beside = listener_of(first)  # the preview is made there
    defaults = sorted(arn for arn in listeners if ":listener/" in arn)
    rules = sorted({arn for arn in listeners if arn not in defaults} | {rules_of(beside)})
    shifts = [_statement("Shift", ["elasticloadbalancing:ModifyListener"], defaults)] if defaults else []
    return _policy(
        _statement(
            "Look",
            [
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTags",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetHealth",
                "cloudwatch:GetMetricData",
            ],
            "*",
            access,
        ),
        *shifts,
        _statement("Rules", ["elasticloadbalancing:ModifyRule"], rules),
        _statement("Preview", ["elasticloadbalancing:CreateRule"], [beside]),
        _statement("Note", ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"], [first]),
    )


def elb(access: Access, name: str) -> tuple[str, ...]:
    """For a classic load balancer."""
    arn = f"arn:{partition(access.region)}:elasticloadbalancing:{access.region}:{access.account}:loadbalancer/{name}"
    return _policy(
        _statement(
            "Look",
            [
                "elasticloadbalancing:DescribeInstanceHealth",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeTags",
                "ec2:DescribeInstances",
                "cloudwatch:GetMetricData",
            ],
            "*",
            access,
        ),
        _statement(
            "Shift",
            [
                "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
                "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
                "elasticloadbalancing:AddTags",
                "elasticloadbalancing:RemoveTags",
            ],
            [arn],
        ),
    )


def partition(region: str) -> str:
    """The part of AWS that a region belongs to."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def rules_of(listener: str) -> str:
    """The rules of a listener, as a resource."""
    return listener.replace(":listener/", ":listener-rule/", 1) + "/*"


def _statement(
    sid: str, actions: list[str], resources: list[str] | str, access: Access | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    if access is not None:
        found["Condition"] = {"StringEquals": {"aws:RequestedRegion": access.region}}
    return found


def _policy(*statements: dict[str, Any]) -> tuple[str, ...]:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
    return tuple(text.splitlines())
