"""advance(run): everything that can be done now, and when to come back. Level-triggered: anyone may call it, any time.

Each call reads signals and journal, looks at the world through the step's action, does what can be done, and returns. The
truth is in the world; the journal says where to look.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import assert_never

from changeover.core.errors import (
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    NothingToDo,
    RouteDrift,
    StoreUnusable,
    UnexpectedError,
)
from changeover.core.model import Claim, Policy, Route, RouteReading
from changeover.core.ports import Ports
from changeover.core.states import ENDED, Event, State
from changeover.core.steps import Contract, Drop, Plan, Step, Undo, from_data, unknown_kinds
from changeover.engine.actions import act
from changeover.engine.actions.traffic import overdue, route_words
from changeover.engine.context import (
    Again,
    Context,
    Done,
    GoBack,
    Stuck,
    Waiting,
    last_asked,
    route_from,
    written_late,
)
from changeover.engine.journal import Journal
from changeover.engine.lease import Hold
from changeover.engine.owner import whoami
from changeover.engine.records import EventRecord, RunRecord, Signal

RETRY_FOR = 30.0  # seconds: how long a step is tried again after a passing fault
RETRY_EVERY = 1.0  # seconds
DRIFT_EVERY = 5.0  # seconds between two looks at the route while a run is open
IDLE = 0.25  # seconds between two looks for a person's answer
WAYS_BACK = frozenset({"rollback", "abort"})  # kinds of plans that only lead home
PASSING = (BalancerRefused, BalancerUnreachable, DatabaseUnreachable)

PlanBack = Callable[[RunRecord, bool, str], Plan]
"""(the failed run, whether a person gave it up, why) -> its way back; raises NothingToDo if nothing has to be undone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run stands after a call, and in how many seconds to call again (ignored once it has ended)."""

    state: State
    after: float = 0.0


@dataclass(slots=True)
class Engine:
    """Ports, journal and policy of one environment. `plan_back` makes the way back of a run from the world."""

    ports: Ports
    journal: Journal
    policy: Policy
    pools: tuple[str, str]
    plan_back: PlanBack
    _looked: float = field(default=-1e9)  # boottime of the last look at the route
    _strange: float | None = None  # boottime since which somebody says what is no route
    _calm: bool = True  # that look found every balancer there and of one route

    # entering ------------------------------------------------------------------------------------------

    def enter(self, run: RunRecord, hold: Hold) -> None:
        """After taking the environment: claim the target database and void what an older owner prepared at the balancer."""
        if self.ports.database is not None:
            holder = Claim(run.environment, self.journal.store_id, hold.token, whoami(), self.ports.clock.now())
            self.ports.database.claim(holder, hold)
        reading = self.ports.balancer.read()
        if reading.settled and reading.route is not None:
            with suppress(*PASSING):  # one went away just now: the step meets it, and waits for it or holds
                self.ports.balancer.commit(reading.route, hold)

    # one call --------------------------------------------------------------------------------------------

    def advance(self, run_id: str, hold: Hold) -> Progress:
        """Do what can be done now. Raises FencedOut when somebody took over, StoreUnusable when the journal is away."""
        run = self.journal.run(run_id)
        if run.state in ENDED:
            return Progress(run.state)
        hold.run = run_id
        if run.state is State.GOING_BACK:
            return self._go_back(run, hold)
        for signal in self.journal.signals(run_id):
            progress = self._answer(run, hold, signal)
            if progress is not None:
                return progress
        if run.state in (State.PAUSED, State.BLOCKED):
            return self._keep(run, hold)
        if run.state in (State.HELD, State.UNKNOWN):
            self._mend(run, hold)
            return Progress(run.state, IDLE)
        data = json.loads(run.plan)
        missing = unknown_kinds(data)
        if missing:
            words = f"needs steps that this changeover does not know: {', '.join(missing)}"
            self.journal.record(run, hold.token, "blocked", data={"needs": missing, "what": words}, move_by=Event.BLOCK)
            return Progress(State.BLOCKED, IDLE)
        return self._step(run, hold, from_data(data))

    def _step(self, run: RunRecord, hold: Hold, plan: Plan) -> Progress:
        history = self.journal.events(run.id)
        done = {e.step for e in history if e.kind == "done"}
        step = next((s for s in plan.steps if s.key not in done), None)
        if step is None:
            self.journal.record(run, hold.token, "end", data={"state": State.DONE.value}, move_by=Event.FINISH)
            return Progress(State.DONE)
        clock = self.ports.clock
        begun = [e for e in history if e.step == step.key and e.kind in {"begin", "resumed"}]
        if not begun or begun[-1].fence != hold.token:
            # A new owner's deadlines count from now: while nobody acted, nothing could be done.
            stamp = {"boot": clock.boot(), "boottime": clock.boottime(), "task": step.words.task}
            woken = Event.GO if run.state is State.WAITING else None  # a new owner looks anew before it asks anybody
            self.journal.record(run, hold.token, "resumed" if begun else "begin", step.key, stamp, move_by=woken)
            history = self.journal.events(run.id)
        ctx = self._context(run, hold, plan, step, history)
        try:
            self._watch(run, hold, history)
            outcome = act(ctx)
        except (FencedOut, StoreUnusable):
            raise
        except ChangeoverError as error:
            return self._failed(ctx, error)
        except Exception as error:  # an adapter's bug must not end as a silent half step
            words = f"{type(error).__name__}: {error}"
            where = traceback.extract_tb(error.__traceback__)[-1]
            return self._failed(ctx, UnexpectedError(words, next=(f"{where.name}, line {where.lineno}",)))
        return self._settle(ctx, outcome)

    def _context(self, run: RunRecord, hold: Hold, plan: Plan, step: Step, history: tuple[EventRecord, ...]) -> Context:
        mine = tuple(e for e in history if e.step == step.key)
        return Context(self.ports, self.journal, hold, run, plan, step, self.policy, self.pools, mine, history)

    def _settle(self, ctx: Context, outcome: Done | Again | Waiting | GoBack | Stuck) -> Progress:
        run, token, key = ctx.run, ctx.hold.token, ctx.step.key
        match outcome:
            case Done(data, facts):
                # A bake may end its waiting by itself: enough traffic came while nobody had decided yet.
                moved = Event.GO if run.state is State.WAITING else None
                self.journal.record(run, token, "done", key, data, facts=facts, move_by=moved)
                return Progress(State.RUNNING)
            case Again(after):
                return Progress(State.RUNNING, after)
            case Waiting():
                return Progress(State.WAITING, IDLE)
            case GoBack(because):
                self.journal.record(run, token, "go-back", key, {"because": because}, move_by=Event.GO_BACK)
                return Progress(State.GOING_BACK)
            case Stuck(error):
                return self._hold(ctx, error)
            case _:
                assert_never(outcome)

    # what people ask ------------------------------------------------------------------------------------------

    def _answer(self, run: RunRecord, hold: Hold, signal: Signal) -> Progress | None:
        """Answer one signal. None: go on with the run as it is now."""
        data = {"by": signal.by, "note": signal.note}

        def note(kind: str, moved: Event | None) -> None:
            self.journal.record(run, hold.token, kind, data=data, move_by=moved, takes=signal)

        match signal.name:
            case "approve":
                return None  # the gate takes it, in one transaction with its decision
            case "pause":
                note("paused", None if run.state is State.PAUSED else Event.PAUSE)
                return Progress(State.PAUSED, IDLE)
            case "resume":
                note("resumed", Event.GO)
                return Progress(State.RUNNING)
            case "abort" if run.kind not in WAYS_BACK:  # a way back is never given up half way
                note("aborted", Event.GO_BACK)
                return Progress(State.GOING_BACK)
            case "rollback":
                note("preempted", Event.PREEMPT)
                return Progress(State.PREEMPTED)
            case _:
                note("ignored", None)
                return None

    # when something fails ------------------------------------------------------------------------------------------

    def _failed(self, ctx: Context, error: ChangeoverError) -> Progress:
        failures = [e for e in ctx.events if e.kind == "failed"]
        first = failures[0] if failures else None
        clock = ctx.ports.clock
        self.journal.record(ctx.run, ctx.hold.token, "failed", ctx.step.key, {**_words(error), **ctx.stamp()})
        patient = first is None or clock.boottime() - float(first.data["boottime"]) < RETRY_FOR
        if isinstance(error, PASSING) and patient:
            return Progress(State.RUNNING, RETRY_EVERY)
        if ctx.plan.kind == "release" and not isinstance(error, (RouteDrift, *PASSING)):
            why = {"because": error.what, "code": error.code}
            self.journal.record(ctx.run, ctx.hold.token, "go-back", ctx.step.key, why, move_by=Event.GO_BACK)
            return Progress(State.GOING_BACK)
        if (
            ctx.plan.kind in ("cleanup", "undo")
            and not _contracted(ctx.plan, ctx.history)
            and not isinstance(error, LockNotObtained)
        ):
            why = {"because": error.what, "code": error.code}
            self.journal.record(ctx.run, ctx.hold.token, "go-back", ctx.step.key, why, move_by=Event.GO_BACK)
            return Progress(State.GOING_BACK)
        return self._hold(ctx, error)

    def _hold(self, ctx: Context, error: ChangeoverError) -> Progress:
        self.journal.record(ctx.run, ctx.hold.token, "held", ctx.step.key, _words(error), move_by=Event.HOLD)
        return Progress(State.HELD, IDLE)

    # the way back of a run -------------------------------------------------------------------------------------------

    def _go_back(self, run: RunRecord, hold: Hold) -> Progress:
        """Run the way back as a frozen plan of its own, then end this run as what it became."""
        history = self.journal.events(run.id)
        given_up = any(e.kind == "aborted" for e in history)
        child = self.journal.child(run.id)
        if child is None:
            reason = next((e for e in reversed(history) if e.kind in {"go-back", "aborted"}), None)
            because = "" if reason is None else str(reason.data.get("because") or reason.data.get("note", ""))
            try:
                plan = self.plan_back(run, given_up, because)
            except NothingToDo:
                return self._returned(run, hold, history, given_up=given_up)
            except PASSING:
                return Progress(State.GOING_BACK, RETRY_EVERY)
            except ChangeoverError as error:
                self.journal.record(run, hold.token, "lost", data=_words(error), move_by=Event.LOSE)
                return Progress(State.UNKNOWN, IDLE)
            child_id = self.journal.submit_way_back(plan, f"changeover for {run.by}", run, hold.token)
            self.journal.record(run, hold.token, "way-back", data={"run": child_id, "plan": plan.short})
            return Progress(State.GOING_BACK)
        if child.state is State.DONE:
            return self._returned(run, hold, history, given_up=given_up)
        progress = self.advance(child.id, hold)
        hold.run = run.id
        stuck = progress.state in (State.HELD, State.UNKNOWN, State.BLOCKED, State.PAUSED)
        return Progress(progress.state if stuck else State.GOING_BACK, progress.after)

    def _returned(self, run: RunRecord, hold: Hold, history: tuple[EventRecord, ...], *, given_up: bool) -> Progress:
        moved = moved_traffic(history)
        event = Event.ABORTED if given_up else Event.RETURNED if moved else Event.UNDONE
        self.journal.record(run, hold.token, "end", data={"moved": moved}, move_by=event)
        return Progress(self.journal.run(run.id).state)

    # a share that somebody watches, and a route that nobody else changes ------------------------------------------------

    def _watch(self, run: RunRecord, hold: Hold, history: tuple[EventRecord, ...]) -> None:
        """Renew the expiry of the share (R14); every few seconds, compare the route with what was asked (R8).

        Raises RouteDrift when somebody else changed it; corrects what an older owner of ours wrote too late.
        """
        asked = last_asked(history)
        if asked is None or not _was_done(history, asked):
            return
        clock, expiry = self.ports.clock, self.policy.expiry
        if not self._is_time(min(DRIFT_EVERY, expiry / 6)):
            return
        wanted = route_from(asked.data["route"])
        reading = self._look()
        foreign = next((r for r in _found(reading) if self._is_foreign(r, wanted, hold, history)), None)
        if foreign is not None:
            raise RouteDrift(
                f"the route is {route_words(foreign)} instead of {route_words(wanted)}: changed by hand",
                now="It was left as it is.",
                next=("set it back, then: changeover resume", "changeover rollback"),
            )
        if reading.strange:
            self._wonder(reading, min(DRIFT_EVERY, expiry / 6))
            return
        self._strange = None
        same = all(r.decides_like(wanted) for r in _found(reading))
        if same and reading.settled and not any(overdue(r, clock.now(), expiry) for r in _found(reading)):
            return
        expires = int(clock.now() + expiry) if wanted.share else 0
        mark = f"{run.id}.{asked.step}.f{hold.token}"
        self.ports.balancer.commit(replace(wanted, expires=expires, mark=mark), hold)

    def _wonder(self, reading: RouteReading, patience: float) -> None:
        """What is no route is somebody's hand, and not overwritten; or a balancer that starts, and soon over. Raises RouteDrift."""
        now = self.ports.clock.boottime()
        if self._strange is None:
            self._strange = now
        if now - self._strange < patience:
            return
        self._strange = None
        raise RouteDrift(
            f"what {', '.join(reading.strange)} has is no route ({reading.problem}): changed by hand",
            now="It was left as it is.",
            next=("set it back, then: changeover resume", "changeover rollback"),
        )

    def _is_time(self, every: float) -> bool:
        """Whether to look at the route again; soon, if somebody was away or something else than asked was found."""
        return self.ports.clock.boottime() - self._looked >= (every if self._calm else min(every, RETRY_EVERY))

    def _look(self) -> RouteReading:
        self._looked, self._calm = self.ports.clock.boottime(), False
        reading = self.ports.balancer.read()
        self._calm = reading.settled
        return reading

    def _mend(self, run: RunRecord, hold: Hold) -> None:
        """While a person must look: what came back with an older route of ours is corrected; nothing else is touched.

        Where to: to what was asked, if it was read back or leads home, else to what was there before.
        """
        history = self.journal.events(run.id)
        asked = last_asked(history)
        if asked is None or not self._is_time(DRIFT_EVERY / 2):
            return
        forth = _was_done(history, asked) or run.kind in WAYS_BACK
        wanted = (
            route_from(asked.data["route"]) if forth else asked.data.get("before") and route_from(asked.data["before"])
        )
        try:
            reading = self._look()
            if wanted is None or reading.settled or reading.strange or None in reading.workers.values():
                return
            if any(self._is_foreign(r, wanted, hold, history) for r in _found(reading)):
                return
            self.ports.balancer.commit(wanted, hold)
        except PASSING:
            return
        words = f"corrected: {reading.problem or 'the balancers disagreed'}"
        self.journal.record(run, hold.token, "mended", asked.step, {"route": route_words(wanted), "what": words})

    def _is_foreign(self, found: Route, wanted: Route, hold: Hold, history: tuple[EventRecord, ...]) -> bool:
        """Neither what was asked, nor what this run asked before (a balancer that was away), nor an older owner's late write."""
        if found.decides_like(wanted) or written_late(self.journal, found, hold.token):
            return False
        asked = [e for e in history if e.kind == "asked"]
        known = [route_from(e.data[key]) for e in asked for key in ("route", "before") if e.data.get(key)]
        return not any(found.mark and found.mark == k.mark and found.decides_like(k) for k in known)

    def _keep(self, run: RunRecord, hold: Hold) -> Progress:
        """While a person decides, the share is still watched; a route changed by hand holds the run."""
        try:
            self._watch(run, hold, self.journal.events(run.id))
        except RouteDrift as error:
            self.journal.record(run, hold.token, "held", data=_words(error), move_by=Event.HOLD)
            return Progress(State.HELD, IDLE)
        except PASSING:
            return Progress(run.state, RETRY_EVERY)
        return Progress(run.state, IDLE)


def _found(reading: RouteReading) -> tuple[Route, ...]:
    """Every route that a worker or the disk has; leaving workers cannot be changed, and are no drift."""
    return tuple(dict.fromkeys(r for r in (*reading.workers.values(), reading.durable) if r is not None))


def _was_done(history: tuple[EventRecord, ...], asked: EventRecord) -> bool:
    return any(e.kind == "done" and e.step == asked.step for e in history)


def _contracted(plan: Plan, history: tuple[EventRecord, ...]) -> bool:
    """Whether the point of no return may have been passed: a contract has begun."""
    contracts = {s.key for s in plan.steps if isinstance(s.action, Contract | Drop | Undo)}
    return any(e.kind == "begin" and e.step in contracts for e in history)


def moved_traffic(history: tuple[EventRecord, ...]) -> bool:
    """Whether this run ever asked the balancer to send users to its version."""
    return any(e.kind == "asked" for e in history)


def _words(error: ChangeoverError) -> dict[str, object]:
    return {"code": error.code, "what": error.what, "now": error.now, "next": list(error.next)}
