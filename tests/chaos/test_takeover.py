"""A run that is taken over while its owner is frozen at any gap: the new owner finishes it, the sleeper changes nothing."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from tests.chaos.test_rollback_anywhere import CALM, LEASE, again, other, picture, under_way
from tests.fixtures.chaos import seed, some
from tests.fixtures.gaps import Freezer, Killer
from tests.fixtures.memory_site import Stage, stage

from changeover.core.errors import ChangeoverError
from changeover.core.states import ENDED, State
from changeover.service.door import Changeover


def _release(door: Changeover) -> None:
    door.drive(door.submit(door.plan("1.1.0")))


def _third(door: Changeover) -> None:
    door.drive(door.submit(door.plan("1.2.0")))


def _cleanup(door: Changeover) -> None:
    door.drive(door.submit(door.plan_cleanup()))


PLANS = {"release": ([], _release), "third version": ([_release], _third), "cleanup": ([_release], _cleanup)}


@pytest.fixture(scope="module", params=PLANS)
def plan(request, tmp_path_factory):
    before, act = PLANS[request.param]
    folder: Path = tmp_path_factory.mktemp("start")
    start = stage(folder, policy=CALM)
    for one in before:
        one(start.door)
    counter = Killer(at=10**9)
    calm = again(start, folder / "calm", counter.point)
    calm.world.effects.clear()
    act(calm.door)
    return start, act, calm, len(counter.names)


def effects(st: Stage) -> list[str]:
    return sorted(e.split("-2")[0] if e.startswith("backup") else e for e in st.world.effects)


def test_the_sleeper_changes_nothing(plan, tmp_path):
    start, act, calm, gaps = plan
    for at in some(range(1, gaps + 1), seed()):
        freezer = Freezer(at)
        st = again(start, tmp_path / str(at), freezer.point)
        st.world.effects.clear()
        if not freezer.run(lambda st=st: act(st.door)):
            continue
        where = f"frozen at {at}: {freezer.names[-1]}"
        if not under_way(st):
            freezer.thaw()
            continue
        st.world.time += 2 * LEASE
        assert other(st).resume().state is State.DONE, where
        before = picture(st), copy.deepcopy(st.world.instances)
        died = freezer.thaw()
        assert died is None or isinstance(died, ChangeoverError), (where, died)
        assert (picture(st), st.world.instances) == before, where
        assert all(r.state in ENDED for r in st.door.history()), where
        assert effects(st) == effects(calm), where
