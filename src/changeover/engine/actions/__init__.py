"""One function per step: already done? do it; read it back. `act` is the exhaustive match."""

from __future__ import annotations

from typing import assert_never

from changeover.core import steps as s
from changeover.engine.actions import database, drain, instances, people, traffic
from changeover.engine.context import Context, Outcome


def act(ctx: Context) -> Outcome:
    """Do what can be done of this step now. Raises ChangeoverError; the executor decides what follows."""
    action = ctx.step.action
    match action:
        case s.Preflight():
            return people.preflight(ctx, action)
        case s.Gate():
            return people.gate(ctx, action)
        case s.Backup():
            return database.backup(ctx, action)
        case s.Expand() | s.Sync() | s.Finalize() | s.Drop():
            return database.add(ctx, action)
        case s.Undo():
            return database.undo(ctx, action)
        case s.Verify():
            return database.verify(ctx, action)
        case s.Backfill():
            return database.backfill(ctx, action)
        case s.Prove():
            return database.prove(ctx, action)
        case s.Rehearse():
            return database.rehearse(ctx, action)
        case s.Contract():
            return database.contract(ctx, action)
        case s.Retire():
            return instances.retire(ctx, action)
        case s.Start():
            return instances.start(ctx, action)
        case s.Ready():
            return instances.ready(ctx, action)
        case s.Smoke():
            return instances.smoke(ctx, action)
        case s.Shift():
            return traffic.shift(ctx, action)
        case s.Bake():
            return traffic.bake(ctx, action)
        case s.Drain():
            return drain.drain(ctx, action)
        case _:
            assert_never(action)
