"""An expansion taken back, what is owed, and what has drifted: whole runs in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fixtures.memory_site import DECLARED, POLICY, act, door_to, stage

from changeover.core.errors import NothingToDo, StatementUnknown, StillNeeded, UndoUnfinished
from changeover.core.model import Applied, ChangeSet, Phase, SchemaReading, Version
from changeover.core.states import State
from changeover.service.drift import expected
from changeover.service.owed import Debt

V1 = Version("1.1.0")


def given_up(folder, changes=DECLARED):
    """What 1.1.0 adds is there; a probe failed before any instance of it started."""
    st = stage(folder, changes=changes)
    st.world.broken.add(Version("1.0.0"))
    st.release("1.1.0")
    st.world.broken.clear()
    return st


def do(st, plan):
    return st.door.drive(st.door.submit(plan))


def test_an_expansion_is_taken_back_and_added_again(tmp_path):
    before = set(stage(tmp_path / "a", changes=DECLARED).world.objects)
    st = given_up(tmp_path / "b")
    assert st.world.objects > before
    assert do(st, st.door.plan_undo("1.1.0")) is State.DONE
    assert st.world.objects == before
    assert st.world.applied == []
    assert st.world.kept == {}
    st.release("1.1.0")
    assert st.door.status().serving == "1.1.0"


def test_what_is_taken_back_says_so_in_the_journal(tmp_path):
    st = given_up(tmp_path)
    run = st.door.submit(st.door.plan_undo("1.1.0"))
    st.door.drive(run)
    done = {e.step: e.data for e in st.door.events(run) if e.kind == "done"}
    undone = next(s for s in st.door.plan_of(run).steps if s.action.kind == "undo")
    assert done[undone.key]["statements"] == 3
    assert [s.action.kind for s in st.door.plan_of(run).steps] == ["preflight", "backup", "undo", "prove"]
    assert st.door.plan_of(run).steps[undone.n - 1].by_hand


def test_not_once_an_instance_has_started(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.world.never_ready.add("green-2")
    st.release("1.1.0")
    with pytest.raises(StillNeeded, match=r"an instance of 1\.1\.0 has started .*R4"):
        st.door.plan_undo("1.1.0")


def test_not_while_it_serves_and_not_what_plain_sql_added(tmp_path):
    st = stage(tmp_path / "a", changes=DECLARED)
    st.release("1.1.0")
    with pytest.raises(StillNeeded, match="serves"):
        st.door.plan_undo("1.1.0")
    with pytest.raises(NothingToDo):
        st.door.plan_undo("1.2.0")
    plain = given_up(tmp_path / "b", changes=stage(tmp_path / "c").door.site.changes)
    with pytest.raises(StatementUnknown, match="plain SQL"):
        plain.door.plan_undo("1.1.0")


def test_a_start_between_plan_and_run_stops_it(tmp_path):
    st = given_up(tmp_path)
    run = st.door.submit(st.door.plan_undo("1.1.0"))
    st.world.run("green", "1.1.0")
    assert st.door.drive(run, stop=lambda s: s is not State.RUNNING) is not State.DONE
    assert ("column", "t", "new_a") in st.world.objects


def test_half_taken_back_is_finished_first(tmp_path):
    st = given_up(tmp_path)
    st.world.failing.add("ddl 1.1.0 undo 1")
    state = st.door.drive(st.door.submit(st.door.plan_undo("1.1.0")), stop=lambda s: s is not State.RUNNING)
    assert state is not State.DONE
    with pytest.raises(UndoUnfinished):
        st.door.plan("1.1.0")
    assert {(o.debt, o.version) for o in st.door.owed()} == {(Debt.UNDO, V1)}
    st.world.failing.clear()
    if st.door.status().run is not None:
        st.door.resume()
    else:
        do(st, st.door.plan_undo("1.1.0"))
    assert st.world.kept == {}
    st.door.plan("1.1.0")


# owed -----------------------------------------------------------------------------------------------------------


def test_what_is_owed_through_the_life_of_a_change(tmp_path):
    st = given_up(tmp_path)
    added = st.door.owed()
    assert {o.debt for o in added} == {Debt.ADDED}
    assert [o.what for o in added] == ["+ column t.new_a", "+ trigger t.zz_1.1.0", "+ not_null t.new_a"]
    assert added[0].because == ()
    assert "changeover schema undo 1.1.0" in added[0].command

    st.release("1.1.0")
    waits = st.door.owed()
    assert {o.debt for o in waits} == {Debt.CONTRACT}
    assert waits[0].because == ("v1.0.0 on blue (is the way back)",)
    assert waits[0].until is not None

    do(st, st.door.plan_cleanup())
    parked = st.door.owed()
    assert [(o.debt, o.what) for o in parked] == [(Debt.PARKED, "- column t.zz_gone_1.1.0_old_a")]
    assert parked[0].until == parked[0].since + POLICY.keep_parked
    assert "parked:1.1.0" in parked[0].command
    with pytest.raises(NothingToDo):
        st.door.plan_cleanup()

    st.world.time += POLICY.keep_parked
    due = st.door.owed()
    assert (due[0].because, due[0].command) == ((), "changeover cleanup")
    do(st, st.door.plan_cleanup())
    assert st.door.owed() == ()


def test_a_person_may_give_up_what_is_parked(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.release("1.1.0")
    do(st, st.door.plan_cleanup())
    assert do(st, st.door.plan_cleanup(acknowledge=["parked:1.1.0"])) is State.DONE
    assert st.door.owed() == ()
    assert not [o for o in st.world.objects if "zz_gone" in o[2]]


# drift ----------------------------------------------------------------------------------------------------------


def kinds(st):
    return {d.kind for d in st.door.drift().deviations}


def test_nothing_drifts_by_itself(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    assert st.door.drift().deviations == ()
    st.release("1.1.0")
    assert st.door.drift().deviations == ()
    assert st.door.drift().compared == 3
    do(st, st.door.plan_cleanup())
    assert st.door.drift().deviations == ()
    st.release("1.2.0")
    st.world.time += POLICY.keep_parked
    do(st, st.door.plan_cleanup())
    found = st.door.drift()
    assert found.deviations == ()
    assert found.compared > 3


def test_a_change_by_hand_is_seen_and_named(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.release("1.1.0")
    st.world.objects.add(("column", "other", "extra"))
    assert kinds(st) == {"catalogue"}
    st.world.objects.discard(("trigger", "t", "zz_1.1.0"))
    found = st.door.drift().deviations
    assert {d.kind for d in found} == {"catalogue", "object"}
    assert any("trigger t.zz_1.1.0 was added, and is not there" in d.what for d in found)


def test_what_was_taken_away_and_is_back_is_named(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.release("1.1.0")
    do(st, st.door.plan_cleanup())
    st.world.objects.add(("column", "t", "old_a"))
    assert any("column t.old_a was taken away, and is there" in d.what for d in st.door.drift().deviations)


def test_a_restored_database_is_seen(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.release("1.1.0")
    st.world.applied.clear()
    assert "journal" in kinds(st)


def test_an_edited_file_is_drift(tmp_path):
    st = stage(tmp_path)
    st.release("1.1.0")
    assert kinds(st) == set()
    edited = stage(tmp_path / "x").door.site
    changes = tuple(
        c if c.version != V1 else type(c)(c.version, expand=c.expand[::-1], digest="other") for c in edited.changes
    )
    object.__setattr__(st.door.site, "changes", changes)
    assert "files" in kinds(st)


# read endpoints --------------------------------------------------------------------------------------------------


def test_expand_ends_when_every_read_endpoint_shows_it(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.world.lagging["replica"] = {("column", "t", "new_a")}
    st = with_readers(st)

    run = st.door.submit(st.door.plan("1.1.0"))
    st.world.time += 15
    st.world.lagging["replica"] = Until(st.world, 1_000_030.0, {("column", "t", "new_a")})
    assert st.door.drive(run) is State.DONE
    kinds = [e.kind for e in st.door.events(run)]
    assert kinds.count("lagging") == 1
    events = st.door.events(run)
    lagging = next(e for e in events if e.kind == "lagging")
    assert lagging.data["endpoints"] == ["replica: column t.new_a"]
    done = next(e for e in events if e.kind == "done" and e.step == lagging.step)
    assert done.at >= 1_000_030.0
    assert st.door.doctor()[-1].subject == "read endpoint replica"


def test_a_read_endpoint_that_stays_behind_fails_the_release_before_anything_starts(tmp_path):
    st = stage(tmp_path, changes=DECLARED)
    st.world.lagging["replica"] = {("column", "t", "new_a")}
    st = with_readers(st)
    run = st.door.submit(st.door.plan("1.1.0"))
    assert st.door.drive(run) is State.FAILED
    failed = next(e for e in st.door.events(run) if e.kind == "failed")
    assert failed.data["code"] == "CO-0117"
    assert "replica: column t.new_a" in failed.data["what"]
    assert not [e for e in st.world.effects if e.startswith("start")]
    assert not st.door.site.ports.database.read().completed(V1, Phase.EXPAND)
    st.world.lagging["replica"].clear()
    st.release("1.1.0")
    assert st.door.status().serving == "1.1.0"


class Until(set):
    """What an endpoint lacks until a time of the world's clock."""

    def __init__(self, world, until, lacks):
        super().__init__(lacks)
        self.world, self.until = world, until

    def __contains__(self, key):
        return self.world.time < self.until and super().__contains__(key)


def with_readers(st):
    """The same stage, its ports knowing the read endpoints of its world."""
    return door_to(st.world, st.door.site.store.parent, changes=st.door.site.changes)


def test_a_name_that_something_else_has_got_is_not_expected_to_be_gone():
    drop = act("1.1.0", Phase.CONTRACT, "index", "t_a_i", present=False)
    rename = replace(
        act("1.1.0", Phase.CONTRACT, "index", "copy", present=False), sql="ALTER TABLE t RENAME INDEX copy TO t_a_i"
    )
    change = ChangeSet(V1, contract=(drop, rename), declared=True)

    def rows(many: int) -> tuple[Applied, ...]:
        return tuple(Applied(V1, Phase.CONTRACT, n, "d", float(n), "r", 1) for n in range(many))

    assert expected((change,), SchemaReading(1, "c", rows(1))) == (drop.probe,)
    assert expected((change,), SchemaReading(1, "c", rows(2))) == (rename.probe,)
