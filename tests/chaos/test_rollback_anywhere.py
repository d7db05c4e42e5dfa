"""`rollback` at every gap of every plan, its owner alive, frozen or dead: the old version serves everything, ended well."""

from __future__ import annotations

import copy
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.chaos import FULL, seed, some
from tests.fixtures.gaps import Freezer, Killed, Killer, gapped, ignored
from tests.fixtures.memory_site import POLICY, Stage, door_to, stage

from changeover.core.errors import ChangeoverError, NoWayBack
from changeover.core.states import ENDED, EXITS, State
from changeover.service.door import Changeover, Outcome

LEASE = 10.0
CALM = replace(POLICY, expiry=600.0)


def _forward(door: Changeover, version: str) -> None:
    door.drive(door.submit(door.plan(version)))


def _first(door: Changeover) -> None:
    _forward(door, "1.1.0")


def _back(door: Changeover) -> None:
    door.rollback(because="the first one")


def _abort(door: Changeover) -> None:
    run = door.submit(door.plan("1.1.0"))
    door.drive(run, stop=lambda _: bool(door.site.ports.balancer.world.route.share))
    door.abort("given up")


def _bad(door: Changeover) -> None:
    door.site.ports.runtime.world.never_ready.add("green-2")
    _forward(door, "1.1.0")


def _third(door: Changeover) -> None:
    _forward(door, "1.2.0")


# name -> (what came before, what is under way when the rollback is asked for, where it must end)
PLANS = {
    "release": ([], _first, "1.0.0"),
    "third version": ([_first], _third, "1.1.0"),
    "rollback": ([_first], _back, "1.0.0"),
    "abort": ([], _abort, "1.0.0"),
    "undone": ([], _bad, "1.0.0"),
}


@pytest.fixture(scope="module", params=PLANS)
def plan(request, tmp_path_factory):
    """A prepared world and store, what is done to it, and how many gaps it has."""
    before, act, home = PLANS[request.param]
    folder = tmp_path_factory.mktemp("start")
    start = stage(folder, policy=CALM)
    for one in before:
        one(start.door)
    counter = Killer(at=10**9)
    calm = again(start, folder / "calm", counter.point)
    act(calm.door)
    assert len(counter.names) > 20
    return start, act, home, len(counter.names)


def again(start: Stage, folder: Path, point) -> Stage:
    """A copy of the prepared world and store, its door with gaps."""
    folder.mkdir()
    for file in start.door.site.store.parent.glob("state.db*"):
        shutil.copy(file, folder)
    st = door_to(copy.deepcopy(start.world), folder, policy=CALM)
    return Stage(st.world, Changeover(gapped(st.door.site, point), lease=LEASE, heartbeat=False))


def other(st: Stage) -> Changeover:
    """The door that a second process has to the same environment."""
    return Changeover(gapped(st.door.site, ignored), lease=LEASE, heartbeat=False)


def home_again(st: Stage, outcome: Outcome, home: str, where: str) -> None:
    route, world = st.world.route, st.world
    assert EXITS[outcome.state] == 0, where
    assert route.share == 0, where
    assert {str(world.instances[f"{route.live}-{n}"].identity.version) for n in (1, 2)} == {home}, where
    assert {world.visit(b) for b in (0, 2_500, 9_999)} == {route.live}, where
    assert [r.id for r in st.door.history() if r.state not in ENDED] == [], where
    assert not [e for e in world.effects if e.startswith("ddl") and "contract" in e], where


def test_the_owner_is_dead(plan, tmp_path):
    start, act, home, gaps = plan
    for at in some(range(1, gaps + 1), seed()):
        killer = Killer(at)
        st = again(start, tmp_path / str(at), killer.point)
        with pytest.raises(Killed):
            act(st.door)
        where = f"killed at {at}: {killer.names[at - 1]}"
        st.world.time += 2 * LEASE  # in one process it cannot be seen that the owner is dead
        killer.at = 10**9
        if not under_way(st):
            continue  # nothing is on record yet, or everything has ended
        home_again(st, other(st).rollback(because="dead owner"), home, where)


def under_way(st: Stage) -> bool:
    return st.door.site.store.exists() and any(r.state not in ENDED for r in st.door.history())


def test_the_owner_lets_go(plan, tmp_path):
    """The owner is alive, sees that it is asked, and ends."""
    start, act, home, gaps = plan
    for at in some(range(1, gaps + 1), seed()):
        freezer = Freezer(at)
        st = again(start, tmp_path / str(at), freezer.point)
        if not freezer.run(lambda st=st: act(st.door)):
            continue
        where = f"asked at {at}: {freezer.names[-1]}"
        if not under_way(st):
            freezer.thaw()
            continue  # nothing is on record yet, or everything has ended
        returned = threading.Event()
        thaw = threading.Thread(target=_when_asked, args=(st, freezer, returned), daemon=True)
        thaw.start()
        try:
            outcome = other(st).rollback(because="an owner that lives")
        finally:
            returned.set()
        thaw.join(60)
        died = freezer.thaw()
        assert died is None or isinstance(died, ChangeoverError), (where, died)
        home_again(st, outcome, home, where)


def _when_asked(st: Stage, freezer: Freezer, returned: threading.Event) -> None:
    """Thaw the owner when it is asked, or when nobody had to ask it: it did not hold the environment yet, or not any more."""
    journal = st.door.site.journal()
    try:
        runs = [r.id for r in journal.runs("test")]
        while not returned.wait(0.002):
            if any(s.name == "rollback" for run in runs for s in journal.signals(run)):
                break
    finally:
        journal.close()
    freezer.thawed.set()


def test_the_owner_is_frozen_and_wakes_up_later(plan, tmp_path):
    """SIGSTOP at a gap, rollback by another process, SIGCONT: the sleeper changes nothing any more."""
    start, act, home, gaps = plan
    for at in some(range(1, gaps + 1), seed() + 1):
        freezer = Freezer(at)
        st = again(start, tmp_path / str(at), freezer.point)
        if not freezer.run(lambda st=st: act(st.door)):
            continue
        where = f"frozen at {at}: {freezer.names[-1]}"
        if not under_way(st):
            freezer.thaw()
            continue
        home_again(st, other(st).rollback(because="an owner that sleeps"), home, where)
        before = picture(st)
        died = freezer.thaw()
        assert died is None or isinstance(died, ChangeoverError), (where, died)
        assert picture(st) == before, where


def picture(st: Stage) -> object:
    """Journal, database, balancer. An instance whose start was under way may still come up, out of traffic."""
    w = st.world
    journal = st.door.site.journal()
    try:
        runs = [(r.id, r.state, journal.events(r.id)) for r in journal.runs("test")]
        ledger = journal.ledger("test")
    finally:
        journal.close()
    database = (w.applied, w.objects, w.filled, w.revision, w.claimed, w.backups)
    return copy.deepcopy((runs, ledger, w.route, w.writer, database))


def test_all_gaps_are_tried_when_asked_for():
    assert some(range(100), 1) != list(range(100)) or FULL
    assert State.DONE in ENDED


def test_a_promise_that_has_ended(tmp_path):
    """Refused with why, when, by whom, and what is possible instead; nothing is disturbed."""
    st = stage(tmp_path, policy=CALM)
    st.release("1.1.0")
    st.release("1.2.0")
    before = picture(st)
    with pytest.raises(NoWayBack) as refused:
        st.door.rollback(to="1.0.0")
    error = refused.value
    assert error.exit == 5
    assert "its promise ended 12 Jan 1970" in error.what
    assert "r-0002" in error.what
    assert "its pool is needed for v1.2.0" in error.what
    assert "changeover rollback --to 1.1.0" in " ".join(error.next)
    assert picture(st) == before


def test_a_refused_rollback_disturbs_no_release(tmp_path):
    """All the traffic is on the new version, the old pool has died: the release goes on, watched by its owner."""
    st = stage(tmp_path, policy=replace(CALM, bake=50.0))
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda _: st.world.route.live == "green")
    for name in ("blue-1", "blue-2"):
        del st.world.instances[name]
    with pytest.raises(NoWayBack):
        st.door.rollback()
    assert st.door.run_of(run).state is State.RUNNING
    assert st.world.route.live == "green"
