"""Before every shift: the pool is as large as what carries the traffic now, and its instances are those that proved themselves."""

from __future__ import annotations

import pytest
from tests.fixtures.memory_site import Stage, stage

from changeover.core.errors import CapacityMissing
from changeover.core.model import Identity, Version
from changeover.core.states import State


def at_the_flip(st: Stage, act) -> str:
    """Release 1.1.0; `act` happens after 25 % and before the flip."""

    def hook(name: str) -> None:
        if name == "after route blue:green:2500":
            act()

    st.world.hook = hook
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda s: s is State.HELD)
    return run


def why(st: Stage, run: str) -> str:
    return " ".join(str(e.data.get("what", "")) for e in st.door.events(run) if e.kind == "failed")


def test_a_live_pool_that_grew_needs_a_candidate_as_large(tmp_path) -> None:
    """The balancer sees four healthy servers of blue: an Auto Scaling group that nobody told changeover about."""
    st = stage(tmp_path)
    run = at_the_flip(st, lambda: st.world.beyond.update(blue=2))
    assert "green has 2 healthy instances and needs 4 instead of blue" in why(st, run)
    assert st.world.route is not None
    assert st.world.route.live == "blue"


def test_a_plan_is_refused_when_the_live_pool_is_larger(tmp_path) -> None:
    st = stage(tmp_path)
    st.world.beyond["blue"] = 1
    with pytest.raises(CapacityMissing, match="green has 2 slots; blue carries the traffic with 3 instances"):
        st.door.plan("1.1.0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i: setattr(i, "identity", Identity(Version("1.1.0"), "b2")), "not the build that was put there"),
        (lambda i: setattr(i, "configuration", "c2"), "runs b1 c2, proved was b1"),
    ],
    ids=["build", "configuration"],
)
def test_an_instance_that_became_another_one_stops_the_shift(tmp_path, change, words: str) -> None:
    st = stage(tmp_path)

    def act() -> None:
        for number in (1, 2):
            change(st.world.instances[f"green-{number}"])

    run = at_the_flip(st, act)
    assert words in why(st, run)
    assert st.world.route is not None
    assert st.world.route.live == "blue"


def test_instances_of_different_configurations_are_not_ready(tmp_path) -> None:
    st = stage(tmp_path)

    def hook(name: str) -> None:
        if name.startswith("after start green-2"):
            st.world.instances["green-2"].configuration = "c2"

    st.world.hook = hook
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    assert "different configurations" in why(st, run)
