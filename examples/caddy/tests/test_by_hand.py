"""The commands for people, carried out in a shell as they are printed: on a real Caddy, without changeover."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

import pytest
from running_caddy import SECRET, Caddy, caddy
from tests.fixtures.need import need

from changeover.core.errors import BalancerMisconfigured, FencedOut
from changeover.core.model import Route
from changeover.testing.cases import BLUE, GREEN, START, TestFence, until

FLIPPED = Route(GREEN, BLUE, mark="by-hand")
BARE = {"PATH": "/usr/bin:/bin"}  # nothing of changeover: the system's own python3


@pytest.fixture
def running() -> Iterator[Caddy]:
    need("curl")
    with caddy() as one:
        yield one


def shell(commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    argv = ["bash", "-e", "-c", "\n".join(commands)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, env=BARE, timeout=90)


def test_a_route_is_set_in_file_and_caddy(running: Caddy) -> None:
    running.driver.commit(Route(BLUE, GREEN, 2500, mark="canary"), TestFence(token=7))
    done = shell(running.driver.by_hand(FLIPPED))
    assert done.returncode == 0, done.stderr
    reading = running.driver.read()
    assert reading.settled
    assert reading.route == FLIPPED
    assert list(reading.leaving.values())[-1] == Route(BLUE, GREEN, 2500, mark="canary")
    assert running.get().pool == GREEN
    assert shell(running.driver.by_hand_live(GREEN)).returncode == 0
    refused = shell(running.driver.by_hand_live(BLUE))
    assert refused.returncode != 0
    assert "STOP: blue does not have all of the traffic" in refused.stderr
    running.restart()
    assert running.get().pool == GREEN


def test_the_fence_stays_so_that_nobody_older_writes_over_it(running: Caddy) -> None:
    running.driver.commit(START, TestFence(token=7))
    assert shell(running.driver.by_hand(FLIPPED)).returncode == 0
    with pytest.raises(FencedOut):
        running.driver.commit(START, TestFence(token=6))
    assert running.driver.commit(START, TestFence(token=7)).settled


def test_what_somebody_edited_is_put_back(running: Caddy) -> None:
    """What `commit` refuses, a person may decide."""
    edited = running.running()
    edited["handle"][1]["routes"] = edited["handle"][1]["routes"][-1:]
    running.patch(edited)
    with pytest.raises(BalancerMisconfigured):
        running.driver.commit(START, TestFence())
    done = shell(running.driver.by_hand(START))
    assert done.returncode == 0, done.stderr
    assert running.driver.read().settled


def test_without_caddy_it_stops_and_says_so(running: Caddy) -> None:
    running.break_control()
    done = shell(running.driver.by_hand(FLIPPED))
    assert done.returncode != 0
    running.mend_control()
    assert running.get().pool == BLUE
    assert not running.driver.read().settled  # the file has it already, and it is said
    assert shell(running.driver.by_hand(FLIPPED)).returncode == 0
    assert running.driver.read().settled


def test_drained_means_nothing_in_flight(running: Caddy) -> None:
    with running.slow(12.0) as answer:
        until(lambda: running.driver.in_flight(BLUE).requests == 1)
        busy = shell(running.driver.by_hand_drain(BLUE, within=1))
        assert busy.returncode != 0
        assert "STOP: something is in flight on blue" in busy.stderr
        answer()
    done = shell(running.driver.by_hand_drain(BLUE, within=5))
    assert done.returncode == 0, done.stderr
    running.break_control()
    assert shell(running.driver.by_hand_drain(BLUE, within=1)).returncode != 0, "no answer is not zero"


def test_health_and_preview(running: Caddy) -> None:
    assert shell(running.driver.by_hand_health(GREEN)).returncode == 0
    (ask,) = running.driver.by_hand_preview(GREEN)
    assert SECRET not in ask
    done = shell([f"{ask}/seen"])
    assert '"pool": "green"' in done.stdout, done
    assert "/seen" in done.stdout
