"""A plan is what runs: hashed, read back equal, refused when it was edited or needs a newer changeover."""

from __future__ import annotations

import json

import pytest
from rule_cases import big_release, drop, sim, undo
from worlds import VERSIONS, Question

from changeover.core.errors import PlanUnreadable
from changeover.core.model import ALL, Acknowledgement, Policy, Route, Version
from changeover.core.steps import ACTIONS, PLAN_FORMAT, Shift, canonical, dump, from_data, load, to_data, unknown_kinds

ACKS = (Acknowledgement("keep-old:1.0.0", "dana"),)


def plans():
    policy = Policy(probes=1, gates={2500: "lead"})
    return [
        Question("release", policy, VERSIONS[2], acks=ACKS).ask(sim()),
        Question("cleanup", policy, acks=ACKS).ask(sim()),
        Question("rollback", policy).ask(sim()),
        big_release(),
        drop(),
        undo(),
    ]


@pytest.mark.parametrize("plan", plans(), ids=lambda p: p.kind)
def test_a_plan_survives_its_file(plan):
    assert load(dump(plan)) == plan
    assert load(dump(plan)).hash == plan.hash
    assert plan.hash.startswith(plan.short)
    assert plan.takes == sum(s.takes for s in plan.steps)
    assert [s.key for s in plan.steps] == [f"s{n}" for n in range(1, len(plan.steps) + 1)]


def test_the_plans_together_have_every_kind_of_step():
    assert {s.action.kind for p in plans() for s in p.steps} == set(ACTIONS)


def test_the_hash_is_that_of_the_canonical_text():
    assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    one, two = plans()[2], plans()[2]
    assert one.hash == two.hash
    assert len(one.hash) == 64


def test_an_edited_plan_is_refused():
    text = dump(plans()[0])
    with pytest.raises(PlanUnreadable, match="edited"):
        load(text.replace("production", "staging"))


@pytest.mark.parametrize("text", ["", "{}", "[]", '"x"', "not json", '{"format": "changeover.plan/1"}'])
def test_what_is_no_plan_file_is_refused(text):
    with pytest.raises(PlanUnreadable, match="not a plan file"):
        load(text)


def test_another_format_is_refused():
    document = json.loads(dump(plans()[2]))
    document["format"] = "changeover.plan/9"
    with pytest.raises(PlanUnreadable, match=PLAN_FORMAT):
        load(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value", "named"), [("kind", "teleport", "teleport/1"), ("kind_version", 2, "shift/2")]
)
def test_a_step_of_a_kind_from_the_future_is_named_and_refused(field, value, named):
    data = json.loads(json.dumps(to_data(plans()[2])))
    step = next(s for s in data["steps"] if s["kind"] == "shift")
    step[field] = value
    assert unknown_kinds(data) == (named,)
    with pytest.raises(PlanUnreadable, match=named):
        from_data(data)


@pytest.mark.parametrize(
    "break_it", [lambda d: d.pop("app"), lambda d: d.update(steps=None), lambda d: d["steps"][0].pop("words")]
)
def test_a_plan_with_a_hole_is_refused(break_it):
    data = json.loads(json.dumps(to_data(plans()[0])))
    break_it(data)
    with pytest.raises(PlanUnreadable, match="well-formed"):
        from_data(data)


def test_a_shift_asks_for_the_route_it_names():
    share = Shift("green", "blue", Version("1.1.0"), 2500, 7, 60.0)
    assert share.route("r-1.s2", 99) == Route("blue", "green", 2500, 7, 99, "r-1.s2")
    flip = Shift("green", "blue", Version("1.1.0"), ALL, 7, 60.0)
    assert flip.route("r-1.s3", 99) == Route("green", "blue", 0, 7, 0, "r-1.s3")
    home = Shift("green", "blue", Version("1.1.0"), 0, 7, 60.0)
    assert home.route("r-1.s3", 99) == Route("blue", "green", 0, 7, 0, "r-1.s3")
