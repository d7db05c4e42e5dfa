"""The nouns: versions are ordered, routes cannot say nonsense, unknown is never zero."""

from __future__ import annotations

import pytest

from changeover.core.errors import VersionUnusable
from changeover.core.model import (
    ALL,
    COMPLETE,
    Acknowledgement,
    Applied,
    ChangeSet,
    Counters,
    Ended,
    Identity,
    InFlight,
    Instance,
    Ledger,
    Phase,
    PoolHealth,
    Process,
    Promise,
    Release,
    Route,
    RouteReading,
    SchemaReading,
    Slot,
    Statement,
    Version,
    World,
)

V1, V2 = Version("1.0.0"), Version("1.1.0")
B1, B2 = Identity(V1, "b1"), Identity(V1, "b2")


@pytest.mark.parametrize(
    ("text", "bare"), [("v1.1.0", "1.1.0"), ("V2", "2"), (" 1.0rc1 ", "1.0rc1"), ("2026.11.2", "2026.11.2")]
)
def test_a_version_loses_its_v_and_nothing_else(text, bare):
    assert str(Version.of(text)) == bare


@pytest.mark.parametrize("text", ["", "v", "latest", "1.0-broken-x", "vvv1"])
def test_what_cannot_be_ordered_is_no_version(text):
    with pytest.raises(VersionUnusable) as caught:
        Version.of(text)
    assert caught.value.next


def test_versions_are_ordered_as_numbers_not_as_text():
    texts = ["1.0rc1", "1.0", "1.2", "1.10", "2.0"]
    assert [v.text for v in sorted(map(Version, reversed(texts)))] == texts
    assert Version("1.10") >= Version("1.9")


def test_an_identity_says_its_build_if_it_has_one():
    assert (str(B1), str(Identity(V1, ""))) == ("1.0.0 (b1)", "1.0.0")


def instance(process=Process.RUNNING, ready=True, identity=B1, number=1, pool="blue"):
    return Instance(Slot(pool, number, "10.0.0.1", 8000 + number), process, "s", ready, identity)


@pytest.mark.parametrize(
    ("seen", "build", "proves"),
    [
        (instance(), "", True),
        (instance(), "b1", True),
        (instance(), "b2", False),
        (instance(ready=False), "", False),
        (instance(process=Process.STOPPED), "", False),
        (instance(process=Process.UNKNOWN), "", True),
        (instance(identity=None), "", False),
        (instance(identity=Identity(V2, "b1")), "", False),
    ],
)
def test_an_instance_proves_what_was_asked_or_nothing(seen, build, proves):
    assert seen.proves(V1, build) is proves
    assert (seen.slot.name, seen.slot.address) == ("blue-1", "10.0.0.1:8001")


@pytest.mark.parametrize(
    "wrong",
    [
        {"live": "b lue"},
        {"candidate": ""},
        {"share": ALL},
        {"share": -1},
        {"salt": ALL},
        {"salt": -1},
        {"expires": -1},
        {"mark": "a b"},
    ],
)
def test_a_route_cannot_say_what_a_balancer_would_turn_into_503(wrong):
    with pytest.raises(ValueError):
        Route(**{"live": "blue", "candidate": "green", **wrong})


def test_a_share_goes_home_when_it_expires():
    route = Route("blue", "green", 2500, expires=100, mark="r-1.s2")
    assert [route.share_of("green", at) for at in (99, 100)] == [2500, 0]
    assert [route.share_of("blue", at) for at in (99, 100)] == [7500, ALL]
    assert route.share_of("red", 0) == 0
    assert Route("blue", "blue").share_of("blue", 0) == ALL


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        (Route("blue", "green"), Route("blue", "red", salt=7, mark="x"), True),
        (Route("blue", "green", 5), Route("blue", "green", 5, expires=9), True),
        (Route("blue", "green", 5), Route("blue", "green", 6), False),
        (Route("blue", "green", 5), Route("blue", "green", 5, salt=1), False),
        (Route("blue", "green"), Route("green", "blue"), False),
    ],
)
def test_routes_that_decide_alike(one, two, alike):
    assert one.decides_like(two) is alike


def test_workers_that_disagree_have_no_route():
    blue, green = Route("blue", "green"), Route("green", "blue")
    assert RouteReading("b", {"1": blue, "2": blue}, blue).settled
    assert RouteReading("b", {"1": blue, "2": green}, green).route is None
    assert RouteReading("b", {"1": blue, "2": None}, blue).route is None
    assert not RouteReading("b", {"1": blue}, None).settled
    assert not RouteReading("b", {}, None).settled


@pytest.mark.parametrize(
    ("flight", "zero"), [((0, 0), True), ((None, 0), False), ((0, None), False), ((1, 0), False), ((0, 1), False)]
)
def test_unknown_is_not_zero(flight, zero):
    assert InFlight(*flight).is_zero is zero


def test_counters_of_a_restarted_worker_count_from_zero():
    start = Counters(100, 5, 2, 1)
    assert Counters(150, 6, 2, 3).since(start) == Counters(50, 1, 0, 2)
    assert Counters(10, 1).since(start) == Counters(10, 1)
    assert Counters(150, 6, 2, None).since(start).fallbacks is None


def test_a_phase_is_complete_only_with_its_last_row():
    half = Applied(V2, Phase.EXPAND, 0, "d", 1.0, "r-1", 1)
    reading = SchemaReading(3, "c", (half,))
    assert reading.begun(V2, Phase.EXPAND)
    assert not reading.begun(V2, Phase.CONTRACT)
    assert not reading.completed(V2, Phase.EXPAND)
    whole = SchemaReading(4, "c", (half, Applied(V2, Phase.EXPAND, COMPLETE, "d", 1.0, "r-1", 1)))
    assert whole.completed(V2, Phase.EXPAND)
    assert whole.versions(Phase.EXPAND) == {V2}


def test_a_change_set_knows_its_phases():
    up = Statement("a", "f", 1, Phase.EXPAND, "+ a")
    down = Statement("b", "f", 1, Phase.CONTRACT, "- a")
    change = ChangeSet(V2, (up,), (), (down,))
    assert change.statements(Phase.EXPAND) == (up,)
    assert change.statements(Phase.CONTRACT) == (down,)


def test_the_newest_promise_of_a_version_counts():
    old = Promise(V1, "b1", "blue", 1.0, 2.0, Ended(3.0, "dana", "r-1", "x"))
    new = Promise(V1, "b2", "green", 4.0, 5.0)
    ledger = Ledger((old, new))
    assert ledger.promised == (new,)
    assert ledger.promise_of(V1) == new
    assert ledger.promise_of(V2) is None


def test_a_world_agrees_on_an_identity_or_has_none():
    def world(*instances):
        reading = RouteReading("b", {"1": Route("blue", "green")}, None)
        return World(0.0, reading, {"blue": instances}, {}, {"blue": PoolHealth(1, 1)}, None)

    stopped = instance(process=Process.STOPPED, identity=None, number=2)
    assert world(instance(), stopped).identity("blue") == B1
    assert world(instance(), stopped).healthy("blue") == 1
    assert world(instance(), instance(identity=B2, number=2)).identity("blue") is None
    assert world(instance(), instance(identity=B2, number=2)).healthy("blue") == 0
    assert world(stopped).running("blue") == ()
    assert world().identity("green") is None


def test_a_release_acknowledges_by_name():
    release = Release(V2, acknowledged=(Acknowledgement("no-backup", "dana"),))
    assert release.acknowledges("no-backup")
    assert not release.acknowledges("unverified:1.0.0")
