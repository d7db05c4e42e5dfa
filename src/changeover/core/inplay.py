"""Who plays: which versions serve, drain or are promised, whether the schema suits them, and what is owed.

Pure readings of a world and a ledger. Unknown is never zero: where it cannot be seen what a pool does, its versions
are in play.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from changeover.core.model import (
    COMPLETE,
    FORWARD,
    ChangeSet,
    Identity,
    InFlight,
    Ledger,
    Phase,
    SchemaReading,
    Version,
    World,
)


class Part(StrEnum):
    """Why a version is in play."""

    SERVES = "serves"
    DRAINS = "drains"
    PROMISED = "is the way back"


@dataclass(frozen=True, slots=True)
class Player:
    """One version in play: what it is, on which pool, and why it plays."""

    version: Version
    build: str
    pool: str
    parts: frozenset[Part]

    @property
    def promised_only(self) -> bool:
        """Neither serves nor drains: a person may end its promise, by name."""
        return self.parts == {Part.PROMISED}

    def __str__(self) -> str:
        return f"v{self.version} on {self.pool} ({', '.join(sorted(self.parts))})"


def residents(world: World, ledger: Ledger, pool: str) -> tuple[Identity, ...]:
    """What runs on the pool, in order. For instances that do not say who they are, the ledger says what was put there."""
    running = world.running(pool)
    known = {i.identity for i in running if i.identity is not None}
    deployed = ledger.deployed.get(pool)
    silent = any(i.identity is None for i in running)
    if silent and deployed is not None and all(k.version != deployed.version for k in known):
        known.add(deployed)
    return tuple(sorted(known, key=lambda k: (k.version, k.build)))


def stranger(world: World, ledger: Ledger, pool: str) -> str:
    """The slot of an instance that runs, or of which that cannot be excluded, and nobody knows what it is; or ""."""
    if ledger.deployed.get(pool) is not None:
        return ""
    return next((i.slot.name for i in world.running(pool) if i.identity is None), "")


def holder(world: World, ledger: Ledger, pool: str) -> Identity | None:
    """The one identity of the pool: what runs there, else what was put there last. None: nobody knows, or they differ."""
    found = residents(world, ledger, pool)
    if found:
        return found[0] if len(found) == 1 else None
    return ledger.deployed.get(pool)


def healthy(world: World, pool: str) -> int:
    """Instances that may carry traffic: ready, known, of one identity, and not more than the balancer finds healthy.

    An instance that hangs does not make its healthy neighbours count as dead.
    """
    ready = [i for i in world.running(pool) if i.ready and i.identity is not None]
    if len({i.identity for i in ready}) != 1:
        return 0
    seen = world.health.get(pool)
    return min(len(ready), seen.healthy) if seen is not None and seen.known else len(ready)


def enough(world: World, pool: str, instead_of: str) -> int:
    """How many healthy instances the pool needs to take over: as many as carry the traffic now, or all it has slots for."""
    return max(1, min(healthy(world, instead_of), len(world.pools[pool])))


def carries(world: World, pool: str) -> int:
    """With how many instances the pool carries its traffic now: the larger of what they say and what the balancer sees.

    An Auto Scaling group may have grown beyond the slots that are configured.
    """
    seen = world.health.get(pool)
    return max(1, healthy(world, pool), seen.healthy if seen is not None else 0)


def apart(world: World, pool: str) -> str:
    """How the instances of the pool differ in what they say of their configuration, "" if they agree or say nothing."""
    said = {i.slot.name: i.configuration for i in world.running(pool) if i.configuration}
    if len(set(said.values())) < 2:
        return ""
    return "has instances with different configurations: " + ", ".join(
        f"{name} {text}" for name, text in sorted(said.items())
    )


def dead(world: World, pool: str) -> bool:
    """The pool answers nobody: nothing runs, or nothing proves ready and the balancer finds none healthy."""
    running, seen = world.running(pool), world.health.get(pool)
    unhealthy = seen is not None and seen.known > 0 and seen.healthy == 0
    return not any(i.ready for i in running) and (not running or unhealthy)


def flying(world: World, pool: str) -> InFlight:
    """What is in flight on the pool; unknown if nobody said."""
    return world.in_flight.get(pool, InFlight(None, None, "not observed"))


def carrying(world: World) -> frozenset[str]:
    """The pools that get traffic by what any worker or the disk says; every pool if one of them says nothing."""
    routes = (*world.route.workers.values(), *world.route.leaving.values(), world.route.durable)
    pools: set[str] = set()
    for route in routes:
        if route is None:
            return frozenset(world.pools)
        pools.add(route.live)
        if route.share:
            pools.add(route.candidate)
    return frozenset(pools)


def in_play(world: World, ledger: Ledger) -> tuple[Player, ...]:
    """The versions that serve, drain or are promised, in order of version, build and pool."""
    parts: dict[tuple[Identity, str], set[Part]] = {}
    traffic = carrying(world)
    for pool in world.pools:
        here = residents(world, ledger, pool)
        if pool in traffic:
            last = ledger.deployed.get(pool)
            for identity in here or ((last,) if last is not None else ()):
                parts.setdefault((identity, pool), set()).add(Part.SERVES)
        elif not flying(world, pool).is_zero:
            for identity in here:
                parts.setdefault((identity, pool), set()).add(Part.DRAINS)
    for promise in ledger.promised:
        same = (k for k in parts if k[1] == promise.pool and matches(k[0], promise.version, promise.build))
        key = next(same, (Identity(promise.version, promise.build), promise.pool))
        parts.setdefault(key, set()).add(Part.PROMISED)
    found = (Player(i.version, i.build, pool, frozenset(why)) for (i, pool), why in parts.items())
    return tuple(sorted(found, key=lambda p: (p.version, p.build, p.pool)))


def matches(identity: Identity, version: Version, build: str) -> bool:
    """It is this version and, if a build is asked for, this build."""
    return identity.version == version and build in ("", identity.build)


# versions and the schema ---------------------------------------------------------------------------------


def expanded(change: ChangeSet, schema: SchemaReading) -> bool:
    """What the change set adds is there, or it adds nothing."""
    return change.empty or all(
        schema.completed(change.version, phase)
        for phase in FORWARD
        if phase is Phase.EXPAND or change.statements(phase)
    )


def lost(version: Version, schema: SchemaReading) -> tuple[Version, ...]:
    """The later versions whose contract has begun: each takes away what this version may need."""
    return tuple(sorted({a.version for a in schema.applied if a.phase is Phase.CONTRACT and a.version > version}))


def misfit(version: Version, schema: SchemaReading, changes: Iterable[ChangeSet] = ()) -> str:
    """Why the version does not work with the schema, "" if it does: rule R2 as far as the records can tell."""
    gone = lost(version, schema)
    if gone:
        return f"the contract of {_list(gone)} took away what v{version} needs"
    missing = tuple(c.version for c in changes if c.version <= version and not expanded(c, schema))
    return f"what {_list(missing)} adds is not there yet" if missing else ""


def pending(changes: Iterable[ChangeSet], schema: SchemaReading, upto: Version) -> tuple[ChangeSet, ...]:
    """The change sets up to a version whose expansion is not complete, skipped versions included, in order."""
    return tuple(c for c in _upto(changes, upto) if not expanded(c, schema))


def refills(changes: Iterable[ChangeSet], schema: SchemaReading, upto: Version) -> tuple[ChangeSet, ...]:
    """The change sets up to a version whose backfill may have work: old versions write rows until the contract."""
    return tuple(c for c in _upto(changes, upto) if c.backfill and not schema.completed(c.version, Phase.CONTRACT))


def owed(changes: Iterable[ChangeSet], schema: SchemaReading, serving: Version) -> tuple[ChangeSet, ...]:
    """The change sets of served versions that wait for their contract, in order; begun contracts included."""
    return tuple(
        c
        for c in _upto(changes, serving)
        if c.contract and expanded(c, schema) and not schema.completed(c.version, Phase.CONTRACT)
    )


def parked(changes: Iterable[ChangeSet], schema: SchemaReading) -> tuple[tuple[ChangeSet, float], ...]:
    """The change sets whose contract has parked something, and since when (epoch seconds), in order."""
    found = []
    for change in sorted(changes, key=lambda c: c.version):
        since = next(
            (
                a.at
                for a in schema.applied
                if (a.version, a.phase, a.index) == (change.version, Phase.CONTRACT, COMPLETE)
            ),
            None,
        )
        if since is not None and change.drop and not schema.completed(change.version, Phase.DROP):
            found.append((change, since))
    return tuple(found)


def ahead(schema: SchemaReading, serving: Version) -> tuple[Version, ...]:
    """The versions later than the serving one of which something was added: under way, taken back, or given up."""
    added = {a.version for a in schema.applied if a.phase in (Phase.EXPAND, Phase.UNDO)}
    return tuple(sorted(v for v in added | {c.version for c in schema.kept} if v > serving))


def undoing(schema: SchemaReading) -> tuple[Version, ...]:
    """The versions that are being taken back: until that is finished, nobody can say what of them is there."""
    return tuple(sorted({a.version for a in schema.applied if a.phase is Phase.UNDO}))


def added_words(schema: SchemaReading, serving: Version) -> tuple[str, ...]:
    """What was added for versions that do not serve, in words."""
    half = undoing(schema)
    return tuple(
        f"v{v} is half taken back: changeover schema undo {v}"
        if v in half
        else f"what v{v} added stays; its next release recognises it"
        for v in ahead(schema, serving)
    )


def owed_words(changes: Collection[ChangeSet], schema: SchemaReading, serving: Version) -> tuple[str, ...]:
    """What is owed, in words: what waits for a contract, and what was added for versions that do not serve."""
    waits = tuple(f"{s.title} (contract of v{c.version})" for c in owed(changes, schema, serving) for s in c.contract)
    stays = added_words(schema, serving)
    lies = tuple(
        f"{s.title} (parked by the contract of v{c.version})" for c, _ in parked(changes, schema) for s in c.drop
    )
    return waits + lies + stays


def _upto(changes: Iterable[ChangeSet], upto: Version) -> tuple[ChangeSet, ...]:
    return tuple(sorted((c for c in changes if c.version <= upto), key=lambda c: c.version))


def _list(versions: Iterable[Version]) -> str:
    return ", ".join(f"v{v}" for v in versions)
