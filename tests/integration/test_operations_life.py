"""The whole life of every operation through the door, on real databases: given up, undone, released, parked, dropped; what is
owed and what has drifted is right at each stop. Balancer and instances are in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.memory_site import POLICY
from tests.fixtures.operations import mysql, postgresql, sqlite
from tests.fixtures.operations.case import Case
from tests.fixtures.operations.place import Place
from tests.fixtures.operations.walk import declared

from changeover.core.errors import NotAcknowledged, NothingToDo, WouldBreak
from changeover.core.model import Version
from changeover.core.states import State
from changeover.core.steps import Plan
from changeover.drivers.memory import MemoryWorld, ports
from changeover.service.door import Changeover
from changeover.service.owed import Debt
from changeover.service.site import Site

ENGINES = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite}
MORE = ("constraints", "foreign-key", "several")  # where names are given again


def chosen(cases: Sequence[Case]) -> Iterator[Case]:
    """The first case of each operation, and those that are more than one of its kind."""
    seen: set[str] = set()
    for case in cases:
        if case.kind not in seen or any(word in case.title for word in MORE):
            seen.add(case.kind)
            yield case


CASES = [pytest.param(e, c, id=f"{e}-{c.title}") for e, m in ENGINES.items() for c in chosen(m.CASES)]
DAY = 86_400.0
STUCK = {State.HELD, State.UNKNOWN, State.BLOCKED}


class Life:
    """A door to an environment whose database is real."""

    def __init__(self, place: Place, case: Case, folder: Path) -> None:
        self.world = MemoryWorld()
        self.world.run("blue", "1.0.0")
        found = declared(case.text)
        self.version = found.version.text
        site = Site(
            app="shop",
            environment="test",
            pools=("blue", "green"),
            policy=replace(POLICY, keep_parked=DAY),
            ports=replace(ports(self.world), database=place.driver),
            changes=(found.open,),
            declared=(found,),
            configuration="digest of the configuration",
            store=folder / "state.db",
            config=folder / "changeover.yml",
        )
        self.door = Changeover(site, lease=1e9, heartbeat=False)

    def do(self, plan: Callable[[list[str]], Plan], *, ends: State = State.DONE) -> None:
        """Plan, with every acknowledgement that is asked for, and drive it to its end."""
        acks: list[str] = []
        while True:
            try:
                made = plan(acks)
                break
            except NotAcknowledged as asked:
                more = re.findall(r"--ack (\S+)", " ".join(asked.next))
                assert set(more) - set(acks), asked
                acks = sorted({*acks, *more})
        run = self.door.submit(made)
        state = self.door.drive(run, stop=lambda s: s in STUCK)
        events = self.door.events(run)
        assert state is ends, [e.data for e in events if "code" in e.data]

    def release(self, *, ends: State = State.DONE) -> None:
        self.do(lambda acks: self.door.plan(self.version, acknowledge=acks), ends=ends)

    def cleanup(self) -> None:
        self.do(lambda acks: self.door.plan_cleanup(acknowledge=acks))

    def owed(self) -> set[Debt]:
        return {o.debt for o in self.door.owed()}

    def calm(self) -> None:
        """Nothing has drifted."""
        assert [d.what for d in self.door.drift().deviations] == []


@pytest.mark.parametrize(("engine", "case"), CASES)
def test_life(engine: str, case: Case, tmp_path: Path) -> None:
    with ENGINES[engine].place() as place:
        place.run(*case.before)
        life = Life(place, case, tmp_path)
        before = place.driver.read().catalogue
        life.calm()

        life.world.broken.add(Version("1.0.0"))
        life.release(ends=State.FAILED)
        life.world.broken.clear()
        assert life.owed() <= {Debt.ADDED}
        life.calm()
        life.do(lambda acks: life.door.plan_undo(life.version, acknowledge=acks))
        assert life.owed() == set()
        if not case.stays:
            assert place.driver.read().catalogue == before
        life.calm()

        if case.kind == "add_enum_value" and case.stays:
            with pytest.raises(WouldBreak, match="already"):  # the label is left: nothing is to be added any more
                life.release()
            return
        life.release()
        life.calm()
        kept = place.driver.read().kept[0]
        assert life.owed() == ({Debt.CONTRACT} if kept.contract else set())
        if kept.contract:
            life.cleanup()
            life.calm()
        assert life.owed() == ({Debt.PARKED} if kept.drop else set())
        with pytest.raises(NothingToDo):
            life.door.plan_cleanup()
        if kept.drop:
            life.world.time += DAY
            life.cleanup()
            life.calm()
        assert life.owed() == set()
