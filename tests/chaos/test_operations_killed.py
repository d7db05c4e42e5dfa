"""Operations whose changeover is killed with SIGKILL at seeded random moments while two versions write, and goes on.

`CHANGEOVER_CHAOS=full` kills each engine's 40 times, a usual test run 4 times. SEED=… repeats the choices, not the exact moments.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from tests.fixtures.chaos import FULL, seed
from tests.fixtures.operations import mysql, postgresql, sqlite
from tests.fixtures.operations.case import Case
from tests.fixtures.operations.place import Witness
from tests.fixtures.operations.walk import Walk

from changeover.core.model import Phase
from changeover.drivers.databases.ledger_sql import changes_text

ENGINES = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite}
KILLS = 40 if FULL else 4
STRIKES = 8 if FULL else 2  # at most, within one piece of work
CASE = "several-on-one-table"
LONGEST = 0.03  # seconds between a line of the actor and the kill
PATIENCE = 120.0  # seconds that an actor may take
HERE = Path(__file__).parents[2]


@dataclass
class Killer:
    """Does a piece of work to its end, killed on the way."""

    chance: Random
    most: int  # kills in all
    kills: int = 0
    where: Counter[str] = field(default_factory=Counter)  # the last line before the kill
    lines: dict[str, int] = field(default_factory=dict)  # work -> lines that it says when nobody disturbs it

    def to_its_end(self, argv: list[str], work: str) -> None:
        strikes = self.chance.randint(0, STRIKES)
        while True:
            with _actor(argv) as actor:
                if strikes > 0 and self.kills < self.most and self._strike(actor, work):
                    strikes -= 1
                    continue
                said, complaint = actor.communicate(timeout=PATIENCE)
                assert actor.returncode == 0, complaint[-3000:]
            self.lines.setdefault(work, max(1, said.count("\n")))
            return

    def _strike(self, actor: subprocess.Popen[str], work: str) -> bool:
        """Kill it shortly after one of the lines that it says. False: it was faster."""
        assert actor.stdout is not None
        line = ""
        for _ in range(self.chance.randint(1, self.lines.get(work, 1))):
            line = actor.stdout.readline() or line
        time.sleep(self.chance.random() * LONGEST)
        if actor.poll() is not None:
            return False
        actor.send_signal(signal.SIGKILL)
        actor.wait(PATIENCE)
        self.kills += 1
        self.where[line.strip()] += 1
        return True


@contextmanager
def _actor(argv: list[str]):
    whole = [sys.executable, "-m", "tests.fixtures.operations.actor", *argv]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE) as actor:
        try:
            yield actor
        finally:
            if actor.poll() is None:
                actor.kill()


@dataclass(kw_only=True)
class KilledWalk(Walk):
    """The walk, its work done by an actor that is killed."""

    module: ModuleType
    killer: Killer
    folder: Path

    def _act(self, *work: str) -> None:
        file = self.folder / f"{self.case.title}.json"
        file.write_text(changes_text(self.changes))
        self.killer.to_its_end([self.module.__name__, self.place.url, str(file), *work], " ".join(work))

    def _phases(self, *phases: Phase) -> None:
        self._act(*(p.value for p in phases))

    def _backfill(self) -> None:
        self._act("backfill")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.timeout(1800 if FULL else 300)
def test_killed_and_gone_on(engine: str, tmp_path: Path) -> None:
    """The end is that of an undisturbed walk, nobody has lost anything, and each change of the schema was made once."""
    number = seed()
    print(f"\nSEED={number}")
    module = ENGINES[engine]
    (case,) = (c for c in module.CASES if c.title == CASE)
    with module.witness() as witness:
        calm = Killer(Random(number), most=0)
        wanted = _walked(case, witness, module, calm, tmp_path)
        assert wanted, "the witness saw nothing"
        killer = Killer(Random(number), KILLS, lines=calm.lines)
        while killer.kills < KILLS:
            assert _walked(case, witness, module, killer, tmp_path) == wanted
    print(f"{sum(wanted.values())} changes of the schema; {killer.kills} kills: {dict(killer.where)}")


def _walked(case: Case, witness: Witness, module: ModuleType, killer: Killer, folder: Path) -> dict[str, int]:
    """One walk from an empty database; what its database says was done."""
    with witness.places() as here:
        KilledWalk(case, here, witness.places, module=module, killer=killer, folder=folder).run()
        return dict(witness.effects(here))
