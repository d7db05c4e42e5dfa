"""The rules R1…R14 as pure functions: the planner refuses by them, the executor stops by them, the tests judge by them.

A rule returns what violates it, in words; an empty tuple says that it holds. There are four groups:

* on states (`STATE_RULES`, all of them in `judge`): R1, R2, R3, R4, R7, R11, R13, R14. They hold before and after every step;
* before an act (`before_stop`, `before_shift`, `before_contract`, `before_undo`): the same rules asked about what is about to be done;
* on plans (`PLAN_RULES`, `judge_plan`): R7, R9, R10, R13 in the order of the steps;
* on runs (`RUN_RULES`, `judge_run`): R5, R6, R8, R12 on the events that a journal recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from changeover.core.inplay import (
    ahead,
    apart,
    carries,
    carrying,
    enough,
    flying,
    healthy,
    holder,
    in_play,
    lost,
    matches,
    misfit,
    residents,
    stranger,
)
from changeover.core.model import ChangeSet, Ledger, Process, Promise, Version, World
from changeover.core.steps import (
    Backfill,
    Backup,
    Contract,
    Drop,
    Expand,
    Finalize,
    Plan,
    Retire,
    Schema,
    Shift,
    Sync,
    Undo,
    from_data,
    to_data,
)

NO_BACKUP = "no-backup"  # the acknowledgement that there is no restore point
MAY_CHANGE: Mapping[str, frozenset[str]] = {
    "release": frozenset({Expand.kind, Sync.kind, Backfill.kind, Finalize.kind}),
    "cleanup": frozenset({Backfill.kind, Contract.kind, Drop.kind}),
    "undo": frozenset({Undo.kind}),
}  # kind of a plan -> the steps by which it may change schema and rows


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that does not hold, and why, in words."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a state rule judges: the world, what outlives runs, and the change sets that are known."""

    world: World
    ledger: Ledger
    changes: tuple[ChangeSet, ...] = ()


Violations = tuple[Violation, ...]


# states ------------------------------------------------------------------------------------------------------


def r1_routed_is_proved(now: Situation) -> Violations:
    """R1: a pool with traffic runs one identity, the one that was put there; nothing unproved counts as healthy."""

    def found() -> Iterator[str]:
        world, ledger = now.world, now.ledger
        for pool in sorted(carrying(world) & set(world.pools)):
            here = residents(world, ledger, pool)
            asked = ledger.deployed.get(pool)
            if len(here) > 1:
                yield f"{pool} has traffic and runs {' and '.join(f'v{i}' for i in here)}"
            elif here and asked is not None and not matches(here[0], asked.version, asked.build):
                yield f"{pool} has traffic and runs {here[0]}, not {asked}"
            proved = sum(1 for i in world.pools[pool] if i.ready and i.process is not Process.STOPPED)
            seen = world.health.get(pool)
            if seen is not None and seen.healthy > proved:
                yield f"the balancer sends requests to {seen.healthy} instances of {pool}; {proved} have proved themselves"

    return _as("R1", found())


def r2_in_play_fits_schema(now: Situation) -> Violations:
    """R2: every version in play works with the schema, as far as the records of the schema can tell."""
    schema = now.world.schema
    if schema is None:
        return ()
    players = {p.version for p in in_play(now.world, now.ledger)}
    reasons = (misfit(v, schema, now.changes) for v in sorted(players))
    return _as("R2", (r for r in reasons if r))


def r3_nothing_in_flight_where_nothing_runs(now: Situation) -> Violations:
    """R3: requests in flight on a pool whose instances are all stopped were cut by a stop."""
    pools = (p for p in sorted(now.world.pools) if not now.world.running(p))
    counts = ((p, now.world.in_flight.get(p)) for p in pools)
    return _as(
        "R3", (f"{n.requests} requests are in flight on {p}, which is stopped" for p, n in counts if n and n.requests)
    )


def r4_nothing_contracted_in_play(now: Situation) -> Violations:
    """R4: nothing is contracted that a version needs which serves, drains, or is promised."""
    schema = now.world.schema
    if schema is None:
        return ()
    players = in_play(now.world, now.ledger)
    return _as("R4", (f"{p}; the contract of {w} has begun" for p in players for w in lost(p.version, schema)))


def r7_promises_hold(now: Situation) -> Violations:
    """R7: each promise that has not ended can be kept: old pool warm and large enough, identity right, schema fits."""
    return _as("R7", (f"{p.version}: {why}" for p in now.ledger.promised for why in promise_fails(now, p)))


def r11_somebody_serves(now: Situation) -> Violations:
    """R11: a pool with traffic has a healthy instance, unless no pool has one."""
    world = now.world
    alive = {p for p in world.pools if healthy(world, p)}
    bad = sorted(carrying(world) - alive) if alive else []
    return _as("R11", (f"{p} has traffic and no healthy instance; {', '.join(sorted(alive))} has" for p in bad))


def r13_retired_are_gone(now: Situation) -> Violations:
    """R13: where a contract has begun, no instance of an older version runs, serving or not."""
    schema = now.world.schema
    if schema is None:
        return ()

    def found() -> Iterator[str]:
        for pool in sorted(now.world.pools):
            for identity in residents(now.world, now.ledger, pool):
                gone = lost(identity.version, schema)
                if gone:
                    yield f"{identity} still runs on {pool}; the contract of {gone[0]} has begun"

    return _as("R13", found())


def r14_shares_expire(now: Situation) -> Violations:
    """R14: a share carries an expiry. (A balancer that cannot evaluate one is shown as unwatched by `status`.)"""
    routes = (r for r in now.world.route.workers.values() if r is not None)
    bad = {(r.candidate, r.share) for r in routes if r.share and not r.expires}
    return _as("R14", (f"{share} basis points go to {pool} without an expiry" for pool, share in sorted(bad)))


STATE_RULES: Mapping[str, Callable[[Situation], Violations]] = {
    "R1": r1_routed_is_proved,
    "R2": r2_in_play_fits_schema,
    "R3": r3_nothing_in_flight_where_nothing_runs,
    "R4": r4_nothing_contracted_in_play,
    "R7": r7_promises_hold,
    "R11": r11_somebody_serves,
    "R13": r13_retired_are_gone,
    "R14": r14_shares_expire,
}


def judge(now: Situation) -> Violations:
    """Every state rule on one state."""
    return tuple(v for rule in STATE_RULES.values() for v in rule(now))


def promise_fails(now: Situation, promise: Promise) -> tuple[str, ...]:
    """The conditions of a way back that do not hold now. Empty: it can be taken. Serving already: nothing to keep."""
    return tuple(_fails(now, promise))


def _fails(now: Situation, promise: Promise) -> Iterator[str]:
    world, ledger, pool = now.world, now.ledger, promise.pool
    if pool not in world.pools:
        yield f"there is no pool {pool}"
        return
    here = holder(world, ledger, pool)
    route = world.route.route
    serves = route is not None and route.live == pool and here is not None
    if here is None or not matches(here, promise.version, promise.build):
        runs = ", ".join(str(i) for i in residents(world, ledger, pool))
        yield f"{pool} runs {runs or 'nothing'}, not {promise.version}"
    elif not serves:
        warm = healthy(world, pool)
        needed = enough(world, pool, route.live) if route is not None else 1
        if warm < needed:
            yield f"{warm} of {needed} instances are warm on {pool}"
    if world.schema is not None:
        reason = misfit(promise.version, world.schema, now.changes)
        if reason:
            yield reason


# before an act -------------------------------------------------------------------------------------------------


def before_stop(now: Situation, pool: str) -> Violations:
    """May the instances of this pool be stopped? R3: nothing in flight, and known to be so. R11: not the last healthy
    pool that serves or is promised. (A pool that is neither can take no traffic; it must not block the fix.)
    """
    world = now.world
    if not world.running(pool):
        return ()
    count = flying(world, pool)
    flight = "unknown" if count.requests is None or count.long_lived is None else count.requests + count.long_lived
    inflight = () if count.is_zero else (f"in flight on {pool}: {flight}",)
    traffic = (f"{pool} has traffic",) if pool in carrying(world) else ()
    needed = bool(traffic) or any(p.pool == pool for p in now.ledger.promised)
    others = any(healthy(world, p) for p in world.pools if p != pool)
    last = (f"{pool} is the last healthy pool",) if needed and healthy(world, pool) and not others else ()
    return _as("R3", (*traffic, *inflight)) + _as("R11", last)


def before_shift(now: Situation, shift: Shift) -> Violations:
    """May this share be moved? R1, R7 and R11 for the pools that will carry traffic, R2 for their versions."""
    world = now.world
    gets = [(shift.pool, shift.version)] if shift.share else []
    keeps = [(shift.other, shift.leaves)] if not shift.is_flip else []
    alive = any(healthy(world, p) for p in world.pools)
    empty = [p for p, _ in gets if not healthy(world, p)] + [
        p for p, _ in keeps if alive and not shift.share and not healthy(world, p)
    ]
    here = [(p, v, holder(world, now.ledger, p)) for p, v in gets]
    wrong = [f"{p} runs {i or 'nobody knows what'}, not {v}" for p, v, i in here if i is None or i.version != v]
    mixed = [f"{p} {words}" for p, _ in (*gets, *keeps) if (words := apart(world, p))]
    wrong += [
        f"{p} runs {i}, not the build that was put there ({asked.build})"
        for p, _, i in here
        if i is not None
        and (asked := now.ledger.deployed.get(p)) is not None
        and asked.version == i.version
        and not matches(i, asked.version, asked.build)
    ]
    forward = shift.leaves is None or shift.version > shift.leaves  # a way back may be smaller, at full strength
    needed = {p: carries(world, shift.other) if forward else enough(world, p, shift.other) for p, _ in gets}
    small = [
        f"{p} has {healthy(world, p)} healthy instances and needs {needed[p]} instead of {shift.other}"
        for p, _ in gets
        if healthy(world, p) < needed[p]
    ]
    schema = world.schema
    reasons = [misfit(v, schema, now.changes) for _, v in (*gets, *keeps) if v is not None] if schema else []
    return (
        _as("R1", (*wrong, *mixed))
        + _as("R2", (r for r in reasons if r))
        + _as("R7", small)
        + _as("R11", (f"{p} has no healthy instance" for p in empty))
    )


def before_contract(now: Situation, version: Version) -> Violations:
    """May the contract of this version be applied? R4: nothing older in play. R13: nothing older runs, or might."""
    world, ledger = now.world, now.ledger
    older = (
        f"{p} needs what the contract of {version} takes away" for p in in_play(world, ledger) if p.version < version
    )
    runs = (
        f"{i} still runs on {pool}"
        for pool in sorted(world.pools)
        for i in residents(world, ledger, pool)
        if i.version < version
    )
    hidden = (f"nobody knows what runs on {s}" for s in (stranger(world, ledger, p) for p in sorted(world.pools)) if s)
    return _as("R4", older) + _as("R13", (*runs, *hidden))


def before_undo(now: Situation, version: Version) -> Violations:
    """May what was added for this version be taken back? R2: nobody who plays needs it. R4: nobody can have written to it."""
    world, ledger, schema = now.world, now.ledger, now.world.schema
    need = (f"{p} needs what was added for {version}" for p in in_play(world, ledger) if p.version >= version)
    ran = (f"an instance of {v} has started" for v in sorted(ledger.started) if v >= version)
    runs = (
        f"{i} runs on {pool}"
        for pool in sorted(world.pools)
        for i in residents(world, ledger, pool)
        if i.version >= version
    )
    hidden = (f"nobody knows what runs on {s}" for s in (stranger(world, ledger, p) for p in sorted(world.pools)) if s)
    built = (f"what was added for {v} stands on it" for v in (ahead(schema, version) if schema is not None else ()))
    return _as("R2", (*need, *built)) + _as("R4", (*ran, *runs, *hidden))


# plans -----------------------------------------------------------------------------------------------------------


def r7_plan_ends_by_name(plan: Plan) -> Violations:
    """R7: a plan ends the promises that it names and no other; only cleanup contracts; going back leaves the schema."""
    actions = [s.action for s in plan.steps]
    ends = sorted(a.version for a in actions if isinstance(a, Retire) and a.promised)
    schema = [a.kind for a in actions if isinstance(a, Schema | Backfill)]

    def found() -> Iterator[str]:
        if ends != sorted(plan.ends):
            yield "the plan ends promises that it does not name"
        if plan.kind in ("rollback", "abort") and (schema or ends):
            yield f"a {plan.kind} touches the schema or ends a promise"
        alien = sorted({*schema} - MAY_CHANGE.get(plan.kind, frozenset()))
        if alien and plan.kind not in ("rollback", "abort"):
            yield f"a {plan.kind} has steps that do not belong to it: {', '.join(alien)}"
        first = next((s.n for s in plan.steps if isinstance(s.action, Contract | Drop)), None)
        if plan.last_safe != (first - 1 if first else 0):
            yield f"the point of no return is not where the plan says: {plan.last_safe}"

    return _as("R7", found())


def r9_restore_point(plan: Plan) -> Violations:
    """R9: a restore point precedes the first schema change and the first contract, or a named person does without."""
    if any(a.name == NO_BACKUP for a in plan.acknowledged):
        return ()

    def found() -> Iterator[str]:
        have: set[str] = set()
        for step in plan.steps:
            action = step.action
            if isinstance(action, Backup):
                have.add(action.before)
            elif isinstance(action, Expand | Sync | Finalize) and "expand" not in have:
                yield f"step {step.n} expands without a restore point"
            elif isinstance(action, Contract | Drop | Undo) and "contract" not in have:
                yield f"step {step.n} contracts without a restore point"

    return _as("R9", found())


def r10_plan_is_frozen(plan: Plan, digest: str = "") -> Violations:
    """R10: the steps are numbered as they run, the plan survives writing and reading, its hash is the one agreed."""

    def found() -> Iterator[str]:
        if [s.n for s in plan.steps] != list(range(1, len(plan.steps) + 1)):
            yield "the steps are not numbered as they run"
        if from_data(to_data(plan)) != plan:
            yield "the plan read back is another one"
        if digest and plan.hash != digest:
            yield f"the plan's hash is {plan.short}, agreed was {digest[:8]}"

    return _as("R10", found())


def r13_retire_before_contract(plan: Plan) -> Violations:
    """R13: every version that a plan retires because of a contract is retired before the first one."""
    contracted = False
    late: list[str] = []
    for step in plan.steps:
        contracted = contracted or isinstance(step.action, Contract)
        if contracted and isinstance(step.action, Retire):
            late.append(f"step {step.n} retires {step.action.version} after a contract")
    return _as("R13", late)


PLAN_RULES: Mapping[str, Callable[[Plan], Violations]] = {
    "R7": r7_plan_ends_by_name,
    "R9": r9_restore_point,
    "R10": r10_plan_is_frozen,
    "R13": r13_retire_before_contract,
}


def judge_plan(plan: Plan) -> Violations:
    """Every plan rule on one plan."""
    return tuple(v for rule in PLAN_RULES.values() for v in rule(plan))


# runs --------------------------------------------------------------------------------------------------------------


class Record(Protocol):
    """What a run rule needs of an event in the journal. `seq` counts from 1; `step` is "" for the run itself."""

    @property
    def seq(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def fence(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def step(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


BEGIN = "begin"  # the intent of a step
DONE = "done"  # its result, read back; `data` is what was observed
FINISHED = "finished"  # the run ended as it was meant to


def r5_one_actor(records: Sequence[Record]) -> Violations:
    """R5: events are numbered without gaps and the fence never goes back: no stale actor wrote after its successor."""

    def found() -> Iterator[str]:
        for number, record in enumerate(records, 1):
            if record.seq != number:
                yield f"event {record.seq} stands where {number} should"
        for one, two in pairwise(records):
            if two.fence < one.fence:
                yield f"event {two.seq} has fence {two.fence}, after {one.fence}"

    return _as("R5", found())


def r6_intent_then_result(records: Sequence[Record]) -> Violations:
    """R6: each result follows the intent of its step, and no step has two results."""

    def found() -> Iterator[str]:
        begun: set[str] = set()
        done: set[str] = set()
        for record in records:
            if record.kind == BEGIN:
                if record.step in done:
                    yield f"step {record.step} begins again after its result"
                begun.add(record.step)
            elif record.kind == DONE:
                if record.step not in begun:
                    yield f"step {record.step} has a result without an intent"
                if record.step in done:
                    yield f"step {record.step} has two results"
                done.add(record.step)

    return _as("R6", found())


def r8_result_is_observed(records: Sequence[Record]) -> Violations:
    """R8: a result says what was observed."""
    return _as(
        "R8", (f"step {r.step} is done and nothing was observed" for r in records if r.kind == DONE and not r.data)
    )


def r12_says_what_now_next(records: Sequence[Record]) -> Violations:
    """R12: what went wrong says what happened, what the system is now, what to do next; a step left open is no success."""

    def found() -> Iterator[str]:
        open_steps: set[str] = set()
        for record in records:
            if record.kind == BEGIN:
                open_steps.add(record.step)
            elif record.kind == DONE:
                open_steps.discard(record.step)
            elif record.kind == FINISHED and open_steps:
                yield f"the run finished and {', '.join(sorted(open_steps))} has no result"
            if "code" in record.data:
                silent = [key for key in ("what", "now", "next") if not record.data.get(key)]
                if silent:
                    yield f"event {record.seq} ({record.data['code']}) does not say {', '.join(silent)}"

    return _as("R12", found())


RUN_RULES: Mapping[str, Callable[[Sequence[Record]], Violations]] = {
    "R5": r5_one_actor,
    "R6": r6_intent_then_result,
    "R8": r8_result_is_observed,
    "R12": r12_says_what_now_next,
}


def judge_run(records: Sequence[Record]) -> Violations:
    """Every run rule on the events of one run, oldest first."""
    return tuple(v for rule in RUN_RULES.values() for v in rule(records))


def _as(rule: str, texts: Iterable[str]) -> Violations:
    return tuple(Violation(rule, text) for text in texts)
