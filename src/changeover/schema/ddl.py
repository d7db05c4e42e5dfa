"""What an engine writes: one act on the schema, before it has a place in a change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from changeover.core.model import Check, Lock, Phase, Probe, Rewrite, Statement, Verdict


@dataclass(frozen=True, slots=True)
class Ddl:
    """One act: what people read, what is run, how it is seen, how long it keeps others out. See `core.model.Statement`."""

    title: str
    sql: str = ""
    probe: Probe | None = None
    lock: Lock = Lock.BRIEF
    alone: bool = False
    verdict: Verdict = Verdict.OK
    reason: str = ""
    block: tuple[str, ...] = ()
    lock_first: str = ""
    guards: tuple[Check, ...] = ()
    rewrite: Rewrite | None = None
    probes: tuple[Probe | None, ...] = ()

    def statement(self, phase: Phase, file: str, line: int) -> Statement:
        """The act as a statement of a change file."""
        return Statement(
            self.sql or ";\n".join(part for part in (self.lock_first, *self.block) if part),
            file,
            line,
            phase,
            self.title,
            lock=self.lock,
            alone=self.alone,
            probe=self.probe,
            verdict=self.verdict,
            reason=self.reason,
            block=self.block,
            lock_first=self.lock_first,
            guards=self.guards,
            rewrite=self.rewrite,
            probes=self.probes,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Columns that mean the same to two versions: `olds` to the one before, `news` to the new one.

    `up`: new column -> SQL over the olds; `down`: old column -> SQL over the news, empty when nothing is written back.
    `filled` is the new column that is not NULL once a row has been filled. `exact`: what comes back must be what it was, as
    after a cast; conversions that are written out may lose something, and say what.
    """

    olds: tuple[str, ...]
    news: tuple[str, ...]
    up: Mapping[str, str]
    down: Mapping[str, str] = field(default_factory=dict)
    filled: str = ""
    exact: bool = False

    @property
    def first(self) -> str:
        return self.filled or self.news[0]


@dataclass(frozen=True, slots=True)
class Leaving:
    """What the contract does to one table, under one lock: columns that are parked, and what comes in their place.

    `parked`: column -> the name out of reach that it gets. `defaults`: new column -> the default that it gets only now.
    `dropped`: columns that go at once, because they cannot be parked. `not_null`: columns that become required only now.
    `more`: further statements on this table. `copied`: names of indexes and constraints that stand on the new columns already,
    under another name.
    """

    parked: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    not_null: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()

    def __or__(self, other: Leaving) -> Leaving:
        return Leaving(
            {**self.parked, **other.parked},
            (*self.dropped, *other.dropped),
            {**self.defaults, **other.defaults},
            (*self.not_null, *other.not_null),
            (*self.more, *other.more),
            (*self.copied, *other.copied),
        )


def made(prefix: str, longest: int, *words: str) -> str:
    """A name of changeover's: the same for the same words, readable, and never longer than the engine allows.

    `longest` is in bytes of UTF-8. Eight digits of a hash keep apart what was cut.
    """
    digest = hashlib.sha256("\0".join((prefix, *words)).encode()).hexdigest()[:8]
    room = longest - len(prefix) - len(digest) - 2
    stem = "_".join("".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in w) for w in words)
    return f"{prefix}_{stem[: max(0, room)].strip('_').lower()}_{digest}"
