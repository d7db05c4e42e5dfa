"""Where an environment stands: asked and observed side by side, and the way back with its conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from changeover.core import planner
from changeover.core.errors import ChangeoverError
from changeover.core.inplay import holder, owed_words
from changeover.core.model import Ledger, Version, World
from changeover.core.states import State
from changeover.core.steps import Plan, known_part
from changeover.engine.journal import Journal
from changeover.engine.records import EventRecord, Holder, RunRecord
from changeover.service import compiling, planning
from changeover.service.site import Site


@dataclass(frozen=True, slots=True)
class WayBack:
    """Whether the old version can be taken back now, to what, in how many steps and seconds; else why not."""

    possible: bool
    to: str = ""
    steps: int = 0
    seconds: float = 0.0
    data_loss: bool = False
    why_not: str = ""
    code: str = ""
    proved_at: float | None = None
    until: str = "cleanup"


@dataclass(frozen=True, slots=True)
class StepLine:
    """One step of the run under way: what it is and how it stands (`done`, `now`, `waiting`, `failed`, `next`)."""

    n: int
    kind: str
    task: str
    mark: str
    began: float | None
    ended: float | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """The answer of `status`, complete enough for terminal, JSON and screen. Times are epoch seconds."""

    app: str
    environment: str
    at: float
    sentence: str
    state: str  # of the run under way, or "idle"
    serving: str
    world: World
    watched: str  # "watched by …", "unwatched", or "" when no share is under way
    way_back: WayBack
    run: str | None = None
    kind: str = ""
    plan: str = ""
    by: str = ""
    gate: str = ""
    problem: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepLine, ...] = ()
    owed: tuple[str, ...] = ()
    restore_point: Mapping[str, Any] = field(default_factory=dict)
    promises: tuple[str, ...] = ()
    holder: str = ""


def status(site: Site, journal: Journal | None) -> Status:
    """Look at everything and say it in one record."""
    world = planning.look(site)
    known = Ledger() if journal is None else journal.ledger(site.environment)
    run = None if journal is None else journal.open_run(site.environment)
    held_by = None if journal is None else journal.holder(site.environment)
    shown = _innermost(journal, run)
    events = () if journal is None or shown is None else journal.events(shown.id)
    plan = None if shown is None else known_part(msgspec.json.decode(shown.plan))
    steps = () if plan is None else lines(plan, events)
    serving = _serving(world, known)
    gate = _gate(events) if run is not None and run.state is State.WAITING else ""
    point = known.restore_points[-1] if known.restore_points else None
    return Status(
        app=site.app,
        environment=site.environment,
        at=world.at,
        sentence=sentence(site, world, run, plan, gate),
        state=run.state.value if run is not None else "idle",
        serving=serving,
        world=world,
        watched=_watched(site, world, held_by),
        way_back=way_back(site, world, known),
        run=run.id if run is not None else None,
        kind=run.kind if run is not None else "",
        plan=run.plan_hash[:8] if run is not None else "",
        by=run.by if run is not None else "",
        gate=gate,
        problem=_problem(events) if run is not None and run.state in (State.HELD, State.UNKNOWN, State.BLOCKED) else {},
        steps=steps,
        owed=_owed(site, world, serving),
        restore_point={} if point is None else msgspec.to_builtins(point),
        promises=tuple(f"v{p.version} on {p.pool}" for p in known.promised),
        holder="" if held_by is None else held_by.words(world.at),
    )


def _owed(site: Site, world: World, serving: str) -> tuple[str, ...]:
    if site.unreadable is not None:
        return (f"unknown: {site.unreadable.what.splitlines()[0]} ({site.unreadable.code})",)
    if world.schema is None or not serving:
        return ()
    return owed_words(compiling.known(site, world.schema), world.schema, Version(serving))


def _innermost(journal: Journal | None, run: RunRecord | None) -> RunRecord | None:
    """The run that is shown: the way back while a release goes back."""
    if journal is None or run is None or run.state is not State.GOING_BACK:
        return run
    return journal.child(run.id) or run


def lines(plan: Plan, events: tuple[EventRecord, ...]) -> tuple[StepLine, ...]:
    """The steps of a plan with what the journal says of each."""
    found = []
    for step in plan.steps:
        mine = [e for e in events if e.step == step.key]
        begin = next((e for e in mine if e.kind == "begin"), None)
        done = next((e for e in mine if e.kind == "done"), None)
        last = mine[-1].kind if mine else ""
        mark = (
            "done"
            if done
            else {"waiting": "waiting", "failed": "failed", "held": "failed", "": "next"}.get(last, "now")
        )
        found.append(
            StepLine(
                step.n,
                step.action.kind,
                step.words.task,
                mark,
                begin.at if begin else None,
                done.at if done else None,
                done.data if done else {},
            )
        )
    return tuple(found)


def _serving(world: World, known: Ledger) -> str:
    route = world.route.route
    identity = None if route is None else holder(world, known, route.live)
    return "" if identity is None else identity.version.text


def _gate(events: tuple[EventRecord, ...]) -> str:
    waiting = next((e for e in reversed(events) if e.kind == "waiting"), None)
    return "" if waiting is None else str(waiting.data["gate"])


def _problem(events: tuple[EventRecord, ...]) -> Mapping[str, Any]:
    held = next((e for e in reversed(events) if e.kind in {"held", "failed", "blocked"}), None)
    return {} if held is None else held.data


def _watched(site: Site, world: World, holder: Holder | None) -> str:
    route = world.route.route
    if route is None or not route.share:
        return ""
    if holder is not None and holder.alive:
        return f"watched by {holder.owner}"
    if not site.ports.balancer.capabilities.expiry:
        return "UNWATCHED: nobody watches this share, and this balancer does not send it home by itself"
    if not route.expires:
        return "UNWATCHED: nobody watches this share, and it was set without an expiry"
    left = route.expires - world.at
    return f"UNWATCHED: the share goes home in {left:.0f} s" if left > 0 else "unwatched: the share went home"


def way_back(site: Site, world: World, known: Ledger) -> WayBack:
    """Plan the way back, now: the only honest answer to whether there is one."""
    try:
        ctx = planning.context(site, world, "status")
        plan = planner.plan_rollback(ctx, world, known, site.policy, to=None, because="asked by status")
    except ChangeoverError as error:
        return WayBack(possible=False, why_not=error.what, code=error.code)
    proofs = [e for e in known.evidence if e.version == plan.target]
    seconds = sum(s.takes for s in plan.steps if s.action.kind == "shift")
    return WayBack(
        possible=True,
        to=plan.target.text,
        steps=1,
        seconds=seconds,
        proved_at=proofs[-1].at if proofs else None,
    )


def sentence(site: Site, world: World, run: RunRecord | None, plan: Plan | None, gate: str) -> str:
    """The one sentence that a person reads first."""
    name = f"{site.app} {site.environment.upper() if site.environment == 'production' else site.environment}"
    route = world.route.route
    if route is None:
        return f"What {name} routes is unknown: {world.route.problem or 'the workers disagree'}."
    live = world.identity(route.live)
    serving = f"v{live.version}" if live else f"the pool {route.live}"
    share = route.share_of(route.candidate, world.at)
    if (run is None or plan is None) and share:
        new = world.identity(route.candidate)
        what = f"v{new.version}" if new else f"the pool {route.candidate}"
        return f"{share / 100:g} % of {name} is on {what}, the rest on {serving}; no run is under way."
    if run is None or plan is None:
        return f"{serving} serves everything on {name}."
    target = f"v{plan.target}"
    now = f"{share / 100:g} % of {name} is on {target}." if share else f"{serving} serves everything on {name}."
    match run.state:
        case State.WAITING if gate == "go-on":
            return f"{now} Not enough data to go on; waiting for a person."
        case State.WAITING:
            return f"{now} Waiting for approval: {gate}."
        case State.PAUSED:
            return f"{now} Paused."
        case State.HELD | State.UNKNOWN | State.BLOCKED:
            return f"{now} A person must look."
        case State.GOING_BACK:
            return f"{now} Going back."
        case _:
            return f"{now} {run.kind.capitalize()} of {target} is under way."
