"""What the AWS drivers decide without asking anybody: routes as weights or members, notes, evidence of a drain, permissions."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from changeover.core.errors import AwsAccountRefused, BalancerRefused, FencedOut
from changeover.core.model import Route, Slot
from changeover.core.ports import Answer
from changeover.drivers.balancers import alb_by_hand, alb_route, aws_flight, aws_note, aws_policy, elb_route, elb_survey
from changeover.drivers.balancers.alb_route import NotARoute, Terms
from changeover.drivers.balancers.aws_back import Shared
from changeover.drivers.balancers.aws_flight import Moment, Seen, Witness
from changeover.drivers.balancers.aws_note import Note
from changeover.drivers.balancers.aws_session import Access, demand_ours
from changeover.testing.cases import TestFence

BLUE = "arn:aws:elasticloadbalancing:eu-central-1:210987654321:targetgroup/blue/1"
GREEN = "arn:aws:elasticloadbalancing:eu-central-1:210987654321:targetgroup/green/2"
TERMS = Terms({"blue": BLUE, "green": GREEN}, 600)
ACCESS = Access("210987654321", "eu-central-1")


# weights ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "live", "candidate"),
    [(0, 1, 0), (10, 999, 1), (500, 950, 50), (2500, 750, 250), (5000, 500, 500), (9990, 1, 999), (9999, 1, 999)],
)
def test_a_share_in_weights(share, live, candidate):
    assert alb_route.split(share) == (live, candidate)


def test_every_share_is_given_to_the_nearest_tenth_of_a_percent_and_none_is_lost():
    for share in range(10, 10_000):
        live, candidate = alb_route.split(share)
        assert 1 <= candidate <= 999
        assert 1 <= live <= 999
        assert abs(10_000 * candidate / (live + candidate) - share) <= (5 if share <= 9990 else 9)


@pytest.mark.parametrize("share", [0, 10, 500, 2500, 5000, 7500, 9900])
def test_what_is_written_is_read_again(share):
    route = Route("blue", "green", share)
    found = alb_route.parse(alb_route.actions(route, TERMS), TERMS)
    assert found.gives(route, TERMS)
    assert not found.gives(Route("green", "blue", share + 10), TERMS)
    assert found.route().share_of("green", 0.0) == pytest.approx(share, abs=10)


def test_both_groups_are_always_named_and_nobody_sticks_without_a_share():
    config = alb_route.actions(Route("green", "blue"), TERMS)[0]["ForwardConfig"]
    assert [(g["TargetGroupArn"], g["Weight"]) for g in config["TargetGroups"]] == [(BLUE, 0), (GREEN, 1)]
    assert config["TargetGroupStickinessConfig"] == {"Enabled": False}
    config = alb_route.actions(Route("green", "blue", 100), TERMS)[0]["ForwardConfig"]
    assert config["TargetGroupStickinessConfig"] == {"Enabled": True, "DurationSeconds": 600}


def test_a_share_that_weights_cannot_give_is_refused():
    with pytest.raises(BalancerRefused, match=r"0\.1 % is the finest"):
        alb_route.demand(Route("blue", "green", 9), TERMS)
    with pytest.raises(BalancerRefused, match="purple"):
        alb_route.demand(Route("blue", "purple"), TERMS)


def group(arn: str, weight: int) -> dict[str, object]:
    return {"TargetGroupArn": arn, "Weight": weight}


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ([], "nothing"),
        ([{"Type": "redirect"}], "redirect"),
        ([{"Type": "authenticate-oidc"}, {"Type": "forward", "TargetGroupArn": BLUE}], "authenticate-oidc and forward"),
        ([{"Type": "forward", "TargetGroupArn": f"{BLUE}9"}], "which is no pool"),
        ([{"Type": "forward", "ForwardConfig": {"TargetGroups": [group(BLUE, 1), group(f"{BLUE}9", 1)]}}], "no pool"),
    ],
)
def test_what_is_no_route_is_named(actions, words):
    with pytest.raises(NotARoute, match=words) as caught:
        alb_route.parse(actions, TERMS)
    assert not caught.value.weights


def test_weights_that_serve_nobody_are_no_route():
    actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [group(BLUE, 0), group(GREEN, 0)]}}]
    with pytest.raises(NotARoute, match="nobody is served") as caught:
        alb_route.parse(actions, TERMS).route()
    assert caught.value.weights


def test_the_short_form_of_a_forward_is_understood():
    assert alb_route.parse([{"Type": "forward", "TargetGroupArn": GREEN}], TERMS).route() == Route("green", "blue")
    alone = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [group(GREEN, 0)]}}]
    assert alb_route.parse(alone, TERMS).route().live == "green"  # the weight of an only group means nothing


def test_the_preview_leads_to_the_pool_that_is_not_live():
    for route, wanted in (
        (Route("blue", "green"), GREEN),
        (Route("green", "blue", 100), BLUE),
        (Route("blue", "blue"), GREEN),
    ):
        assert alb_route.preview_actions(route, TERMS)[0]["ForwardConfig"]["TargetGroups"] == [group(wanted, 1)]


# members ---------------------------------------------------------------------------------------------

MEMBERS = elb_route.Terms({"blue": ("i-b1", "i-b2"), "green": ("i-g1", "i-g2")})


@pytest.mark.parametrize(
    ("share", "members"),
    [
        (0, {"i-b1", "i-b2"}),
        (1, {"i-b1", "i-b2", "i-g1"}),
        (3333, {"i-b1", "i-b2", "i-g1"}),
        (5000, {"i-b1", "i-b2", "i-g1", "i-g2"}),
        (9999, {"i-b1", "i-b2", "i-g1", "i-g2"}),
    ],
)
def test_a_share_in_instances(share, members):
    assert elb_route.members(Route("blue", "green", share), MEMBERS) == members


def test_all_of_the_live_pool_stays_and_the_finest_share_is_one_instance():
    assert MEMBERS.finest == 3333
    assert elb_route.shares(MEMBERS, "blue", "green") == (3333, 5000)
    for share in range(0, 10_000, 100):
        assert {"i-g1", "i-g2"} <= elb_route.members(Route("green", "blue", share), MEMBERS)


def test_members_of_both_pools_are_no_route_by_themselves():
    assert elb_route.derive(frozenset({"i-b1"}), MEMBERS) == Route("blue", "green")
    assert elb_route.derive(frozenset({"i-b1", "i-g1"}), MEMBERS) is None
    assert elb_route.derive(frozenset(), MEMBERS) is None


# the note --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["", "r-1.s3.f7", "by-hand"])
def test_a_note_is_read_as_it_was_written(mark):
    note = Note(Route("blue", "gre-en_2", 500, 7312, 1_795_446_539, mark), 7, 1_795_446_000.125, 1_795_446_001.5)
    text = aws_note.encode(note)
    assert aws_note.parse(text) == note
    assert len(text) <= 256
    assert all(c.isalnum() or c in "_.:/=+-@ " for c in text), "what every tag may hold"


@pytest.mark.parametrize(
    "text", ["x", "blue:green", "blue:green:99999:0:0::1:1:1", "b b:green:0:0:0::1:1:1", "a:b:x:0:0::1:1:1"]
)
def test_another_text_is_no_note_and_is_said_so(text):
    note, problem = aws_note.understood(text)
    assert note is None
    assert aws_note.TAG in problem
    assert aws_note.understood("") == (None, "")


def test_what_is_waited_for_counts_from_the_acknowledgement():
    """A write that took AWS 50 s to acknowledge has not been spreading for 50 s."""
    old = Note(Route("blue", "green"), 7, since=100.0, at=100.0)
    first = aws_note.before(Route("green", "blue"), TestFence(token=7), 1000.0, old, settled=True)
    assert (first.since, first.asked(1050.0)) == (0.0, 0.0)
    second = aws_note.after(first, 1050.0)
    assert second.asked(1060.0) == 10.0
    assert old.age < first.age < second.age
    renewed = aws_note.before(Route("green", "blue", expires=9), TestFence(token=8), 2000.0, second, settled=True)
    assert renewed.since == 1050.0
    assert aws_note.after(renewed, 2001.0) == renewed
    unsettled = aws_note.before(Route("green", "blue"), TestFence(token=8), 2000.0, second, settled=False)
    assert unsettled.since == 0.0


def test_a_newer_owners_note_fences_out():
    note = Note(Route("blue", "green"), 8)
    aws_note.demand(note, TestFence(token=8), "web")
    aws_note.demand(None, TestFence(token=1), "web")
    with pytest.raises(FencedOut, match="fence 8"):
        aws_note.demand(note, TestFence(token=7), "web")


# evidence of a drain -----------------------------------------------------------------------------------

SLOTS = (Slot("blue", 1, "h", 1), Slot("blue", 2, "h", 2))


def moment(*, carries: bool = False, asked: float = 60.0, now: float = 1000.0) -> Moment:
    return Moment(carries, asked, now, propagation=10.0, quiet=2.0)


def seen(*counts: int | None, last: float = 0.0, gone: bool = False) -> tuple[Seen, ...]:
    return tuple(Seen(s, c, last, gone and c is None) for s, c in zip(SLOTS, counts, strict=True))


def test_zero_counts_only_when_the_change_has_spread_and_nothing_arrives():
    assert aws_flight.by_application(seen(0, 0), moment()).is_zero
    assert aws_flight.by_application(seen(0, 2), moment()).requests == 2
    assert aws_flight.by_application(seen(0, 0), moment(asked=9.0)).requests is None
    assert aws_flight.by_application(seen(0, 0, last=999.0), moment()).requests is None
    assert aws_flight.by_application(seen(0, 0, last=999.0), moment(carries=True)).requests == 0


def test_an_instance_that_does_not_say_makes_it_unknown_but_one_that_is_gone_has_nothing():
    assert aws_flight.by_application(seen(0, None), moment()).requests is None
    assert aws_flight.by_application(seen(0, None, gone=True), moment()).is_zero


@pytest.mark.parametrize(
    ("delay", "asked", "carries", "zero"),
    [
        (300, 299, False, False),
        (300, 301, False, True),
        (0, 9, False, False),
        (0, 11, False, True),
        (1, 999, True, False),
    ],
)
def test_by_time_the_owners_own_delay_decides(delay, asked, carries, zero):
    found = aws_flight.by_time(delay, moment(asked=asked, carries=carries))
    assert found.is_zero is zero
    assert zero or found.requests is None
    assert found.detail


class Says:
    """`Web`: answers what it was told."""

    def __init__(self, body: str, status: int = 200, note: str = "") -> None:
        self.answer = Answer(status, body.encode(), note)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer:
        return self.answer


@pytest.mark.parametrize(
    ("body", "count", "last"),
    [
        ('{"n": 3, "t": {"at": 12.5}}', 3, 12.5),
        ('{"n": {"GET": 1, "PUT": 2}, "t": null}', 3, 0.0),
        ('{"n": "3"}', None, 0.0),
        ('{"n": true}', None, 0.0),
        ('{"m": 3}', None, 0.0),
        ("[]", None, 0.0),
        ("no", None, 0.0),
    ],
)
def test_what_an_instance_says_is_read_strictly(body, count, last):
    (found,) = aws_flight.ask(Says(body), Witness("/s", "n", "t.at"), SLOTS[:1], 1.0)
    assert (found.count, found.last) == (count, last)
    assert count is not None or found.note


def test_long_lived_connections_are_told_by_kind_and_keep_a_pool_from_being_empty():
    witness = Witness("/s", "n", websockets="open.ws", event_streams="open.sse")
    (some,) = aws_flight.ask(Says('{"n": 0, "open": {"ws": 2, "sse": 0}}'), witness, SLOTS[:1], 1.0)
    found = aws_flight.by_application((some,), moment())
    assert (found.requests, found.long_lived, found.is_zero) == (0, 2, False)
    assert found.kinds == {"websockets": 2, "event streams": 0}
    (none,) = aws_flight.ask(Says('{"n": 0, "open": {"ws": 0, "sse": 0}}'), witness, SLOTS[:1], 1.0)
    assert aws_flight.by_application((none,), moment()).is_zero
    (silent,) = aws_flight.ask(Says('{"n": 0}'), witness, SLOTS[:1], 1.0)
    assert silent.count is None, "a kind that is not told is not zero"
    lines = " ".join(alb_by_hand.wait_drained("blue", SLOTS[:1], witness, 1.0, 10.0))
    assert all(f'"{key}"' in lines for key in ("n", "ws", "sse"))


@pytest.mark.parametrize(
    ("state", "words", "there", "good"),
    [
        ("InService", "N/A", True, True),
        ("InService", "Instance deregistration currently in progress.", True, False),
        ("InService", "N/A", False, False),
        ("OutOfService", "N/A", True, False),
    ],
)
def test_in_service_is_registered_healthy_and_not_on_its_way_out(state, words, there, good):
    registered = frozenset({"i-1"} if there else ())
    survey = elb_survey.Survey("web", "vpc-1", registered, {"i-1": (state, words)}, {}, 300.0, {})
    assert survey.in_service("i-1") is good


def test_an_error_and_a_dead_instance_are_told_apart():
    (found,) = aws_flight.ask(Says("", 500), Witness("/s", "n"), SLOTS[:1], 1.0)
    assert (found.count, found.gone) == (None, False)
    (found,) = aws_flight.ask(Says("", 0, aws_flight.REFUSED), Witness("/s", "n"), SLOTS[:1], 1.0)
    assert found.gone
    (found,) = aws_flight.ask(Says("", 0, "no whole answer within 1 s"), Witness("/s", "n"), SLOTS[:1], 1.0)
    assert not found.gone


# guard and permissions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:elasticloadbalancing:eu-west-1:210987654321:targetgroup/blue/1",
        "arn:aws:elasticloadbalancing:eu-central-1:999999999999:targetgroup/blue/1",
        "blue",
    ],
)
def test_what_is_of_another_account_or_region_is_refused_before_anything_is_asked(arn):
    with pytest.raises(AwsAccountRefused) as caught:
        demand_ours(ACCESS, arn)
    assert caught.value.code == "CO-0801"
    demand_ours(ACCESS, BLUE)


LISTENER = "arn:aws:elasticloadbalancing:eu-central-1:210987654321:listener/app/web/50dc/f2f7"
RULE = "arn:aws:elasticloadbalancing:eu-central-1:210987654321:listener-rule/app/web/50dc/f2f7/9683"


def test_the_policy_changes_only_what_is_named():
    policy = json.loads("\n".join(aws_policy.alb(ACCESS, (LISTENER, RULE), (BLUE, GREEN))))
    by_sid = {s["Sid"]: s for s in policy["Statement"]}
    assert by_sid["Look"]["Resource"] == "*"
    assert all(":Describe" in a or ":Get" in a for a in by_sid["Look"]["Action"])
    assert by_sid["Look"]["Condition"] == {"StringEquals": {"aws:RequestedRegion": "eu-central-1"}}
    assert by_sid["Shift"]["Resource"] == [LISTENER]
    assert by_sid["Rules"]["Resource"] == [LISTENER.replace(":listener/", ":listener-rule/") + "/*", RULE]
    assert by_sid["Preview"]["Resource"] == [LISTENER]
    assert by_sid["Note"]["Resource"] == [LISTENER]
    only = json.loads("\n".join(aws_policy.alb(ACCESS, (RULE,), (BLUE, GREEN))))
    by_sid = {s["Sid"]: s for s in only["Statement"]}
    assert "Shift" not in by_sid, "the default of the listener is not touched"
    assert by_sid["Preview"]["Resource"] == [LISTENER], "it is made beside the rule"
    assert LISTENER.replace(":listener/", ":listener-rule/") + "/*" in by_sid["Rules"]["Resource"]
    classic = json.loads("\n".join(aws_policy.elb(Access("210987654321", "cn-north-1"), "shop")))
    assert classic["Statement"][1]["Resource"] == [
        "arn:aws-cn:elasticloadbalancing:cn-north-1:210987654321:loadbalancer/shop"
    ]


@pytest.mark.parametrize(("delay", "hard", "held"), [(300.0, 299.0, True), (300.0, 300.0, False), (300.0, 0.0, False)])
def test_doctor_names_a_drain_that_time_alone_cannot_end(delay, hard, held):
    finding = aws_flight.findings(None, delay, "pool blue", hard)
    assert not finding.ok
    assert not finding.fatal
    assert ("may be held" in finding.detail) == held
    assert ("release.drain.hard: 300s or more" in finding.fix) == held
    assert "in_flight" in finding.fix


# looks that are shared ---------------------------------------------------------------------------------


def test_nobody_gets_a_look_that_was_over_before_he_asked():
    shared: Shared[int] = Shared()
    looks = iter(range(100))
    assert shared.together(lambda _: next(looks)) == 0
    assert shared.together(lambda _: next(looks)) == 1

    def slow(before: int | None) -> int:
        assert before == 1
        inside.set()
        assert go.wait(10)
        return next(looks)

    inside, go = threading.Event(), threading.Event()
    with ThreadPoolExecutor(4) as many:
        first = many.submit(shared.together, slow)
        assert inside.wait(10)
        asked = [threading.Event() for _ in range(3)]
        rest = [many.submit(lambda e=e: (e.set(), shared.together(lambda _: next(looks)))[1]) for e in asked]
        assert all(e.wait(10) for e in asked)
        while not shared.lock.locked():
            pass
        go.set()
        assert first.result(10) == 2
        assert all(r.result(10) in (2, 3, 4, 5) for r in rest)
        assert shared.done <= 6
    with pytest.raises(ZeroDivisionError):
        shared.together(lambda _: 1 // 0)
    assert shared.together(lambda _: next(looks)) > 2, "a look that failed is nobody's look"
