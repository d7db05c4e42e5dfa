"""The plan of cleanup: end the way back by name, make sure that nobody needs the old shape, contract the schema.

Everything that can fail is tried before the point of no return: the old rows are filled, the restore point is taken of
the filled rows (else a rehearsal would judge rows that the contract will not meet), and each contract is rehearsed on
the restored copy, on top of those before it. The point of no return is the first contract; instances that were retired
before it can still be started by hand, and the plan names the promises that it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.draft import (
    Context,
    Ground,
    backup_id,
    check_acknowledged,
    check_fit,
    check_keep_old,
    check_last_healthy,
    check_unedited,
    cleared,
    numbered,
    quiet,
    serving,
    unverified,
    warnings,
)
from changeover.core.errors import NothingToDo, NotReady, StillNeeded
from changeover.core.inplay import (
    Player,
    flying,
    healthy,
    in_play,
    owed,
    owed_words,
    parked,
    refills,
    residents,
    stranger,
)
from changeover.core.model import Acknowledgement, ChangeSet, Identity, Ledger, Policy, SchemaReading, Version, World
from changeover.core.rules import NO_BACKUP
from changeover.core.steps import (
    Action,
    Backfill,
    Backup,
    Contract,
    Drop,
    Plan,
    Preflight,
    Prove,
    Rehearse,
    Retire,
    Verify,
)
from changeover.core.words import Scene

COMMAND = "changeover cleanup"


@dataclass(frozen=True, slots=True)
class _Draft:
    g: Ground
    source: Identity
    changes: tuple[ChangeSet, ...]
    chosen: tuple[ChangeSet, ...]
    refills: tuple[ChangeSet, ...]
    retires: tuple[Retire, ...]
    stays: tuple[tuple[Version, str], ...]
    dropping: tuple[ChangeSet, ...] = ()


def plan_cleanup(
    ctx: Context,
    changes: tuple[ChangeSet, ...],
    world: World,
    ledger: Ledger,
    policy: Policy,
    *,
    through: Version | None = None,
    acknowledged: tuple[Acknowledgement, ...] = (),
) -> Plan:
    """The plan that contracts what is owed, up to and with the version `through`.

    Without `through`: everything that breaks no version in play; if that is nothing, the oldest that is owed, whose broken
    versions must be promised only; they are retired by name. Raises NothingToDo, StillNeeded, TooEarly, NotAcknowledged.
    """
    live, idle = quiet(world, ledger)
    source = serving(world, ledger, live)
    schema = world.schema
    waiting = owed(changes, schema, source.version) if schema is not None else ()
    dropping = _due(changes, schema, policy, ctx.at, acknowledged) if schema is not None and through is None else ()
    if schema is None or not (waiting or dropping):
        rest = owed_words(changes, schema, source.version) if schema is not None else ()
        raise NothingToDo(
            "no contract is owed" + (f" ({'; '.join(rest)})" if rest else ""),
            next=("see what is promised: changeover status",),
        )
    command = f"{COMMAND} --through {through}" if through is not None else COMMAND
    players = in_play(world, ledger)
    chosen = _choose(waiting, players, through) if waiting else ()
    check_unedited(chosen, schema, acknowledged, command)
    _check_healthy(world, live, idle)
    ground = Ground(ctx, world, ledger, policy, live, idle, command, acknowledged)
    retires = _retires(ground, chosen, players)
    last = chosen[-1].version if chosen else source.version
    draft = _Draft(
        g=ground,
        source=source,
        changes=changes,
        chosen=chosen,
        refills=tuple(c for c in refills(changes, schema, last) if c in chosen),
        retires=retires,
        stays=_stays(players, source, last) if chosen else tuple(sorted({(p.version, p.build) for p in players})),
        dropping=dropping,
    )
    check_fit(draft.stays, schema, changes)
    gone = (*(s for c in chosen for s in c.contract), *(s for c in dropping for s in c.drop))
    needed = warnings(gone) | unverified(draft.stays, policy)
    if not policy.backup:
        needed[NO_BACKUP] = "there is no restore point before the point of no return, and no rehearsal"
    accepted = check_acknowledged(needed, acknowledged, command)
    return _plan(draft, schema, accepted)


def _plan(d: _Draft, schema: SchemaReading, notes: tuple[str, ...]) -> Plan:
    ctx, source = d.g.ctx, d.source
    before = _before(d)
    after: list[Action] = []
    for change in d.chosen:
        after += [Contract(change.version, change.contract, change.digest), Prove(d.stays, "contracted")]
    for change in d.dropping:
        after.append(Drop(change.version, change.drop, change.digest))
    if d.dropping:
        after.append(Prove(d.stays, "contracted"))
    rest = [c for c in d.changes if c not in d.chosen]
    return Plan(
        kind="cleanup",
        app=ctx.app,
        environment=ctx.environment,
        source=source.version,
        target=source.version,
        build=source.build,
        by=ctx.by,
        at=ctx.at,
        basis=ctx.basis,
        steps=numbered([*before, *after], Scene("cleanup", source.version, source.version)),
        schema_from=schema.revision,
        schema_to=schema.revision + len(d.chosen),
        last_safe=len(before),
        ends=tuple(sorted(r.version for r in d.retires if r.promised)),
        owed=owed_words(rest, schema, source.version),
        acknowledged=d.g.acknowledged,
        notes=notes,
    )


def _before(d: _Draft) -> list[Action]:
    """What comes before the point of no return."""
    actions: list[Action] = [Preflight(d.g.live, d.g.idle), *cleared(d.g, d.g.idle, d.retires)]
    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]
    actions += [Verify(c.version, c.verify) for c in d.chosen if c.verify]
    if d.g.policy.backup:
        last = (*d.dropping, *d.chosen)[-1].version
        actions.append(Backup(backup_id(d.g.ctx, last, "contract"), "contract"))
        for n, change in enumerate(d.chosen, 1):
            upto = tuple(s for c in d.chosen[:n] for s in c.contract)
            actions.append(Rehearse(change.version, upto, d.stays))
    return actions


def _due(
    changes: tuple[ChangeSet, ...],
    schema: SchemaReading,
    policy: Policy,
    now: float,
    acknowledged: tuple[Acknowledgement, ...],
) -> tuple[ChangeSet, ...]:
    """What lies parked long enough, or what a person gives up by name (`parked:VERSION`)."""
    named = {a.name for a in acknowledged}
    return tuple(
        c for c, since in parked(changes, schema) if now - since >= policy.keep_parked or f"parked:{c.version}" in named
    )


def _choose(waiting: Sequence[ChangeSet], players: Sequence[Player], through: Version | None) -> tuple[ChangeSet, ...]:
    """The contracts of this cleanup, oldest first: a later contract never precedes an earlier one."""
    if through is not None:
        chosen = tuple(c for c in waiting if c.version <= through)
        if not chosen:
            raise NothingToDo(
                f"no contract up to v{through} is owed",
                next=(f"owed are: {', '.join(f'v{c.version}' for c in waiting)}",),
            )
        return chosen
    oldest = min(p.version for p in players)
    free = tuple(c for c in waiting if c.version <= oldest)
    return free or (waiting[0],)


def _retires(g: Ground, chosen: Sequence[ChangeSet], players: Sequence[Player]) -> tuple[Retire, ...]:
    """Whom the contracts break: promised versions are retired by name, leftovers cleared away, others refuse."""
    world, ledger, idle = g.world, g.ledger, g.idle
    if not chosen:
        return ()
    last = chosen[-1].version
    needing = [p for p in players if p.version < last and not p.promised_only]
    if needing:
        raise StillNeeded(
            f"the contract of v{last} takes away what is still needed by "
            + ", ".join(str(p) for p in needing)
            + " (rule R4)",
            next=("wait until it neither serves nor drains: changeover status", "release the newer version first"),
        )
    hidden = stranger(world, ledger, idle)
    if hidden or (not flying(world, idle).is_zero and not residents(world, ledger, idle) and world.running(idle)):
        raise StillNeeded(
            f"it cannot be seen what runs on {hidden or idle}, so use of the old shape cannot be excluded (rule R4)",
            next=("stop it, or make it answer; then repeat", g.command),
        )
    retires: list[Retire] = []
    for player in players:
        if player.version < last:
            promise = next(p for p in ledger.promised if p.version == player.version)
            check_keep_old(g, promise)
            retires.append(
                Retire(player.pool, player.version, f"the contract of v{last} takes away what it needs", promised=True)
            )
    named = {r.version for r in retires}
    for identity in residents(world, ledger, idle):
        if identity.version < last and identity.version not in named:
            retires.append(
                Retire(idle, identity.version, f"left over; the contract of v{last} would break it", promised=False)
            )
            named.add(identity.version)
    return tuple(retires)


def _stays(players: Sequence[Player], source: Identity, last: Version) -> tuple[tuple[Version, str], ...]:
    """The versions that are in play afterwards."""
    found = {(p.version, p.build) for p in players if p.version >= last}
    return tuple(sorted(found | {(source.version, source.build)}))


def _check_healthy(world: World, live: str, idle: str) -> None:
    """No point of no return while the serving version is not healthy: that is when the way back is needed."""
    check_last_healthy(world, live, idle, "take the old version back: changeover rollback")
    if not healthy(world, live):
        raise NotReady(
            f"no instance of the live pool {live} is healthy: this is no moment for a point of no return (rule R11)",
            next=("see what is wrong: changeover status",),
        )
