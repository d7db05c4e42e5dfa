"""At least a thousand accepted plans of each kind: every prefix is judged, and undone."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from judge import judge_answer
from simulate import walk
from worlds import VERSIONS, Question, ask, episode, meeting, reached, seeds

from changeover.core.model import Policy
from changeover.core.steps import Shift

WANTED = 1_000
UNDONE = {"release": 0.15, "rollback": 0.5, "cleanup": 0.3, "undo": 0.5}  # undoing walks three more plans


@pytest.mark.parametrize("kind", ["release", "rollback", "cleanup", "undo"])
def test_a_thousand_plans_keep_every_rule_after_every_step(kind):
    accepted = seed = 0
    while accepted < WANTED:
        r = Random(seed)
        asked = meeting(seed, kind)
        problems = judge_answer(asked, r, undo=r.random() < UNDONE[kind])
        assert not problems, f"seed {seed}: {problems}"
        accepted += asked.plan is not None
        seed += 1
        assert seed < 3 * WANTED, f"only {accepted} of {seed} were accepted"


@given(seeds)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whole_lives_of_an_environment_keep_every_rule(seed):
    r = Random(seed)
    for asked in episode(seed):
        problems = judge_answer(asked, r, undo=r.random() < 0.3)
        assert not problems, problems


def test_from_the_first_share_on_the_way_back_is_one_shift_after_every_step():
    for seed in range(40):
        sim = reached(Random(seed))
        target = next(v for v in VERSIONS if v > sim.deployed[sim.route.live].version)
        asked = ask(sim, Question("release", Policy(probes=1), target))
        if asked.plan is None:
            continue
        first = next(s.n for s in asked.plan.steps if isinstance(s.action, Shift))
        for upto in range(first, len(asked.plan.steps) + 1):
            now = asked.sim.copy()
            walk(now, asked.plan, upto=upto, judged=False)
            back = ask(now, Question("rollback", Policy(probes=1)))
            assert back.plan is not None, f"seed {seed} after s{upto}: {back.refusal}"
            assert sum(isinstance(s.action, Shift) for s in back.plan.steps) == 1
            assert not walk(now, back.plan)
            assert now.route.live == asked.sim.route.live


def test_equal_questions_get_equal_plans():
    for seed in range(20):
        one, two = meeting(seed, "release"), meeting(seed, "release")
        assert (one.plan is None) == (two.plan is None)
        if one.plan is not None:
            assert one.plan.hash == two.plan.hash
