"""A balancer that nobody configured: the instances count more than the balancers sent, and the run holds."""

from __future__ import annotations

import pytest
from tests.fixtures.memory_site import Stage, stage

from changeover.core.model import Counters
from changeover.core.states import State


def counting(st: Stage, sent: int, arrived: int, pool: str) -> None:
    """From now on, `sent` requests by the balancer and `arrived` at the instances."""
    was = st.world.counted.get(pool, Counters(0, 0))
    st.world.counted[pool] = Counters(was.requests + sent, 0)
    first = st.world.instances[f"{pool}-1"]
    first.requests = (first.requests or 0) + arrived


def held_by(st: Stage, run: str) -> list[str]:
    return [str(e.data["code"]) for e in st.door.events(run) if e.kind == "held"]


def start(st: Stage) -> str:
    for name in ("blue-1", "blue-2"):
        st.world.instances[name].requests = 1000
    return st.door.submit(st.door.plan("1.1.0"))


def flipped(st: Stage, sent: int, arrived: int) -> None:
    """At the flip the requests of the drain's time arrive at the old pool."""

    def hook(name: str) -> None:
        if name == "after route green:blue:0":
            counting(st, sent, arrived, "blue")

    st.world.hook = hook


@pytest.mark.parametrize(
    ("sent", "arrived", "holds"), [(0, 0, False), (500, 500, False), (500, 505, False), (500, 540, True), (0, 30, True)]
)
def test_the_old_pool_is_not_drained_while_somebody_else_sends_to_it(
    tmp_path, sent: int, arrived: int, holds: bool
) -> None:
    st = stage(tmp_path)
    run = start(st)
    flipped(st, sent, arrived)
    state = st.door.drive(run, stop=lambda s: s is State.HELD)
    assert (state is State.HELD) is holds
    assert held_by(st, run) == (["CO-0212"] if holds else [])
    if holds:
        st.world.hook = lambda _: None
        assert st.door.resume().state is State.DONE  # counted anew: somebody took it away


def test_it_holds_again_while_they_go_on(tmp_path) -> None:
    st = stage(tmp_path)
    run = start(st)
    flipped(st, 0, 30)
    assert st.door.drive(run, stop=lambda s: s is State.HELD) is State.HELD
    st.world.flying["blue"] = 1  # keeps the drain open until they have come again
    looks = 0

    def later(_: State) -> bool:
        nonlocal looks
        looks += 1
        if looks == 5:
            counting(st, 0, 30, "blue")
            st.world.flying["blue"] = 0
        return looks > 8 and st.door.run_of(run).state is State.HELD

    assert st.door.resume(stop=later).state is State.HELD
    assert held_by(st, run) == ["CO-0212", "CO-0212"]


def test_a_candidate_that_others_send_to_is_not_shifted_further(tmp_path) -> None:
    st = stage(tmp_path)
    run = start(st)

    def hook(name: str) -> None:
        if name.startswith("after start green"):
            st.world.instances[name.split()[2]].requests = 5
        if name == "after route blue:green:2500":
            counting(st, 100, 200, "green")

    st.world.hook = hook
    assert st.door.drive(run, stop=lambda s: s is State.HELD) is State.HELD
    assert held_by(st, run) == ["CO-0212"]
    assert st.world.route is not None
    assert st.world.route.live == "blue"
