"""The plan of a release: prepare the schema, warm the new version, move the traffic, keep the old version warm.

The order keeps the way back one step long at every moment. Each shift is followed at once by its bake, so that no
traffic is on the new version while nobody watches; the old pool is drained last, when the new version has been judged
good, because a drain that waits, holds or cuts is only right once it is certain that the old pool is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.draft import (
    Context,
    Ground,
    backup_id,
    check_acknowledged,
    check_keep_old,
    check_last_healthy,
    check_unedited,
    cleared,
    drain,
    numbered,
    promised_on,
    quiet,
    serving,
    unverified,
    warnings,
)
from changeover.core.errors import (
    CapacityMissing,
    ChangesMissing,
    ConfigurationError,
    DatabaseUnreachable,
    NothingToDo,
    StatementUnknown,
    UndoUnfinished,
    UsageError,
    Where,
    WouldBreak,
    WouldGoBack,
    WrongIdentity,
)
from changeover.core.inplay import (
    added_words,
    carries,
    dead,
    healthy,
    in_play,
    lost,
    matches,
    parked,
    pending,
    refills,
    residents,
    stranger,
    undoing,
)
from changeover.core.model import (
    ALL,
    FORWARD,
    ChangeSet,
    Identity,
    Ledger,
    Phase,
    Policy,
    Release,
    Statement,
    Verdict,
    Version,
    World,
)
from changeover.core.rules import NO_BACKUP
from changeover.core.steps import (
    Action,
    Backfill,
    Backup,
    Bake,
    Expand,
    Finalize,
    Gate,
    Plan,
    Preflight,
    Prove,
    Ready,
    Retire,
    Shift,
    Smoke,
    Start,
    Sync,
    Verify,
)
from changeover.core.words import Scene, percent


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a release is planned from, looked up once. `unfit`: why the source can not be promised, or ""."""

    g: Ground
    release: Release
    salt: int
    source: Identity
    unfit: str
    pending: tuple[ChangeSet, ...]
    refills: tuple[ChangeSet, ...]
    retires: tuple[Retire, ...]
    proved: tuple[tuple[Version, str], ...]

    @property
    def verified(self) -> tuple[ChangeSet, ...]:
        """The change sets whose rows are asked before anybody uses what they added, in order."""
        return tuple(sorted({*self.pending, *self.refills}, key=lambda c: c.version))


def plan_release(ctx: Context, release: Release, world: World, ledger: Ledger, policy: Policy, *, salt: int) -> Plan:
    """The plan that makes `release` serve everything. Pure: equal arguments give an equal plan.

    Refuses (ChangeoverError) what would break a rule, naming the rule, the version that would break, and the way to
    write it instead.
    """
    _check_shares(policy)
    live, idle = quiet(world, ledger)
    command = f"changeover plan {release.version}"
    draft = _draft(Ground(ctx, world, ledger, policy, live, idle, command, release.acknowledged), release, salt)
    needed = warnings(s for c in draft.pending for s in c.adds)
    if world.schema is not None:
        needed |= unverified(draft.proved, policy)
    if draft.pending and not policy.backup:
        needed[NO_BACKUP] = "there is no restore point before the schema changes"
    accepted = check_acknowledged(needed, release.acknowledged, command)
    actions = _actions(draft)
    revision = world.schema.revision if world.schema is not None else 0
    return Plan(
        kind="release",
        app=ctx.app,
        environment=ctx.environment,
        source=draft.source.version,
        target=release.version,
        build=release.build,
        by=ctx.by,
        at=ctx.at,
        basis=ctx.basis,
        steps=numbered(actions, Scene("release", draft.source.version, release.version)),
        schema_from=revision,
        schema_to=revision + _new(draft),
        ends=tuple(sorted(r.version for r in draft.retires if r.promised)),
        owed=_owed_after(draft),
        acknowledged=release.acknowledged,
        notes=(*_notes(draft), *accepted),
    )


def _draft(g: Ground, release: Release, salt: int) -> _Draft:
    world = g.world
    source = serving(world, g.ledger, g.live)
    _check_version(release, source, g.ledger)
    _check_capacity(world, g.live, g.idle)
    _check_changes(release, world)
    schema = world.schema
    retires = _retires(g, release)
    unfit = _unfit(world, g.live, source)
    others = {(p.version, p.build) for p in in_play(world, g.ledger) if p.pool != g.idle}
    if unfit:
        others.discard((source.version, source.build))
    draft = _Draft(
        g=g,
        release=release,
        salt=salt,
        source=source,
        unfit=unfit,
        pending=pending(release.changes, schema, release.version) if schema is not None else (),
        refills=refills(release.changes, schema, release.version) if schema is not None else (),
        retires=retires,
        proved=tuple(sorted(others | {(release.version, release.build)})),
    )
    _check_statements(draft)
    return draft


# the steps -----------------------------------------------------------------------------------------------------


def _actions(d: _Draft) -> list[Action]:
    g = d.g
    actions: list[Action] = [Preflight(g.live, g.idle), *cleared(g, g.idle, d.retires)]
    if d.pending and g.policy.backup:
        actions.append(Backup(backup_id(g.ctx, d.release.version, "expand"), "expand"))
    for c in d.pending:
        actions.append(Expand(c.version, c.expand, c.digest, c if c.declared else None))
        actions += [Sync(c.version, c.sync, c.digest)] if c.sync else []
    actions += [Backfill(c.version, c.backfill, c.digest) for c in d.refills]
    actions += [Verify(c.version, c.verify) for c in d.verified if c.verify]
    actions += [Finalize(c.version, c.finalize, c.digest) for c in d.pending if c.finalize]
    if g.world.schema is not None:
        actions.append(Prove(d.proved, "expanded"))
    version, build, policy = d.release.version, d.release.build, g.policy
    actions += [
        Start(g.idle, version, build),
        Ready(g.idle, version, build, policy.ready_times, policy.ready_every, policy.ready_within),
        Smoke(g.idle, version),
    ]
    for number, share in enumerate(policy.shift):
        actions += _shift(d, share, first=number == 0)
    if not dead(g.world, g.live):
        actions.append(drain(g.live, policy))
    return actions


def _new(d: _Draft) -> int:
    """How many revisions the expansions add: one that was completed by an earlier attempt has been counted."""
    schema = d.g.world.schema
    return sum(1 for c in d.pending if schema is not None and not schema.completed(c.version, Phase.EXPAND))


def _shift(d: _Draft, share: int, *, first: bool) -> list[Action]:
    policy, name = d.g.policy, percent(share)
    gate = [Gate(name, policy.gates[share])] if share in policy.gates else []
    keep = policy.keep_old if share == ALL and not d.unfit else None
    shift = Shift(
        pool=d.g.idle,
        other=d.g.live,
        version=d.release.version,
        share=share,
        salt=d.salt,
        expiry=policy.expiry,
        leaves=d.source.version,
        leaves_build=d.source.build,
        keep=keep,
    )
    bake = Bake(d.g.idle, d.g.live, share, policy.bake, policy.min_requests, policy.go_back_when)
    written = [Prove(d.proved, "written")] if first and d.g.world.schema is not None else []
    return [*gate, shift, bake, *written]


def _retires(g: Ground, release: Release) -> tuple[Retire, ...]:
    """What must leave the candidate pool first. Ends promises by name, and not before their time."""
    world, idle = g.world, g.idle
    hidden = stranger(world, g.ledger, idle)
    if hidden:
        raise WrongIdentity(
            f"it cannot be seen what runs on {hidden}: it may still be the version before (rule R13)",
            next=(f"stop it, or make it answer; then {g.command}",),
        )
    here = residents(world, g.ledger, idle)
    stays = len(here) == 1 and matches(here[0], release.version, release.build)
    gone: dict[Version, bool] = {}
    for promise in promised_on(g.ledger, idle):
        if not stays or not matches(here[0], promise.version, promise.build):
            check_last_healthy(world, g.live, idle, f"take v{promise.version} back first: changeover rollback")
            check_keep_old(g, promise)
            gone[promise.version] = True
    for identity in () if stays else here:
        gone.setdefault(identity.version, False)
    why = {
        True: f"its pool is needed for v{release.version}",
        False: f"left over; its pool is needed for v{release.version}",
    }
    return tuple(Retire(idle, v, why[promised], promised) for v, promised in sorted(gone.items()))


# refusals --------------------------------------------------------------------------------------------------------


def _check_shares(policy: Policy) -> None:
    shares = policy.shift
    if not shares or shares[-1] != ALL or list(shares) != sorted(set(shares)) or shares[0] <= 0:
        raise ConfigurationError(
            f"the shares {', '.join(percent(s) for s in shares) or '(none)'} do not grow to 100%",
            next=("write them like this: shift: [5%, 25%, 50%, 100%]",),
        )


def _check_version(release: Release, source: Identity, ledger: Ledger) -> None:
    version = release.version
    if version < source.version:
        promise = next((p for p in ledger.promised if p.version == version), None)
        back = (
            f"take it back: changeover rollback --to {version}"
            if promise
            else f"v{version} is not promised any more; release its code under a version above v{source.version}"
        )
        raise WouldGoBack(f"v{version} is older than v{source.version}, which serves: that is a rollback", next=(back,))
    same = (p for p in ledger.promised if p.version == version and release.build and release.build == p.build)
    if version == source.version and release.build != source.build and next(same, None) is not None:
        raise WouldGoBack(
            f"v{version} ({release.build}) is the way back from v{source}: that is a rollback",
            next=("take it back: changeover rollback",),
        )
    if version == source.version and release.build in ("", source.build):
        raise NothingToDo(
            f"v{source} serves already",
            next=(f"if it was rebuilt, name the build: changeover plan {version} --build BUILD",),
        )


def _check_capacity(world: World, live: str, idle: str) -> None:
    slots, needed = len(world.pools[idle]), carries(world, live)
    if slots < needed:
        raise CapacityMissing(
            f"{idle} has {slots} slots; {live} carries the traffic with {needed} instances (rule R7)",
            next=(f"give {idle} at least {needed} slots in changeover.yml",),
        )


def _check_changes(release: Release, world: World) -> None:
    version, schema = release.version, world.schema
    known = [c for c in release.changes if c.version <= version]
    if schema is None:
        if known:
            raise DatabaseUnreachable(
                f"there are schema changes up to v{version} and the environment has no database",
                next=("name the database in changeover.yml, or take the changes away",),
            )
        return
    own = any(c.version == version for c in known)
    if not own and not release.no_schema_change:
        raise ChangesMissing(
            f"v{version} has no schema changes (rule R2)",
            next=(f"write {version}.expand.sql", f"or say so: changeover plan {version} --no-schema-change"),
        )
    if own and release.no_schema_change:
        raise UsageError(
            f"v{version} has schema changes and --no-schema-change says that it has none",
            next=(f"leave the flag out: changeover plan {version}", "or take the change files away"),
        )
    half = [v for v in undoing(schema) if v <= version]
    if half:
        raise UndoUnfinished(
            f"{_list(half)} is half taken back: what of it is there is not certain (rule R2)",
            next=(f"finish that first: changeover schema undo {half[-1]}",),
        )
    gone = lost(version, schema)
    if gone:
        raise WouldBreak(
            f"v{version} does not work with the schema: the contract of {_list(gone)} took away what it "
            "needs (rule R2)",
            next=(f"release a version that is not older than v{gone[-1]}",),
        )
    check_unedited(known, schema, release.acknowledged, f"changeover plan {version}")


def _check_statements(d: _Draft) -> None:
    """What would break a version in play never reaches a plan, and what nobody knows neither."""
    leaving = {r.version for r in d.retires}
    players = [p for p in in_play(d.g.world, d.g.ledger) if p.pool != d.g.idle or p.version not in leaving]
    statements = [s for c in d.pending for s in c.adds]
    breaking = [s for s in statements if s.phase not in FORWARD or s.verdict is Verdict.BROKEN]
    if breaking:
        who = " and ".join(f"v{v}" for v in sorted({p.version for p in players}))
        raise WouldBreak(
            f"this would break {who}, which you may need to take back (rule R2): " + _titles(breaking),
            next=(
                f"write what only adds into {d.release.version}.expand.sql",
                f"write what takes away into {d.release.version}.contract.sql; cleanup runs it when nothing needs it",
            ),
            where=tuple(Where(s.file, s.line, text=s.title) for s in breaking),
        )
    unknown = [s for s in statements if s.verdict is Verdict.UNVERIFIED]
    if unknown:
        raise StatementUnknown(
            "nobody knows whether the versions in play survive this (rule R2): " + _titles(unknown),
            next=("write it as statements that are known", "or run it apart from the release"),
            where=tuple(Where(s.file, s.line, text=s.title) for s in unknown),
        )


def _list(versions: Sequence[Version]) -> str:
    return ", ".join(f"v{v}" for v in versions)


def _titles(statements: Sequence[Statement]) -> str:
    return "; ".join(f"{s.title} ({s.file}:{s.line}{', ' + s.reason if s.reason else ''})" for s in statements)


def _unfit(world: World, live: str, source: Identity) -> str:
    """Why the version that serves now can not be promised as the way back; it never blocks its replacement."""
    if not healthy(world, live):
        return f"no instance of v{source.version} on {live} is healthy"
    gone = lost(source.version, world.schema) if world.schema is not None else ()
    return f"the contract of {_list(gone)} took away what v{source.version} needs" if gone else ""


# words -----------------------------------------------------------------------------------------------------------


def _owed_after(d: _Draft) -> tuple[str, ...]:
    schema = d.g.world.schema
    if schema is None:
        return ()
    waits = (
        c
        for c in sorted(d.release.changes, key=lambda c: c.version)
        if c.version <= d.release.version and not schema.completed(c.version, Phase.CONTRACT)
    )
    stays = added_words(schema, d.release.version)
    lies = (
        f"{s.title} (parked by the contract of v{c.version})"
        for c, _ in parked(d.release.changes, schema)
        for s in c.drop
    )
    return (*(f"{s.title} (contract of v{c.version})" for c in waits for s in c.contract), *lies, *stays)


def _notes(d: _Draft) -> tuple[str, ...]:
    notes: list[str] = []
    if d.unfit:
        notes.append(f"{d.unfit}: it is not promised as a way back; fix forward if v{d.release.version} fails")
    warm, needed = healthy(d.g.world, d.g.live), len(d.g.world.pools[d.g.live])
    if not d.unfit and warm < needed:
        notes.append(
            f"{warm} of {needed} instances of v{d.source.version} are healthy: repair them, or the way back is too small"
        )
    if not d.g.policy.smoke:
        notes.append("no smoke checks are configured: only the identity is checked through the balancer")
    skipped = [f"v{c.version}" for c in d.pending if c.version != d.release.version]
    if skipped:
        notes.append(f"the changes of {', '.join(skipped)}, which was never released here, are applied too")
    return tuple(notes)
