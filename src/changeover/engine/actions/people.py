"""Preflight and Gate: what is looked at before anything changes, and what a person decides."""

from __future__ import annotations

from changeover.core.draft import settled
from changeover.core.errors import BalancerUnreachable, CapacityMissing, DoctorFound, NotReady
from changeover.core.inplay import healthy
from changeover.core.ports import cause_of
from changeover.core.steps import Gate, Preflight
from changeover.engine.context import Context, Done, Outcome, Waiting


def preflight(ctx: Context, action: Preflight) -> Outcome:
    """Everything reachable, allowed and as planned; otherwise nothing begins."""
    world = ctx.world()
    settled(world)
    ports = ctx.ports
    findings = [*ports.balancer.inspect(), *ports.runtime.inspect()]
    if ports.database is not None:
        findings += ports.database.inspect()
    for reader in ports.readers:
        findings += reader.inspect()
    bad = [f for f in findings if not f.ok and f.fatal]
    cause = cause_of(bad)
    if isinstance(cause, BalancerUnreachable):
        raise cause  # a moment of silence: tried again
    if bad:
        raise DoctorFound(
            f"{bad[0].subject}: {bad[0].detail}" + (f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""),
            next=tuple(f.fix for f in bad if f.fix) or ("changeover doctor",),
        )
    carrying = healthy(world, action.live)
    slots = len(ports.runtime.slots(action.candidate))
    if ctx.plan.kind == "release" and slots < carrying:
        raise CapacityMissing(
            f"{action.candidate} has {slots} slots, {action.live} carries the traffic with {carrying}"
        )
    if ctx.plan.kind == "cleanup" and not carrying:
        raise NotReady(
            f"no instance of {action.live} is ready: this is no time to clean up", next=("changeover status",)
        )
    warnings = [f"{f.subject}: {f.detail}" for f in findings if not f.ok]
    return Done({"checks": len(findings) + 3, "warnings": warnings, "healthy": carrying})


def gate(ctx: Context, action: Gate) -> Outcome:
    """Wait for the named approval."""
    signal = ctx.journal.wait_or_take(ctx.run, ctx.hold.token, action.name, ctx.step.key)
    if signal is None:
        return Waiting(action.name)
    return Done({"by": signal.by, "note": signal.note})
