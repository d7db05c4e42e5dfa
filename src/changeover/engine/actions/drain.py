"""Drain: what the version that was left still carries, each kind by its policy, and an account at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from changeover.core.errors import DrainUnknown
from changeover.core.model import AtDeadline, Cut, InFlight, Leave, Linger, Process
from changeover.core.ports import CutsByKind, Signals
from changeover.core.steps import Drain, Shift
from changeover.engine.actions import strangers
from changeover.engine.context import POLL, Again, Context, Done, Outcome, Stuck

SETTLE = (
    0.5  # seconds from the flip's read-back to the first look that may count as drained (facts: latest arrival 5 ms)
)
REQUESTS = "requests"


def flying(seen: InFlight) -> dict[str, int | None]:
    """What is in flight by kind, as it is kept in events; None is unknown."""
    return {REQUESTS: seen.requests, **seen.kinds}


def drain(ctx: Context, action: Drain) -> Outcome:
    """Two looks in a row that show zero on every worker. Unknown is not zero; what is cut is counted and named."""
    world = ctx.world()
    route = world.route.route
    if route is None or route.share_of(action.pool, 0.0 if route.expires == 0 else world.at):
        return _stuck(ctx, action, "the balancer still routes to it, or does not say") or Again()
    late = [name for name, left in world.route.leaving.items() if left is None or left.share_of(action.pool, 0.0)]
    if late:
        why = f"{', '.join(late)} is leaving, and still sends what comes on its connections there"
        return _stuck(ctx, action, why) or Again()
    if not world.running(action.pool):
        return Done({"in_flight": 0, "note": "nothing runs there"})
    strangers.remember(ctx, world, action.pool)
    flight = world.in_flight[action.pool]
    if ctx.last("flying") is None and flight.requests is not None:
        ctx.note("flying", flying(flight))
        return Again(0)  # the account has its begin
    if flight.is_zero:
        empty = ctx.last("empty")
        if empty is not None and ctx.events[-1].kind == "empty":
            stranger = strangers.found(ctx, world, action.pool, ctx.ports.balancer.counters(action.pool))
            if stranger is not None:
                return Stuck(stranger)
            told = {} if ctx.ports.balancer.capabilities.drain_evidence == "balancer" else {"says": flight.detail}
            return Done({"in_flight": 0, "seconds": round(ctx.elapsed(), 2), **_account(ctx, flight), **told})
        if ctx.elapsed() >= max(SETTLE, ctx.ports.balancer.capabilities.stale):
            ctx.note("empty")
        return Again(POLL)
    if ctx.events[-1].kind == "empty":
        ctx.note("busy", {"requests": flight.requests})
    if ctx.elapsed() > action.soft and ctx.last("slow") is None:
        ctx.note("slow", {"requests": flight.requests, "long_lived": flight.long_lived, "detail": flight.detail})
    for linger in action.long_lived:
        if flight.kinds.get(linger.kind):
            _send_away(ctx, action, linger)
    if ctx.elapsed() <= action.hard:
        return Again(POLL)
    return _at_deadline(ctx, action, flight)


def _at_deadline(ctx: Context, action: Drain, flight: InFlight) -> Outcome:
    if flight.requests is None:
        return _stuck(ctx, action, f"what is in flight cannot be seen ({flight.detail})") or Again()
    match action.at_deadline:
        case AtDeadline.WAIT:
            return Again(1.0)
        case AtDeadline.CUT:
            _cut(ctx, action.pool, frozenset({REQUESTS, *flight.kinds}), flight.detail)
            return Again(POLL)
        case AtDeadline.HOLD:
            lasting = "".join(f", {count} {kind}" for kind, count in flight.kinds.items())
            return Stuck(_undrained(action, f"{flight.requests} requests{lasting} are still in flight"))


# long-lived connections ------------------------------------------------------------------------------


def _send_away(ctx: Context, action: Drain, linger: Linger) -> None:
    """By the policy of the kind: tell the application once, cut at the deadline; WAIT leaves it to the drain's own."""
    if linger.policy is Leave.WAIT:
        return
    if linger.policy is Leave.SIGNAL and not any(e.kind == "signalled" for e in ctx.events):
        _signal(ctx, action.pool)
    if ctx.elapsed() > linger.within:
        _cut(ctx, action.pool, frozenset({linger.kind.value}), f"{linger.kind} had {linger.within:g} s")


def _signal(ctx: Context, pool: str) -> None:
    runtime = ctx.ports.runtime
    slots = [i.slot for i in ctx.world().pools[pool] if i.process is not Process.STOPPED]
    told = [s.name for s in slots if runtime.signal(s, ctx.hold)] if isinstance(runtime, Signals) else []
    ctx.note("signalled", {"instances": told})


def _cut(ctx: Context, pool: str, kinds: frozenset[str], detail: str) -> None:
    """On record at once, with the names of what was closed where the balancer knows them."""
    ctx.hold.check()
    balancer = ctx.ports.balancer
    if isinstance(balancer, CutsByKind):
        closed = balancer.cut_kinds(pool, kinds, ctx.hold)
        if closed:
            ctx.note("cut", {"count": len(closed), "detail": detail, "closed": [_named(c) for c in closed]})
    elif REQUESTS in kinds:
        ctx.note("cut", {"count": balancer.cut(pool, ctx.hold), "detail": detail})


def _named(cut: Cut) -> dict[str, Any]:
    return {"kind": cut.kind, "instance": cut.instance, "age": cut.age, "path": cut.path}


# the account -------------------------------------------------------------------------------------------


def _account(ctx: Context, flight: InFlight) -> dict[str, Any]:
    """Of what was in flight at the flip: finished by itself, moved (its application was told), cut, lost sight of."""
    begun = _begun(ctx)
    cuts: Sequence[Mapping[str, Any]] = [c for e in ctx.events if e.kind == "cut" for c in e.data.get("closed", ())]
    unnamed = sum(int(e.data["count"]) for e in ctx.events if e.kind == "cut" and "closed" not in e.data)
    cut = {kind: sum(1 for c in cuts if c["kind"] == kind) for kind in {*begun, *(c["kind"] for c in cuts)}}
    cut[REQUESTS] = cut.get(REQUESTS, 0) + unnamed
    told = any(e.kind == "signalled" and e.data["instances"] for e in ctx.events)
    action = ctx.step.action
    signalled = (
        {i.kind.value for i in action.long_lived if i.policy is Leave.SIGNAL}
        if isinstance(action, Drain) and told
        else set()
    )
    gone = {kind: max(0, count - cut.get(kind, 0)) for kind, count in begun.items()}
    gone[REQUESTS] = max(0, gone.get(REQUESTS, 0) - flight.lost)
    return {
        "cut": len(cuts) + unnamed,
        "account": {
            "finished": {k: n for k, n in gone.items() if n and k not in signalled},
            "moved": {k: n for k, n in gone.items() if n and k in signalled},
            "cut": {k: n for k, n in cut.items() if n},
            "lost": flight.lost,
        },
        "closed": list(cuts),
    }


def _begun(ctx: Context) -> Mapping[str, int]:
    """By kind: what was in flight when the pool was left; at the first look of this step, if that is more or was not seen."""
    mine = ctx.last("flying")
    seen = dict(mine.data) if mine is not None else {}
    for event in reversed(ctx.history):
        step = next((s for s in ctx.plan.steps if s.key == event.step), None)
        if event.kind == "done" and "left" in event.data and step is not None and isinstance(step.action, Shift):
            left = event.data["left"]
            return {k: max(left.get(k) or 0, seen.get(k) or 0) for k in {*left, *seen}}
    return {k: n or 0 for k, n in seen.items()}


def _stuck(ctx: Context, action: Drain, why: str) -> Stuck | None:
    return Stuck(_undrained(action, why)) if ctx.elapsed() > action.hard else None


def _undrained(action: Drain, why: str) -> DrainUnknown:
    return DrainUnknown(
        f"{action.pool} is not drained after {action.hard:g} s: {why}",
        now="Its instances run on; nothing was stopped.",
        next=("changeover status", "changeover resume"),
    )
