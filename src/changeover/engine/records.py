"""What the journal hands out: runs, events, signals, and the facts a step wants recorded with its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from changeover.core.model import Evidence, Identity, Promise, RestorePoint, Version
from changeover.core.states import State


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as the journal has it. `plan` is the frozen plan as JSON text."""

    id: str
    environment: str
    kind: str
    parent: str | None
    plan: str
    plan_hash: str
    state: State
    by: str
    at: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One line of the append-only record: `seq` counts from 1 within the run, `fence` is the writer's."""

    run: str
    seq: int
    at: float
    fence: int
    kind: str
    step: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signal:
    """What a person asks of a run: approve (argument: the gate), pause, resume, abort, rollback."""

    id: int
    run: str
    name: str
    argument: str
    by: str
    note: str
    at: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an environment. `alive` is False when its process is gone or its lease is over."""

    environment: str
    run: str | None
    owner: str
    pid: int
    fence: int
    since: float
    alive: bool

    def words(self, now: float) -> str:
        """`dana@ops-1 (process 4711), since 41 s, run r-0007`."""
        text = f"{self.owner} (process {self.pid}), since {max(0, round(now - self.since))} s"
        return f"{text}, run {self.run}" if self.run else text


@dataclass(frozen=True, slots=True)
class Facts:
    """Ledger entries that are written in the same transaction as the event that established them."""

    promises: tuple[Promise, ...] = ()
    ended: tuple[tuple[Version, str, str], ...] = ()  # (version, by, because)
    restore_points: tuple[RestorePoint, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    started: tuple[Version, ...] = ()
    deployed: Mapping[str, Identity | None] = field(default_factory=dict)  # None: nothing is deployed there any more
