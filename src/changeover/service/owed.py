"""What is owed: what waits to be taken away, since when, who stands in its way until when, and the command that ends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from changeover.core import inplay
from changeover.core.model import FORWARD, ChangeSet, Ledger, Phase, SchemaReading, Version, World
from changeover.core.rules import Situation, before_undo
from changeover.service import compiling, planning
from changeover.service.site import Site

CLEANUP = "changeover cleanup"


class Debt(StrEnum):
    """Why something is still there."""

    CONTRACT = "contract"  # only older versions need it
    PARKED = "parked"  # out of reach already; its grace time runs
    ADDED = "added"  # for a version that does not serve: under way, taken back, or given up
    UNDO = "undo"  # half taken back


@dataclass(frozen=True, slots=True)
class Owed:
    """One thing that waits. `since` and `until` are epoch seconds.

    `because`: what stands in its way, in words; empty: nothing. `until`: when the last of it may be ended at the earliest; None:
    no clock says. `command` ends it.
    """

    debt: Debt
    version: Version
    what: str
    since: float | None
    because: tuple[str, ...]
    until: float | None
    command: str


def owed(site: Site) -> tuple[Owed, ...]:
    """Everything that is owed, the oldest version first; none without a database. Reads the world; changes nothing."""
    world = planning.look(site)
    schema, live = world.schema, world.route.route
    if schema is None:
        return ()
    known = planning.ledger(site)
    serving = None if live is None else inplay.holder(world, known, live.live)
    changes = compiling.known(site, schema)
    last = serving.version if serving is not None else max((c.version for c in changes), default=None)
    found = [*_parked(site, changes, schema)]
    if last is not None:
        found += [*_contracts(changes, world, known, schema, last), *_added(changes, world, known, schema, last)]
    return tuple(sorted(found, key=lambda o: o.version))


def _contracts(
    changes: tuple[ChangeSet, ...], world: World, known: Ledger, schema: SchemaReading, serving: Version
) -> Iterator[Owed]:
    for change in inplay.owed(changes, schema, serving):
        older = [p for p in inplay.in_play(world, known) if p.version < change.version]
        ends = [p.earliest for p in known.promised if any(p.version == o.version for o in older)]
        free = all(p.promised_only for p in older)
        for statement in change.contract:
            yield Owed(
                Debt.CONTRACT,
                change.version,
                statement.title,
                _since(schema, change.version, Phase.EXPAND),
                tuple(str(p) for p in older),
                max(ends) if ends and free else None,
                f"{CLEANUP} --through {change.version}",
            )


def _parked(site: Site, changes: tuple[ChangeSet, ...], schema: SchemaReading) -> Iterator[Owed]:
    now = site.ports.clock.now()
    for change, since in inplay.parked(changes, schema):
        until = since + site.policy.keep_parked
        because = ("it is kept for a while, so that it can be given back without a backup",) if until > now else ()
        command = CLEANUP if until <= now else f"{CLEANUP} --ack parked:{change.version}"
        for statement in change.drop:
            yield Owed(Debt.PARKED, change.version, statement.title, since, because, until, command)


def _added(
    changes: tuple[ChangeSet, ...], world: World, known: Ledger, schema: SchemaReading, serving: Version
) -> Iterator[Owed]:
    half = inplay.undoing(schema)
    sets = {c.version: c for c in changes}
    kept = {c.version for c in schema.kept}
    for version in inplay.ahead(schema, serving):
        undo = f"changeover schema undo {version}"
        since = min((a.at for a in schema.applied if a.version == version), default=None)
        if version in half:
            yield Owed(Debt.UNDO, version, f"what is left of v{version}", since, ("it is half taken back",), None, undo)
            continue
        because = [v.text for v in before_undo(Situation(world, known), version)]
        if version not in kept:
            because.append("plain SQL does not say how it is taken back")
        command = f"changeover plan {version}" + (f"    or    {undo}" if not because else "")
        titles = _titles(sets.get(version), schema, version) or (f"what was added for v{version}",)
        for title in titles:
            yield Owed(Debt.ADDED, version, title, since, tuple(because), None, command)


def _titles(change: ChangeSet | None, schema: SchemaReading, version: Version) -> tuple[str, ...]:
    """What of the additions is there by the ledger."""
    if change is None:
        return ()
    done = {(a.phase, a.index) for a in schema.applied if a.version == version}
    return tuple(s.title for p in FORWARD for n, s in enumerate(change.statements(p)) if (p, n) in done)


def _since(schema: SchemaReading, version: Version, phase: Phase) -> float | None:
    return max((a.at for a in schema.applied if a.version == version and a.phase is phase), default=None)
