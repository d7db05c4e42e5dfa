"""The whole path in memory: release, back, forward, on, clean up; failures; people."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fixtures.memory_site import POLICY, stage

from changeover.core.errors import (
    BalancerUnreachable,
    EnvironmentHeld,
    GateUnknown,
    NothingToDo,
    NoWayBack,
    PlanStale,
    RunUnknown,
    StillNeeded,
)
from changeover.core.model import Counters, Phase, Route, Version
from changeover.core.states import State
from changeover.service.door import Changeover


def serving(st) -> str:
    route = st.world.route
    assert route.share == 0
    return str(st.world.instances[f"{route.live}-1"].identity.version)


def test_the_path(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    assert serving(st) == "1.1.0"
    assert st.door.rollback(because="looks odd").state is State.DONE
    assert serving(st) == "1.0.0"
    st.release("1.1.0")
    st.release("1.2.0")
    assert serving(st) == "1.2.0"
    assert {str(i.identity.version) for i in st.world.instances.values()} == {"1.1.0", "1.2.0"}
    run = st.door.submit(st.door.plan_cleanup())
    assert st.door.drive(run) is State.DONE
    assert ("column", "t", "old_a") not in st.world.objects
    assert ("column", "t", "old_b") in st.world.objects
    assert st.door.status().way_back.to == "1.1.0"


def test_the_schema_is_expanded_once_over_two_attempts(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    st.door.rollback()
    st.release("1.1.0")
    assert [e for e in st.world.effects if e.startswith("ddl")] == ["ddl 1.1.0 expand 0", "ddl 1.1.0 expand 1"]


def test_an_instance_that_never_gets_ready_flips_nothing(tmp_path):
    st = stage(tmp_path)
    st.world.never_ready.add("green-2")
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    assert not [e for e in st.world.effects if e.startswith("route")]
    assert [n for n in st.world.instances if n.startswith("green")] == []
    assert serving(st) == "1.0.0"
    st.world.never_ready.clear()
    st.release("1.1.0")
    assert serving(st) == "1.1.0"


def test_a_broken_probe_of_the_old_version_stops_before_anything_starts(tmp_path):
    st = stage(tmp_path)
    st.world.broken.add(Version("1.0.0"))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    assert not [e for e in st.world.effects if e.startswith("start")]
    failed = next(e for e in st.door.events(run) if e.kind == "failed")
    assert failed.data["code"] == "CO-0106"


def test_a_failing_smoke_check_flips_nothing(tmp_path):
    st = stage(tmp_path)
    st.world.smoke_broken.add(Version("1.1.0"))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    assert not [e for e in st.world.effects if e.startswith("route")]


def test_a_bad_version_goes_back_by_itself(tmp_path):
    st = stage(tmp_path)

    def errors(name: str) -> None:
        if name.startswith("after route blue:green:2500"):
            st.world.counted["green"] = Counters(100, 50, 0, 3)

    st.world.hook = errors
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.WENT_BACK
    assert serving(st) == "1.0.0"
    assert st.world.instances["green-1"].identity.version == Version("1.1.0")  # kept for people to look at


def test_too_little_traffic_is_no_pass(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, min_requests=10))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.WAITING) is State.WAITING
    assert st.door.gate() == "go-on"
    st.door.approve("go-on", "night shift, nobody there")
    stops = iter([State.WAITING])
    assert st.door.drive(run, stop=lambda s: s is State.WAITING and next(stops, None) is None) is not State.FAILED


def test_a_gate_waits_for_its_name(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, gates={10_000: "release-manager"}))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.WAITING) is State.WAITING
    with pytest.raises(GateUnknown):
        st.door.approve("nonsense")
    st.door.approve(st.door.gate())
    assert st.door.drive(run) is State.DONE


def test_a_second_release_is_refused_and_names_the_first(tmp_path):
    st = stage(tmp_path)
    plan = st.door.plan("1.1.0")
    st.door.submit(plan)
    with pytest.raises(EnvironmentHeld, match="r-0001"):
        st.door.submit(plan)


def test_a_plan_is_stale_when_the_world_moved(tmp_path):
    st = stage(tmp_path)
    plan = st.door.plan("1.1.0")
    st.world.objects.add(("column", "t", "by_hand"))
    with pytest.raises(PlanStale, match="the schema changed"):
        st.door.submit(plan)


def test_pause_resume_abort(tmp_path):
    st = stage(tmp_path)
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.pause("lunch")
    assert st.door.drive(run, stop=lambda s: s is State.PAUSED) is State.PAUSED
    assert st.door.abort("given up").state is State.ABORTED
    assert serving(st) == "1.0.0"
    with pytest.raises(RunUnknown):
        st.door.abort()


def test_a_route_changed_by_hand_holds_the_run(tmp_path):
    st = stage(tmp_path)

    def foreign(name: str) -> None:
        if name.startswith("after route blue:green:2500"):
            st.world.route = Route("green", "blue", 0, 0, 0, "somebody")

    st.world.hook = foreign
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.HELD) is State.HELD
    assert st.world.route.mark == "somebody"
    assert st.door.status().problem["code"] == "CO-0204"


def away_twice(st, *, by_hand: Route | None = None) -> None:
    """The balancer does not take the first two shares that it is given, and shows no route before the second one."""
    at_first = st.world.route
    shown = iter((None, by_hand or at_first))

    def away(name: str) -> None:
        if name.startswith("before route blue:green:2500"):
            try:
                st.world.route = next(shown)
            except StopIteration:
                return
            raise BalancerUnreachable("told to be away")

    st.world.hook = away


def test_a_route_that_could_not_be_read_is_known_again_by_what_was_before_it(tmp_path):
    st = stage(tmp_path)
    away_twice(st)
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.HELD) is State.DONE
    asked = [e.data["before"] for e in st.door.events(run) if e.kind == "asked"]
    assert [bool(b) for b in asked[:3]] == [True, False, True]
    assert serving(st) == "1.1.0"


def test_a_route_changed_by_hand_while_it_could_not_be_read_holds_the_run(tmp_path):
    st = stage(tmp_path)
    away_twice(st, by_hand=Route("green", "blue", 0, 0, 0, "somebody"))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.HELD) is State.HELD
    assert st.world.route.mark == "somebody"


@pytest.mark.parametrize("stale", [0.0, 7.0])
def test_a_pool_is_drained_only_when_what_the_balancer_says_is_sure_to_be_new(stale, tmp_path):
    """A new owner does not know what was written before he looked: he waits for as long as answers may be old."""
    st = stage(tmp_path)
    site = st.door.site
    can = replace(site.ports.balancer.capabilities, stale=stale)
    site = replace(site, ports=replace(site.ports, balancer=replace(site.ports.balancer, capabilities=can)))
    door = Changeover(site, lease=1e9, heartbeat=False)
    run = door.submit(door.plan("1.1.0"))
    assert door.drive(run) is State.DONE
    drains = {s.key for s in door.plan_of(run).steps if s.action.kind == "drain"}
    (drained,) = [e for e in door.events(run) if e.kind == "done" and e.step in drains]
    (begun,) = [e for e in door.events(run) if e.kind == "begin" and e.step in drains]
    assert drained.at - begun.at >= stale
    assert stale or drained.at - begun.at < 3.0


def test_what_was_filled_is_told_even_when_the_next_batch_fails(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, batch=1_000))
    st.world.failing.add("fill t 2001-2500")
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    filled = [e.data for e in st.door.events(run) if e.kind == "filled"]
    assert [(b["hi"], b["rows"]) for b in filled] == [("1000", 1000), ("2000", 1000)]


def test_the_journal_does_not_grow_with_the_batches(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, batch=10))  # no time passes here
    run = st.release("1.1.0")
    filled = [e.data for e in st.door.events(run) if e.kind == "filled"]
    assert len(filled) < 10
    assert sum(b["rows"] for b in filled) == 2500
    assert len([e for e in st.world.effects if e.startswith("fill")]) == 250


def test_rollback_to_a_version_whose_promise_has_ended(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    run = st.door.submit(st.door.plan_cleanup())
    st.door.drive(run)
    with pytest.raises(NoWayBack, match=r"1\.0\.0"):
        st.door.rollback(to="1.0.0")
    assert serving(st) == "1.1.0"


def test_an_unwatched_share_goes_home_and_comes_back_on_resume(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, bake=100.0))
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda _: bool(st.world.route.share))
    st.world.time += 1000
    assert st.world.visit(0) == st.world.visit(9999) == "blue"
    assert st.door.resume().state is State.DONE
    assert serving(st) == "1.1.0"


def test_a_share_is_renewed_while_somebody_watches(tmp_path):
    st = stage(tmp_path, policy=replace(POLICY, bake=40.0, expiry=10.0))
    run = st.door.submit(st.door.plan("1.1.0"))
    homes = []

    def look(state: State) -> bool:
        route = st.world.route
        if route.share:
            homes.append(route.share_of("green", st.world.time))
        return False

    assert st.door.drive(run, stop=look) is State.DONE
    assert len(homes) > 50
    assert set(homes) == {2500}


def test_contract_waits_while_the_old_version_serves(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    st.door.rollback()
    with pytest.raises((StillNeeded, NothingToDo)):
        st.door.plan_cleanup()
    assert not [a for a in st.world.applied if a.phase is Phase.CONTRACT]


def test_enough_traffic_while_a_person_is_asked_goes_on(tmp_path):
    """A bake that waited for want of traffic is judged when the traffic comes, and the run still ends."""
    st = stage(tmp_path, policy=replace(POLICY, min_requests=10))
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=lambda s: s is State.WAITING) is State.WAITING

    def busy(_: State) -> bool:
        for pool in ("blue", "green"):
            seen = st.world.counted.get(pool, Counters(0, 0))
            st.world.counted[pool] = Counters(seen.requests + 50, 0)
        return False

    assert st.door.drive(run, stop=busy) is State.DONE
