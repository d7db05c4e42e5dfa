"""One of two balancers dies at any moment of a release, for any time, with or without its last write; nobody is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.fixtures.chaos import seed, some
from tests.fixtures.memory_pair import Death, pair
from tests.fixtures.memory_site import POLICY

from changeover.core.states import State

CORRECTED_WITHIN = 5.0  # seconds after both can be reached
CALM = replace(POLICY, expiry=600.0, bake=6.0)
SEED = seed()
MOMENTS = range(1, 201)
AWAY = (0.5, 4.0, 20.0, 40.0)  # seconds; a step is tried again for 30 s


def cases() -> list[tuple[int, str, float, bool]]:
    """For each moment and balancer: how long it is away, and whether it comes back without its last write."""
    dice = Random(SEED)
    return [(at, who, dice.choice(AWAY), dice.random() < 0.5) for at in MOMENTS for who in "ab"]


@pytest.mark.parametrize(("at", "who", "seconds", "stale"), some(cases(), SEED))
def test_both_are_equal_within_seconds_and_nothing_is_drained_before(
    tmp_path: Path, at: int, who: str, seconds: float, stale: bool
) -> None:
    both = pair(tmp_path, policy=CALM)
    death = Death(both, getattr(both, who), at, seconds, stale)
    run = both.door.submit(both.door.plan("1.1.0"))
    state = both.door.drive(run, stop=death.meanwhile)
    if death.died is None:
        assert len(death.moments) < at
        return
    if death.back is None:  # the run ended before
        death.who.come_back(stale=False)
    words = f"SEED={SEED}, {death.moments[at - 1]}; {state}, held by {both.codes}, apart for {death.apart:g} s"
    assert state in (State.DONE, State.HELD, State.FAILED), words
    assert both.equal, words
    assert state is not State.FAILED or both.serves("blue"), words
    assert death.apart <= CORRECTED_WITHIN, words
    death.judge(run)
    if state is State.HELD:
        assert both.codes[-1] in ("CO-0201", "CO-0202"), words
        assert both.door.resume(stop=death.meanwhile).state is State.DONE, words
        assert both.serves("green"), words
