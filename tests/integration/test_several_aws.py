"""An ALB and a HAProxy before the same instances, as one: all of both or none, and nothing is empty that either may still reach."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fixtures.alb import Alb
from tests.fixtures.aws import ground
from tests.fixtures.haproxy import Haproxy
from tests.fixtures.need import need
from tests.fixtures.two_haproxies import client

from changeover.core.errors import AwsRejected, BalancerUnreachable, ChangeoverError, FencedOut
from changeover.core.model import Route
from changeover.demo.aws.answer import Refused
from changeover.demo.aws.front import Call
from changeover.demo.aws.weather import Fate
from changeover.drivers.balancers.haproxy import HaproxyBalancer
from changeover.drivers.balancers.several import SeveralBalancers
from changeover.testing.cases import BLUE, GREEN, TestFence, until

BEFORE = Route(BLUE, GREEN, mark="before")
FLIPPED = Route(GREEN, BLUE, mark="flipped")


@dataclass
class Both:
    """`driver` changes the first of the two first."""

    alb: Alb
    haproxy: Haproxy
    driver: SeveralBalancers

    def pools(self, asked: int = 8) -> tuple[set[str], set[str]]:
        """(who answers through the ALB, who through the HAProxy)."""
        return {self.alb.get().pool for _ in range(asked)}, {self.haproxy.get().pool for _ in range(asked)}


@pytest.fixture(params=["the ALB first", "the HAProxy first"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    need("haproxy")
    with ground() as on, contextlib.ExitStack() as stack:
        alb = Alb(on)
        directory = Path(tempfile.mkdtemp(prefix="co-both-"))
        stack.callback(shutil.rmtree, directory)
        haproxy = Haproxy(directory, on.pools)
        stack.callback(haproxy.close)
        haproxy.start()
        members = [alb.second(name="cloud"), HaproxyBalancer(haproxy.settings(name="edge", timeout=1.0))]
        driver = SeveralBalancers(members if request.param == "the ALB first" else members[::-1])
        driver.commit(BEFORE, TestFence())
        yield Both(alb, haproxy, driver)


def test_both_are_changed_and_read_back_and_nobody_is_lost(both: Both) -> None:
    with client(both.alb.port) as cloud, client(both.haproxy.port) as edge:
        for route in (Route(BLUE, GREEN, 2500, 77, mark="share"), FLIPPED, BEFORE, FLIPPED):
            reading = both.driver.commit(route, TestFence())
            assert (reading.route, reading.settled) == (route, True)
        both.alb.heard()
    assert both.pools() == ({GREEN}, {GREEN})
    assert len(cloud.answers) > 50 < len(edge.answers)
    assert (cloud.lost, edge.lost) == ([], [])


def test_together_they_can_do_what_both_can(both: Both) -> None:
    can = both.driver.capabilities
    assert (can.expiry, can.compares, can.counts_at_once, can.sticky) == (False, False, False, False)
    assert can.drain_evidence == "application"
    assert can.finest_share == 10


def test_what_aws_refuses_is_put_back_at_both(both: Both) -> None:
    def script(call: Call) -> Refused | None:
        return Refused("OperationNotPermitted", "no", 400) if call.action == "ModifyListener" else None

    both.alb.standin.front.script = script
    with pytest.raises(AwsRejected, match="cloud: ") as caught:
        both.driver.commit(FLIPPED, TestFence())
    both.alb.standin.front.script = None
    assert "edge: blue" in caught.value.now
    assert both.pools() == ({BLUE}, {BLUE})
    assert both.haproxy.driver.read().route == BEFORE
    assert both.alb.driver.read().route == BEFORE


def test_what_the_haproxy_cannot_do_is_put_back_at_aws(both: Both) -> None:
    """It dies between the two: the ALB goes home, and what may still be under way there is waited for anew."""
    first = both.driver.members[0].name == "cloud"
    gone: list[str] = []

    def script(call: Call) -> None:
        if call.action == "ModifyListener" and not gone:
            gone.append(call.action)
            both.haproxy.break_control()

    both.alb.standin.front.script = script
    with pytest.raises(BalancerUnreachable):
        both.driver.commit(FLIPPED, TestFence())
    assert gone
    both.alb.heard()
    cloud, edge = both.pools()
    assert cloud == {BLUE} if first else edge == {GREEN}  # a HAProxy that is away keeps what it was given
    reading = both.driver.read()
    assert not reading.settled
    for pool in (BLUE, GREEN):
        assert not both.driver.in_flight(pool).is_zero
    both.haproxy.mend_control()
    assert both.driver.commit(FLIPPED, TestFence()).settled
    both.alb.heard()
    assert both.pools() == ({GREEN}, {GREEN})


def test_aws_in_bad_weather_changes_nothing_at_the_haproxy(both: Both) -> None:
    both.alb.standin.front.script = lambda _: Fate.THROTTLED
    with pytest.raises(BalancerUnreachable, match="cloud: "):
        both.driver.commit(FLIPPED, TestFence())
    both.alb.standin.front.script = None
    assert both.pools() == ({BLUE}, {BLUE})
    assert both.driver.read().route == BEFORE


def test_a_newer_owner_of_either_is_respected_by_both(both: Both) -> None:
    both.alb.second().commit(Route(BLUE, GREEN, mark="newer"), TestFence(token=9))
    with pytest.raises(FencedOut):
        both.driver.commit(FLIPPED, TestFence(token=8))
    assert both.pools() == ({BLUE}, {BLUE})
    assert both.haproxy.driver.read().route == BEFORE


def test_a_pool_is_empty_when_it_is_at_both(both: Both) -> None:
    with both.alb.slow(1.5) as through_cloud, both.haproxy.slow(0.5) as through_edge:
        until(lambda: (both.driver.in_flight(BLUE).requests or 0) >= 2)
        both.driver.commit(FLIPPED, TestFence())
        assert through_edge().status == 200
        assert not both.driver.in_flight(BLUE).is_zero
        assert through_cloud().status == 200
    until(lambda: both.driver.in_flight(BLUE).is_zero)
    both.alb.standin.front.gone = True
    assert both.driver.in_flight(BLUE).requests is None
    with pytest.raises(ChangeoverError):
        both.driver.counters(BLUE)
