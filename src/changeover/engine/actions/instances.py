"""Start, Ready, Retire, Smoke: what is done to instances."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from changeover.core import rules
from changeover.core.errors import LastHealthyPool, NotReady, NotRetired, SmokeFailed, WrongIdentity
from changeover.core.model import Identity, Instance, Process, World
from changeover.core.steps import Ready, Retire, Smoke, Start
from changeover.engine.context import Again, Context, Done, Outcome
from changeover.engine.records import Facts


def look(ctx: Context, pool: str) -> tuple[Instance, ...]:
    """Observe every slot of the pool, in parallel."""
    slots = ctx.ports.runtime.slots(pool)
    with ThreadPoolExecutor(max(1, len(slots))) as many:
        return tuple(many.map(ctx.ports.runtime.observe, slots))


def start(ctx: Context, action: Start) -> Outcome:
    """Start one instance on every slot. That an instance may run is on record before the first one does."""
    if ctx.last("starting") is None:
        facts = Facts(started=(action.version,), deployed={action.pool: Identity(action.version, action.build)})
        ctx.note("starting", {"pool": action.pool, "version": action.version.text}, facts=facts)
    if ctx.ports.database is not None:
        ctx.ports.database.admit(action.version, ctx.hold)
    slots = ctx.ports.runtime.slots(action.pool)
    for slot in slots:
        ctx.ports.runtime.start(slot, action.version, action.build, ctx.hold)
    return Done({"instances": [s.address for s in slots], "logs": [ctx.ports.runtime.log_of(s) for s in slots]})


def ready(ctx: Context, action: Ready) -> Outcome:
    """Every instance proves readiness and identity several times in a row, and every worker of the balancer sees it."""
    clock = ctx.ports.clock
    streak, births = 0, None
    while True:
        ctx.hold.check()
        seen = look(ctx, action.pool)
        wrong = _wrong(seen, action)
        starts = tuple(i.started for i in seen)
        streak = 0 if wrong or starts != births else streak + 1
        if not wrong and births != starts:
            streak = 1
        births = starts
        health = ctx.ports.balancer.health(action.pool)
        if streak >= action.times and health.healthy >= len(seen):
            identity = seen[0].identity
            assert identity is not None
            facts = Facts(deployed={action.pool: identity})
            proved = {"version": identity.version.text, "build": identity.build, "started": list(starts)}
            if seen[0].configuration:
                proved["configuration"] = seen[0].configuration
            return Done(proved, facts)
        if ctx.elapsed() > action.within:
            raise _not_ready(ctx, action, seen, wrong, health.detail)
        if ctx.interrupted():
            return Again(0)
        clock.sleep(action.every)


def _wrong(seen: tuple[Instance, ...], action: Ready) -> str:
    for instance in seen:
        if not instance.proves(action.version, action.build):
            runs = f"runs {instance.identity}" if instance.identity else instance.process.value
            return f"{instance.slot.name} at {instance.slot.address}: {instance.note or runs}"
    if len(said := {i.configuration for i in seen}) > 1:
        return f"the instances run with different configurations: {', '.join(sorted(said))}"
    if len({i.identity for i in seen}) > 1:
        return "the instances run different builds: " + ", ".join(f"{i.slot.name} {i.identity}" for i in seen)
    return ""


def _not_ready(
    ctx: Context, action: Ready, seen: tuple[Instance, ...], wrong: str, detail: str
) -> NotReady | WrongIdentity:
    what = wrong or f"the balancer does not see the pool {action.pool} healthy: {detail}"
    logs = tuple(f"read {ctx.ports.runtime.log_of(i.slot)}" for i in seen if not i.proves(action.version, action.build))
    ready_but_other = any(i.ready and not i.proves(action.version, action.build) for i in seen)
    kind = WrongIdentity if ready_but_other or "different builds" in wrong else NotReady
    return kind(
        f"v{action.version} did not prove itself within {action.within:g} s: {what}",
        now="No user has seen it.",
        next=logs,
    )


def retire(ctx: Context, action: Retire) -> Outcome:
    """End the promise by name, then make sure that the version can neither serve nor write, read back.

    Another version on the same pool is another step's. A version that serves on the other pool as well (a new build of
    it was released) keeps its login.
    """
    world = ctx.world()
    if not world.route.settled:
        return _wait(ctx, f"the route is not settled: {world.route.problem or 'a worker or the disk differs'}")
    begun = ctx.last("promise-ended") is not None
    running = _of(world.pools[action.pool], action)
    stop = rules.before_stop(ctx.situation(world), action.pool) if running else ()
    fatal = [v for v in stop if v.rule == "R11" and not begun] + [v for v in stop if "traffic" in v.text]
    if fatal:
        raise LastHealthyPool(
            f"v{action.version} cannot be retired on {action.pool}: {fatal[0].text}",
            now="Nothing was stopped.",
            next=("changeover status",),
        )
    if action.promised and not begun:
        ended = (action.version, ctx.run.by, action.because)
        ctx.note("promise-ended", {"version": action.version.text}, facts=Facts(ended=(ended,)))
    if any(v.rule == "R3" for v in stop):
        return _wait(ctx, f"{action.pool} still has requests in flight ({stop[0].text}); unknown is not zero")
    for instance in running:
        ctx.ports.runtime.stop(instance.slot, ctx.hold)
    after = look(ctx, action.pool)
    alive = [i.slot.name for i in _of(after, action)]
    left = None if alive else _revoke(ctx, action, world)
    if alive or left:
        return _wait(ctx, f"v{action.version} is not gone: {', '.join(alive) or f'{left} database connections'}")
    empty = all(i.process is Process.STOPPED for i in after)
    return Done(
        {"pool": action.pool, "stopped": [i.slot.name for i in running], "connections": left},
        Facts(deployed={action.pool: None}) if empty else None,
    )


def _of(instances: tuple[Instance, ...], action: Retire) -> list[Instance]:
    """Those that run this version, and those that do not say what they run."""
    return [
        i
        for i in instances
        if i.process is not Process.STOPPED and (i.identity is None or i.identity.version == action.version)
    ]


def _revoke(ctx: Context, action: Retire, world: World) -> int | None:
    elsewhere = any(
        i.identity is not None and i.identity.version == action.version
        for pool, instances in world.pools.items()
        if pool != action.pool
        for i in instances
    )
    if ctx.ports.database is None or elsewhere:
        return None
    return ctx.ports.database.retire(action.version, ctx.hold)


def _wait(ctx: Context, why: str) -> Again:
    ctx.hold.check()
    if ctx.elapsed() > ctx.policy.drain_hard:
        raise NotRetired(
            why,
            now="What runs was left alone; nothing was contracted.",
            next=("changeover status", "changeover resume"),
        )
    return Again(0.5)


def smoke(ctx: Context, action: Smoke) -> Outcome:
    """Run the checks through the balancer's preview; no user is routed to the version yet."""
    seen = look(ctx, action.pool)
    identity = seen[0].identity
    if identity is None or identity.version != action.version:
        raise SmokeFailed(f"{seen[0].slot.name} does not run v{action.version}", now="No user has seen it.")
    url, headers = ctx.ports.balancer.preview()
    results = ctx.ports.prober.smoke(url, headers, identity)
    bad = [f"{name}: {problem}" for name, problem in results if problem]
    if bad:
        raise SmokeFailed(
            f"v{action.version} fails {len(bad)} of {len(results)} smoke checks: {bad[0]}",
            now="No user has seen it.",
            next=tuple(f"read {ctx.ports.runtime.log_of(i.slot)}" for i in seen),
        )
    return Done({"checks": len(results)})
