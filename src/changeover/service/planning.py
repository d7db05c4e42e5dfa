"""World and ledger in, frozen plan out: what `plan`, `release`, `rollback`, `abort` and `cleanup` have in common."""

from __future__ import annotations

import hashlib

from changeover.core import planner
from changeover.core.errors import (
    BalancerMisconfigured,
    ChangeoverError,
    ChangesEdited,
    PlanStale,
    WouldBreak,
)
from changeover.core.model import ALL, COMPLETE, Acknowledgement, Ledger, Release, Version, World
from changeover.core.ports import cause_of
from changeover.core.steps import Basis, Plan
from changeover.engine.actions.database import digest
from changeover.engine.observe import observe
from changeover.service import compiling
from changeover.service.by_hand import with_commands
from changeover.service.site import Site


def look(site: Site) -> World:
    """Observe the environment now."""
    return observe(site.ports, site.pools)


def ledger(site: Site) -> Ledger:
    """The ledger; empty before the first run."""
    if not site.store.exists():
        return Ledger()
    journal = site.journal()
    try:
        return journal.ledger(site.environment)
    finally:
        journal.close()


def context(site: Site, world: World, by: str) -> planner.Context:
    """Who plans what, where, when, on the basis of which world."""
    return planner.Context(site.app, site.environment, by, site.ports.clock.now(), site.basis(world))


def for_release(
    site: Site,
    version: Version,
    *,
    build: str,
    no_schema_change: bool,
    acknowledged: tuple[Acknowledgement, ...],
    by: str,
) -> Plan:
    """Plan a release. Raises a refusal that names the rule, the version that would break, and what to do instead."""
    world = look(site)
    if site.unreadable is not None:
        raise _naming(site.unreadable, site, world)
    not_edited(site, world)
    changes = compiling.upto(site, world.schema, version)
    release = Release(version, build, changes, no_schema_change, acknowledged)
    ctx = context(site, world, by)
    plan = planner.plan_release(ctx, release, world, ledger(site), site.policy, salt=_salt(version, ctx.at))
    _fits(site)
    return with_commands(plan, site)


def _fits(site: Site) -> None:
    """The balancer as it is can do what the plan asks. Raises BalancerMisconfigured with everything that `doctor` finds, or the one cause."""
    balancer = site.ports.balancer
    finest = balancer.capabilities.finest_share
    fine = [s for s in site.policy.shift if s < finest / 2 or 0 < ALL - s < finest / 2]
    if fine:
        raise BalancerMisconfigured(
            f"{balancer.name} cannot cut a share of {fine[0] / 100:g} %: its finest is {finest / 100:g} %",
            now="Nothing was changed.",
            next=(f"release.shift: begin with {finest / 100:g}% or more",),
        )
    unfit = [f for f in balancer.inspect() if not f.ok and f.fatal]
    cause = cause_of(unfit)
    if cause is not None:
        raise cause
    if unfit:
        raise BalancerMisconfigured(
            "; ".join(f"{f.subject}: {f.detail}" for f in unfit),
            now="Nothing was changed.",
            next=(*dict.fromkeys(f.fix for f in unfit if f.fix), "changeover doctor"),
        )


def _naming(error: ChangeoverError, site: Site, world: World) -> ChangeoverError:
    """A refusal that speaks of *the version before* names the versions in play, which it would break."""
    players = ", ".join(f"v{p.version}" for p in planner.in_play(world, ledger(site)))
    if not isinstance(error, WouldBreak) or not players:
        return error
    named = WouldBreak(
        error.what.replace("the version before", players), now=error.now, next=error.next, where=error.where
    )
    return named.with_traceback(error.__traceback__)


def for_rollback(site: Site, known: Ledger, *, to: Version | None, because: str, by: str) -> Plan:
    """Plan the way back from the world as it is."""
    world = look(site)
    return with_commands(
        planner.plan_rollback(context(site, world, by), world, known, site.policy, to=to, because=because), site
    )


def for_abort(site: Site, known: Ledger, *, because: str, by: str, of: Plan) -> Plan:
    """Plan giving up the run of the plan `of`."""
    world = look(site)
    return with_commands(
        planner.plan_abort(context(site, world, by), world, known, site.policy, because=because, of=of), site
    )


def for_cleanup(site: Site, *, through: Version | None, acknowledged: tuple[Acknowledgement, ...], by: str) -> Plan:
    """Plan the point of no return."""
    if site.unreadable is not None:
        raise site.unreadable
    world = look(site)
    not_edited(site, world)
    plan = planner.plan_cleanup(
        context(site, world, by),
        compiling.known(site, world.schema),
        world,
        ledger(site),
        site.policy,
        through=through,
        acknowledged=acknowledged,
    )
    return with_commands(plan, site)


def for_undo(site: Site, version: Version, *, acknowledged: tuple[Acknowledgement, ...], by: str) -> Plan:
    """Plan taking back what was added for a version that never started."""
    world = look(site)
    plan = planner.plan_undo(
        context(site, world, by),
        compiling.recorded(site, world.schema),
        world,
        ledger(site),
        site.policy,
        version=version,
        acknowledged=acknowledged,
    )
    return with_commands(plan, site)


def not_edited(site: Site, world: World) -> None:
    """A change file must not change after its statements were applied. Raises ChangesEdited."""
    if world.schema is None:
        return
    known = {c.version: c for c in compiling.known(site, world.schema)}
    for applied in world.schema.applied:
        change = known.get(applied.version)
        if change is None or applied.index == COMPLETE:
            continue
        statements = change.statements(applied.phase)
        if applied.index >= len(statements) or digest(statements[applied.index]) != applied.digest:
            raise ChangesEdited(
                f"{applied.version}.{applied.phase}.sql was edited after statement {applied.index + 1} had been applied",
                next=("put the file back as it was", "write what is new into the change of a later version"),
            )


def not_stale(site: Site, plan: Plan) -> None:
    """The world must still be the one that the plan was made of. Raises PlanStale naming what moved (rule R10)."""
    now = site.basis(look(site))
    moved = _moved(plan.basis, now)
    if moved:
        raise PlanStale(
            f"the plan {plan.short} is stale: {'; '.join(moved)}",
            next=(f"look at it, then make a new plan: changeover plan {plan.target}",),
        )


def _moved(then: Basis, now: Basis) -> list[str]:
    words = []
    if then.route != now.route:
        words.append(f"the route was {then.route}, it is {now.route}")
    for pool in sorted({*then.pools, *now.pools}):
        was, is_ = then.pools.get(pool, ""), now.pools.get(pool, "")
        if was != is_:
            words.append(f"{pool} ran {was or 'nothing'}, it runs {is_ or 'nothing'}")
    words += [
        f"{what} changed"
        for what, a, b in (
            ("the schema", then.catalogue, now.catalogue),
            ("the change files", then.changes, now.changes),
            ("the configuration", then.configuration, now.configuration),
        )
        if a != b
    ]
    return words


def _salt(version: Version, at: float) -> int:
    """Constant for one release, different for the next, so that other visitors go first."""
    return int(hashlib.sha256(f"{version} {at}".encode()).hexdigest(), 16) % 10_000
