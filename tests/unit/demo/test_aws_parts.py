"""The parts of the stand-in for AWS: what it refuses, where it sends a request, how a target lives."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from changeover.demo.aws import answer, checks
from changeover.demo.aws.answer import Refused
from changeover.demo.aws.choice import STICKY, Asked, RuleView, choose
from changeover.demo.aws.targets import Check, Target
from changeover.demo.aws.weather import Fate, Weather

LB, OTHER = "arn:lb/app/web/1", "arn:lb/app/other/2"
BLUE, GREEN, FAR, TAKEN = "arn:tg/blue/1", "arn:tg/green/2", "arn:tg/far/3", "arn:tg/taken/4"


class Facts:
    """One VPC with a load balancer, another one with a target group."""

    def vpc_of_group(self, arn: str) -> str | None:
        return {BLUE: "vpc-1", GREEN: "vpc-1", FAR: "vpc-2", TAKEN: "vpc-1"}.get(arn)

    def vpc_of_balancer(self, arn: str) -> str:
        return "vpc-1"

    def balancers_of_group(self, arn: str) -> list[str]:
        return [OTHER] if arn == TAKEN else []

    def group_type(self, arn: str) -> str:
        return "ip" if arn == BLUE else "instance"

    def network_of(self, vpc: str) -> str:
        return "10.0.0.0/16"

    def instance_vpc(self, instance: str) -> str | None:
        return {"i-1": "vpc-1", "i-2": "vpc-2"}.get(instance)

    def balancer_of(self, arn: str) -> str:
        return LB

    def rules_of(self, listener: str) -> int:
        return 100 if listener == "full" else 1

    def classic_vpc(self, name: str) -> str:
        return "vpc-1"


def forward(*weights: tuple[str, Any], sticky: dict[str, str] | None = None) -> dict[str, Any]:
    config: dict[str, Any] = {"TargetGroups": [{"TargetGroupArn": a, "Weight": w} for a, w in weights]}
    if sticky is not None:
        config["TargetGroupStickinessConfig"] = sticky
    return {"ListenerArn": "l", "DefaultActions": [{"Type": "forward", "ForwardConfig": config}]}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (forward((BLUE, "1000"), (GREEN, "0")), "ValidationError"),
        (forward((BLUE, "-1"), (GREEN, "1")), "ValidationError"),
        (forward((BLUE, "1.5")), "ValidationError"),
        (forward((BLUE, "0"), (GREEN, "0")), "ValidationError"),
        (forward(*[(BLUE, "1")] * 6), "TooManyTargetGroups"),
        (forward((BLUE, "1"), (FAR, "1")), "InvalidConfigurationRequest"),
        (forward((BLUE, "1"), (TAKEN, "1")), "TargetGroupAssociationLimit"),
        (forward(("arn:tg/none/9", "1")), "TargetGroupNotFound"),
        (forward((BLUE, "1"), (GREEN, "1"), sticky={"Enabled": "true"}), "ValidationError"),
        (forward((BLUE, "1"), sticky={"Enabled": "true", "DurationSeconds": "604801"}), "ValidationError"),
        ({"ListenerArn": "l", "DefaultActions": []}, "ValidationError"),
    ],
)
def test_a_listener_is_refused_what_aws_refuses(asked, code):
    with pytest.raises(Refused) as caught:
        checks.v2("ModifyListener", asked, Facts())
    assert caught.value.code == code


def test_what_aws_takes_is_taken():
    checks.v2("ModifyListener", forward((BLUE, "999"), (GREEN, "0")), Facts())
    checks.v2("ModifyListener", forward((BLUE, "1"), sticky={"Enabled": "true", "DurationSeconds": "60"}), Facts())
    checks.v2("RegisterTargets", {"TargetGroupArn": BLUE, "Targets": [{"Id": "10.0.3.4", "Port": "80"}]}, Facts())
    checks.classic(
        "RegisterInstancesWithLoadBalancer", {"LoadBalancerName": "c", "Instances": [{"InstanceId": "i-1"}]}, Facts()
    )


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("CreateRule", {"ListenerArn": "l", "Priority": "0", "Actions": [{"Type": "redirect"}]}),
        ("CreateRule", {"ListenerArn": "full", "Priority": "1", "Actions": [{"Type": "redirect"}]}),
        ("CreateTargetGroup", {"HealthCheckIntervalSeconds": "4"}),
        ("CreateTargetGroup", {"HealthyThresholdCount": "11"}),
        (
            "ModifyTargetGroupAttributes",
            {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "3601"}]},
        ),
        (
            "ModifyTargetGroupAttributes",
            {"Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "abc"}]},
        ),
        ("ModifyTargetGroupAttributes", {"Attributes": [{"Key": "nonsense", "Value": "1"}]}),
        ("RegisterTargets", {"TargetGroupArn": BLUE, "Targets": [{"Id": "not-an-ip"}]}),
        ("RegisterTargets", {"TargetGroupArn": BLUE, "Targets": [{"Id": "192.0.2.1"}]}),
        ("RegisterTargets", {"TargetGroupArn": GREEN, "Targets": [{"Id": "i-2"}]}),
        ("AddTags", {"Tags": [{"Key": "a", "Value": "x;y"}]}),
    ],
)
def test_values_out_of_bounds_are_refused(action, asked):
    with pytest.raises(Refused):
        checks.v2(action, asked, Facts())


@pytest.mark.parametrize("instance", ["i-2", "i-9"])
def test_a_classic_balancer_takes_instances_of_its_vpc_only(instance):
    asked = {"LoadBalancerName": "c", "Instances": [{"InstanceId": instance}]}
    with pytest.raises(Refused) as caught:
        checks.classic("RegisterInstancesWithLoadBalancer", asked, Facts())
    assert caught.value.code == "InvalidInstance"


# where a request goes ------------------------------------------------------------------------------------


def rules(action: dict[str, Any], *more: RuleView) -> list[RuleView]:
    return [RuleView(1_000_000, (), (action,)), *more]


def shared(blue: int, green: int, sticky: int = 0) -> dict[str, Any]:
    config = {
        "TargetGroups": [{"TargetGroupArn": BLUE, "Weight": blue}, {"TargetGroupArn": GREEN, "Weight": green}],
        "TargetGroupStickinessConfig": {"Enabled": bool(sticky), "DurationSeconds": sticky},
    }
    return {"Type": "forward", "ForwardConfig": config}


def test_weights_are_kept():
    dice = Random(7)
    found = [choose(rules(shared(750, 250)), Asked(), dice, 0.0).group for _ in range(4000)]
    assert 900 < found.count(GREEN) < 1100
    assert {choose(rules(shared(1, 0)), Asked(), dice, 0.0).group for _ in range(100)} == {BLUE}


def test_a_cookie_keeps_a_visitor_until_it_ends_even_where_the_weight_is_0_by_now():
    dice = Random(7)
    first = choose(rules(shared(1, 999, 60)), Asked(), dice, 1000.0)
    cookie = Asked(headers={"cookie": f"a=b; {STICKY}={first.cookie}"})
    assert first.group == GREEN
    assert choose(rules(shared(1, 0, 60)), cookie, dice, 1059.0).group == GREEN
    assert choose(rules(shared(1, 0, 60)), cookie, dice, 1061.0).group == BLUE
    assert choose(rules(shared(1, 0)), cookie, dice, 1059.0).group == BLUE, "stickiness is switched off"


@pytest.mark.parametrize(
    ("condition", "asked", "holds"),
    [
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*"]}}, Asked(path="/shop/1"), True),
        ({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*"]}}, Asked(path="/shop"), False),
        (
            {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example"]}},
            Asked(headers={"host": "A.example:80"}),
            True,
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Cookie", "Values": ["*beta=1*"]}},
            Asked(headers={"cookie": "a=b; beta=1"}),
            True,
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-P", "Values": ["secret"]}},
            Asked(headers={"x-p": "wrong"}),
            False,
        ),
        ({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["POST"]}}, Asked("POST"), True),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2*"}]}},
            Asked(query="v=21"),
            True,
        ),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, Asked(source="10.1.2.3"), True),
        ({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}, Asked(), False),
        ({"Field": "unknown"}, Asked(), False),
    ],
)
def test_conditions(condition, asked, holds):
    special = RuleView(5, (condition,), ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}},))
    assert (choose(rules(shared(1, 0), special), asked, Random(1), 0.0).status == 418) is holds


def test_the_smaller_priority_decides():
    def fixed(order: int, status: int) -> RuleView:
        return RuleView(order, (), ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status}},))

    assert choose(rules(shared(1, 0), fixed(9, 409), fixed(2, 402)), Asked(), Random(1), 0.0).status == 402


# how a target lives ------------------------------------------------------------------------------------------


def test_a_target_lives_from_initial_to_draining():
    up = True
    target = Target("h", 1, since=100.0)
    check = Check("/", every=10.0, healthy=3, unhealthy=2)

    def at(now: float, *, used: bool = True) -> tuple[str, str]:
        return target.look(now, check, lambda *_: up, used=used)

    assert at(100.0) == ("initial", "Elb.RegistrationInProgress")
    assert at(111.0) == ("initial", "Elb.InitialHealthChecking")
    assert at(121.0)[0] == "initial"
    assert at(131.0) == ("healthy", "")
    up = False
    assert at(141.0)[0] == "healthy"
    assert at(151.0) == ("unhealthy", "Target.FailedHealthChecks")
    up = True
    assert at(171.0)[0] == "unhealthy"
    assert at(181.0)[0] == "healthy"
    assert at(190.0, used=False) == ("unused", "Target.NotInUse")
    assert at(191.0)[0] == "initial", "what nothing forwards to is not checked, and begins anew"
    target.until = 200.0
    assert at(199.0) == ("draining", "Target.DeregistrationInProgress")


# the protocol and the weather -----------------------------------------------------------------------------------


def test_parameters_of_the_query_protocol():
    body = b"Action=A&Targets.member.2.Id=b&Targets.member.1.Id=a&Check.Path=%2Fx&Empty="
    assert answer.parameters(body) == {
        "Action": "A",
        "Targets": [{"Id": "a"}, {"Id": "b"}],
        "Check": {"Path": "/x"},
        "Empty": "",
    }


def test_the_same_seed_gives_the_same_weather():
    def fates(seed: int) -> list[Fate]:
        weather = Weather(seed, throttle=0.1, broken=0.1, lost=0.1)
        return [weather.fate() for _ in range(500)]

    assert fates(3) == fates(3) != fates(4)
    assert set(fates(3)) == set(Fate)
    calm = Weather(3)
    assert {calm.fate() for _ in range(500)} == {Fate.FINE}
