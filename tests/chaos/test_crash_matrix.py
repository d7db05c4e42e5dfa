"""Killed before and after every journal write and every act of every plan, then resumed: same end, no effect twice."""

from __future__ import annotations

import copy
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fixtures.memory_site import CHANGES, DECLARED, POLICY, Stage, door_to, stage

from changeover.core.model import ChangeSet, Version
from changeover.core.states import ENDED, State
from changeover.engine.journal import Journal
from changeover.service.door import Changeover
from changeover.service.site import Site

LEASE = 10.0
PATIENT = replace(POLICY, expiry=600.0)


class Killed(BaseException):
    """SIGKILL: nothing after it runs, no finally writes anything."""


@dataclass
class Killer:
    """Counts the gaps between any two lines that touch the world or the journal, and kills at one of them."""

    at: int = -1
    seen: int = 0
    dead: bool = False
    names: list[str] = field(default_factory=list)

    def point(self, name: str) -> None:
        if self.dead:
            raise Killed
        self.names.append(name)
        self.seen += 1
        if self.seen == self.at:
            self.dead = True
            raise Killed

    def revive(self) -> None:
        self.dead, self.at = False, -1


class MortalJournal(Journal):
    """A journal whose process can be killed before and after each write."""

    killer: Killer

    @contextmanager
    def _write(self) -> Iterator:
        killer = getattr(self, "killer", None)
        if killer is None:
            with super()._write() as db:
                yield db
            return
        killer.point("before write")
        with super()._write() as db:
            yield db
        killer.point("after write")


@dataclass(frozen=True, slots=True)
class MortalSite(Site):
    killer: Killer = field(default_factory=Killer)

    def journal(self, *, create: bool = True) -> Journal:
        journal = MortalJournal(self.store, self.ports.clock, create=create)
        journal.killer = self.killer
        return journal


def mortal(prepared: Stage, folder: Path) -> tuple[Stage, Killer]:
    """A copy of a prepared world and its state store, in which every gap can be the last."""
    folder.mkdir()
    for file in prepared.door.site.store.parent.glob("state.db*"):
        shutil.copy(file, folder)
    killer = Killer()
    world = copy.deepcopy(prepared.world)
    world.hook = killer.point
    world.effects.clear()
    changes = prepared.door.site.changes
    plain = door_to(world, folder, policy=PATIENT, changes=changes).door.site
    site = MortalSite(**{n: getattr(plain, n) for n in Site.__dataclass_fields__}, killer=killer)
    return Stage(world, Changeover(site, lease=LEASE, heartbeat=False)), killer


def prepared(folder: Path, steps: list[Callable[[Stage], None]], changes: tuple[ChangeSet, ...] = CHANGES) -> Stage:
    """The world before the plan under test, its journal closed and complete on disk."""
    st = stage(folder, policy=PATIENT, changes=changes)
    journal = st.door.site.journal()
    for step in steps:
        step(st)
    journal.close()
    return st


def _release(st: Stage) -> None:
    st.door.drive(st.door.submit(st.door.plan("1.1.0")))


def _back(st: Stage) -> None:
    st.door.rollback(because="matrix")


def _cleanup(st: Stage) -> None:
    st.door.drive(st.door.submit(st.door.plan_cleanup()))


def _third(st: Stage) -> None:
    st.door.drive(st.door.submit(st.door.plan("1.2.0")))


def _bad(st: Stage) -> None:
    st.world.never_ready.add("green-2")
    _release(st)


def _given_up(st: Stage) -> None:
    """What 1.1.0 adds is there, and no instance of it ever started."""
    st.world.broken.add(Version("1.0.0"))
    _release(st)
    st.world.broken.clear()


def _undo(st: Stage) -> None:
    st.door.drive(st.door.submit(st.door.plan_undo("1.1.0")))


def _later(st: Stage) -> None:
    st.world.time += PATIENT.keep_parked


PLANS = {
    "release": ([], _release, CHANGES),
    "rollback": ([_release], _back, CHANGES),
    "cleanup": ([_release], _cleanup, CHANGES),
    "third version": ([_release], _third, CHANGES),
    "undone": ([], _bad, CHANGES),
    "operations": ([], _release, DECLARED),
    "park": ([_release], _cleanup, DECLARED),
    "drop": ([_release, _cleanup, _later], _cleanup, DECLARED),
    "undo": ([_given_up], _undo, DECLARED),
}


def effects_of(st: Stage) -> Counter[str]:
    """What really happened, by kind; the name of a backup has its time in it."""
    return Counter(re.sub(r"\d{8}T\d{6}Z", "TIME", e) for e in st.world.effects)


def end_state(st: Stage) -> object:
    w = st.world
    journal = st.door.site.journal()
    known = journal.ledger("test")
    journal.close()
    return (
        (w.route.live, w.route.share),
        {k: str(v.identity) for k, v in w.instances.items()},
        sorted(w.objects),
        sorted(map(str, w.kept)),
        w.revision,
        sorted((str(a.version), a.phase, a.index) for a in w.applied),
        {t: len(k) for t, k in w.filled.items()},
        [(str(p.version), p.ended is None) for p in known.promises],
        sorted(map(str, known.started)),
        {p: str(i) for p, i in known.deployed.items()},
    )


def finish(st: Stage, act: Callable[[Stage], None]) -> None:
    """What a person does after the crash: resume what is on record; if nothing is, give the command again."""
    st.world.time += 2 * LEASE
    journal = st.door.site.journal()
    open_run = journal.open_run("test")
    runs = journal.runs("test")
    journal.close()
    if open_run is not None:
        st.door.resume()
    elif len(runs) == finish.before:
        act(st)


@pytest.mark.timeout(900)  # thousands of commits to a disk that may be slow
@pytest.mark.parametrize("name", PLANS)
def test_every_gap(name, tmp_path):
    before, act, changes = PLANS[name]
    start = prepared(tmp_path / "start", before, changes)
    calm, counter = mortal(start, tmp_path / "calm")
    journal = start.door.site.journal()
    finish.before = len(journal.runs("test"))
    journal.close()
    act(calm)
    expected, effects, points = end_state(calm), effects_of(calm), counter.seen
    assert points > 20
    assert max(effects.values()) == 1
    for at in range(1, points + 1):
        st, killer = mortal(start, tmp_path / str(at))
        killer.at = at
        with pytest.raises(Killed):
            act(st)
        where = f"killed at {at}: {killer.names[-1]}"
        killer.revive()
        finish(st, act)
        assert end_state(st) == expected, where
        assert effects_of(st) == effects, where
        journal = st.door.site.journal()
        assert all(r.state in ENDED for r in journal.runs("test")), where
        journal.close()


def test_the_matrix_can_fail(tmp_path):
    """A world in which an effect happens twice is noticed."""
    st, _ = mortal(prepared(tmp_path / "start", []), tmp_path / "run")
    _release(st)
    st.world.effects.append(st.world.effects[0])
    assert max(Counter(st.world.effects).values()) == 2
    assert st.door.status().state == "idle"
    assert State.DONE in ENDED
