"""The AWS drivers on the stand-in: what is refused and named, what is put back, what people get to copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from tests.fixtures.aws_release import Scene, scene

from changeover.core.errors import (
    NOTHING_CHANGED,
    AwsAccountRefused,
    AwsDenied,
    AwsRejected,
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
    FencedOut,
)
from changeover.core.model import Route
from changeover.core.states import State
from changeover.demo.aws import seed
from changeover.demo.aws.answer import Refused
from changeover.demo.aws.choice import Asked
from changeover.demo.aws.front import Call
from changeover.demo.aws.weather import Fate, Weather
from changeover.demo.aws.world import ACCOUNT, REGION
from changeover.drivers.balancers.alb import AlbBalancer
from changeover.drivers.balancers.aws_back import ReadBack
from changeover.drivers.balancers.aws_note import TAG
from changeover.service.setup import propose
from changeover.testing.cases import TestFence

BLUE, GREEN = Route("blue", "green", mark="start"), Route("green", "blue", mark="flip")
REGISTER, DEREGISTER = "RegisterInstancesWithLoadBalancer", "DeregisterInstancesFromLoadBalancer"


@pytest.fixture
def alb(tmp_path) -> Iterator[Scene]:
    with scene(tmp_path, "alb", Weather(1), listeners=2) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        yield at


@pytest.fixture
def elb(tmp_path) -> Iterator[Scene]:
    with scene(tmp_path, "elb", Weather(1)) as at:
        at.world.run("green", "1.1.0")
        yield at


@contextmanager
def nothing_changes(at: Scene) -> Iterator[None]:
    """No call in the block changes anything."""
    before = len(at.standin.front.applied)
    yield
    assert [action for _, action, _ in at.standin.front.applied[before:]] == []


def refused_everywhere(at: Scene, code: str, *words: str) -> None:
    """Found by doctor, by plan and by commit, named each time, with its id; and nothing is touched."""
    driver = at.balancer()
    with nothing_changes(at):
        bad = [f for f in driver.inspect() if not f.ok and f.fatal]
        assert any(code in f.detail and all(w in f.detail for w in words) for f in bad), bad
        assert all(f.fix for f in bad)
        with pytest.raises(ChangeoverError) as caught:
            at.door().plan("1.1.0")
        assert caught.value.code == code
        assert all(w in caught.value.what for w in words), caught.value.what
        assert caught.value.next
        with pytest.raises(ChangeoverError) as caught:
            driver.commit(GREEN, TestFence())
        assert caught.value.code == code
        assert code in at.door().status().world.route.problem  # status still answers, and says why


# bad input, ALB --------------------------------------------------------------------------------------


def other_group(at: Scene, *, in_vpc: str = "") -> str:
    return seed.group(at.standin, "stranger", in_vpc or at.layout.vpc)


def test_a_rule_of_somebody_else_is_refused_until_it_is_said_to_be_left(alb):
    elbv2 = alb.standin.client("elbv2")
    elbv2.create_rule(
        ListenerArn=alb.layout.listeners[0],
        Priority=20,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/admin/*"]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": other_group(alb)}],
    )
    refused_everywhere(alb, "CO-0803", "rule 20", "path-pattern", "does not own")
    driver = alb.balancer()
    left = AlbBalancer(replace(driver.settings, leave_others=True), alb.clock, alb.town)
    assert left.commit(GREEN, TestFence()).settled
    assert any("left alone" in f.detail and f.ok for f in left.inspect())
    rules = elbv2.describe_rules(ListenerArn=alb.layout.listeners[0])["Rules"]
    assert any("stranger" in str(r["Actions"]) for r in rules)


def test_a_rule_that_sends_visitors_to_a_pool_must_be_named(alb):
    """Left alone, it would go on sending them to the old pool after a flip."""
    made = alb.standin.client("elbv2").create_rule(
        ListenerArn=alb.layout.listeners[0],
        Priority=30,
        Conditions=[{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Cookie", "Values": ["*beta=1*"]}}],
        Actions=[{"Type": "forward", "TargetGroupArn": alb.layout.groups["blue"]}],
    )["Rules"][0]["RuleArn"]
    refused_everywhere(alb, "CO-0803", "rule 30", "a flip would not move them")
    driver = alb.balancer()
    named = AlbBalancer(replace(driver.settings, listeners=(*alb.places, made)), alb.clock, alb.town)
    assert named.commit(GREEN, TestFence()).settled
    rule = alb.standin.client("elbv2").describe_rules(RuleArns=[made])["Rules"][0]
    weights = {g["TargetGroupArn"]: g["Weight"] for g in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]}
    assert weights == {alb.layout.groups["blue"]: 0, alb.layout.groups["green"]: 1}
    assert rule["Conditions"][0]["Field"] == "http-header"
    assert [f.detail for f in named.inspect() if "left alone" in f.detail] == []


def test_a_listener_that_does_something_else_is_left_as_it_is(alb):
    alb.standin.client("elbv2").modify_listener(
        ListenerArn=alb.layout.listeners[1],
        DefaultActions=[{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Port": "443"}}],
    )
    refused_everywhere(alb, "CO-0803", "redirect")


def test_a_listener_that_forwards_elsewhere_is_left_as_it_is(alb):
    alb.standin.client("elbv2").modify_listener(
        ListenerArn=alb.layout.listeners[1],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": other_group(alb)}],
    )
    refused_everywhere(alb, "CO-0803", "stranger")


def test_weights_that_serve_nobody_are_named(alb):
    """AWS may take them; the stand-in does not, so they are put there behind its back."""
    for _, listener in alb.standin.world.listeners():
        for rule in listener.rules.values():
            for group in rule.actions[0].data["ForwardConfig"]["TargetGroups"]:
                group["Weight"] = 0
    refused_everywhere(alb, "CO-0805", "nobody is served")


def test_a_target_group_of_another_vpc_is_named(alb):
    far, _ = seed.vpc(alb.standin, "127.1.0.0/16")
    groups = {**alb.layout.groups, "green": other_group(alb, in_vpc=far)}
    alb.layout = replace(alb.layout, groups=groups)
    for arn in alb.layout.listeners:
        alb.standin.client("elbv2").modify_listener(
            ListenerArn=arn, DefaultActions=[{"Type": "forward", "TargetGroupArn": groups["blue"]}]
        )
    refused_everywhere(alb, "CO-0804", "another VPC", far)


def test_a_target_group_that_is_attached_elsewhere_is_named(alb):
    elbv2, ec2 = alb.standin.client("elbv2"), alb.standin.client("ec2")
    stranger = other_group(alb)
    subnets = [
        s["SubnetId"] for s in ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [alb.layout.vpc]}])["Subnets"]
    ]
    other = elbv2.create_load_balancer(Name="other", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    elbv2.create_listener(
        LoadBalancerArn=other,
        Protocol="HTTP",
        Port=81,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": stranger}],
    )
    alb.layout = replace(alb.layout, groups={**alb.layout.groups, "green": stranger})
    for arn in alb.layout.listeners:
        elbv2.modify_listener(
            ListenerArn=arn, DefaultActions=[{"Type": "forward", "TargetGroupArn": alb.layout.groups["blue"]}]
        )
    refused_everywhere(alb, "CO-0804", "another load balancer", "other")


def test_a_target_group_that_is_gone_is_named(alb):
    gone = alb.layout.groups["green"][:-1] + ("0" if alb.layout.groups["green"][-1] != "0" else "1")
    alb.layout = replace(alb.layout, groups={**alb.layout.groups, "green": gone})
    refused_everywhere(alb, "CO-0804")


def test_a_moment_of_silence_is_told_as_what_it_is_by_plan_and_waited_for_by_preflight(alb):
    """Not as a misfit: nothing has to be corrected."""
    silent = 2

    def script(call: Call) -> Fate | None:
        nonlocal silent
        if call.action != "DescribeTargetGroupAttributes" or not silent:
            return None
        silent -= 1
        return Fate.THROTTLED

    plan = alb.door().plan("1.1.0")
    alb.standin.front.script = script
    with pytest.raises(BalancerUnreachable, match="throttles"):
        alb.door().plan("1.1.0")
    silent = 2
    door = alb.door()
    run = door.submit(plan)
    assert door.drive(run) is State.DONE
    failed = [e.data["code"] for e in door.events(run) if e.kind == "failed"]
    assert failed[:1] == ["CO-0201"]


def test_a_target_that_is_no_instance_is_found_by_plan_and_doctor(alb):
    alb.standin.client("elbv2").register_targets(
        TargetGroupArn=alb.layout.groups["blue"], Targets=[{"Id": "127.0.7.7", "Port": 80}]
    )
    alb.standin.client("elbv2").deregister_targets(
        TargetGroupArn=alb.layout.groups["green"], Targets=[{"Id": "127.0.0.1", "Port": 8101}]
    )
    bad = [f for f in alb.balancer().inspect() if not f.ok and f.fatal]
    assert any("127.0.7.7:80" in f.detail and f.subject == "pool blue" for f in bad)
    assert any("127.0.0.1:8101" in f.detail and "not registered" in f.detail for f in bad)
    with nothing_changes(alb), pytest.raises(BalancerMisconfigured, match=r"127\.0\.7\.7:80") as caught:
        alb.door().plan("1.1.0")
    assert "127.0.0.1:8101" in caught.value.what


def test_a_taken_priority_is_named_before_anything_is_changed(alb):
    alb.standin.client("elbv2").create_rule(
        ListenerArn=alb.layout.listeners[0],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/x"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )
    driver = AlbBalancer(replace(alb.balancer().settings, leave_others=True), alb.clock, alb.town)
    assert any("priority 1" in f.detail and not f.ok and f.fatal for f in driver.inspect())
    for ask in (driver.stage, driver.commit):
        with nothing_changes(alb), pytest.raises(AwsRejected, match="priority 1 belongs to another rule") as caught:
            ask(GREEN, TestFence())
        assert caught.value.reason == "PriorityInUse"
        assert caught.value.now == NOTHING_CHANGED


def test_a_priority_that_is_taken_meanwhile_puts_everything_back(alb):
    """The preview's rule cannot be made: the weights and the note that were changed before it are as they were."""
    driver = alb.balancer()

    def script(call: Call) -> Refused | None:
        return Refused("PriorityInUse", "taken a moment ago") if call.action == "CreateRule" else None

    alb.standin.front.script = script
    with pytest.raises(AwsRejected) as caught:
        driver.commit(GREEN, TestFence())
    assert caught.value.reason == "PriorityInUse"
    assert "put back" in caught.value.now
    reading = driver.read()
    assert (reading.route, reading.settled) == (Route("blue", "green"), True)
    tags = alb.standin.client("elbv2").describe_tags(ResourceArns=[alb.places[0]])["TagDescriptions"][0]["Tags"]
    assert TAG not in str(tags)


def test_what_aws_refuses_at_the_second_listener_is_put_back_at_the_first(alb):
    driver = alb.balancer()
    driver.commit(BLUE, TestFence())

    def script(call: Call) -> Refused | None:
        to_green = call.action == "ModifyListener" and call.asked["ListenerArn"] == alb.places[1]
        to_green = to_green and call.asked["DefaultActions"][0]["ForwardConfig"]["TargetGroups"][1]["Weight"] == "1"
        return Refused("OperationNotPermitted", "not now") if to_green else None

    alb.standin.front.script = script
    with pytest.raises(AwsRejected, match="OperationNotPermitted") as caught:
        driver.commit(GREEN, TestFence())
    assert "put back" in caught.value.now
    assert [a for _, a, _ in alb.standin.front.applied[-3:]] == ["ModifyListener", "ModifyListener", "AddTags"]
    assert driver.read().settled
    assert driver.read().route == BLUE


@pytest.mark.parametrize("first_goes_back", [False, True])
def test_a_refusal_after_an_applied_try_leaves_a_note_of_what_runs(alb, first_goes_back):
    """The second listener has the new weights, the reply is lost, and nobody may change it any more: never said to be back."""
    driver = alb.balancer()
    driver.commit(BLUE, TestFence())
    second = Counter[str]()

    def script(call: Call) -> Refused | Fate | None:
        if call.action != "ModifyListener":
            return None
        if call.asked["ListenerArn"] == alb.places[1]:
            second[call.action] += 1
            return Fate.LOST if second[call.action] == 1 else Refused("OperationNotPermitted", "not any more")
        return Refused("OperationNotPermitted", "neither") if second and not first_goes_back else None

    alb.standin.front.script = script
    with pytest.raises(AwsRejected, match="OperationNotPermitted") as caught:
        driver.commit(GREEN, TestFence())
    assert "could not be put back: both pools are needed" in caught.value.now
    reading = driver.read()
    assert reading.durable == GREEN, "the note still says what is under way"
    assert reading.settled is not first_goes_back
    assert list(reading.workers.values()).count(GREEN) == (1 if first_goes_back else 2)
    alb.standin.front.script = None
    assert driver.commit(BLUE, TestFence()).settled


def test_the_preview_of_another_application_on_the_same_listener_is_not_taken_for_ours(alb):
    theirs = alb.standin.client("elbv2").create_rule(
        ListenerArn=alb.layout.listeners[0],
        Priority=7,
        Conditions=[
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Changeover-Preview", "Values": ["k"]}}
        ],
        Actions=[{"Type": "forward", "TargetGroupArn": (group := other_group(alb))}],
    )["Rules"][0]["RuleArn"]
    refused_everywhere(alb, "CO-0803", "rule 7", "does not own")
    driver = AlbBalancer(replace(alb.balancer().settings, leave_others=True), alb.clock, alb.town)
    assert driver.commit(GREEN, TestFence()).settled
    rule = alb.standin.client("elbv2").describe_rules(RuleArns=[theirs])["Rules"][0]
    assert group in str(rule["Actions"])
    _, secret = driver.preview()
    assert secret["x-changeover-preview"] not in ("", "k")


# what was put back is no pool that has always been idle ---------------------------------------------------


def refuse_second(at: Scene, code: str, status: int = 400) -> None:
    """The second listener is not to be changed to green."""

    def script(call: Call) -> Refused | None:
        if call.action != "ModifyListener" or call.asked["ListenerArn"] != at.places[1]:
            return None
        return Refused(code, "not now", status) if "'Weight': '1'" in str(call.asked).partition("green")[2] else None

    at.standin.front.script = script


@pytest.mark.parametrize("witness", [True, False])
def test_a_pool_that_was_served_until_it_was_put_back_is_not_drained_at_once(witness, tmp_path):
    """Its nodes hear of it later, and what began there goes on: all of the wait begins anew."""
    with scene(tmp_path, "alb", Weather(2), listeners=2, witness=witness) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        at.clock.sleep(60.0)
        assert driver.in_flight("green").is_zero
        refuse_second(at, "OperationNotPermitted")
        with pytest.raises(AwsRejected):
            driver.commit(GREEN, TestFence())
        assert not driver.in_flight("green").is_zero
        assert not at.balancer().in_flight("green").is_zero
        at.standin.front.script = None
        assert driver.commit(BLUE, TestFence()).settled
        assert witness or not driver.in_flight("green").is_zero, "the delay goes on"
        at.clock.sleep(60.0)
        assert driver.in_flight("green").is_zero


@pytest.mark.parametrize("witness", [True, False])
def test_instances_that_were_taken_out_again_are_not_drained_at_once(witness, tmp_path):
    with scene(tmp_path, "elb", Weather(2), witness=witness) as at:
        at.world.run("green", "1.1.0")
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        at.clock.sleep(60.0)
        assert driver.in_flight("green").is_zero
        at.world.never_ready.add("green-2")  # green-1 gets into service, and serves
        with pytest.raises(BalancerRefused, match="not every instance is in service"):
            driver.commit(GREEN, TestFence())
        assert any(slot == "green-1" for slot, _, _ in at.town.seen)
        assert not driver.in_flight("green").is_zero
        at.world.never_ready.clear()
        assert driver.commit(BLUE, TestFence()).settled
        assert witness or not driver.in_flight("green").is_zero, "the delay goes on"
        at.clock.sleep(60.0)
        assert driver.in_flight("green").is_zero


# a pool that may still be reached is never empty -------------------------------------------------------------


def weights_by_hand(at: Scene, listener: int, **weights: int) -> None:
    """In the console: no word of it in the note."""
    groups = [{"TargetGroupArn": at.layout.groups[p], "Weight": w} for p, w in weights.items()]
    forward = {"TargetGroups": groups, "TargetGroupStickinessConfig": {"Enabled": False}}
    at.standin.client("elbv2").modify_listener(
        ListenerArn=at.places[listener], DefaultActions=[{"Type": "forward", "ForwardConfig": forward}]
    )


def test_by_time_a_pool_that_gets_traffic_is_never_empty(tmp_path):
    """Whatever says that it does: the note, or one listener of two."""
    with scene(tmp_path, "alb", Weather(1), witness=False) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        at.clock.sleep(400.0)
        assert driver.in_flight("green").is_zero
        assert driver.in_flight("blue").requests is None
        weights_by_hand(at, 1, blue=1, green=1)
        at.clock.sleep(400.0)
        assert driver.in_flight("green").requests is None
        weights_by_hand(at, 0, blue=0, green=1)
        weights_by_hand(at, 1, blue=0, green=1)
        assert driver.in_flight("blue").requests is None, "the note still gives it everything"


def test_by_time_instances_that_are_registered_are_never_empty(tmp_path):
    with scene(tmp_path, "elb", Weather(1), witness=False) as at:
        at.world.run("green", "1.1.0")
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        at.clock.sleep(400.0)
        assert driver.in_flight("green").is_zero
        assert driver.in_flight("blue").requests is None
        at.standin.client("elb").register_instances_with_load_balancer(
            LoadBalancerName=at.layout.name, Instances=[{"InstanceId": at.layout.instances["green"][0]}]
        )
        at.clock.sleep(400.0)
        assert driver.in_flight("green").requests is None


def test_a_permission_that_is_missing_for_one_listener_only_is_put_back_at_the_other(alb):
    driver = alb.balancer()
    driver.commit(BLUE, TestFence())
    refuse_second(alb, "AccessDenied", 403)
    with pytest.raises(AwsDenied) as caught:
        driver.commit(GREEN, TestFence())
    assert "put back" in caught.value.now
    assert alb.live() == "blue"
    assert (driver.read().route, driver.read().settled) == (BLUE, True)


@pytest.mark.parametrize(
    ("refused", "now", "left"),
    [
        (REGISTER, "taken out again", "blue"),
        (DEREGISTER, "both pools are registered", ""),
    ],
)
def test_what_a_classic_balancer_refuses_half_way_is_told(refused, now, left, elb):
    driver = elb.balancer()
    driver.commit(BLUE, TestFence())
    elb.standin.front.script = lambda call: Refused("TooManyAccess", "no", 400) if call.action == refused else None
    with pytest.raises(AwsRejected) as caught:
        driver.commit(GREEN, TestFence())
    assert now in caught.value.now
    assert elb.live() == left
    if left:
        assert (driver.read().route, driver.read().settled) == (BLUE, True)
    else:
        assert not driver.read().settled
        assert not driver.in_flight("blue").is_zero


def test_a_preview_whose_reply_was_lost_is_found_although_answers_are_old(alb):
    """It was made, the answer was lost, and for a while half of the describes do not show it."""
    alb.standin.weather = alb.standin.world.weather = Weather(4, stale=1.0, stale_for=(8.0, 8.0))
    lost: list[str] = []

    def script(call: Call) -> Fate | None:
        if call.action != "CreateRule" or lost:
            return None
        lost.append(call.action)
        return Fate.LOST

    alb.standin.front.script = script
    assert alb.balancer().commit(GREEN, TestFence()).settled
    assert lost


# bad input, classic --------------------------------------------------------------------------------------


def test_an_instance_that_no_pool_has_is_named(elb):
    (name,) = seed.run(elb.standin, subnet(elb), 1)
    elb.standin.world.network[name] = ("127.0.0.1", 1)
    elb.standin.client("elb").register_instances_with_load_balancer(
        LoadBalancerName=elb.layout.name, Instances=[{"InstanceId": name}]
    )
    refused_everywhere(elb, "CO-0804", name, "no flip would move them")


def subnet(at: Scene) -> str:
    found = at.standin.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [at.layout.vpc]}])
    return str(found["Subnets"][0]["SubnetId"])


def test_an_instance_in_another_vpc_or_nowhere_is_named(elb):
    _, subnets = seed.vpc(elb.standin, "127.1.0.0/16")
    (name,), own = seed.run(elb.standin, subnets[0], 1), elb.layout.instances
    elb.layout = replace(elb.layout, instances={**own, "green": (own["green"][0], name)})
    refused_everywhere(elb, "CO-0804", name, "another VPC")
    elb.layout = replace(elb.layout, instances={**own, "green": (own["green"][0], "i-0fedcba9876543210")})
    refused_everywhere(elb, "CO-0804", "there is no EC2 instance i-0fedcba9876543210")


def test_a_balancer_that_would_cut_requests_is_refused(elb):
    elb.standin.client("elb").modify_load_balancer_attributes(
        LoadBalancerName=elb.layout.name, LoadBalancerAttributes={"ConnectionDraining": {"Enabled": False}}
    )
    refused_everywhere(elb, "CO-0203", "connection draining", "would cut")


def test_instances_that_never_get_into_service_are_taken_out_again(elb):
    elb.world.never_ready.update({"green-1", "green-2"})
    driver = elb.balancer()
    driver.commit(BLUE, TestFence())
    with pytest.raises(BalancerRefused, match="not every instance is in service") as caught:
        driver.commit(GREEN, TestFence())
    assert "taken out again" in caught.value.now
    elb.clock.sleep(60.0)
    assert driver.read().route == BLUE
    assert driver.read().settled
    assert not elb.town.lost


# the guard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alb", "elb"])
def test_another_account_is_refused_before_anything_else_is_asked(kind, tmp_path):
    with scene(tmp_path, kind, Weather(1)) as at:
        own = at.balancer()
        access = replace(own.settings.access, account="999999999999")
        driver = type(own)(replace(own.settings, access=access), at.clock, at.town)
        calls = dict(at.standin.front.calls)
        for ask in (
            driver.read,
            lambda: driver.commit(GREEN, TestFence()),
            lambda: driver.health("blue"),
            driver.preview,
        ):
            with pytest.raises(AwsAccountRefused) as caught:
                ask()
            assert caught.value.code == "CO-0801"
            assert caught.value.next
        assert driver.in_flight("blue").requests is None
        assert [f.detail for f in driver.inspect() if not f.ok and "CO-0801" in f.detail]
        asked = {k: n - calls.get(k, 0) for k, n in at.standin.front.calls.items() if n != calls.get(k, 0)}
        assert set(asked) <= {"other"}, "who am I is all that was asked"


def test_arns_of_another_region_are_refused_without_a_call(alb):
    own = alb.balancer()
    driver = AlbBalancer(replace(own.settings, access=replace(own.settings.access, region="eu-west-1")), alb.clock)
    with pytest.raises(AwsAccountRefused, match="eu-west-1"):
        driver.read()


def test_a_missing_permission_names_the_action_and_the_policy(alb):
    def script(call: Call) -> Refused | None:
        return Refused("AccessDenied", "not authorized", 403) if call.action == "ModifyListener" else None

    alb.standin.front.script = script
    with pytest.raises(AwsDenied) as caught:
        alb.balancer().commit(GREEN, TestFence())
    assert caught.value.code == "CO-0802"
    assert "elasticloadbalancing:ModifyListener" in caught.value.what
    assert any("--grants" in n for n in caught.value.next)


@pytest.mark.parametrize("kind", ["alb", "elb"])
def test_the_minimal_policy_allows_every_call_that_is_made(kind, tmp_path):
    """Everything that a whole life of the driver asks AWS for stands in the policy, and nothing else does."""
    with scene(tmp_path, kind, Weather(1)) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver, before = at.balancer(), dict(at.standin.front.calls)
        driver.commit(GREEN, TestFence())
        driver.inspect()
        driver.in_flight("blue")
        driver.health("blue")
        driver.preview()
        asked = {k for k, n in at.standin.front.calls.items() if n != before.get(k, 0)} - {"other"}
    assert "\n".join(at.door().grants()).endswith("\n".join(driver.grants())), "doctor --grants prints it"
    allowed = {a.partition(":")[2] for s in policy_of(driver) for a in s["Action"] if a.startswith("elastic")}
    assert asked <= allowed, asked - allowed
    assert allowed - asked <= {"RemoveTags", "ModifyRule"}, "a rule as a place, and what is put back"


def policy_of(driver: Any) -> list[dict[str, Any]]:
    return list(json.loads("\n".join(driver.grants()))["Statement"])


def test_the_minimal_policy_allows_every_write_on_just_what_it_changes(alb):
    """Also where the route is in rules only: the preview is made on their listener."""
    elbv2 = alb.standin.client("elbv2")
    rules = [
        elbv2.create_rule(
            ListenerArn=arn,
            Priority=10,
            Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*"]}}],
            Actions=[{"Type": "forward", "TargetGroupArn": alb.layout.groups["blue"]}],
        )["Rules"][0]["RuleArn"]
        for arn in alb.layout.listeners
    ]
    elsewhere = other_group(alb)
    for places in ((*alb.places, *rules), rules):
        if places is rules:
            for arn in alb.layout.listeners:
                elbv2.modify_listener(
                    ListenerArn=arn, DefaultActions=[{"Type": "forward", "TargetGroupArn": elsewhere}]
                )
        settings = replace(alb.balancer().settings, listeners=tuple(places), leave_others=True, preview_priority=3)
        driver = AlbBalancer(settings, alb.clock, alb.town)
        before = len(alb.standin.front.applied)
        for route in (BLUE, GREEN):
            driver.commit(route, TestFence())
        done = [(a, target) for _, a, asked in alb.standin.front.applied[before:] for target in written(asked)]
        assert {a for a, _ in done} >= {"AddTags", "ModifyRule"}
        for action, target in done:
            named = [s for s in policy_of(driver) if f"elasticloadbalancing:{action}" in s["Action"]]
            assert any(fnmatchcase(target, r) for s in named for r in s["Resource"]), (action, target)
        preview = driver.survey().preview
        assert preview is not None
        elbv2.delete_rule(RuleArn=preview.arn)


def written(asked: Any) -> list[str]:
    """What a write is about."""
    found = asked.get("RuleArn") or asked.get("ListenerArn")
    return [found] if found else list(asked["ResourceArns"])


# bad weather ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.BROKEN_AFTER, Fate.BROKEN, Fate.THROTTLED])
@pytest.mark.parametrize("kind", ["alb", "elb"])
def test_every_write_that_is_not_acknowledged_is_given_again(kind, fate, tmp_path):
    """Whether it was applied or not: each kind of write meets the fate once."""
    with scene(tmp_path, kind, Weather(1)) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver, met = at.balancer(), set()

        def script(call: Call) -> Fate | None:
            if call.looks or call.action in met:
                return None
            met.add(call.action)
            return fate

        at.standin.front.script = script
        assert driver.commit(GREEN, TestFence()).route == GREEN
        assert at.live() == "green"
        assert met >= (
            {"AddTags", "ModifyListener", "CreateRule"} if kind == "alb" else {"AddTags", REGISTER, DEREGISTER}
        )
        assert driver.read().settled


def test_the_lease_is_looked_at_before_every_time_that_a_write_is_sent(tmp_path):
    """botocore's own retries are for looks only: a process that sleeps between two of them must not write."""
    with scene(tmp_path, "alb", Weather(1), listeners=1, attempts=5) as at:
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        writes: list[str] = []

        def script(call: Call) -> Fate | None:
            if call.looks:
                return None
            writes.append(call.action)
            return Fate.THROTTLED if writes.count(call.action) < 4 else None

        at.standin.front.script = script
        fence = TestFence()
        assert driver.commit(Route("blue", "green", 500, mark="new"), fence).settled
        assert writes == ["AddTags"] * 4 + ["ModifyListener"] * 4 + ["ModifyRule"] * 4 + ["AddTags"]
        assert fence.checks == 1 + len(writes)
        fence = TestFence(hooks={4: lambda: setattr(fence, "lost", True)})
        writes.clear()
        with pytest.raises(FencedOut):
            driver.commit(BLUE, fence)
        assert writes == ["AddTags"] * 3


def test_weather_that_does_not_end_is_an_error_that_says_what_is_not_known(alb):
    driver = alb.balancer()
    driver.commit(BLUE, TestFence())
    alb.standin.weather = alb.standin.world.weather = Weather(5, throttle=1.0)
    began = alb.world.time
    with pytest.raises(BalancerUnreachable):
        driver.commit(GREEN, TestFence())
    assert alb.world.time - began < 70.0
    alb.standin.weather.clear()
    assert driver.read().route == BLUE


def in_stale_weather(at: Scene, *, lasts: float, times: int = 1) -> AlbBalancer:
    """A driver that has seen the route BLUE; from now on half of the answers show what was before a change."""
    settings = replace(at.balancer().settings, read_back=ReadBack(times, 1.0, 60.0), propagation=30.0)
    driver = AlbBalancer(settings, at.clock, at.town)
    driver.commit(BLUE, TestFence())
    at.clock.sleep(60.0)
    at.standin.weather = at.standin.world.weather = Weather(5, stale=1.0, stale_for=(lasts, lasts))
    return driver


def test_an_old_answer_is_not_believed(tmp_path):
    """Half of the answers show the state before the flip: read does not tell of them, and they empty no pool."""
    with scene(tmp_path, "alb", Weather(1), listeners=1, witness=False) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(400.0)
        driver = in_stale_weather(at, lasts=500.0)
        assert driver.in_flight("green").is_zero
        assert driver.commit(GREEN, TestFence()).route == GREEN
        for _ in range(10):
            assert driver.in_flight("green").requests is None
            assert driver.read().route == GREEN


def test_a_new_process_does_not_write_again_what_it_has_read_too_late(tmp_path):
    """Its first look shows the route of a moment ago, as if it were so."""
    with scene(tmp_path, "alb", Weather(1), listeners=1) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver = in_stale_weather(at, lasts=60.0)
        driver.commit(Route("blue", "green", 2500, mark="share"), TestFence())
        misled = 0
        for _ in range(12):
            other = AlbBalancer(driver.settings, at.clock, at.town)
            if other.read().route == BLUE:
                misled += 1
                with pytest.raises(BalancerRefused, match="was stale"):
                    other.commit(BLUE, TestFence())
                break
            at.clock.sleep(1.0)
        assert misled
        assert at.gets_weight("green")


def test_every_listener_is_read_back(tmp_path):
    """Not only the first: what is set back at the second is seen."""
    with scene(tmp_path, "alb", Weather(1), listeners=2) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        acknowledged: list[str] = []

        def script(call: Call) -> None:
            """Somebody sets the second one back as soon as all of it is acknowledged."""
            if call.action == "AddTags" and "green:blue" in str(call.asked) and not acknowledged:
                acknowledged.append(call.action)
            elif call.action == "DescribeTags" and acknowledged == ["AddTags"]:
                acknowledged.append(call.action)
                at.standin.front.script = None
                weights_by_hand(at, 1, blue=1, green=0)

        at.standin.front.script = script
        with pytest.raises(BalancerRefused, match="does not show the weights that were asked"):
            driver.commit(GREEN, TestFence())
        assert len(acknowledged) == 2


@pytest.mark.parametrize("kind", ["alb", "elb"])
def test_what_can_be_refused_is_refused_at_staging_and_nothing_is_changed(kind, tmp_path):
    with scene(tmp_path, kind, Weather(1)) as at:
        driver = at.balancer()
        driver.commit(BLUE, TestFence(token=5))
        with nothing_changes(at):
            driver.stage(GREEN, TestFence(token=5))
            with pytest.raises(FencedOut):
                driver.stage(GREEN, TestFence(token=4))
            with pytest.raises(FencedOut):
                driver.stage(GREEN, TestFence(token=5, lost=True))
            with pytest.raises(BalancerRefused):
                driver.stage(Route("blue", "purple"), TestFence(token=5))


def test_a_newer_owner_is_respected(alb):
    alb.balancer().commit(Route("blue", "green", 500, mark="new"), TestFence(token=8))
    with nothing_changes(alb), pytest.raises(FencedOut):
        alb.balancer().commit(GREEN, TestFence(token=7))


# shares ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shares"), [("alb", (10, 500, 2500, 5000)), ("elb", (3333, 5000))])
def test_a_share_is_what_the_driver_can_give(kind, shares, tmp_path):
    """100 000 new visitors in all: within 0.6 points of the share that weights or counts of instances give at best."""
    with scene(tmp_path, kind, Weather(3), listeners=1) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver, port = at.balancer(), at.town.listeners[0]
        for share in shares:
            driver.commit(Route("blue", "green", share, mark="share"), TestFence())
            at.clock.sleep(20.0)
            visitors = 100_000 // len(shares)
            ways = [at.standin.router.way(n % 2, port, Asked()) for n in range(visitors)]
            green = sum(at.town.slots[w.place].startswith("green") for w in ways if w.place is not None)
            assert abs(100 * green / visitors - share / 100) < 0.6, (share, green)


# what people get to copy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alb", "elb"])
def test_the_way_by_hand_is_run_with_the_aws_cli(kind, tmp_path):
    if shutil.which("aws") is None or subprocess.run(["aws", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("the AWS CLI is not installed")
    with scene(tmp_path, kind, Weather(1), listeners=1) as at:
        at.world.run("green", "1.1.0")
        at.clock.sleep(30.0)
        driver = at.balancer()
        driver.commit(BLUE, TestFence())
        lines = [line for line in driver.by_hand(GREEN) if not line.startswith("#")]
        if kind == "elb":
            # Time stands still while a shell runs: the new instances are brought into service between the commands.
            shell(lines[:3])
            at.clock.sleep(60.0)
            shell(lines[3:])
        else:
            shell(lines)
        at.clock.sleep(30.0)
        assert at.live() == "green"
        reading = driver.read()
        assert reading.settled, reading
        assert reading.route is not None
        assert reading.route.decides_like(GREEN)
        shell(driver.by_hand_live("green"))
        if kind == "alb":
            shell(driver.by_hand_health("green"))
        wrong = replace(driver.settings, access=replace(driver.settings.access, account="999999999999"))
        other = type(driver)(wrong, at.clock)
        guard = next(line for line in other.by_hand(BLUE) if "get-caller-identity" in line)
        assert run(guard).returncode != 0


def shell(lines: Any) -> None:
    ended = run("\n".join(lines))
    assert ended.returncode == 0, ended.stderr


def run(script: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "stand-in", "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_PAGER": ""}
    return subprocess.run(
        ["bash", "-e", "-c", script], capture_output=True, text=True, env=env, timeout=100, check=False
    )


# init -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shell_of(monkeypatch):
    """The environment of a shell whose AWS is the stand-in."""

    def use(at: Scene) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", at.standin.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stand-in")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stand-in")

    return use


def test_init_reads_an_alb(alb, tmp_path, shell_of):
    shell_of(alb)
    proposal = propose(tmp_path, None, app="shop", environment="production", arn=alb.layout.arn)
    text = proposal.configuration
    for arn in (*alb.layout.listeners, *alb.layout.groups.values()):
        assert arn in text
    assert f'account: "{ACCOUNT}"' in text
    assert f"region: {REGION}" in text
    assert "127.0.0.1" not in text or "FILL_IN" in text
    assert "2 target groups" in " ".join(proposal.found)


def test_init_reads_a_classic_balancer(elb, tmp_path, shell_of):
    shell_of(elb)
    arn = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{elb.layout.name}"
    proposal = propose(tmp_path, None, app="shop", environment="production", arn=arn)
    assert f"load_balancer: {elb.layout.name}" in proposal.configuration
    assert ", ".join(elb.layout.instances["blue"]) in proposal.configuration
    assert "FILL_IN" in proposal.configuration


def test_init_refuses_credentials_of_another_account(alb, tmp_path, shell_of):
    shell_of(alb)
    with pytest.raises(AwsAccountRefused):
        propose(tmp_path, None, app="shop", environment="x", arn=alb.layout.arn.replace(ACCOUNT, "999999999999"))
    with pytest.raises(ChangeoverError):
        propose(tmp_path, None, app="shop", environment="x", arn="arn:aws:s3:::bucket")


def test_a_misfit_is_a_kind_of_what_status_survives():
    """Whatever the AWS drivers refuse at a look is told by status, not raised."""
    from changeover.core import errors

    for name in ("AwsAccountRefused", "TargetGroupUnfit"):
        assert issubclass(getattr(errors, name), BalancerMisconfigured)
    for name in ("ListenerForeign", "WeightsUnusable"):
        assert issubclass(getattr(errors, name), errors.RouteDrift)
    assert issubclass(AwsDenied, BalancerUnreachable)
