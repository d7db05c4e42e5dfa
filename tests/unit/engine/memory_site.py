"""An environment in memory: two pools, 1.0.0 serving, the changes of 1.1.0 and 1.2.0, and a state store on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from changeover.core.model import (
    ALL,
    BackfillStatement,
    ChangeSet,
    GoBackRule,
    Phase,
    Policy,
    Probe,
    RuleMetric,
    Statement,
    Version,
)
from changeover.drivers.memory import MemoryWorld, ports
from changeover.service.door import Changeover
from changeover.service.site import Site


def add_column(version: str, table: str, column: str) -> Statement:
    return Statement(
        f"ALTER TABLE {table} ADD COLUMN {column} integer",
        f"{version}.expand.sql",
        1,
        Phase.EXPAND,
        f"+ column {table}.{column} integer",
        probe=Probe("column", column, table),
    )


def drop_column(version: str, table: str, column: str) -> Statement:
    return Statement(
        f"ALTER TABLE {table} DROP COLUMN {column}",
        f"{version}.contract.sql",
        1,
        Phase.CONTRACT,
        f"- column {table}.{column}",
        probe=Probe("column", column, table, present=False),
    )


def change(version: str, adds: tuple[str, ...], drops: str) -> ChangeSet:
    fill = BackfillStatement("UPDATE t SET a = b WHERE a IS NULL", f"{version}.backfill.sql", 1, "t", "id", "~ t.a")
    return ChangeSet(
        Version(version),
        expand=tuple(add_column(version, "t", c) for c in adds),
        backfill=(fill,),
        contract=(drop_column(version, "t", drops),),
        digest=f"digest of {version}",
    )


CHANGES = (change("1.1.0", ("new_a", "new_b"), "old_a"), change("1.2.0", ("new_c",), "old_b"))

POLICY = Policy(
    shift=(2500, ALL),
    bake=1.0,
    drain_soft=2.0,
    drain_hard=10.0,
    keep_old=0.0,
    expiry=30.0,
    go_back_when=(GoBackRule(RuleMetric.INSTANCE, seconds=1.0), GoBackRule(RuleMetric.FALLBACKS)),
    ready_times=2,
    ready_every=0.5,
    ready_within=5.0,
    probes=1,
    smoke=1,
)


@dataclass(frozen=True)
class Stage:
    """A memory world and the door to it."""

    world: MemoryWorld
    door: Changeover

    def release(self, version: str, **options: object) -> str:
        plan = self.door.plan(version, **options)  # type: ignore[arg-type]
        run = self.door.submit(plan)
        self.door.drive(run)
        return run


def stage(folder: Path, *, policy: Policy = POLICY, changes: tuple[ChangeSet, ...] = CHANGES) -> Stage:
    """1.0.0 serves on blue; green is empty; table t has the old columns and 2500 unfilled rows."""
    world = MemoryWorld()
    world.run("blue", "1.0.0")
    world.objects |= {("table", "", "t"), ("column", "t", "old_a"), ("column", "t", "old_b")}
    world.rows["t"] = 2500
    return door_to(world, folder, policy=policy, changes=changes)


def door_to(
    world: MemoryWorld, folder: Path, *, policy: Policy = POLICY, changes: tuple[ChangeSet, ...] = CHANGES
) -> Stage:
    """A door to a world that is there already."""
    site = Site(
        app="shop",
        environment="test",
        pools=("blue", "green"),
        policy=policy,
        ports=ports(world),
        changes=changes,
        configuration="digest of the configuration",
        store=folder / "state.db",
        config=folder / "changeover.yml",
    )
    return Stage(world, Changeover(site, lease=1e9, heartbeat=False))
