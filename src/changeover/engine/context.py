"""What an action gets to work with, and what it may answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from changeover.core.errors import ChangeoverError
from changeover.core.model import Policy, Route, World
from changeover.core.ports import Ports
from changeover.core.rules import Situation
from changeover.core.steps import Plan, Step
from changeover.engine.journal import Journal
from changeover.engine.lease import Hold
from changeover.engine.observe import observe
from changeover.engine.records import EventRecord, Facts, RunRecord

POLL = 0.25  # seconds between two looks while something is awaited


@dataclass(frozen=True, slots=True)
class Done:
    """The step is done and was read back; `data` is what was observed."""

    data: Mapping[str, Any]
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Not yet: look again after this many seconds."""

    after: float = POLL


@dataclass(frozen=True, slots=True)
class Waiting:
    """A person decides: `changeover approve GATE`."""

    gate: str


@dataclass(frozen=True, slots=True)
class GoBack:
    """The new version is judged bad: take the old one back."""

    because: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Going on and going back are both decisions for a person: hold."""

    error: ChangeoverError


Outcome = Done | Again | Waiting | GoBack | Stuck


@dataclass(frozen=True, slots=True)
class Context:
    """One step of one run at one moment. `events` are the step's own events so far, oldest first."""

    ports: Ports
    journal: Journal
    hold: Hold
    run: RunRecord
    plan: Plan
    step: Step
    policy: Policy
    pools: tuple[str, str]
    events: tuple[EventRecord, ...]
    history: tuple[EventRecord, ...]  # of the whole run

    @property
    def mark(self) -> str:
        """Who writes the route: run, step and fence."""
        return f"{self.run.id}.{self.step.key}.f{self.hold.token}"

    def world(self) -> World:
        """Look at everything now."""
        return observe(self.ports, self.pools)

    def situation(self, world: World) -> Situation:
        """What the rules judge: this observation and the ledger as it is now."""
        return Situation(world, self.journal.ledger(self.run.environment))

    def note(self, kind: str, data: Mapping[str, Any] | None = None, *, facts: Facts | None = None) -> None:
        """Record something of this step: an intent before an act, or what an act did."""
        self.journal.record(self.run, self.hold.token, kind, self.step.key, data, facts=facts)

    def last(self, kind: str) -> EventRecord | None:
        """The newest event of this kind of this step."""
        return next((e for e in reversed(self.events) if e.kind == kind), None)

    def interrupted(self) -> bool:
        """Whether a person has asked for something: a long action returns `Again` soon."""
        return bool(self.journal.signals(self.run.id))

    def elapsed(self) -> float:
        """Seconds since this owner began or took up the step. A jumping wall clock does not count."""
        begun = next(e for e in reversed(self.events) if e.kind in {"begin", "resumed"})
        return self.ports.clock.boottime() - float(begun.data["boottime"])

    def stamp(self) -> dict[str, Any]:
        """What `elapsed` reads."""
        return {"boot": self.ports.clock.boot(), "boottime": self.ports.clock.boottime()}


def route_data(route: Route) -> dict[str, Any]:
    """A route as it is kept in events."""
    data: dict[str, Any] = msgspec.to_builtins(route)
    return data


def route_from(data: Mapping[str, Any]) -> Route:
    """The inverse of `route_data`."""
    return msgspec.convert(dict(data), Route)


_MARK = re.compile(r"^(r-\d+)\.(s\d+)\.f(\d+)$")


def fence_in(mark: str) -> tuple[str, int] | None:
    """(run, fence) of a route's mark, None if changeover did not write it."""
    found = _MARK.match(mark)
    return (found[1], int(found[3])) if found else None


def written_late(journal: Journal, found: Route, token: int) -> bool:
    """Whether an older owner of ours wrote exactly this after it was taken over: the step that its mark names has asked for it.

    A mark alone proves nothing: whoever edits a share by hand leaves the mark beside it.
    """
    mark = _MARK.match(found.mark)
    if mark is None or int(mark[3]) >= token:
        return False
    asked = (e for e in journal.events(mark[1]) if e.kind == "asked" and e.step == mark[2])
    return any(found.decides_like(route_from(e.data["route"])) for e in asked)


def last_asked(history: tuple[EventRecord, ...]) -> EventRecord | None:
    """The newest route that this run asked for."""
    return next((e for e in reversed(history) if e.kind == "asked"), None)
