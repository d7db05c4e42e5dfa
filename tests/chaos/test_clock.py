"""The wall clock is set forward or back by a day in the middle of everything: no bake ends early, no lease is lost."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.fixtures.memory_site import POLICY, stage

from changeover.core.errors import EnvironmentHeld, FencedOut
from changeover.core.states import State
from changeover.engine.lease import Hold
from changeover.engine.owner import Owner

DAY = 86_400.0
BAKE = 100.0


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_bake_takes_its_time(tmp_path, jump):
    st = stage(tmp_path, policy=replace(POLICY, bake=BAKE, expiry=30.0))
    world = st.world
    shared: list[float] = []  # boottime at which a share was on
    watched = []

    def look(_: State) -> bool:
        route = world.route
        if route.share:
            if not shared:
                world.jumped = jump
            shared.append(world.time)
            now = world.time + world.jumped
            watched.append((route.share_of("green", now), route.expires - now))
        return False

    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run, stop=look) is State.DONE
    assert shared[-1] - shared[0] >= BAKE - 1
    assert watched[-1][0] == 2500
    assert 0 < watched[-1][1] <= 32.0, "the expiry follows the clock that the balancer has"


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_lease_is_not_lost(tmp_path, jump):
    st = stage(tmp_path)
    run = st.door.submit(st.door.plan("1.1.0"))
    journal = st.door.site.journal()
    try:
        clock = journal.clock
        me = Owner.me(clock)
        hold = Hold.take(journal, "test", run, me, lease=60.0)
        st.world.jumped = jump
        hold.check()
        assert journal.holder("test").alive
        with pytest.raises(EnvironmentHeld):
            journal.take("test", run, replace(me, pid=os.getppid()), 60.0)
        st.world.time += 61.0  # the machine slept: the clock that counts it decides
        assert not journal.holder("test").alive
        with pytest.raises(FencedOut):
            hold.check()
    finally:
        journal.close()
