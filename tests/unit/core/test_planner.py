"""The order of the steps, the words, and the refusals: the planner by example."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rule_cases import V0, V1, V2, mark, sim
from simulate import Sim, walk
from worlds import SALT, VERSIONS, Question, change_set

from changeover.core import errors
from changeover.core.draft import backup_id, when
from changeover.core.inplay import Part, expanded, misfit, owed
from changeover.core.model import (
    ALL,
    Acknowledgement,
    ChangeSet,
    Identity,
    InFlight,
    Phase,
    Policy,
    PoolHealth,
    Promise,
    Release,
    RestorePoint,
    Route,
    RouteReading,
    Statement,
    Verdict,
    Version,
)
from changeover.core.planner import Context, basis_of, in_play, owed_words, plan_abort, plan_release, plan_rollback
from changeover.core.steps import Backfill, Bake, Contract, Drain, Expand, Gate, Prove, Rehearse, Retire, Shift
from changeover.core.words import percent

KEEP = Acknowledgement("keep-old:1.0.0", "dana")
PROBED = Policy(probes=1)


def context(s: Sim) -> Context:
    return Context("shop", "production", "dana", s.at, basis_of(s.world(), changes="c", configuration="k"))


def fresh(version: str = "1.0.0", *sets: ChangeSet, count: int = 2) -> Sim:
    """One version serves on blue, green is empty, nothing is promised."""
    s = Sim({"blue": count, "green": count}, sets)
    s.put("blue", version)
    return s


def release(s: Sim, version: Version, policy: Policy = PROBED, *acks: str, build: str = ""):
    given = tuple(Acknowledgement(a, "dana") for a in acks)
    return Question("release", policy, version, build, given).ask(s)


def cleanup(s: Sim, policy: Policy = PROBED, *acks: str, through: Version | None = None):
    return Question("cleanup", policy, through, acks=tuple(Acknowledgement(a, "dana") for a in acks)).ask(s)


def rollback(s: Sim, to: Version | None = None, policy: Policy = PROBED):
    return Question("rollback", policy, to).ask(s)


def abort(s: Sim, of=None):
    return Question("abort", PROBED, of=of).ask(s)


def kinds(plan) -> list[str]:
    return [s.action.kind for s in plan.steps]


def of(plan, kind):
    return [s.action for s in plan.steps if isinstance(s.action, kind)]


def refusal(error: type[errors.ChangeoverError], act, *args, **kwargs) -> errors.ChangeoverError:
    with pytest.raises(error) as caught:
        act(*args, **kwargs)
    assert caught.value.next
    assert caught.value.now
    return caught.value


# forward -------------------------------------------------------------------------------------------------------


def test_the_order_of_a_release():
    plan = release(fresh("1.0.0", change_set(V1, "ebc")), V1)
    watched = ["shift", "bake"]
    assert kinds(plan) == [
        *["preflight", "backup", "expand", "backfill", "prove", "start", "ready", "smoke"],
        *watched,
        "prove",
        *watched * 3,
        "drain",
    ]
    assert [a.share for a in of(plan, Shift)] == [500, 2500, 5000, ALL]
    assert [a.when for a in of(plan, Prove)] == ["expanded", "written"]
    assert of(plan, Prove)[0].versions == ((V0, "b1"), (V1, ""))
    assert (plan.schema_from, plan.schema_to, plan.last_safe, plan.ends) == (0, 1, 0, ())
    assert plan.owed == ("- column t.c1.1.0 (contract of v1.1.0)",)
    assert of(plan, Drain)[0].pool == "blue"
    flip = of(plan, Shift)[-1]
    assert (flip.pool, flip.other, flip.leaves, flip.keep, flip.salt) == ("green", "blue", V0, PROBED.keep_old, SALT)
    assert [a.keep for a in of(plan, Shift)[:-1]] == [None] * 3


def test_the_bake_follows_the_flip_before_the_drain():
    plan = release(fresh("1.0.0", change_set(V1, "e")), V1, replace(PROBED, shift=(ALL,)))
    assert kinds(plan)[-4:] == ["shift", "bake", "prove", "drain"]


def test_a_gate_stands_before_its_share():
    plan = release(fresh("1.0.0", change_set(V1, "e")), V1, replace(PROBED, gates={2500: "lead", ALL: "boss"}))
    assert [(g.name, g.role) for g in of(plan, Gate)] == [("25%", "lead"), ("100%", "boss")]
    for n, step in enumerate(plan.steps):
        if isinstance(step.action, Gate):
            follows = plan.steps[n + 1].action
            assert isinstance(follows, Shift)
            assert percent(follows.share) == step.action.name
            assert step.who == step.action.role


def test_the_third_version_retires_the_first_by_name():
    plan = release(sim(), V2, PROBED, KEEP.name)
    first = plan.steps[1].action
    assert isinstance(first, Retire)
    assert (first.version, first.pool, first.promised) == (V0, "blue", True)
    assert plan.ends == (V0,)
    assert "1.0.0" in plan.steps[1].words.task


def test_the_way_back_is_not_ended_before_its_time():
    s = sim()
    error = refusal(errors.TooEarly, release, s, V2)
    assert "--ack keep-old:1.0.0" in " ".join(error.next)
    assert when(s.promises[0].earliest) in error.what
    s.at = s.promises[0].earliest
    assert release(s, V2).ends == (V0,)


def test_a_promise_is_ended_although_nothing_of_it_runs_any_more():
    s = sim()
    s.instances = {k: i for k, i in s.instances.items() if k[0] == "green"}
    assert release(s, V2, PROBED, KEEP.name).ends == (V0,)


def test_skipped_versions_are_expanded_too_in_order():
    s = fresh("1.0.0", change_set(V2, "eb"), change_set(V1, "eb"))
    plan = release(s, V2)
    assert [a.version for a in of(plan, Expand)] == [V1, V2]
    assert [a.version for a in of(plan, Backfill)] == [V1, V2]
    assert plan.schema_to == 2
    assert "v1.1.0, which was never released" in " ".join(plan.notes)


def test_a_backfill_is_repeated_until_its_contract():
    s = fresh("1.0.0", change_set(V1, "ebc"))
    mark(s, V1, Phase.EXPAND)
    plan = release(s, V1)
    assert not of(plan, Expand)
    assert [a.version for a in of(plan, Backfill)] == [V1]
    assert "backup" not in kinds(plan)


def test_what_is_done_is_not_done_again():
    s = fresh("1.0.0", change_set(V1, "ec"))
    mark(s, V1, Phase.EXPAND)
    plan = release(s, V1)
    assert (plan.schema_from, plan.schema_to) == (1, 1)
    assert not of(plan, Expand)


def test_code_only_needs_a_word_but_no_backup():
    s = fresh("1.0.0")
    world, ledger = s.world(), s.ledger()
    bare = Release(V1)
    error = refusal(errors.ChangesMissing, plan_release, context(s), bare, world, ledger, PROBED, salt=1)
    assert "--no-schema-change" in " ".join(error.next)
    plan = plan_release(context(s), Release(V1, no_schema_change=True), world, ledger, PROBED, salt=1)
    assert kinds(plan)[:3] == ["preflight", "prove", "start"]


def test_saying_no_changes_where_there_are_some_is_refused():
    s = fresh("1.0.0", change_set(V1, "e"))
    asked = Release(V1, changes=s.changes, no_schema_change=True)
    refusal(errors.UsageError, plan_release, context(s), asked, s.world(), s.ledger(), PROBED, salt=1)


def test_without_a_database_there_is_nothing_to_prove():
    s = fresh("1.0.0")
    s.applied = None
    plan = release(s, V1, Policy())
    assert kinds(plan)[:4] == ["preflight", "start", "ready", "smoke"]
    assert not of(plan, Prove)
    assert plan.owed == ()
    changes = (change_set(V1, "e"),)
    asked = Release(V1, changes=changes)
    refusal(errors.DatabaseUnreachable, plan_release, context(s), asked, s.world(), s.ledger(), PROBED, salt=1)


def test_every_missing_acknowledgement_is_listed_at_once_and_the_advice_helps():
    s = fresh("1.0.0", change_set(V1, "e", Verdict.WARN))
    policy = Policy(backup=False)
    error = refusal(errors.NotAcknowledged, release, s, V1, policy)
    names = ["warn:1.1.0.expand.sql:1", "unverified:1.0.0", "unverified:1.1.0", "no-backup"]
    assert error.next == ("changeover plan 1.1.0 " + " ".join(f"--ack {n}" for n in names),)
    plan = release(s, V1, policy, *names)
    assert {a.name for a in plan.acknowledged} == set(names)
    assert all("accepted by dana" in " ".join(plan.notes) for _ in names)
    assert "backup" not in kinds(plan)
    one = refusal(errors.NotAcknowledged, release, s, V1, policy, *names[:-1])
    assert one.what.startswith("an acknowledgement is missing")


@pytest.mark.parametrize(
    ("verdict", "phase", "error"),
    [
        (Verdict.BROKEN, Phase.EXPAND, errors.WouldBreak),
        (Verdict.OK, Phase.CONTRACT, errors.WouldBreak),
        (Verdict.UNVERIFIED, Phase.EXPAND, errors.StatementUnknown),
    ],
)
def test_what_would_break_the_old_version_names_it_and_the_other_way_to_write_it(verdict, phase, error):
    bad = Statement("ALTER", "1.1.0.expand.sql", 7, phase, "- column t.a", verdict=verdict, reason="read by it")
    s = fresh("1.0.0", ChangeSet(V1, (bad,)))
    caught = refusal(error, release, s, V1)
    assert "1.1.0.expand.sql:7" in caught.what
    assert caught.where[0].line == 7
    if error is errors.WouldBreak:
        assert "v1.0.0" in caught.what
        assert "1.1.0.contract.sql" in " ".join(caught.next)


def test_an_edited_change_is_refused_unless_a_person_knows_better():
    s = fresh("1.0.0", replace(change_set(V1, "e"), digest="other"))
    mark(s, V1, Phase.EXPAND)
    error = refusal(errors.ChangesEdited, release, s, V1)
    assert "--ack edited:1.1.0" in " ".join(error.next)
    assert release(s, V1, PROBED, "edited:1.1.0")


def test_what_serves_already_is_nothing_to_do_and_a_rebuild_is_a_release():
    s = fresh("1.0.0")
    refusal(errors.NothingToDo, release, s, V0)
    refusal(errors.NothingToDo, release, s, V0, build="b1")
    assert release(s, V0, build="b2").build == "b2"


def test_an_older_version_is_a_rollback():
    s = sim()
    assert "changeover rollback --to 1.0.0" in refusal(errors.WouldGoBack, release, s, V0).next[0]
    s.promises = ()
    assert "not promised" in refusal(errors.WouldGoBack, release, s, V0).next[0]
    s = fresh("1.1.0")
    s.promises = (Promise(V1, "b0", "green", 0.0, 0.0),)
    assert "changeover rollback" in refusal(errors.WouldGoBack, release, s, V1, build="b0").next[0]


def test_nothing_starts_while_a_share_is_out():
    s = sim()
    s.route = Route("green", "blue", 500, expires=9)
    for ask in (release, cleanup):
        error = refusal(errors.EnvironmentHeld, ask, s, *([V2] if ask is release else []))
        assert "5%" in error.what
        assert "v1.0.0" in error.what


@pytest.mark.parametrize(
    ("reading", "error"),
    [
        (RouteReading("lb", {}, None, "timeout"), errors.BalancerUnreachable),
        (RouteReading("lb", {"1": Route("green", "blue"), "2": None}, None), errors.BalancerUnreachable),
        (RouteReading("lb", {"1": Route("green", "blue"), "2": Route("blue", "green")}, None), errors.RouteDrift),
        (RouteReading("lb", {"1": Route("green", "blue")}, Route("blue", "green"), "disk"), errors.RouteDrift),
        (RouteReading("lb", {"1": Route("red", "blue")}, Route("red", "blue")), errors.BalancerMisconfigured),
    ],
)
def test_a_route_that_nobody_knows_is_no_ground(reading, error):
    s = sim()
    world = replace(s.world(), route=reading)
    asked = Release(V2, changes=s.changes)
    refusal(error, plan_release, context(s), asked, world, s.ledger(), PROBED, salt=1)


def test_a_live_pool_that_differs_or_is_silent_is_refused():
    s = fresh("1.0.0", change_set(V1, "e"))
    s.instances["blue", 1].identity = Identity(V1, "b1")
    assert "v1.0.0 (b1) and v1.1.0 (b1)" in refusal(errors.WrongIdentity, release, s, V1).what
    s.deployed = {}
    for inst in s.on("blue"):
        inst.hangs = True
    assert "does not say" in refusal(errors.WrongIdentity, release, s, V1).what


def test_a_candidate_pool_that_hides_what_it_runs_is_refused():
    s = fresh("1.0.0", change_set(V1, "e"))
    s.put("green", "1.0.0")
    s.deployed.pop("green")
    s.instances["green", 2].hangs = True
    assert "green-2" in refusal(errors.WrongIdentity, release, s, V1).what


def test_left_overs_are_cleared_away_and_what_is_wanted_is_kept():
    s = fresh("1.0.0", change_set(V1, "e"))
    s.put("green", "1.1.0", "b1")
    assert not of(release(s, V1), Retire)
    assert not of(release(s, V1, build="b1"), Retire)
    other = of(release(s, V1, build="b2"), Retire)
    assert [(r.version, r.promised) for r in other] == [(V1, False)]
    s.flying["green"] = None
    assert kinds(release(s, V1, build="b2"))[1:3] == ["drain", "retire"]


def test_a_promise_that_is_what_is_wanted_is_kept():
    s = fresh("1.0.0", change_set(V1, "e"))
    s.put("green", "1.1.0", "b1")
    s.promises = (Promise(V1, "b1", "green", 0.0, 0.0),)
    assert not of(release(s, V1), Retire)


def test_the_candidate_pool_must_be_large_enough():
    s = fresh("1.0.0", change_set(V1, "e"))
    s.slots["green"] = 1
    assert "at least 2" in refusal(errors.CapacityMissing, release, s, V1).next[0]
    s.instances["blue", 1].ready = False
    plan = release(s, V1)
    assert "1 of 2 instances of v1.0.0 are healthy" in " ".join(plan.notes)


def test_a_dead_version_never_blocks_its_replacement():
    s = fresh("1.0.0", change_set(V1, "e"))
    for inst in s.on("blue"):
        inst.ready = False
    plan = release(s, V1)
    assert of(plan, Shift)[-1].keep is None
    assert not of(plan, Drain)
    assert of(plan, Prove)[0].versions == ((V1, ""),)
    assert "not promised" in " ".join(plan.notes)
    assert plan.steps[-1].words.way_back.startswith("none")
    assert not walk(s.copy(), plan)


def test_the_last_healthy_way_back_is_not_retired():
    s = sim()
    for inst in s.on("green"):
        inst.ready = False
    error = refusal(errors.LastHealthyPool, release, s, V2, PROBED, KEEP.name)
    assert "changeover rollback" in error.next[0]


def test_a_version_that_lost_its_column_is_not_released_nor_promised():
    s = fresh("1.1.0", change_set(V1, "e"), change_set(V2, "e"))
    mark(s, V1, Phase.EXPAND)
    mark(s, VERSIONS[3], Phase.CONTRACT, 0)
    assert "v1.3.0" in refusal(errors.WouldBreak, release, s, V2).what
    s.changes += (change_set(VERSIONS[4], "e"),)
    plan = release(s, VERSIONS[4])
    assert of(plan, Shift)[-1].keep is None
    assert "took away" in " ".join(plan.notes)


@pytest.mark.parametrize("shift", [(), (500,), (2500, 500, ALL), (0, ALL), (500, 500, ALL)])
def test_shares_that_do_not_grow_to_all_are_refused(shift):
    refusal(errors.ConfigurationError, release, fresh("1.0.0"), V1, replace(PROBED, shift=shift))


# back ----------------------------------------------------------------------------------------------------------


def test_a_share_goes_home_in_one_step():
    s = sim()
    s.promises = ()
    s.route = Route("blue", "green", 2500, 7, 9_000_000)
    plan = rollback(s)
    assert kinds(plan) == ["shift", "drain"]
    shift = plan.steps[0].action
    assert (shift.pool, shift.other, shift.share, shift.salt) == ("green", "blue", 0, 7)
    assert shift.route("m", 0) == Route("blue", "green", 0, 7, 0, "m")
    assert (plan.source, plan.target, plan.schema_from, plan.schema_to) == (V1, V0, 1, 1)
    assert plan.owed == ("what v1.1.0 added stays; its next release recognises it",)
    refusal(errors.NoWayBack, rollback, s, V2)
    assert rollback(s, V0).target == V0


def test_after_the_flip_the_promised_version_comes_back():
    plan = rollback(sim())
    assert kinds(plan) == ["ready", "shift", "drain"]
    shift = of(plan, Shift)[0]
    assert (shift.pool, shift.share, shift.keep, shift.leaves) == ("blue", ALL, None, V1)
    assert plan.ends == ()
    assert "not promised" in " ".join(plan.notes)
    assert plan.because == "slow"
    assert rollback(sim(), V0).target == V0


def test_there_is_nothing_to_go_back_from():
    s = sim()
    refusal(errors.NothingToDo, rollback, s, V1)
    assert "was never promised" in refusal(errors.NoWayBack, rollback, s, V2).what
    assert "no version is promised" in refusal(errors.NoWayBack, rollback, fresh()).what
    end = sim()
    walk(end, rollback(end))
    refusal(errors.NothingToDo, rollback, end)


def test_a_way_back_that_ended_says_when_by_whom_and_what_is_possible_instead():
    s = sim()
    walk(s, cleanup(s, PROBED, KEEP.name))
    error = refusal(errors.NoWayBack, rollback, s, V0)
    for word in ("v1.0.0 cannot come back", "by dana", "r-1", "lacks what the contract of v1.1.0 took away"):
        assert word in error.what
    assert "v1.1.0 serves everything" in error.now
    assert "would be lost" in error.next[-1]
    s.promises += (Promise(V2, "b1", "blue", 0.0, 0.0),)
    assert "changeover rollback --to 1.2.0" in refusal(errors.NoWayBack, rollback, s, V0).next[0]


@pytest.mark.parametrize(
    ("spoil", "error", "word"),
    [
        (lambda s: s.put("blue", "1.2.0"), errors.NoWayBack, "blue runs v1.2.0"),
        (lambda s: s.instances.clear() or s.put("green", "1.1.0"), errors.NoWayBack, "healthy"),
        (lambda s: [setattr(i, "ready", False) for i in s.on("blue")], errors.NoWayBack, "no instance of it"),
        (lambda s: mark(s, V1, Phase.CONTRACT, 0), errors.NoWayBack, "contract of v1.1.0"),
        (lambda s: setattr(s.instances["blue", 1], "ready", False), errors.CapacityMissing, "1 instances of v1.0.0"),
        (lambda s: setattr(s, "promises", (replace(s.promises[0], pool="red"),)), errors.NoWayBack, "its pool red"),
    ],
)
def test_a_condition_that_fails_ends_in_a_refusal(spoil, error, word):
    s = sim()
    spoil(s)
    assert word in refusal(error, rollback, s, V0).what


def test_a_person_may_go_back_to_a_smaller_pool_by_name():
    s = sim()
    s.instances["blue", 1].ready = False
    given = (Acknowledgement("capacity:1.0.0", "dana"),)
    world, ledger = s.world(), s.ledger()
    plan = plan_rollback(context(s), world, ledger, PROBED, to=None, because="x", acknowledged=given)
    assert kinds(plan) == ["shift", "drain"]
    assert plan.acknowledged == given
    assert "not every instance of blue is healthy" in " ".join(plan.notes)


def test_from_a_dead_version_any_healthy_instance_is_better_than_none():
    s = sim()
    s.instances["blue", 1].ready = False
    for inst in s.on("green"):
        inst.ready = False
    assert kinds(rollback(s)) == ["shift"]


def test_home_is_not_a_pool_without_a_healthy_instance():
    s = sim()
    s.route = Route("blue", "green", 2500, 7, 9_000_000)
    for inst in s.on("blue"):
        inst.ready = False
    refusal(errors.LastHealthyPool, rollback, s)
    s = sim()
    s.route = Route("blue", "green", 2500, 7, 9_000_000)
    mark(s, V1, Phase.CONTRACT, 0)
    refusal(errors.NoWayBack, rollback, s)


FLIPPED, OLD = Route("green", "blue"), Route("blue", "green")
SHARED = Route("blue", "green", 500, 7, 99)


@pytest.mark.parametrize(
    ("workers", "durable", "promised", "to", "route"),
    [
        ((SHARED, FLIPPED), FLIPPED, False, None, "blue"),  # killed in the flip
        ((OLD, SHARED), SHARED, False, None, "blue"),  # killed in the first shift
        ((OLD, OLD), SHARED, False, None, "blue"),  # only the disk has it
        ((OLD, FLIPPED), FLIPPED, True, None, "blue"),  # a flip without shares: the promise tells
        ((OLD, FLIPPED), FLIPPED, False, V0, "blue"),  # the person tells
        ((FLIPPED, FLIPPED), OLD, True, None, "blue"),  # killed in the way back
        ((None, SHARED), None, False, None, "blue"),  # one worker is silent
        ((None, None), SHARED, False, None, "blue"),  # only the disk answers
        ((OLD, FLIPPED), FLIPPED, False, None, None),  # nobody can tell
        ((None, None), None, True, None, None),
    ],
)
def test_going_back_settles_what_a_killed_shift_left_behind(workers, durable, promised, to, route):
    s = sim()
    s.promises = s.promises if promised else ()
    reading = RouteReading("lb", {str(n): w for n, w in enumerate(workers)}, durable)
    world = replace(s.world(), route=reading)

    def ask():
        return plan_rollback(context(s), world, s.ledger(), PROBED, to=to, because="x")

    if route is None:
        refusal(errors.RouteDrift if durable else errors.BalancerUnreachable, ask)
    else:
        after = of(ask(), Shift)[0].route("m", 0)
        assert (after.live, after.share) == (route, 0)


def test_why_a_balancer_cannot_be_worked_with_is_what_every_plan_says():
    """The id of the cause, not that nobody knows where the traffic goes."""
    s = sim()
    reason = errors.ListenerForeign("web:443 is not changeover's", next=("look",))
    world = replace(s.world(), route=RouteReading("alb", {}, None, "told", refusal=reason))
    asked = Release(V2, changes=s.changes)
    for ask in (
        lambda: plan_release(context(s), asked, world, s.ledger(), PROBED, salt=1),
        lambda: plan_rollback(context(s), world, s.ledger(), PROBED, to=None, because="x"),
    ):
        assert refusal(errors.ListenerForeign, ask) is reason


# abort ---------------------------------------------------------------------------------------------------------


def test_abort_before_traffic_moved_stops_the_new_version_only():
    s = fresh("1.0.0", change_set(V1, "e"))
    plan = release(s, V1)
    refusal(errors.NothingToDo, abort, s, plan)
    walk(s, plan, upto=5)
    given_up = abort(s, plan)
    assert kinds(given_up) == ["retire"]
    assert (given_up.kind, given_up.source, given_up.target) == ("abort", V1, V0)
    assert not of(given_up, Retire)[0].promised
    assert given_up.owed == ("what v1.1.0 added stays; its next release recognises it",)
    s.flying["green"] = 1
    assert kinds(abort(s, plan)) == ["drain", "retire"]
    assert kinds(abort(s)) == ["drain", "retire"]


def test_abort_after_the_flip_goes_back_and_stops():
    s = fresh("1.0.0", change_set(V1, "e"))
    plan = release(s, V1)
    walk(s, plan)
    assert kinds(abort(s, plan)) == ["ready", "shift", "drain", "retire"]
    refusal(errors.NothingToDo, abort, s)  # without the plan nothing is guessed


def test_abort_of_a_share_goes_home_and_stops():
    s = fresh("1.0.0", change_set(V1, "e"))
    plan = release(s, V1)
    walk(s, plan, upto=next(x.n for x in plan.steps if isinstance(x.action, Bake)))
    assert kinds(abort(s, plan)) == kinds(abort(s)) == ["shift", "drain", "retire"]
    for inst in s.on("green"):
        inst.ready = False
    assert kinds(abort(s, plan)) == ["shift", "drain", "retire"]


def test_abort_before_the_retirement_leaves_the_way_back_alone():
    s = sim()
    plan = release(s, V2, PROBED, KEEP.name)
    walk(s, plan, upto=1)
    refusal(errors.NothingToDo, abort, s, plan)
    refusal(errors.NothingToDo, abort, s)


def test_abort_stops_what_was_started_and_never_said_who_it_is():
    s = fresh("1.0.0", change_set(V1, "e"))
    plan = release(s, V1)
    s.put("green", "1.1.0")
    s.deployed.pop("green")
    for inst in s.on("green"):
        inst.hangs = True
    assert [r.version for r in of(abort(s, plan), Retire)] == [V1]
    refusal(errors.NothingToDo, abort, s)


def test_abort_keeps_the_last_healthy_pool():
    s = fresh("1.0.0", change_set(V1, "e"))
    plan = release(s, V1)
    walk(s, plan, upto=5)
    for inst in s.on("blue"):
        inst.ready = False
    refusal(errors.LastHealthyPool, abort, s, plan)


def test_a_cleanup_has_nothing_to_undo():
    s = sim()
    refusal(errors.NothingToDo, abort, s, cleanup(s, PROBED, KEEP.name))


def test_abort_without_a_database_speaks_of_no_schema():
    s = fresh()
    s.applied = None
    plan = release(s, V1)
    walk(s, plan, upto=2)
    assert not any("schema" in n for n in abort(s, plan).notes)
    mixed = replace(s.world(), pools={**s.world().pools})
    world = replace(mixed, health={p: PoolHealth(0, 0) for p in mixed.pools})
    assert plan_abort(context(s), world, s.ledger(), PROBED, because="x", of=plan)


# cleanup ---------------------------------------------------------------------------------------------------------


def test_the_order_of_a_cleanup():
    s = sim()
    plan = cleanup(s, PROBED, KEEP.name)
    assert kinds(plan) == ["preflight", "retire", "backfill", "backup", "rehearse", "contract", "prove"]
    assert plan.last_safe == 5
    assert (plan.schema_from, plan.schema_to, plan.ends, plan.owed) == (1, 2, (V0,), ())
    assert of(plan, Prove)[0].versions == ((V1, "b1"),)
    assert plan.steps[5].words.way_back.startswith("restore only")
    assert plan.steps[1].words.way_back == "none to v1.0.0: ended by this plan"
    assert plan.steps[0].words.way_back == "unchanged"
    assert not walk(s.copy(), plan)


def test_the_way_back_is_not_ended_by_cleanup_before_its_time():
    assert "changeover cleanup --ack keep-old:1.0.0" in " ".join(refusal(errors.TooEarly, cleanup, sim()).next)


def test_cleanup_takes_first_what_breaks_nobody():
    s = sim()
    s.put("green", "1.2.0")
    s.promises = (Promise(V1, "b1", "blue", 0.0, s.at + 9.0),)
    s.put("blue", "1.1.0")
    mark(s, V2, Phase.EXPAND)
    plan = cleanup(s)
    assert [a.version for a in of(plan, Contract)] == [V1]
    assert plan.ends == ()
    assert plan.owed == ("- column t.c1.2.0 (contract of v1.2.0)",)
    assert of(plan, Prove)[0].versions == ((V1, "b1"), (V2, "b1"))
    both = cleanup(s, PROBED, "keep-old:1.1.0", through=V2)
    assert [a.version for a in of(both, Contract)] == [V1, V2]
    assert both.ends == (V1,)
    rehearsed = of(both, Rehearse)
    assert [len(a.statements) for a in rehearsed] == [1, 2]  # each on top of those before it
    assert both.last_safe == max(x.n for x in both.steps if isinstance(x.action, Rehearse))


def test_what_serves_or_drains_is_still_needed():
    s = sim()
    s.promises = ()
    s.flying["blue"] = 1
    assert "v1.0.0 on blue (drains)" in refusal(errors.StillNeeded, cleanup, s).what
    s.flying["blue"] = None
    refusal(errors.StillNeeded, cleanup, s)
    s.flying["blue"] = 0
    plan = cleanup(s)
    assert [(r.version, r.promised) for r in of(plan, Retire)] == [(V0, False)]


def test_use_that_cannot_be_excluded_holds_the_contract():
    s = sim()
    s.promises = ()
    s.deployed.pop("blue")
    for inst in s.on("blue"):
        inst.hangs = True
    refusal(errors.StillNeeded, cleanup, s)


def test_nothing_owed_is_nothing_to_do():
    s = fresh("1.0.0", change_set(V1, "ec"))
    refusal(errors.NothingToDo, cleanup, s)
    mark(s, V1, Phase.EXPAND)
    assert "what v1.1.0 added stays" in refusal(errors.NothingToDo, cleanup, s).what
    s.applied = None
    refusal(errors.NothingToDo, cleanup, s)
    assert "owed are: v1.1.0" in refusal(errors.NothingToDo, cleanup, sim(), through=V0).next[0]


def test_no_point_of_no_return_without_a_healthy_version():
    s = sim()
    for inst in s.on("green"):
        inst.ready = False
    refusal(errors.LastHealthyPool, cleanup, s)
    for inst in s.on("blue"):
        inst.ready = False
    refusal(errors.NotReady, cleanup, s)


def test_cleanup_without_a_backup_is_a_risk_by_name_and_not_rehearsed():
    policy = Policy(probes=1, backup=False)
    refusal(errors.NotAcknowledged, cleanup, sim(), policy, KEEP.name)
    plan = cleanup(sim(), policy, KEEP.name, "no-backup")
    assert "backup" not in kinds(plan)
    assert "rehearse" not in kinds(plan)
    assert "no rehearsal" in " ".join(plan.notes)


def test_a_version_that_does_not_work_now_is_no_ground_for_a_contract():
    s = sim()
    s.promises = (Promise(V2, "b1", "blue", 0.0, 0.0),)
    s.put("blue", "1.2.0")
    refusal(errors.ProofBroken, cleanup, s)


def test_a_contract_that_was_begun_is_finished():
    s = sim()
    s.promises = ()
    s.instances = {k: i for k, i in s.instances.items() if k[0] == "green"}
    mark(s, V1, Phase.CONTRACT, 0)
    assert [a.version for a in of(cleanup(s), Contract)] == [V1]


# who plays, what is owed, words ------------------------------------------------------------------------------------


def test_who_plays_and_why():
    s = sim()
    players = in_play(s.world(), s.ledger())
    assert [(p.version, p.pool, p.parts) for p in players] == [
        (V0, "blue", {Part.PROMISED}),
        (V1, "green", {Part.SERVES}),
    ]
    assert players[0].promised_only
    assert not players[1].promised_only
    assert str(players[1]) == "v1.1.0 on green (serves)"
    s.flying["blue"] = None
    assert in_play(s.world(), s.ledger())[0].parts == {Part.PROMISED, Part.DRAINS}
    silent = replace(s.world(), in_flight={}, route=RouteReading("lb", {"1": None}, None))
    assert all(Part.SERVES in p.parts for p in in_play(silent, s.ledger()))
    quiet = replace(s.world(), in_flight={p: InFlight(0) for p in s.slots})
    assert in_play(quiet, s.ledger())[0].promised_only
    s.instances = {}
    assert [p.version for p in in_play(s.world(), s.ledger())] == [V0, V1]


def test_what_is_owed_and_what_fits():
    s = sim()
    schema = s.world().schema
    assert [c.version for c in owed(s.changes, schema, V1)] == [V1]
    assert owed(s.changes, schema, V0) == ()
    assert owed_words(s.changes, schema, V0) == ("what v1.1.0 added stays; its next release recognises it",)
    assert expanded(change_set(V2, "c"), schema)
    assert misfit(V1, schema, s.changes) == ""
    assert "v1.2.0" in misfit(V2, schema, s.changes)
    mark(s, V2, Phase.CONTRACT, 0)
    assert "took away" in misfit(V1, s.world().schema)


def test_the_basis_moves_when_the_world_does_and_only_then():
    s = sim()
    one = basis_of(s.world(), changes="c", configuration="k")
    assert (one.route, one.pools) == ("green", {"blue": "1.0.0 (b1)", "green": "1.1.0 (b1)"})
    s.route = replace(s.route, mark="r-9.s1", salt=5)
    assert basis_of(s.world(), changes="c", configuration="k") == one
    s.route = replace(s.route, share=500, expires=5)
    assert basis_of(s.world(), changes="c", configuration="k").route == "green:blue:500:5"
    s.instances["blue", 1].hangs = True
    s.instances.pop(("green", 1))
    s.instances.pop(("green", 2))
    assert basis_of(s.world(), changes="c", configuration="k").pools == {"blue": "1.0.0 (b1), ?", "green": ""}
    bare = replace(s.world(), schema=None, route=RouteReading("lb", {}, None))
    assert (
        basis_of(bare, changes="", configuration="").route,
        basis_of(bare, changes="", configuration="").catalogue,
    ) == ("", "")


@pytest.mark.parametrize(("share", "text"), [(500, "5%"), (250, "2.5%"), (ALL, "100%"), (1, "0.01%")])
def test_a_share_as_people_write_it(share, text):
    assert percent(share) == text


def test_a_restore_point_has_a_name_that_any_file_system_takes():
    s = sim()
    assert backup_id(context(s), Version("1!2.0+a"), "expand") == "1-2.0-a-expand-19700112T134640Z"


@pytest.mark.parametrize(
    "make",
    [lambda: release(sim(), V2, PROBED, KEEP.name), lambda: cleanup(sim(), PROBED, KEEP.name), lambda: rollback(sim())],
)
def test_every_step_says_all_its_words(make):
    for step in make().steps:
        words = step.words
        for text in (words.task, words.probe, words.do, words.undo, words.confirm, words.way_back, step.expect):
            assert text.strip()
            assert "None" not in text
            assert "Version(" not in text
        assert step.takes >= 0
        assert step.by_hand == ()


def test_the_way_back_is_said_at_every_step():
    plan = release(fresh("1.0.0", change_set(V1, "e")), V1)
    first = next(n for n, s in enumerate(plan.steps) if isinstance(s.action, Shift))
    assert {s.words.way_back for s in plan.steps[:first]} == {"nothing to take back: v1.0.0 serves everything"}
    assert {s.words.way_back for s in plan.steps[first:]} == {"1 step, about 4 s: all traffic to v1.0.0"}
    assert "forward again" in rollback(sim()).steps[0].words.way_back


def test_the_last_restore_point_is_named_when_nothing_else_is_left():
    s = fresh("1.1.0")
    s.points = (RestorePoint("1.1.0-contract", s.at, "r-1", "/b", "compared", 2),)
    assert "1.1.0-contract" in refusal(errors.NoWayBack, rollback, s, V0).next[-1]
