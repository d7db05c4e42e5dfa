"""Each rule names what breaks it, and objects to nothing that is sound."""

from __future__ import annotations

import pytest
from rule_cases import broken, sim, situation, sound

from changeover.core import rules
from changeover.core.model import Identity, Ledger, Process, RouteReading, Version
from changeover.core.rules import PLAN_RULES, RUN_RULES, STATE_RULES, Violation

BROKEN, SOUND = broken(), sound()


@pytest.mark.parametrize(("name", "function", "args", "rule"), BROKEN, ids=[b[0] for b in BROKEN])
def test_what_breaks_a_rule_is_named(name, function, args, rule):
    found = getattr(rules, function)(*args)
    assert rule in {v.rule for v in found}, f"{name}: {found}"
    assert all(v.text for v in found)


@pytest.mark.parametrize(("name", "function", "args"), SOUND, ids=[s[0] for s in SOUND])
def test_what_is_sound_is_left_alone(name, function, args):
    assert getattr(rules, function)(*args) == ()


def test_all_fourteen_rules_are_there_each_with_its_meaning():
    groups = {**STATE_RULES, **PLAN_RULES, **RUN_RULES}
    assert set(groups) == {f"R{n}" for n in range(1, 15)}
    for group in (STATE_RULES, PLAN_RULES, RUN_RULES):
        for name, rule in group.items():
            assert (rule.__doc__ or "").startswith(f"{name}:")


def test_every_rule_has_a_specimen_that_breaks_it():
    assert {rule for _, _, _, rule in BROKEN} == {f"R{n}" for n in range(1, 15)}


def test_a_violation_reads_as_a_sentence():
    assert str(Violation("R3", "2 requests are in flight on blue")) == "R3: 2 requests are in flight on blue"


def test_a_silent_worker_makes_every_pool_carry_traffic():
    now = situation(sim())
    silent = RouteReading("b", {"1": now.world.route.route, "2": None}, now.world.route.durable)
    from dataclasses import replace

    world = replace(now.world, route=silent)
    assert rules.carrying(world) == {"blue", "green"}
    assert rules.before_stop(rules.Situation(world, now.ledger), "blue")
    assert rules.promise_fails(rules.Situation(world, now.ledger), now.ledger.promised[0]) == ()


def test_an_instance_that_hangs_is_what_the_ledger_says():
    s = sim()
    for inst in s.on("blue"):
        inst.hangs = True
    world = s.world()
    assert all(i.process is Process.UNKNOWN for i in world.pools["blue"])
    assert rules.residents(world, s.ledger(), "blue") == (Identity(Version("1.0.0"), "b1"),)
    assert rules.residents(world, Ledger(), "blue") == ()
    assert rules.stranger(world, Ledger(), "blue") == "blue-1"
    assert rules.stranger(world, s.ledger(), "blue") == ""


def test_a_hanging_neighbour_does_not_kill_a_healthy_instance():
    s = sim()
    s.instances["green", 1].hangs = True
    assert rules.healthy(s.world(), "green") == 1
    assert s.world().healthy("green") == 0
