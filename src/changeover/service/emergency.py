"""The way back while the state store is away: decided by the world alone, spooled, recorded afterwards."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import msgspec

from changeover.core import planner
from changeover.core.errors import NothingToDo
from changeover.core.model import Ledger, Promise, Version, World
from changeover.core.states import State
from changeover.core.steps import Plan
from changeover.engine import spool
from changeover.engine.context import fence_in
from changeover.engine.dispatch import Drive
from changeover.engine.executor import Engine
from changeover.engine.journal import Journal
from changeover.engine.owner import Owner
from changeover.engine.records import RunRecord
from changeover.service import planning
from changeover.service.site import Site


def roll_back(
    site: Site, *, to: Version | None, because: str, by: str, interrupt: threading.Event | None = None
) -> tuple[State, Path]:
    """Take the old version back without the state store. Returns the end state and the file of the record.

    Nobody can be asked what was promised, so what is warm on the other pool now is taken at its word: the planner still checks
    that it is ready, large enough, and that no contract took away what it needs. The target database's claim is not touched:
    going back never touches the schema. Raises what `plan_rollback` raises.
    """
    world = planning.look(site)
    ctx = planning.context(site, world, by)
    plan = planner.plan_rollback(ctx, world, _assumed(world), site.policy, to=to, because=because)
    with tempfile.TemporaryDirectory(prefix="changeover-emergency-") as folder:
        journal = Journal(Path(folder) / "journal.db", site.ports.clock)
        try:
            journal.start_after(site.environment, _newest_fence(world))
            run_id = journal.submit(plan, by)
            engine = Engine(replace(site.ports, database=None), journal, site.policy, site.pools, _no_way_back)
            stuck = (State.HELD, State.UNKNOWN)
            state = Drive(engine, Owner.me(site.ports.clock)).run(
                run_id, stop=lambda s: s in stuck, interrupt=interrupt
            )
            return state, spool.write(site.store, _record(journal, run_id))
        finally:
            journal.close()


def _assumed(world: World) -> Ledger:
    """A promise for whatever is warm beside the live pool."""
    route = world.route.route or world.route.durable
    found = []
    for pool in world.pools:
        identity = world.identity(pool)
        if identity is not None and (route is None or pool != route.live):
            found.append(Promise(identity.version, identity.build, pool, world.at, world.at))
    return Ledger(promises=tuple(found))


def _newest_fence(world: World) -> int:
    marks = [r.mark for r in (*world.route.workers.values(), world.route.durable) if r is not None]
    fences = [found[1] for found in map(fence_in, marks) if found is not None]
    claim = None if world.schema is None else world.schema.claim
    return max([0, *fences, 0 if claim is None else claim.fence])


def _record(journal: Journal, run_id: str) -> dict[str, object]:
    run = journal.run(run_id)
    events = [
        {"at": e.at, "kind": e.kind, "step": e.step, "data": msgspec.to_builtins(dict(e.data))}
        for e in journal.events(run_id)
    ]
    return {
        "environment": run.environment,
        "kind": run.kind,
        "plan": run.plan,
        "plan_hash": run.plan_hash,
        "state": run.state.value,
        "by": run.by,
        "at": run.at,
        "ended": run.ended,
        "fence": journal.fence_of(run.environment),
        "events": events,
    }


def _no_way_back(run: RunRecord, given_up: bool, because: str) -> Plan:  # noqa: ARG001 - the engine's signature
    raise NothingToDo("a way back has no way back of its own")
