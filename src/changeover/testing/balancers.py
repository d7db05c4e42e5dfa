"""What every balancer driver must do. A driver's own tests import all of it and bring the fixture `balancer`:

    import pytest
    from changeover.testing.balancers import *

    @pytest.fixture
    def balancer():
        with my_balancer_under_test() as running:  # changeover.testing.cases.BalancerUnderTest
            yield running

What a balancer cannot do at all, as its `capabilities` say, is skipped; everything else must hold. In conftest.py, for readable
failures: `pytest.register_assert_rewrite("changeover.testing")`.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from changeover.core.errors import BalancerRefused, BalancerUnreachable, ChangeoverError, FencedOut
from changeover.core.model import ALL, Route
from changeover.core.ports import Rounds
from changeover.testing.cases import BLUE, GREEN, START, BalancerUnderTest, TestFence, fetch, pools_of, until

COARSE = 1000  # basis points: a balancer whose finest share is larger counts instances
FLIPPED = Route(GREEN, BLUE, mark="flipped")


def canary(share: int, salt: int = 0, expires: int = 0) -> Route:
    return Route(BLUE, GREEN, share, salt, expires, mark="canary")


# the route ---------------------------------------------------------------------------------------------


def test_the_start_is_settled(balancer: BalancerUnderTest) -> None:
    reading = balancer.driver.read()
    assert reading.settled, reading
    assert reading.route is not None
    assert reading.route.decides_like(START)
    assert reading.problem == ""
    assert balancer.get().pool == BLUE


def test_a_commit_is_read_back_everywhere(balancer: BalancerUnderTest) -> None:
    route = canary(500, salt=7312 if getattr(balancer, "salted", True) else 0)
    reading = balancer.driver.commit(route, TestFence())
    assert reading.settled
    assert reading.route == route
    assert balancer.second().read() == reading


def test_done_twice_leaves_what_done_once_leaves(balancer: BalancerUnderTest) -> None:
    once = balancer.driver.commit(FLIPPED, TestFence())
    assert balancer.driver.commit(FLIPPED, TestFence()) == once
    assert balancer.get().pool == GREEN


def test_a_commit_is_absolute(balancer: BalancerUnderTest) -> None:
    """Whatever was there before, by whatever hand: afterwards it is what was asked."""
    balancer.driver.commit(canary(2500), TestFence())
    balancer.change_by_hand(Route(GREEN, BLUE, 1200, mark="hand"))
    assert balancer.driver.commit(START, TestFence()).route == START
    assert pools_of([balancer.get() for _ in range(20)]) == {BLUE: 20}


def test_a_foreign_change_is_shown(balancer: BalancerUnderTest) -> None:
    balancer.driver.commit(canary(500), TestFence())
    foreign = Route(GREEN, BLUE, mark="hand")
    balancer.change_by_hand(foreign)
    reading = balancer.driver.read()
    assert reading.route is None or reading.route.decides_like(foreign)
    if reading.durable != reading.route:
        assert not reading.settled
        assert reading.problem


def test_a_restart_comes_up_with_the_route(balancer: BalancerUnderTest) -> None:
    route = canary(9999)
    balancer.driver.commit(route, TestFence())
    balancer.restart()
    reading = balancer.driver.read()
    assert reading.settled
    assert reading.route == route
    if balancer.driver.capabilities.finest_share < COARSE:
        assert pools_of([balancer.get() for _ in range(20)])[GREEN] >= 18  # the rest is what weights cannot cut off


@pytest.mark.parametrize("route", [Route("purple", GREEN), Route(BLUE, "purple"), Route(BLUE, "blue-1", 100)], ids=str)
def test_a_route_to_an_unknown_pool_is_refused(balancer: BalancerUnderTest, route: Route) -> None:
    before = balancer.driver.read()
    with pytest.raises(BalancerRefused):
        balancer.driver.commit(route, TestFence())
    assert balancer.driver.read() == before
    assert balancer.get().pool == BLUE


# the fence -----------------------------------------------------------------------------------------------


def test_a_lost_lease_writes_nothing(balancer: BalancerUnderTest) -> None:
    before = balancer.driver.read()
    with pytest.raises(FencedOut):
        balancer.driver.commit(FLIPPED, TestFence(lost=True))
    assert balancer.driver.read() == before


def test_the_write_of_an_older_owner_is_refused(balancer: BalancerUnderTest) -> None:
    if not balancer.driver.capabilities.compares:
        pytest.skip("this balancer cannot compare")
    balancer.second().commit(canary(500), TestFence(token=8))
    with pytest.raises(FencedOut):
        balancer.driver.commit(FLIPPED, TestFence(token=7))
    assert balancer.driver.read().route == canary(500)
    assert balancer.driver.read().settled


@pytest.mark.parametrize("nth", range(1, 5))
def test_an_owner_that_sleeps_after_any_look_at_its_lease_changes_nothing(
    balancer: BalancerUnderTest, nth: int
) -> None:
    """Taken over in its sleep: the new owner commits, then the old one wakes and goes on where it was."""
    if not balancer.driver.capabilities.compares:
        pytest.skip("this balancer cannot compare")
    theirs = canary(500)
    stale = TestFence(token=7, hooks={nth: lambda: balancer.second().commit(theirs, TestFence(token=8))})
    try:
        balancer.driver.commit(FLIPPED, stale)
    except FencedOut:
        assert balancer.driver.read().route == theirs
        assert balancer.driver.read().settled
    else:
        assert stale.checks < nth, "it said that it committed, and it was taken over before that"


# visitors -----------------------------------------------------------------------------------------------------


def test_a_share_is_what_was_asked(balancer: BalancerUnderTest) -> None:
    balancer.driver.commit(canary(500), TestFence())
    seen = pools_of([balancer.get() for _ in range(600)])
    assert seen[BLUE] + seen[GREEN] == 600
    part = max(500, balancer.driver.capabilities.finest_share) / 10_000
    spread = 5.3 * (600 * part * (1 - part)) ** 0.5  # standard deviations
    assert abs(seen[GREEN] - 600 * part) <= spread


@pytest.mark.parametrize("share", [2500, 5000])
def test_a_driver_that_rounds_says_what_it_gives(balancer: BalancerUnderTest, share: int) -> None:
    if not isinstance(balancer.driver, Rounds):
        pytest.skip("this balancer gives every share as it is asked for")
    before, wanted = balancer.driver.read(), canary(share)
    part = balancer.driver.nearest(wanted) / ALL
    assert balancer.driver.read() == before, "asking changes nothing"
    balancer.driver.commit(wanted, TestFence())
    seen = pools_of([balancer.get() for _ in range(600)])
    assert abs(seen[GREEN] - 600 * part) <= 5 * (600 * part * (1 - part)) ** 0.5  # standard deviations


def test_a_visitor_keeps_his_side_and_a_share_only_grows(balancer: BalancerUnderTest) -> None:
    if not balancer.driver.capabilities.sticky:
        pytest.skip("this balancer knows no visitors")
    balancer.driver.commit(canary(3000), TestFence())
    first = [balancer.get() for _ in range(60)]
    cookies = [re.sub(";.*", "", reply.headers["set-cookie"]) for reply in first]

    def visit() -> list[str]:
        return [balancer.get(headers={"cookie": cookie}).pool for cookie in cookies]

    assert visit() == [reply.pool for reply in first]
    before = visit()
    balancer.driver.commit(canary(6000), TestFence())
    after = visit()
    assert [(b, a) for b, a in zip(before, after, strict=True) if (b, a) == (GREEN, BLUE)] == []
    if balancer.driver.capabilities.moves_settled:
        assert after.count(GREEN) > before.count(GREEN)
    new = pools_of([balancer.get() for _ in range(60)])
    assert new[GREEN] > before.count(GREEN)


def test_a_flip_moves_everybody(balancer: BalancerUnderTest) -> None:
    balancer.driver.commit(canary(5000), TestFence())
    cookies = [re.sub(";.*", "", balancer.get().headers.get("set-cookie", "a=b")) for _ in range(20)]
    balancer.driver.commit(FLIPPED, TestFence())
    assert {balancer.get(headers={"cookie": cookie}).pool for cookie in cookies} == {GREEN}
    assert {balancer.get().pool for _ in range(20)} == {GREEN}
    balancer.driver.commit(Route(BLUE, GREEN, mark="back"), TestFence())
    assert {balancer.get(headers={"cookie": cookie}).pool for cookie in cookies} == {BLUE}


def test_no_cookie_is_handed_out_while_there_is_no_share(balancer: BalancerUnderTest) -> None:
    balancer.driver.commit(START, TestFence())
    assert "set-cookie" not in balancer.get().headers


def test_a_share_that_nobody_watches_goes_home(balancer: BalancerUnderTest) -> None:
    if not balancer.driver.capabilities.expiry:
        pytest.skip("this balancer cannot evaluate an expiry")
    expires = int(balancer.now()) + 3
    balancer.driver.commit(canary(9999, expires=expires), TestFence())
    assert GREEN in {balancer.get().pool for _ in range(5)}
    balancer.wait_until(expires + 1)
    assert {balancer.get().pool for _ in range(20)} == {BLUE}
    assert balancer.driver.read().route == canary(9999, expires=expires)  # what was asked is still to be seen


# preview ------------------------------------------------------------------------------------------------------


def need_preview(balancer: BalancerUnderTest) -> None:
    if not balancer.driver.capabilities.preview:
        pytest.skip("nothing leads to the idle pool through this balancer")


def test_without_a_preview_the_idle_instances_are_asked_themselves(balancer: BalancerUnderTest) -> None:
    if balancer.driver.capabilities.preview:
        pytest.skip("this balancer has a preview")
    url, headers = balancer.driver.preview()
    assert headers == {}
    assert fetch(int(url.rpartition(":")[2])).pool == GREEN


def test_the_preview_reaches_the_idle_pool_and_only_it(balancer: BalancerUnderTest) -> None:
    need_preview(balancer)
    entry, secret = balancer.driver.preview()
    assert entry.startswith(balancer.driver.entry().partition(":")[0])
    reply = balancer.get(headers=secret)
    assert reply.pool == GREEN
    assert balancer.get().pool == BLUE
    balancer.driver.commit(FLIPPED, TestFence())
    _, secret = balancer.driver.preview()
    assert balancer.get(headers=secret).pool == BLUE


def test_the_previews_secret_reaches_nobody(balancer: BalancerUnderTest) -> None:
    need_preview(balancer)
    _, secret = balancer.driver.preview()
    reply = balancer.get(headers=secret)
    received = json.loads(reply.body)["headers"]
    for name, value in secret.items():
        if balancer.driver.capabilities.hides_preview:
            assert name.lower() not in received
        else:
            reply = replace(reply, body="")  # the instances of these tests answer with what they received
        assert value not in json.dumps([reply.body, dict(reply.headers)])
        assert value not in repr(balancer.driver)
        assert value not in " ".join([*balancer.driver.by_hand(FLIPPED), *balancer.driver.by_hand_drain(BLUE)])
        assert value not in repr(balancer.driver.inspect())


def test_a_wrong_secret_is_an_ordinary_visitor(balancer: BalancerUnderTest) -> None:
    need_preview(balancer)
    _, secret = balancer.driver.preview()
    wrong = dict.fromkeys(secret, "wrong")
    assert balancer.get(headers=wrong).pool == BLUE


def test_a_preview_never_falls_back(balancer: BalancerUnderTest) -> None:
    need_preview(balancer)
    _, secret = balancer.driver.preview()
    balancer.kill(GREEN)
    until(lambda: balancer.driver.health(GREEN).healthy == 0)
    reply = balancer.get(headers=secret)
    assert reply.status in (502, 503)
    assert reply.pool == ""


# health and counts ----------------------------------------------------------------------------------------------


def test_health_follows_the_instances(balancer: BalancerUnderTest) -> None:
    health = balancer.driver.health(GREEN)
    assert (health.healthy, health.known) == (2, 2)
    balancer.kill(GREEN)
    until(lambda: balancer.driver.health(GREEN).healthy == 0)
    assert balancer.driver.health(GREEN).known == 2
    assert balancer.driver.health(BLUE).healthy == 2
    balancer.revive(GREEN)
    until(lambda: balancer.driver.health(GREEN).healthy == 2)


def test_requests_are_counted(balancer: BalancerUnderTest) -> None:
    before = balancer.driver.counters(BLUE)
    for _ in range(5):
        assert balancer.get().status == 200
    until(lambda: balancer.driver.counters(BLUE).since(before).requests == 5)
    assert balancer.driver.counters(BLUE).since(before).errors_5xx == 0
    assert balancer.driver.counters(BLUE).since(before).failed == 0


def test_a_dead_candidate_is_served_by_live_and_counted(balancer: BalancerUnderTest) -> None:
    if not balancer.driver.capabilities.falls_back:
        pytest.skip("this balancer serves nobody from the other pool")
    balancer.driver.commit(canary(9999), TestFence())
    balancer.kill(GREEN)
    until(
        lambda: {balancer.get().pool for _ in range(4)} == {BLUE}
    )  # until the balancer has noticed, a visitor may meet the dead
    until(lambda: balancer.driver.health(GREEN).healthy == 0)
    before = balancer.driver.counters(GREEN)
    replies = [balancer.get() for _ in range(20)]
    assert {reply.status for reply in replies} == {200}
    assert set(pools_of(replies)) == {BLUE}
    if balancer.driver.capabilities.counts_fallbacks:
        fallbacks = balancer.driver.counters(GREEN).since(before).fallbacks
        assert fallbacks is not None
        assert 15 <= fallbacks <= 20


def _idle(balancer: BalancerUnderTest, pool: str) -> bool:
    """Nothing is in flight. Only a driver that goes by other evidence than the balancer's own may not know for a while."""
    found = balancer.driver.in_flight(pool)
    return found.is_zero or (found.requests is None and balancer.driver.capabilities.drain_evidence != "balancer")


def test_a_slow_request_is_in_flight_until_it_is_answered(balancer: BalancerUnderTest) -> None:
    assert balancer.driver.in_flight(BLUE).is_zero
    with balancer.slow(1.0) as answer:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        assert _idle(balancer, GREEN)  # it is no other pool's
        until(lambda: balancer.driver.in_flight(GREEN).is_zero)
        balancer.driver.commit(FLIPPED, TestFence())
        assert balancer.driver.in_flight(BLUE).requests == 1  # a flip does not end it
        assert _idle(balancer, GREEN)
        assert balancer.get().pool == GREEN
        reply = answer()
    assert (reply.status, reply.pool) == (200, BLUE)
    until(lambda: balancer.driver.in_flight(BLUE).is_zero)


def test_what_is_left_can_be_cut(balancer: BalancerUnderTest) -> None:
    with balancer.slow(20.0) as answer:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.driver.commit(FLIPPED, TestFence())
        with pytest.raises(FencedOut):
            balancer.driver.cut(BLUE, TestFence(lost=True))
        try:
            assert balancer.driver.cut(BLUE, TestFence()) == 1
        except BalancerRefused:
            balancer.kill(BLUE)  # a balancer that cannot cut must say so
            answer()
            return
        assert answer().status != 200
    until(lambda: balancer.driver.in_flight(BLUE).is_zero)
    assert balancer.get().pool == GREEN


# unknown is not zero ----------------------------------------------------------------------------------------------


def test_without_control_nothing_is_known_and_nothing_is_written(balancer: BalancerUnderTest) -> None:
    before = balancer.driver.read()
    balancer.break_control()
    try:
        flying = balancer.driver.in_flight(BLUE)
        assert flying.requests is None
        assert not flying.is_zero
        assert flying.detail
        for ask in (
            balancer.driver.read,
            lambda: balancer.driver.counters(BLUE),
            lambda: balancer.driver.health(BLUE),
            lambda: balancer.driver.commit(FLIPPED, TestFence()),
            lambda: balancer.driver.cut(BLUE, TestFence()),
        ):
            with pytest.raises(BalancerUnreachable) as caught:
                ask()
            assert caught.value.next or balancer.kind == "memory"
        assert balancer.get().pool == BLUE  # traffic goes on
        findings = balancer.driver.inspect()
        assert any(not f.ok and f.fatal for f in findings)
    finally:
        balancer.mend_control()
    assert balancer.driver.read() == replace(before)


def test_inspect_finds_nothing_wrong_with_a_sound_balancer(balancer: BalancerUnderTest) -> None:
    assert [f for f in balancer.driver.inspect() if not f.ok and f.fatal] == []


def test_inspect_reads_only(balancer: BalancerUnderTest) -> None:
    before = balancer.driver.read()
    balancer.driver.inspect()
    assert balancer.driver.read() == before


def test_the_way_by_hand_names_the_route(balancer: BalancerUnderTest) -> None:
    assert any(GREEN in line for line in balancer.driver.by_hand(FLIPPED))
    assert any(BLUE in line for line in balancer.driver.by_hand_drain(BLUE))


@pytest.mark.parametrize("pool", ["purple", "", "blue,green"])
def test_an_unknown_pool_is_an_error(balancer: BalancerUnderTest, pool: str) -> None:
    if balancer.kind == "memory":
        pytest.skip("the reference trusts its caller here")
    with pytest.raises(ChangeoverError):
        balancer.driver.health(pool)
    with pytest.raises(ChangeoverError):
        balancer.driver.counters(pool)
