"""The approval hammer: approvals 0 to 60 ms around the moment of the gate, from another connection. None is lost, none hangs."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from random import Random

import pytest
from tests.fixtures.chaos import FULL, seed
from tests.fixtures.memory_site import POLICY, Stage, stage

from changeover.core.model import ALL
from changeover.core.states import State
from changeover.core.steps import Plan
from changeover.drivers.clock import SystemClock
from changeover.engine.dispatch import Drive
from changeover.engine.journal import Journal
from changeover.engine.owner import Owner

GATES = 450 if FULL else 200
AROUND = 0.060  # seconds
HANGS = 30.0  # seconds without progress: lost


@pytest.fixture
def gated(tmp_path) -> tuple[Stage, Plan]:
    """A plan that is nothing but one gate after the other, and the door to its world."""
    st = stage(tmp_path, policy=replace(POLICY, gates={ALL: "release-manager"}))
    plan = st.door.plan("1.1.0")
    gate = next(s for s in plan.steps if s.action.kind == "gate")
    gates = tuple(replace(gate, n=n, action=replace(gate.action, name=f"g{n}")) for n in range(1, GATES + 1))
    return st, replace(plan, steps=gates)


def test_no_approval_is_lost(gated):
    st, plan = gated
    number = seed()
    print(f"SEED={number}")
    chance = Random(number)
    clock = SystemClock()
    journal = Journal(st.door.site.store, clock)
    run = journal.submit(plan, "somebody")
    ended: list[State] = []
    seen = threading.Event()

    def moments(state: State) -> bool:
        seen.set()  # wakes the approver up at the moment of every decision
        return stopped.is_set()

    stopped = threading.Event()

    def drive() -> None:
        mine = Journal(st.door.site.store, clock)
        try:
            engine = replace_clock(st, mine)
            ended.append(Drive(engine, Owner.me(clock), heartbeat=False).run(run, stop=moments))
        finally:
            mine.close()

    worker = threading.Thread(target=drive, daemon=True)
    worker.start()
    try:
        for n in range(1, GATES + 1):
            seen.clear()
            if chance.random() < 0.5:  # around the gate: after a decision that may be the one about this gate
                seen.wait(AROUND)
                time.sleep(chance.random() * AROUND / 4)
            journal.send(run, "approve", "somebody", argument=f"g{n}")
            if chance.random() < 0.3:
                wait_for(journal, run, n)
        wait_for(journal, run, GATES)
        worker.join(HANGS)
        assert ended == [State.DONE]
        approved = [e.data["gate"] for e in journal.events(run) if e.kind == "approved"]
        assert approved == [f"g{n}" for n in range(1, GATES + 1)]
        assert journal.signals(run) == ()
        waited = sum(1 for e in journal.events(run) if e.kind == "waiting")
        assert 0 < waited < GATES, "the approvals were not around the gates"
    finally:
        stopped.set()
        worker.join(HANGS)
        journal.close()


def wait_for(journal: Journal, run: str, n: int) -> None:
    """Until gate n is open. It hangs when the approval was lost."""
    deadline = time.monotonic() + HANGS
    while not any(e.kind == "done" and e.step == f"s{n}" for e in journal.events(run, after=2 * n)):
        assert time.monotonic() < deadline, f"gate g{n} hangs though it was approved"
        time.sleep(0.005)


def replace_clock(st: Stage, journal: Journal):
    """The engine of the world, on a clock that runs by itself."""
    site = replace(st.door.site, ports=replace(st.door.site.ports, clock=SystemClock()))
    return replace(st.door, site=site).engine(journal)
