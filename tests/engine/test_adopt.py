"""Two state stores on one environment: the second is refused; adopted by a person, it goes on."""

from __future__ import annotations

import pytest
from tests.fixtures.memory_site import door_to, stage

from changeover.core.errors import ForeignStore


def test_a_second_store_is_refused_and_can_be_adopted(tmp_path):
    first = stage(tmp_path / "first")
    first.release("1.1.0")
    second = door_to(first.world, tmp_path / "second")
    plan = second.door.plan("1.2.0")
    with pytest.raises(ForeignStore) as refused:
        second.door.submit(plan)
    assert refused.value.exit == 5
    assert second.door.adopt()
    second.door.drive(second.door.submit(second.door.plan("1.2.0")))
    assert first.world.route.live == "blue"
    with pytest.raises(ForeignStore):
        first.door.submit(first.door.plan("1.2.0", build="b9"))
