"""Two balancers before one site: what a run does about the one that is away, comes back, or was changed by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.memory_pair import Pair, pair
from tests.fixtures.memory_site import POLICY

from changeover.core.errors import ChangeoverError
from changeover.core.model import Route
from changeover.core.states import State

CALM = replace(POLICY, expiry=600.0, shift=(10_000,), bake=6.0)
CORRECTED_WITHIN = 5.0  # seconds after both can be reached


def held(state: State) -> bool:
    return state is State.HELD


def released(both: Pair) -> Pair:
    """1.1.0 serves."""
    assert both.door.drive(both.door.submit(both.door.plan("1.1.0"))) is State.DONE
    return both


def dies_in_the_flip(both: Pair) -> None:
    """`b` writes the flip, and does not answer any more."""

    def moment(name: str) -> None:
        if name == "after commit at b" and both.b.route is not None and both.b.route.live == "green":
            both.b.die()
            both.b.moment = lambda _: None

    both.b.moment = moment


def goes_on(both: Pair, until: Callable[[], bool]) -> bool:
    """Whether it is so soon enough, with the newest run driven on as it stands."""
    (run, *_) = both.door.history()
    end = both.world.time + CORRECTED_WITHIN
    both.door.drive(run.id, stop=lambda _: until() or both.world.time > end)
    return until()


def test_what_comes_back_to_a_held_run_is_corrected_and_the_state_was_said_plainly(tmp_path: Path) -> None:
    both = pair(tmp_path, policy=CALM)
    run = both.door.submit(both.door.plan("1.1.0"))
    dies_in_the_flip(both)
    assert both.door.drive(run, stop=held) is State.HELD
    assert both.codes == ["CO-0201"]
    said = next(e.data for e in both.door.events(run) if e.kind == "failed")
    assert str(said["what"]).startswith("b: ")
    assert "a: blue; b: does not answer" in str(said["now"])
    assert both.a.route is not None
    assert both.a.route.live == "blue"  # put back
    both.b.come_back(stale=False)
    assert not both.equal
    assert goes_on(both, lambda: both.serves("blue"))
    assert [e.kind for e in both.door.events(run)].count("mended") == 1
    assert both.door.resume().state is State.DONE
    assert both.serves("green")


def test_a_way_back_is_held_until_the_last_one_is_home_and_corrects_it(tmp_path: Path) -> None:
    both = released(pair(tmp_path, policy=CALM))
    both.b.die()
    run = both.door.submit(both.door.plan_rollback())
    assert both.door.drive(run, stop=held) is State.HELD
    assert both.a.route is not None
    assert both.a.route.live == "blue"
    assert {i.identity.version.text for i in both.world.instances.values()} == {"1.0.0", "1.1.0"}
    both.b.come_back(stale=False)
    assert goes_on(both, lambda: both.serves("blue"))
    assert both.door.resume().state is State.DONE


@pytest.mark.parametrize("begun", ["preflight", "retire"])
@pytest.mark.parametrize("who", ["a", "b"])
def test_nothing_is_retired_while_one_is_away(tmp_path: Path, who: str, begun: str) -> None:
    both = released(pair(tmp_path, policy=CALM))
    plan = both.door.plan_cleanup()
    run = both.door.submit(plan)
    key = next(s.key for s in plan.steps if s.action.kind == begun)
    away = getattr(both, who)
    events = both.door.events

    def moment(_: str) -> None:
        if not away.dead and any(e.step == key for e in events(run)):
            away.die()

    for one in both.each:
        one.moment = moment
    assert both.door.drive(run) is State.FAILED
    assert away.dead
    assert sorted(both.world.instances) == ["blue-1", "blue-2", "green-1", "green-2"]
    (said,) = [e.data for e in events(run) if e.kind == "go-back"]
    assert f"{who}: " in str(said["because"])
    with pytest.raises(ChangeoverError, match=f"{who}: "):
        both.door.plan_cleanup()
    for one in both.each:
        one.moment = lambda _: None
    away.come_back(stale=False)
    assert both.door.drive(both.door.submit(both.door.plan_cleanup())) is State.DONE
    assert sorted(both.world.instances) == ["green-1", "green-2"]


@pytest.mark.parametrize("who", ["a", "b"])
def test_one_that_somebody_changed_by_hand_is_shown_and_not_overwritten(tmp_path: Path, who: str) -> None:
    both = pair(tmp_path, policy=replace(CALM, shift=(2500, 10_000)))
    run = both.door.submit(both.door.plan("1.1.0"))
    changed = getattr(both, who)
    hand = Route("blue", "green", 9000)

    def by_hand(state: State) -> bool:
        if any(e.kind == "begin" and "watch" in str(e.data["task"]).lower() for e in both.door.events(run)):
            changed.inner.world.route = hand
        return held(state)

    assert both.door.drive(run, stop=by_hand) is State.HELD
    assert both.codes == ["CO-0204"]
    until = both.world.time + 30
    assert both.door.drive(run, stop=lambda _: both.world.time > until) is State.HELD
    assert changed.route == hand
    assert f"{who}: blue, 90 % green" in both.door.status().world.route.problem


@pytest.mark.parametrize(("seconds", "end"), [(5.0, State.DONE), (60.0, State.FAILED)])
def test_one_that_has_just_started_is_waited_for_and_only_for_a_while(
    tmp_path: Path, seconds: float, end: State
) -> None:
    both = pair(tmp_path, policy=CALM)
    plan = both.door.plan("1.1.0")
    run = both.door.submit(plan)
    shift = next(s.key for s in plan.steps if s.action.kind == "shift")
    started: list[float] = []

    def meanwhile(_: State) -> bool:
        now = both.world.time
        before = plan.steps[next(n for n, s in enumerate(plan.steps) if s.key == shift) - 1].key
        if not started and any(e.step == before and e.kind == "done" for e in both.door.events(run)):
            both.b.unchecked = True
            started.append(now)
        if started and now - started[0] > seconds:
            both.b.unchecked = False
        return False

    assert both.door.drive(run, stop=meanwhile) is end
    assert [e.kind for e in both.door.events(run) if e.step == shift].count("unseen") == 1
    assert both.serves("green" if end is State.DONE else "blue")
