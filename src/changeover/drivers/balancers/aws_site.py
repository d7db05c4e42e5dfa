"""What there is already: a load balancer of AWS, read for `init`. Read-only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changeover.core.errors import UsageError
from changeover.drivers.balancers.alb_survey import read_rules
from changeover.drivers.balancers.aws_session import Access, Aws
from changeover.drivers.clock import SystemClock

NAMES = ("blue", "green")


@dataclass(frozen=True, slots=True)
class AwsSite:
    """A proposal. `targets`: pool -> ARN of its target group; `instances`: pool -> EC2 ids; `addresses`: pool -> host:port.

    What could not be found out is empty. `seen` is for people.
    """

    kind: str
    account: str
    region: str
    name: str
    entry: str
    listeners: tuple[str, ...] = ()
    targets: Mapping[str, str] | None = None
    instances: Mapping[str, tuple[str, ...]] | None = None
    addresses: Mapping[str, tuple[str, ...]] | None = None
    health: str = ""
    others: bool = False
    seen: tuple[str, ...] = ()


def discover(arn: str, profile: str = "") -> AwsSite:
    """Read the load balancer with this ARN, with whatever credentials the shell has, if they are its account's.

    Raises UsageError for another ARN, and what calls raise.
    """
    words = arn.split(":")
    if len(words) < 6 or words[2] != "elasticloadbalancing" or not words[5].startswith("loadbalancer/"):
        raise UsageError(
            f"{arn} is not the ARN of a load balancer",
            next=("aws elbv2 describe-load-balancers --query 'LoadBalancers[].LoadBalancerArn'",),
        )
    region, account, path = words[3], words[4], words[5].split("/")
    aws = Aws(Access(account, region, profile=profile), SystemClock())
    if path[1] == "app":
        return _alb(aws, arn, path[2])
    if len(path) == 2:
        return _classic(aws, path[1])
    raise UsageError(
        f"{arn} is a load balancer of a kind that changeover does not know", next=("an ALB, or a classic one",)
    )


def _alb(aws: Aws, arn: str, name: str) -> AwsSite:
    balancer = aws.look("elbv2", "describe_load_balancers", LoadBalancerArns=[arn])["LoadBalancers"][0]
    listeners = aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
    rules = [rule for listener in listeners for rule in read_rules(aws, listener)]
    groups = aws.pages("elbv2", "describe_target_groups", "TargetGroups", LoadBalancerArn=arn)
    seen = [f"read from {name}: {len(listeners)} listeners, {len(rules)} rules, {len(groups)} target groups"]
    chosen = _pair(groups)
    if not chosen:
        seen.append("no two target groups look like the two pools of one application: name them under `target_groups`")
    ours = [r for r in rules if any(g in str(r.actions) for g in chosen.values()) and not r.is_preview]
    others = any(r not in ours and not r.default and not r.is_preview for r in rules)
    if others:
        seen.append("there are rules of others on its listeners: they are left alone (other_rules: leave)")
    first = next((one for one in listeners if ours and one["ListenerArn"] == ours[0].listener), None)
    described = {g["TargetGroupArn"]: g for g in groups}
    health = [str(described[a].get("HealthCheckPath", "")) for a in chosen.values()]
    return AwsSite(
        "alb",
        aws.access.account,
        aws.access.region,
        name,
        _entry(str(balancer.get("DNSName", "")), first),
        tuple(r.listener if r.default else r.arn for r in ours),
        chosen,
        addresses={pool: _addresses(aws, described[group]) for pool, group in chosen.items()},
        health=health[0] if health else "",
        others=others,
        seen=tuple(seen),
    )


def _entry(dns: str, listener: Mapping[str, Any] | None) -> str:
    if not dns or listener is None:
        return ""
    scheme, port = str(listener.get("Protocol", "HTTP")).lower(), int(listener.get("Port", 80))
    return f"{scheme}://{dns}" + ("" if (scheme, port) in (("http", 80), ("https", 443)) else f":{port}")


def _pair(groups: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The two target groups of one application: named alike but for blue and green, or the only two there are."""
    by_name = {str(g["TargetGroupName"]): str(g["TargetGroupArn"]) for g in groups}
    stems = Counter(name.lower().replace(color, "*") for name in by_name for color in NAMES if color in name.lower())
    twins = [stem for stem, count in stems.items() if count == len(NAMES)]
    if len(twins) == 1:
        found = {color: twins[0].replace("*", color) for color in NAMES}
        return {color: arn for color, name in found.items() for n, arn in by_name.items() if n.lower() == name}
    return dict(zip(NAMES, by_name.values(), strict=True)) if len(by_name) == len(NAMES) else {}


def _addresses(aws: Aws, group: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the targets listen; empty if they are known by their ids only."""
    if group.get("TargetType") != "ip":
        return ()
    found = aws.look("elbv2", "describe_target_health", TargetGroupArn=group["TargetGroupArn"])
    return tuple(f"{t['Target']['Id']}:{t['Target']['Port']}" for t in found["TargetHealthDescriptions"])


def _classic(aws: Aws, name: str) -> AwsSite:
    described = aws.look("elb", "describe_load_balancers", LoadBalancerNames=[name])["LoadBalancerDescriptions"][0]
    listeners = [d["Listener"] for d in described.get("ListenerDescriptions", [])]
    ids = tuple(str(i["InstanceId"]) for i in described.get("Instances", []))
    first = listeners[0] if listeners else {}
    entry = _entry(
        str(described.get("DNSName", "")),
        {"Protocol": first.get("Protocol", "HTTP"), "Port": first.get("LoadBalancerPort", 80)} if first else None,
    )
    answer = (
        aws.look("ec2", "describe_instances", Filters=[{"Name": "instance-id", "Values": list(ids)}]) if ids else {}
    )
    where = {
        str(i["InstanceId"]): str(i.get("PrivateIpAddress", ""))
        for r in answer.get("Reservations", [])
        for i in r["Instances"]
    }
    port = first.get("InstancePort", 80)
    return AwsSite(
        "elb",
        aws.access.account,
        aws.access.region,
        name,
        entry,
        instances={"blue": ids, "green": ()},
        addresses={"blue": tuple(f"{where[i]}:{port}" for i in ids if where.get(i)), "green": ()},
        seen=(
            f"read from {name}: {len(listeners)} listeners, {len(ids)} registered instances",
            "the second pool is as many EC2 instances more, which are not registered yet: name them",
        ),
    )
