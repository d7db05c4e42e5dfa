"""One look at a classic load balancer and its instances, and what is wrong with them. The look calls, the judging is pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from changeover.core.errors import AwsRejected, BalancerMisconfigured, ChangeoverError, TargetGroupUnfit
from changeover.drivers.balancers import aws_note
from changeover.drivers.balancers.aws_session import Aws
from changeover.drivers.balancers.elb_route import Terms

LEAVING = "deregistration"  # stands in the description of an instance that drains


@dataclass(frozen=True, slots=True)
class Survey:
    """`states`: instance -> (state, description), those that drain included. `networks`: instance -> VPC, "" if there is none.

    `draining` is the timeout of connection draining in seconds, None if it is switched off.
    """

    name: str
    vpc: str
    registered: frozenset[str]
    states: Mapping[str, tuple[str, str]]
    networks: Mapping[str, str]
    draining: float | None
    check: Mapping[str, Any]
    note: str = ""

    def in_service(self, instance: str) -> bool:
        """Registered, checked and healthy; not one that is on its way out."""
        state, words = self.states.get(instance, ("", ""))
        return instance in self.registered and state == "InService" and LEAVING not in words.lower()

    @property
    def takes(self) -> float:
        """Seconds until a new instance is in service."""
        return float(self.check.get("Interval", 30)) * float(self.check.get("HealthyThreshold", 10))


def look(aws: Aws, name: str, terms: Terms, before: Survey | None = None) -> Survey:
    """`before` is an earlier look: the VPC of an instance never changes.

    Raises what calls raise; BalancerMisconfigured if there is no such load balancer.
    """
    try:
        described = aws.look("elb", "describe_load_balancers", LoadBalancerNames=[name])["LoadBalancerDescriptions"][0]
        attributes = aws.look("elb", "describe_load_balancer_attributes", LoadBalancerName=name)
        tags = aws.look("elb", "describe_tags", LoadBalancerNames=[name])["TagDescriptions"]
        health = aws.look("elb", "describe_instance_health", LoadBalancerName=name)["InstanceStates"]
    except AwsRejected as error:
        raise BalancerMisconfigured(
            error.what, next=("correct `load_balancer` in changeover.yml", "changeover doctor")
        ) from None
    draining = attributes["LoadBalancerAttributes"].get("ConnectionDraining", {})
    return Survey(
        name,
        str(described.get("VPCId", "")),
        frozenset(str(i["InstanceId"]) for i in described.get("Instances", [])),
        {str(s["InstanceId"]): (str(s.get("State", "")), str(s.get("Description", ""))) for s in health},
        before.networks if before is not None else _networks(aws, terms),
        float(draining.get("Timeout", 300)) if draining.get("Enabled") else None,
        described.get("HealthCheck") or {},
        aws_note.read(tags[0].get("Tags")) if tags else "",
    )


def _networks(aws: Aws, terms: Terms) -> dict[str, str]:
    """Instance -> VPC of those that exist. A filter, so that one that does not exist is an answer and no error."""
    ids = [i for found in terms.instances.values() for i in found]
    answer = aws.look("ec2", "describe_instances", Filters=[{"Name": "instance-id", "Values": ids}])
    return {
        str(i["InstanceId"]): str(i.get("VpcId", "")) for r in answer.get("Reservations", []) for i in r["Instances"]
    }


def problems(survey: Survey, terms: Terms) -> Iterator[ChangeoverError]:
    """What makes it impossible to work here; each one named."""
    pool_of = {i: pool for pool, ids in terms.instances.items() for i in ids}
    for instance, pool in pool_of.items():
        vpc = survey.networks.get(instance)
        if vpc is None:
            yield TargetGroupUnfit(
                f"there is no EC2 instance {instance}, named for {pool}",
                next=("correct `instances` of the balancer in changeover.yml", "changeover doctor"),
            )
        elif vpc != survey.vpc:
            yield TargetGroupUnfit(
                f"the instance {instance} of {pool} is in another VPC: {vpc}; {survey.name} is in {survey.vpc}",
                next=("use instances of the load balancer's VPC", "changeover doctor"),
            )
    strange = sorted(survey.registered - set(pool_of))
    if strange:
        yield TargetGroupUnfit(
            f"{survey.name} serves {', '.join(strange)}, which no pool of the configuration has: no flip would move them",
            next=(
                f"aws elb deregister-instances-from-load-balancer --load-balancer-name {survey.name} …",
                "or name them",
            ),
        )
    if survey.draining is None:
        yield BalancerMisconfigured(
            f"connection draining of {survey.name} is switched off: taking an instance out would cut its requests",
            next=(switch_on(survey.name), "changeover doctor"),
        )


def switch_on(name: str) -> str:
    """The command that switches connection draining on."""
    wanted = """'{"ConnectionDraining": {"Enabled": true, "Timeout": 300}}'"""
    return f"aws elb modify-load-balancer-attributes --load-balancer-name {name} --load-balancer-attributes {wanted}"
