"""The state store fails, is of yesterday, or is of tomorrow: no run is marked failed because its journal was away."""

from __future__ import annotations

import json
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.fixtures.memory_site import Stage, stage

from changeover.core.errors import FencedOut, StoreUnusable
from changeover.core.states import State
from changeover.core.steps import canonical
from changeover.service.door import Changeover

SPECIMENS = Path(__file__).parent.parent / "specimens" / "journal"


@contextmanager
def disk_full(store: Path) -> Iterator[None]:
    """No file of this process may grow beyond what the log of the store has now."""
    wal = store.with_name(store.name + "-wal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def short(st: Stage, lease: float = 60.0) -> Changeover:
    return Changeover(st.door.site, lease=lease, heartbeat=False)


def test_disk_full_until_the_lease_is_over(tmp_path):
    st = stage(tmp_path)
    door = short(st)
    run = door.submit(door.plan("1.1.0"))
    door.drive(run, stop=lambda _: bool(st.world.route.share))
    journal = st.door.site.journal()  # keeps the log of the store in being
    try:
        with disk_full(st.door.site.store):
            with pytest.raises((StoreUnusable, FencedOut)) as caught:
                door.drive(run)
            if caught.type is StoreUnusable:
                assert "cannot be used" in str(caught.value.what)
            with pytest.raises(StoreUnusable):
                journal.record(journal.run(run), 1, "note")
    finally:
        journal.close()
    assert door.run_of(run).state is State.RUNNING
    st.world.time += 120.0
    assert door.resume().state is State.DONE
    assert st.world.route.live == "green"
    assert len(st.world.effects) == len(set(st.world.effects))


def test_space_comes_back_while_somebody_waits_for_it(tmp_path):
    """The disk fills up in the middle of a run that is driven; the run goes on by itself when there is room again."""
    st = stage(tmp_path)
    door = short(st)
    run = door.submit(door.plan("1.1.0"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = st.door.site.store.with_name(st.door.site.store.name + "-wal")
    full_since: list[float] = []

    def fill_up(name: str) -> None:
        if name.startswith("after start green-1"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, before[1]))
            full_since.append(st.world.time)

    class Patient:
        """The clock of the world; after some seconds of a full disk somebody makes room."""

        def sleep(self, seconds: float) -> None:
            st.door.site.ports.clock.sleep(seconds)
            if full_since and st.world.time - full_since[0] > 10:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

        def __getattr__(self, name: str):
            return getattr(st.door.site.ports.clock, name)

    from dataclasses import replace

    st.world.hook = fill_up
    ports = replace(st.door.site.ports, clock=Patient())
    patient = Changeover(replace(st.door.site, ports=ports), lease=60.0, heartbeat=False)
    try:
        assert patient.drive(run) is State.DONE
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full_since
    assert st.world.time - full_since[0] > 10
    assert len(st.world.effects) == len(set(st.world.effects))


def rewrite(store: Path, run: str, change) -> None:
    """Change the frozen plan of a run in the store, as a newer changeover would have written it."""
    db = sqlite3.connect(store)
    try:
        data = json.loads(db.execute("SELECT plan FROM run WHERE id = ?", (run,)).fetchone()[0])
        change(data)
        db.execute("UPDATE run SET plan = ? WHERE id = ?", (canonical(data), run))
        db.commit()
    finally:
        db.close()


def newer(data: dict) -> None:
    data["steps"][-1]["kind_version"] = 99


def test_a_step_of_an_unknown_kind_parks_the_run(tmp_path):
    st = stage(tmp_path)
    run = st.door.submit(st.door.plan("1.1.0"))
    rewrite(st.door.site.store, run, newer)
    assert st.door.drive(run, stop=lambda s: s is State.BLOCKED) is State.BLOCKED
    assert st.world.effects == [], "nothing is done of a plan that cannot be finished"
    status = st.door.status()
    assert status.state == "blocked"
    assert "drain/99" in str(status.problem)
    rewrite(st.door.site.store, run, lambda data: data["steps"][-1].update(kind_version=1))
    assert st.door.resume().state is State.DONE


def test_the_old_version_comes_back_from_a_plan_that_is_not_understood(tmp_path):
    st = stage(tmp_path)
    run = st.door.submit(st.door.plan("1.1.0"))
    st.door.drive(run, stop=lambda _: bool(st.world.route.share))
    rewrite(st.door.site.store, run, newer)
    assert st.door.rollback(because="nobody here knows that step").state is State.DONE
    assert (st.world.route.live, st.world.route.share) == ("blue", 0)


def test_the_journal_of_yesterday_is_finished_by_today(tmp_path):
    """A store as the first published format wrote it, with a release under way."""
    st = stage(tmp_path)
    db = sqlite3.connect(st.door.site.store)
    db.executescript((SPECIMENS / "format-1.sql").read_text())
    db.close()
    before = st.door.history()
    assert [(r.id, r.kind, r.state) for r in before] == [("r-0001", "release", State.RUNNING)]
    assert st.door.plan_of("r-0001").target.text == "1.1.0"
    assert "1.1.0" in st.door.status().sentence
    assert st.door.resume().state is State.DONE
    assert st.world.route.live == "green"
    assert st.door.rollback().state is State.DONE


def test_the_journal_of_tomorrow_is_left_alone(tmp_path):
    st = stage(tmp_path)
    st.door.submit(st.door.plan("1.1.0"))
    db = sqlite3.connect(st.door.site.store)
    db.execute("UPDATE store SET format = 99")
    db.commit()
    db.close()
    with pytest.raises(StoreUnusable, match="newer changeover"):
        st.door.history()
