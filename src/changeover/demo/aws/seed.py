"""An account as somebody else made it: VPC, load balancer, two target groups, or a classic load balancer with instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from changeover.demo.aws.standin import StandIn
from changeover.demo.aws.world import REGION

NETWORK = "127.0.0.0/16"
CHECK = "/health"


@dataclass(frozen=True, slots=True)
class Alb:
    """`listeners` in the order of their ports; `groups`: pool -> ARN."""

    arn: str
    vpc: str
    listeners: tuple[str, ...]
    groups: Mapping[str, str]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Classic:
    """`instances`: pool -> ids of EC2 instances, by slot number."""

    name: str
    vpc: str
    instances: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    port: int = 0


def vpc(standin: StandIn, network: str = NETWORK) -> tuple[str, list[str]]:
    """(VPC, its two subnets)."""
    ec2 = standin.client("ec2")
    made = str(ec2.create_vpc(CidrBlock=network)["Vpc"]["VpcId"])
    first = network.split(".")
    subnets = [
        ec2.create_subnet(VpcId=made, CidrBlock=f"{first[0]}.{first[1]}.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
            "Subnet"
        ]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    return made, subnets


def group(standin: StandIn, name: str, in_vpc: str, *, every: int = 5, threshold: int = 2, check: str = CHECK) -> str:
    """A target group of IP addresses. Returns its ARN."""
    made = standin.client("elbv2").create_target_group(
        Name=name, Protocol="HTTP", Port=80, VpcId=in_vpc, TargetType="ip", HealthCheckPath=check,
        HealthCheckIntervalSeconds=every, HealthyThresholdCount=threshold, UnhealthyThresholdCount=2,
    )  # fmt: skip
    return str(made["TargetGroups"][0]["TargetGroupArn"])


def alb(
    standin: StandIn,
    pools: Mapping[str, Sequence[tuple[str, int]]],
    ports: Sequence[int],
    *,
    name: str = "web",
    delay: int = 30,
    every: int = 5,
) -> Alb:
    """An Application Load Balancer, all of its traffic to the first pool."""
    elbv2 = standin.client("elbv2")
    made, subnets = vpc(standin)
    balancer = elbv2.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    groups = {pool: group(standin, f"{name}-{pool}", made, every=every) for pool in pools}
    for pool, places in pools.items():
        elbv2.modify_target_group_attributes(
            TargetGroupArn=groups[pool],
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
        )
        elbv2.register_targets(TargetGroupArn=groups[pool], Targets=[{"Id": h, "Port": p} for h, p in places])
    weights = [{"TargetGroupArn": g, "Weight": int(n == 0)} for n, g in enumerate(groups.values())]
    forward = {"TargetGroups": weights, "TargetGroupStickinessConfig": {"Enabled": False}}
    listeners = [
        elbv2.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port,
            DefaultActions=[{"Type": "forward", "ForwardConfig": forward}],
        )["Listeners"][0]["ListenerArn"]
        for port in ports
    ]  # fmt: skip
    return Alb(balancer, made, tuple(listeners), groups, tuple(ports))


def classic(
    standin: StandIn,
    pools: Mapping[str, Sequence[tuple[str, int]]],
    port: int,
    *,
    name: str = "classic",
    delay: int = 30,
    every: int = 5,
) -> Classic:
    """A classic load balancer; the instances of the first pool are registered.

    An EC2 instance has one address and all instances one port; here each is somewhere on 127.0.0.1, and the stand-in's
    network knows where.
    """
    ec2, elb = standin.client("ec2"), standin.client("elb")
    made, subnets = vpc(standin)
    elb.create_load_balancer(
        LoadBalancerName=name, Subnets=subnets,
        Listeners=[{"Protocol": "HTTP", "LoadBalancerPort": port, "InstanceProtocol": "HTTP", "InstancePort": 8080}],
    )  # fmt: skip
    elb.configure_health_check(
        LoadBalancerName=name,
        HealthCheck={
            "Target": f"HTTP:8080{CHECK}", "Interval": every, "Timeout": 2, "UnhealthyThreshold": 2, "HealthyThreshold": 2,
        },
    )  # fmt: skip
    elb.modify_load_balancer_attributes(
        LoadBalancerName=name, LoadBalancerAttributes={"ConnectionDraining": {"Enabled": True, "Timeout": delay}}
    )
    instances: dict[str, tuple[str, ...]] = {}
    for pool, places in pools.items():
        run = ec2.run_instances(
            ImageId="ami-12c6146b", MinCount=len(places), MaxCount=len(places), SubnetId=subnets[0]
        )["Instances"]
        instances[pool] = tuple(str(i["InstanceId"]) for i in run)
        standin.world.network.update(zip(instances[pool], ((h, p) for h, p in places), strict=True))
    first = next(iter(instances.values()))
    elb.register_instances_with_load_balancer(LoadBalancerName=name, Instances=[{"InstanceId": i} for i in first])
    return Classic(name, made, instances, port)
