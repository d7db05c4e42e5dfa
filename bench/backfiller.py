"""A process that backfills as a release does: the engine's own step, with a journal on disk, a lease and changeover's driver.

    python -m bench.backfiller --engine postgresql --url URL --statement FILE --state FILE [--pace gentle] [--seconds 8]

It says `ready`, waits for a line, and prints what became of it as JSON. A second one with the same state goes on at the checkpoint.
Only the balancer is changeover's in-memory one: a backfill does not touch it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec

from bench.database import ENGINES, driver
from changeover.config.database import Limits
from changeover.core.model import BackfillStatement, Policy, Version
from changeover.core.states import State
from changeover.core.steps import Backfill, Basis, Plan, Step, Words
from changeover.drivers import memory
from changeover.drivers.clock import SystemClock
from changeover.engine.dispatch import Drive
from changeover.engine.executor import Engine
from changeover.engine.journal import Journal
from changeover.engine.owner import Owner

PACES = {pace: Limits(pace=pace) for pace in get_args(Limits.model_fields["pace"].annotation)}
TO, FROM = Version("1.1.0"), Version("1.0.0")


def plan(statement: BackfillStatement) -> Plan:
    """A release that is nothing but this backfill."""
    words = Words("backfill", "", "", "", "", "")
    step = Step(1, Backfill(TO, (statement,), "bench"), words, 0.0)
    return Plan("release", "bench", "bench", FROM, TO, "", "bench", time.time(), Basis("", {}, "", "", ""), (step,))


def _no_way_back(run: object, given_up: bool, why: str) -> Plan:
    raise RuntimeError(f"the backfill failed: {why} ({run}, {given_up})")


def backfill(
    database: tuple[str, str], statement: BackfillStatement, state: Path, policy: Policy, seconds: float
) -> dict[str, object]:
    """Begin it, or go on with it, for so long at the most (0: to its end)."""
    clock = SystemClock()
    journal = Journal(state, clock)
    ports = replace(memory.ports(memory.MemoryWorld()), database=driver(*database), clock=clock)
    drive = Drive(Engine(ports, journal, policy, ("blue", "green"), _no_way_back), Owner.me(clock))
    open_ = journal.open_run("bench")
    run = open_.id if open_ is not None else journal.submit(plan(statement), "bench")
    seen = len(journal.events(run))
    print("ready", flush=True)
    input()
    began = time.monotonic()
    ended = drive.run(run, stop=lambda _: 0 < seconds < time.monotonic() - began)
    took = time.monotonic() - began
    filled = [e.data for e in journal.events(run)[seen:] if e.kind == "filled"]
    journal.close()
    return {
        "state": ended.value,
        "seconds": took,
        "rows": sum(int(b["rows"]) for b in filled),
        "busy": sum(float(b["seconds"]) for b in filled),
        "size": max((int(b["size"]) for b in filled), default=0),
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,  # KiB, the peak
    }


def main() -> None:
    parser = argparse.ArgumentParser("bench.backfiller")
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--statement", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--pace", choices=PACES, default="full")
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args()
    statement = msgspec.json.decode(given.statement.read_bytes(), type=BackfillStatement)
    limits = PACES[given.pace]
    found = backfill(
        (given.engine, given.url), statement, given.state, Policy(batch=limits.largest, rest=limits.rest), given.seconds
    )
    if found["state"] not in (State.DONE.value, State.RUNNING.value):
        raise SystemExit(f"the run is {found['state']}")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
