"""The plans of going back: rollback, and abort. They never touch the schema and end no promise.

Going back must be easier than going on: it is planned also when the balancer's workers disagree, which is what a killed
shift leaves behind. Every shift is absolute, so its commit settles them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.draft import (
    Context,
    Ground,
    check_last_healthy,
    cleared,
    drain,
    idle_of,
    numbered,
    promised_on,
    serving,
    when,
)
from changeover.core.errors import (
    BalancerUnreachable,
    CapacityMissing,
    NothingToDo,
    NoWayBack,
    RouteDrift,
)
from changeover.core.inplay import (
    added_words,
    dead,
    enough,
    healthy,
    holder,
    lost,
    matches,
    residents,
)
from changeover.core.model import ALL, Acknowledgement, Identity, Ledger, Phase, Policy, Promise, Version, World
from changeover.core.steps import Action, Drain, Plan, Preflight, Ready, Retire, Shift
from changeover.core.words import Scene

COMMAND = "changeover rollback"
READY_TIMES = 1  # going back looks once: the pool was kept warm
READY_WITHIN = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class _Traffic:
    """Where the traffic is. `live` None: the workers disagree. `home`: the pool that a share was taken from, or ""."""

    live: str | None
    home: str
    salt: int
    settled: bool  # a restart of the balancer would change nothing for any visitor

    @property
    def whole(self) -> bool:
        """All of it is on one pool."""
        return self.live is not None and not self.home


def plan_rollback(
    ctx: Context,
    world: World,
    ledger: Ledger,
    policy: Policy,
    *,
    to: Version | None,
    because: str,
    acknowledged: tuple[Acknowledgement, ...] = (),
) -> Plan:
    """The plan that takes the old version back: one step for the traffic, nothing for the schema.

    While a share is out, it goes home. After a flip the promised version takes over, if every condition of its promise
    holds. The version that is taken out stays warm for inspection; it is not promised. Acknowledged may be
    `capacity:VERSION`: fewer warm instances than carry the traffic now are accepted. Raises NoWayBack, CapacityMissing,
    LastHealthyPool, NothingToDo, RouteDrift, BalancerUnreachable.
    """
    traffic = _traffic(world)
    if traffic.live is not None and traffic.whole:
        live, other = traffic.live, idle_of(world, traffic.live)
        if traffic.settled or any(to in (None, p.version) for p in promised_on(ledger, other)):
            g = Ground(ctx, world, ledger, policy, other, live, COMMAND, acknowledged)
            return _plan(g, "rollback", _flip_back(g, _way_back(g, to), traffic.salt), because)
    home = _home(world, ledger, traffic, to)
    g = Ground(ctx, world, ledger, policy, home, idle_of(world, home), COMMAND, acknowledged)
    version = serving(world, ledger, home).version
    if to is not None and to != version:
        raise _no_way_back(g, to, version, f"v{version} is what this would go back to")
    return _plan(g, "rollback", _send_home(g, traffic.salt), because)


def plan_abort(
    ctx: Context,
    world: World,
    ledger: Ledger,
    policy: Policy,
    *,
    because: str,
    of: Plan | None = None,
    acknowledged: tuple[Acknowledgement, ...] = (),
) -> Plan:
    """The plan that gives a release up: as rollback if traffic moved, then the new instances are stopped.

    `of` is the plan that is given up. Without it only what is certain is undone: a share goes home, and what runs on the
    idle pool without a promise is stopped; all the traffic is never moved on a guess. What expand added stays, owed.
    Raises what plan_rollback raises; NothingToDo when nothing was started; LastHealthyPool rather than stop what is the
    only healthy pool.
    """
    traffic = _traffic(world)
    home, new = _parties(world, ledger, traffic, of)
    g = Ground(ctx, world, ledger, policy, home, new, COMMAND, acknowledged)
    moved: list[Action] = []
    if traffic.live == new:
        moved = _flip_back(g, _way_back(g, None), traffic.salt)
    elif not (traffic.whole and traffic.settled):
        moved = _send_home(g, traffic.salt)
    retires = _given_up(g, of)
    if retires:
        check_last_healthy(world, home, new, "fix forward: keep the new version and go on: changeover resume")
    waited = any(isinstance(a, Drain) for a in moved)
    if moved and retires and not waited and world.running(new):
        moved.append(drain(new, policy))  # nothing hides in flight on a dead instance that is about to be stopped
        waited = True
    stops = retires if waited else cleared(g, new, retires)
    if not moved and not stops:
        raise NothingToDo("nothing was started and no traffic moved", next=("see what runs: changeover status",))
    return _plan(g, "abort", [*moved, *stops], because, of=of)


def _plan(g: Ground, kind: str, actions: Sequence[Action], because: str, *, of: Plan | None = None) -> Plan:
    ctx, world, ledger, home, new = g.ctx, g.world, g.ledger, g.live, g.idle
    back = serving(world, ledger, home)
    taken = holder(world, ledger, new)
    source = taken.version if taken is not None else of.target if of is not None else back.version
    schema = world.schema
    added = added_words(schema, back.version) if schema is not None else ()
    revision = schema.revision if schema is not None else 0
    notes = [f"the schema stays at {revision}"] if schema is not None else []
    if kind == "rollback":
        notes.append(f"v{source} is kept out of traffic for inspection; it is not promised")
    if not any(isinstance(a, Ready) for a in actions) and any(isinstance(a, Shift) and a.is_flip for a in actions):
        notes.append(f"not every instance of {home} is healthy: the balancer sends requests to the healthy ones only")
    return Plan(
        kind=kind,
        app=ctx.app,
        environment=ctx.environment,
        source=source,
        target=back.version,
        build=back.build,
        by=ctx.by,
        at=ctx.at,
        basis=ctx.basis,
        steps=numbered(actions, Scene(kind, source, back.version)),
        schema_from=revision,
        schema_to=revision,
        owed=added,
        acknowledged=g.acknowledged,
        notes=tuple(notes),
        because=because,
    )


# the steps ---------------------------------------------------------------------------------------------------


def _send_home(g: Ground, salt: int) -> list[Action]:
    """All traffic back to the pool that a share was taken from, then nothing is left in flight on the other."""
    world, ledger, policy, home, other = g.world, g.ledger, g.policy, g.live, g.idle
    back, out = serving(world, ledger, home), holder(world, ledger, other)
    gone = lost(back.version, world.schema) if world.schema is not None else ()
    if gone:
        raise _no_way_back(g, back.version, back.version, _taken(world, gone))
    check_last_healthy(world, home, other, "fix forward: let the new version take everything: changeover resume")
    version = out.version if out is not None else back.version
    shift = Shift(other, home, version, 0, salt, policy.expiry, leaves=back.version, leaves_build=back.build)
    return [shift, *([] if dead(world, other) else [drain(other, policy)])]


def _flip_back(g: Ground, promise: Promise, salt: int) -> list[Action]:
    """The promised pool becomes live again. No new promise is made: the version taken out did not prove itself."""
    world, policy, live = g.world, g.policy, g.idle
    pool, version, build = promise.pool, promise.version, promise.build
    actions: list[Action] = []
    if healthy(world, pool) == len(world.pools[pool]):
        within = min(policy.ready_within, READY_WITHIN)
        actions.append(Ready(pool, version, build, READY_TIMES, policy.ready_every, within))
    out = holder(world, g.ledger, live)
    leaves = (out.version, out.build) if out is not None else (None, "")
    actions.append(Shift(pool, live, version, ALL, salt, policy.expiry, *leaves))
    return [*actions, *([] if dead(world, live) else [drain(live, policy)])]


def _given_up(g: Ground, of: Plan | None) -> list[Retire]:
    """The instances of the version that is given up; what is promised on its pool stays."""
    world, ledger, new = g.world, g.ledger, g.idle
    kept = {p.version for p in promised_on(ledger, new)}
    found = residents(world, ledger, new)
    if not found and of is not None and world.running(new):
        found = (Identity(of.target, of.build),)
    if of is not None:
        found = tuple(i for i in found if i.version == of.target and (not i.build or of.build in ("", i.build)))
    doomed = {i.version for i in found} - kept
    return [Retire(new, v, "its release was given up", promised=False) for v in sorted(doomed)]


# who goes where ------------------------------------------------------------------------------------------------


def _traffic(world: World) -> _Traffic:
    """What the workers that answer say together; if none does, what the disk says."""
    durable = world.route.durable
    known = [r for r in world.route.workers.values() if r is not None] or ([durable] if durable is not None else [])
    if not known and world.route.refusal is not None:
        raise world.route.refusal
    if not known:
        raise BalancerUnreachable(
            f"it is not known where {world.route.balancer} sends the traffic",
            next=("go back by hand, as the plan's escape card says", "or wait until the balancer answers"),
        )
    for route in known:
        idle_of(world, route.live)
    share = max(known, key=lambda r: r.share)
    return _Traffic(
        live=share.live if len({r.live for r in known}) == 1 else None,
        home=share.live if share.share else "",
        salt=share.salt,
        settled=durable is None or durable.decides_like(share),
    )


def _home(world: World, ledger: Ledger, traffic: _Traffic, to: Version | None) -> str:
    """The pool to go home to: that which the share was taken from or which has it all, else as the person says."""
    if traffic.home or traffic.live is not None:
        return traffic.home or traffic.live or ""
    promised = [p.pool for p in ledger.promised if p.pool in world.pools]
    named = (
        [pool for pool in sorted(world.pools) if _is(holder(world, ledger, pool), to)] if to is not None else promised
    )
    if len(set(named)) != 1:
        raise RouteDrift(
            "the balancer's workers disagree which pool is live, and it is not certain which is the old one",
            next=("say which version is to serve: changeover rollback --to VERSION",),
        )
    return named[0]


def _is(identity: Identity | None, version: Version) -> bool:
    return identity is not None and identity.version == version


def _parties(world: World, ledger: Ledger, traffic: _Traffic, of: Plan | None) -> tuple[str, str]:
    """(the pool to go home to, the pool of the version that is given up)."""
    if of is not None:
        first = next((s.action for s in of.steps if isinstance(s.action, Preflight)), None)
        if of.kind != "release" or first is None:
            raise NothingToDo(
                f"a {of.kind} has nothing to undo", next=("go on: changeover resume", "or leave it: changeover status")
            )
        return first.live, first.candidate
    home = _home(world, ledger, traffic, None)
    return home, idle_of(world, home)


# the promise and its conditions ----------------------------------------------------------------------------------


def _way_back(g: Ground, to: Version | None) -> Promise:
    """The promise on the other pool, every condition of it checked against the world (rule R7)."""
    world, ledger, live, other = g.world, g.ledger, g.idle, g.live
    now = holder(world, ledger, live)
    found = [p for p in promised_on(ledger, other) if to is None or p.version == to]
    if not found:
        mine = (p for p in ledger.promised if p.pool == live and _is(now, p.version))
        serves_already = _is(now, to) if to is not None else any(mine)
        if serves_already:
            raise NothingToDo(f"{_v(now)} serves everything already", next=("see what is promised: changeover status",))
        raise _no_way_back(g, to, now.version if now is not None else None, _warm(g, to) or _ended(world, ledger, to))
    promise = found[-1]
    here = holder(world, ledger, other)
    wanted = f"v{promise.version}"
    reasons: list[str] = []
    if here is None or not matches(here, promise.version, promise.build):
        runs = " and ".join(_v(i) for i in residents(world, ledger, other)) or "nothing"
        reasons.append(f"{other} runs {runs}, not {wanted}")
    elif not healthy(world, other):
        reasons.append(f"no instance of it on {other} is healthy")
    gone = lost(promise.version, world.schema) if world.schema is not None else ()
    if gone:
        reasons.append(_taken(world, gone))
    if reasons:
        raise _no_way_back(g, promise.version, now.version if now is not None else None, "; ".join(reasons))
    warm, needed = healthy(world, other), enough(world, other, live)
    small = f"capacity:{promise.version}"
    if warm < needed and all(a.name != small for a in g.acknowledged):
        raise CapacityMissing(
            f"{warm} instances of {wanted} are warm on {other}; {live} has the traffic, and {needed} are needed (rule R7)",
            now=f"Nothing was changed; {_v(now)} serves everything.",
            next=(
                f"bring the instances of {wanted} on {other} up, then repeat: {g.command}",
                f"or accept that {warm} carry everything: {g.command} --ack {small}",
            ),
        )
    return promise


def _warm(g: Ground, to: Version | None) -> str:
    """What is warm on the other pool without a promise: released by hand, or taken out. "" if it is not what is asked for."""
    here = holder(g.world, g.ledger, g.live)
    if here is None or not healthy(g.world, g.live) or to not in (None, here.version):
        return ""
    if g.ledger.promise_of(here.version) is not None:
        return ""
    gone = lost(here.version, g.world.schema) if g.world.schema is not None else ()
    more = f"; {_taken(g.world, gone)}" if gone else ""
    return (
        f"v{here} runs on {g.live}, but it is not promised: it was taken out, or what serves was released by hand{more}"
    )


def _ended(world: World, ledger: Ledger, to: Version | None) -> str:
    """Why there is no promise, as the ledger tells it."""
    promise = ledger.promise_of(to) if to is not None else next(reversed(ledger.promises), None)
    if promise is None:
        return "it was never promised" if to is not None else "no version is promised"
    if promise.ended is None:
        return f"its pool {promise.pool} is not where it could take over from"
    end = promise.ended
    gone = lost(promise.version, world.schema) if world.schema is not None else ()
    more = f"; {_taken(world, gone)}" if gone else ""
    return f"its promise ended {when(end.at)}, by {end.by} in {end.run} ({end.because}){more}"


def _taken(world: World, gone: Sequence[Version]) -> str:
    """Which contracts took something away, since when and by which run."""
    assert world.schema is not None
    rows = [a for a in world.schema.applied if a.phase is Phase.CONTRACT and a.version in gone]
    first = min(rows, key=lambda a: a.at)
    names = ", ".join(f"v{v}" for v in gone)
    return f"schema {world.schema.revision} lacks what the contract of {names} took away, since {when(first.at)} ({first.run})"


def _no_way_back(g: Ground, to: Version | None, now: Version | None, because: str) -> NoWayBack:
    """The refusal, with what is possible instead."""
    others = [p for p in g.ledger.promised if p.version not in (to, now)]
    points = g.ledger.restore_points
    steps = [f"go back to v{p.version}: changeover rollback --to {p.version}" for p in others if p.pool == g.live]
    here = holder(g.world, g.ledger, g.live)
    fits = g.world.schema is None or here is None or not lost(here.version, g.world.schema)
    if now is not None and here is not None and here.version < now and fits and healthy(g.world, g.live):
        steps.append(f"give v{here.version} everything by hand: *Going back by hand* in the runbook of v{now}")
    steps.append("fix forward: changeover plan VERSION")
    if points:
        last = points[-1]
        steps.append(f"or restore {last.id} of {when(last.at)} by hand; what was written since would be lost")
    name = f"v{to}" if to is not None else "the version before"
    serves = f"v{now} serves everything." if now is not None else "The traffic is as it was."
    return NoWayBack(
        f"{name} cannot come back: {because} (rule R7)", now=f"Nothing was changed; {serves}", next=tuple(steps)
    )


def _v(identity: Identity | None) -> str:
    return f"v{identity}" if identity is not None else "an unknown version"
