"""The plan of undo: take back what was added for a version of which no instance ever started.

It is no point of no return: nobody has read or written what goes, and the next release of the version adds it again. A
version that has run is another matter: what it wrote may be there only, so its expansion stays and is owed.
"""

from __future__ import annotations

from changeover.core.draft import (
    Context,
    backup_id,
    check_acknowledged,
    check_fit,
    numbered,
    quiet,
    serving,
    unverified,
    warnings,
)
from changeover.core.errors import NothingToDo, StatementUnknown, StillNeeded
from changeover.core.inplay import ahead, in_play
from changeover.core.model import Acknowledgement, ChangeSet, Ledger, Policy, SchemaReading, Version, World
from changeover.core.rules import NO_BACKUP, Situation, before_undo
from changeover.core.steps import Action, Backup, Plan, Preflight, Prove, Undo
from changeover.core.words import Scene

COMMAND = "changeover schema undo"


def plan_undo(
    ctx: Context,
    changes: tuple[ChangeSet, ...],
    world: World,
    ledger: Ledger,
    policy: Policy,
    *,
    version: Version,
    acknowledged: tuple[Acknowledgement, ...] = (),
) -> Plan:
    """The plan that takes the expansion of `version` back, by what was kept in the target when it was begun.

    Raises NothingToDo (nothing of it was added), StatementUnknown (plain SQL does not say how it is taken back),
    StillNeeded (it serves, plays, has ever started, or a later version stands on it), ProofBroken (a version in play does not
    work with the schema as it is), EnvironmentHeld, NotAcknowledged.
    """
    live, idle = quiet(world, ledger)
    source = serving(world, ledger, live)
    change, schema = _kept(world, version)
    if version <= source.version:
        raise StillNeeded(
            f"v{source.version} serves: what v{version} added is in use (rule R2)",
            next=("what older versions needed goes with: changeover cleanup",),
        )
    _check_needed(world, ledger, version)
    players = tuple(sorted({(p.version, p.build) for p in in_play(world, ledger)}))
    check_fit(players, schema, changes)
    needed = warnings(change.undo) | unverified(players, policy)
    if not policy.backup:
        needed[NO_BACKUP] = "there is no restore point before the schema changes"
    accepted = check_acknowledged(needed, acknowledged, f"{COMMAND} {version}")
    actions: list[Action] = [Preflight(live, idle)]
    actions += [Backup(backup_id(ctx, version, "contract"), "contract")] if policy.backup else []
    actions += [Undo(version, change.undo, change.digest), Prove(players, "undone")]
    return Plan(
        kind="undo",
        app=ctx.app,
        environment=ctx.environment,
        source=source.version,
        target=source.version,
        build=source.build,
        by=ctx.by,
        at=ctx.at,
        basis=ctx.basis,
        steps=numbered(actions, Scene("undo", source.version, source.version)),
        schema_from=schema.revision,
        schema_to=schema.revision + 1,
        acknowledged=acknowledged,
        notes=(f"v{version} can be released again: it is added again", *accepted),
        because=f"v{version} was never started",
    )


def _kept(world: World, version: Version) -> tuple[ChangeSet, SchemaReading]:
    schema = world.schema
    change = next((c for c in schema.kept if c.version == version), None) if schema is not None else None
    if schema is not None and change is not None:
        return change, schema
    if schema is not None and any(a.version == version for a in schema.applied):
        raise StatementUnknown(
            f"what v{version} added was written as plain SQL, which does not say how it is taken back (rule R2)",
            next=(
                f"it stays, and harms nobody; the next release of v{version} recognises it",
                "to be rid of it: write what takes it away into the contract of a later version",
            ),
        )
    others = ahead(schema, version) if schema is not None else ()
    raise NothingToDo(
        f"nothing was added for v{version}",
        next=tuple(f"{COMMAND} {v}" for v in others) or ("see what is owed: changeover schema owed",),
    )


def _check_needed(world: World, ledger: Ledger, version: Version) -> None:
    broken = before_undo(Situation(world, ledger), version)
    if not broken:
        return
    later = ahead(world.schema, version) if world.schema is not None else ()
    started = any(v >= version for v in ledger.started)
    way = f"release v{version} again: it recognises what is there" if started or not later else f"{COMMAND} {later[-1]}"
    rules = " and ".join(dict.fromkeys(v.rule for v in broken))
    raise StillNeeded(
        f"what was added for v{version} is not taken back: {'; '.join(v.text for v in broken)} (rule {rules})",
        next=(way, "see what is owed, and why: changeover schema owed"),
    )
