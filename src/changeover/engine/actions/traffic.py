"""Shift, Bake: what is done to traffic."""

from __future__ import annotations

from typing import Any

from changeover.analysis import plain
from changeover.core import rules
from changeover.core.draft import route_text
from changeover.core.errors import (
    BalancerRefused,
    BalancerUnreachable,
    CapacityMissing,
    LastHealthyPool,
    RouteDrift,
    SchemaDrift,
    WouldBreak,
    WrongIdentity,
)
from changeover.core.model import Counters, Promise, Route, RouteReading, World
from changeover.core.ports import Reaches
from changeover.core.steps import Bake, Shift
from changeover.engine.actions import strangers
from changeover.engine.actions.drain import flying
from changeover.engine.actions.instances import look
from changeover.engine.context import (
    Again,
    Context,
    Done,
    GoBack,
    Outcome,
    Stuck,
    Waiting,
    last_asked,
    route_data,
    route_from,
    written_late,
)
from changeover.engine.records import Facts

SEEN_WITHIN = 10.0  # seconds until a balancer that has just started has checked every instance
CLOCK_SLACK = 2.0  # seconds that a share may last longer than it was given before the clock is said to have jumped


def shift(ctx: Context, action: Shift) -> Outcome:
    """Commit the route, durable first, read back from every worker; on record before and after."""
    clock = ctx.ports.clock
    wanted = action.route(ctx.mark, int(clock.now() + action.expiry))
    world = ctx.world()
    if _unseen(ctx, action, world):
        return Again()
    _may_take(ctx, action, world)
    reading = world.route
    if reading.strange and ctx.last("asked") is None and ctx.plan.kind == "release":
        raise BalancerRefused(
            f"what {', '.join(reading.strange)} has is no route: {reading.problem}",
            now="It was left as it is.",
            next=("set it back, then: changeover resume", "changeover rollback"),
        )
    _known(ctx, wanted, reading.route or reading.durable)
    before = reading.route
    asked = {
        "route": route_data(wanted),
        "before": None if before is None else route_data(before),
        "at": clock.now(),
        "counts": _counts(ctx, (action.pool, action.other)),
    }
    if asked["counts"] and (counted := strangers.begin(ctx, world, (action.pool, action.other))):
        asked["own"] = counted
    ctx.note("asked", asked, facts=_promised(ctx, action))
    began = clock.boottime()
    after = _commit(ctx, wanted)
    if after.route is None or not after.route.decides_like(wanted):
        raise BalancerRefused(
            f"the read-back shows {after.route}, not what was asked",
            now="Both pools are up.",
            next=("changeover status",),
        )
    taken: dict[str, Any] = {
        "route": route_data(after.route),
        "seconds": round(clock.boottime() - began, 4),
        "workers": len(after.workers),
    }
    if action.is_flip:
        taken["left"] = flying(ctx.ports.balancer.in_flight(action.other))
    return Done(taken, _serves(ctx, action))


def _counts(ctx: Context, pools: tuple[str, ...]) -> dict[str, list[int | None]]:
    """What the balancers have counted by now. A way back does without where one of them does not answer."""
    try:
        return {p: _counted(ctx.ports.balancer.counters(p)) for p in pools}
    except BalancerUnreachable:
        if ctx.plan.kind not in ("rollback", "abort"):
            raise
        return {}


def _commit(ctx: Context, wanted: Route) -> RouteReading:
    """A way back does not wait for a balancer that is away: the others go home at once, and the error names the one left out."""
    balancer = ctx.ports.balancer
    if ctx.plan.kind in ("rollback", "abort") and isinstance(balancer, Reaches):
        return balancer.commit_reachable(wanted, ctx.hold)
    return balancer.commit(wanted, ctx.hold)


def _unseen(ctx: Context, action: Shift, world: World) -> bool:
    """Whether to wait a little: instances prove ready, and a balancer that has just started has not checked them yet.

    Its few would look like a pool that lacks instances, or like a live one that carries its traffic with fewer than it does.
    """
    if ctx.plan.kind != "release" or not action.share:
        return False
    ready = {p: sum(1 for i in world.running(p) if i.ready) for p in (action.pool, action.other)}
    late = [
        f"{p} {h.healthy} of {ready[p]}"
        for p in ready
        if (h := world.health.get(p)) and h.healthy < min(ready[p], h.known)
    ]
    if not late:
        return False
    begun = ctx.events[-1]
    if begun.kind != "unseen":
        ctx.note("unseen", {"healthy": ", ".join(late), **ctx.stamp()})
        return True
    return ctx.ports.clock.boottime() - float(begun.data["boottime"]) < SEEN_WITHIN


def _may_take(ctx: Context, action: Shift, world: World) -> None:
    """R1, R2, R7, R11: whoever is to take traffic proves, now, that it can; and the schema is the one that was proved."""
    route = world.route.route
    if route is not None and route.live == action.other and not action.share:
        return  # home again, to the pool that is live anyway: never refused
    small_accepted = any(a.name == f"capacity:{action.version}" for a in ctx.plan.acknowledged)
    broken = [v for v in rules.before_shift(ctx.situation(world), action) if not (v.rule == "R7" and small_accepted)]
    if broken:
        kinds = {"R2": WouldBreak, "R11": LastHealthyPool}
        kind = next((kinds[v.rule] for v in broken if v.rule in kinds), CapacityMissing)
        raise kind(
            "; ".join(str(v) for v in broken),
            now="The traffic stays where it is.",
            next=("changeover status", "mend it, then: changeover resume"),
        )
    _as_proved(ctx, action, world)
    if action.share and ctx.run.kind == "release" and world.schema is not None:
        proved = next((e for e in reversed(ctx.history) if e.kind == "done" and "catalogue" in e.data), None)
        if proved is not None and proved.data["catalogue"] != world.schema.catalogue:
            raise SchemaDrift(
                "the schema is not the one that was proved: somebody changed it by hand",
                now="The traffic stays where it is.",
                next=("changeover rollback", "mend the schema, then: changeover resume"),
            )


def _as_proved(ctx: Context, action: Shift, world: World) -> None:
    """Build and configuration of each instance, read just now, are those that proved themselves ready in this run."""
    if ctx.plan.kind != "release" or not action.share:
        return
    proofs = [e for e in ctx.history if e.kind == "done" and "started" in e.data]
    proof = next((e.data for e in reversed(proofs) if e.data.get("version") == action.version.text), None)
    if proof is None:
        return
    asked = (str(proof["build"]), str(proof.get("configuration", "")))
    for instance in world.running(action.pool):
        now = ("" if instance.identity is None else instance.identity.build, instance.configuration)
        if instance.ready and now != asked:
            raise WrongIdentity(
                f"{instance.slot.name} runs {' '.join(now).strip() or '?'}, proved was {' '.join(asked).strip()}",
                now="The traffic stays where it is.",
                next=("find out who changed it", "put it back, then: changeover resume"),
            )


def _known(ctx: Context, wanted: Route, found: Route | None) -> None:
    """Refuse to overwrite a route that somebody else wrote. Routes of ours, and those that already decide alike, pass."""
    if found is None or found.decides_like(wanted):
        return
    if _expected(ctx, found):
        return
    if last_asked(ctx.history) is not None and written_late(ctx.journal, found, ctx.hold.token):
        return  # an actor of ours that slept past its lease: corrected, not respected
    raise RouteDrift(
        f"the route is {route_words(found)}, and changeover did not make it so",
        now="It was left as it is.",
        next=("find out who changed it", "set it back, then: changeover resume", "changeover rollback"),
    )


def _expected(ctx: Context, found: Route) -> bool:
    """Whether this is the route that was asked for last, or the one that it was to replace.

    Where the one to replace could not be read when it was asked for, it is what was asked for before that, or the plan's.
    """
    unread = False
    for event in reversed(ctx.history):
        if event.kind == "done" and "route" in event.data and unread:
            return found.decides_like(route_from(event.data["route"]))
        if event.kind != "asked":
            continue
        if found.decides_like(route_from(event.data["route"])):
            return True
        before = event.data.get("before")
        if before is not None:
            return found.decides_like(route_from(before))
        unread = True
    return route_text(found) == ctx.plan.basis.route


def route_words(route: Route | None) -> str:
    """A route as plans and people compare it: `blue`, or `blue, 25 % green`."""
    if route is None:
        return "unknown"
    return f"{route.live}, {route.share / 100:g} % {route.candidate}" if route.share else route.live


def _promised(ctx: Context, action: Shift) -> Facts | None:
    """With the intent: a flip promises the version it leaves as the way back."""
    if not action.is_flip or action.keep is None or action.leaves is None:
        return None
    now = ctx.ports.clock.now()
    return Facts(promises=(Promise(action.leaves, action.leaves_build, action.other, now, now + action.keep),))


def _serves(ctx: Context, action: Shift) -> Facts | None:
    """With the read-back, never before: the version that serves again needs no promise any more."""
    return Facts(ended=((action.version, ctx.run.by, "it serves again"),)) if action.is_flip else None


# watching ------------------------------------------------------------------------------------------


def bake(ctx: Context, action: Bake) -> Outcome:
    """Watch the new version; go back by rule, hold when there is too little traffic to tell."""
    start = ctx.last("watch")
    if start is None or start.fence != ctx.hold.token:
        ctx.note("watch", {"counts": _baseline(ctx, action), **ctx.stamp()})
        return Again(0)
    counts = ctx.ports.balancer.counters(action.pool)
    others = ctx.ports.balancer.counters(action.other)
    new = counts.since(_counters(start.data["counts"][action.pool]))
    old = others.since(_counters(start.data["counts"][action.other]))
    finding = plain.judge(action.rules, plain.Sample(new, _unhealthy(ctx, action)), action.min_requests)
    if finding.judgement is plain.Judgement.ABORT:
        return GoBack(finding.reason)
    if ctx.ports.clock.boottime() - float(start.data["boottime"]) < action.seconds:
        return Again()
    stranger = strangers.found(ctx, ctx.world(), action.pool, ctx.ports.balancer.counters(action.pool))
    if stranger is not None:
        return Stuck(stranger)
    if finding.judgement is plain.Judgement.INCONCLUSIVE:
        signal = ctx.journal.wait_or_take(ctx.run, ctx.hold.token, "go-on", ctx.step.key)
        if signal is None:
            if ctx.last("inconclusive") is None:
                ctx.note("inconclusive", {"reason": finding.reason})
            return Waiting("go-on")
    total = new.requests + old.requests
    measured = round(10_000 * new.requests / total) if total else None
    return Done(
        {
            "requests": new.requests,
            "errors_5xx": new.errors_5xx,
            "failed": new.failed,
            "fallbacks": new.fallbacks,
            "asked": action.share,
            "measured": measured,
            "verdict": finding.judgement.value,
            "reason": finding.reason,
        }
    )


def _baseline(ctx: Context, action: Bake) -> dict[str, list[int | None]]:
    """From where is counted: the moment before the shift. A new owner counts anew: nobody looked in between."""
    asked = last_asked(ctx.history)
    if asked is not None and asked.fence == ctx.hold.token:
        return dict(asked.data["counts"])
    return {p: _counted(ctx.ports.balancer.counters(p)) for p in (action.pool, action.other)}


def _unhealthy(ctx: Context, action: Bake) -> tuple[tuple[str, float], ...]:
    """Seconds that each instance has been unhealthy; begins and ends are on record, so that a resume goes on counting."""
    clock = ctx.ports.clock
    since: dict[str, float] = {}
    for event in ctx.events:
        if event.kind == "unhealthy" and event.data.get("boot") == clock.boot():
            since.setdefault(str(event.data["instance"]), float(event.data["boottime"]))
        elif event.kind == "healthy":
            since.pop(str(event.data["instance"]), None)
    for instance in look(ctx, action.pool):
        name = instance.slot.name
        if instance.ready and name in since:
            ctx.note("healthy", {"instance": name})
            del since[name]
        elif not instance.ready and name not in since:
            since[name] = clock.boottime()
            ctx.note("unhealthy", {"instance": name, "note": instance.note, **ctx.stamp()})
    return tuple((name, clock.boottime() - at) for name, at in since.items())


def _counted(counters: Counters) -> list[int | None]:
    return [counters.requests, counters.errors_5xx, counters.failed, counters.fallbacks]


def _counters(data: list[int | None]) -> Counters:
    requests, errors, failed, fallbacks = data
    return Counters(requests or 0, errors or 0, failed or 0, fallbacks)


# a share that somebody watches (rule R14) ----------------------------------------------------------


def overdue(route: Route, now: float, expiry: float) -> bool:
    """A third of the life of a watched share is over: renew it. So is one that lasts too long: the clock was set back."""
    left = route.expires - now
    return bool(route.expires) and (left < 2 * expiry / 3 or left > expiry + CLOCK_SLACK)
