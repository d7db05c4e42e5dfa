"""What rendering reads of the journal: its records as the door hands them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from changeover.core.states import State


class Event(Protocol):
    """One line of the append-only record."""

    @property
    def run(self) -> str: ...
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


class Run(Protocol):
    """One execution of a plan."""

    @property
    def id(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def plan_hash(self) -> str: ...
    @property
    def state(self) -> State: ...
    @property
    def by(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def ended(self) -> float | None: ...


class Holder(Protocol):
    """Who holds an environment."""

    @property
    def run(self) -> str | None: ...
    @property
    def owner(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def fence(self) -> int: ...
    @property
    def since(self) -> float: ...
    @property
    def alive(self) -> bool: ...
    def words(self, now: float) -> str: ...


LOOKS_ONLY = frozenset({"preflight", "gate", "backup", "prove", "rehearse", "ready", "smoke", "bake"})
"""Kinds of steps that change neither traffic nor schema nor instances."""

TROUBLE = frozenset(
    {"failed", "held", "go-back", "aborted", "preempted", "blocked", "lost", "unhealthy", "slow", "cut", "inconclusive"}
)
"""Kinds of events that `log --failed` shows."""
