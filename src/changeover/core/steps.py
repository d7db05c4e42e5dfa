"""The verbs: the steps of a plan as data, and the plan itself, frozen and hashed.

A step is one `Action` value with its number, its words (probe, do, undo, confirm), its expected duration, and the
commands to do it by hand. Nothing here acts: `engine.actions` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, get_type_hints

import msgspec

from changeover.core.errors import PlanUnreadable
from changeover.core.model import (
    ALL,
    Acknowledgement,
    AtDeadline,
    BackfillStatement,
    ChangeSet,
    Check,
    GoBackRule,
    Linger,
    Phase,
    Route,
    Statement,
    Version,
)

PLAN_FORMAT = "changeover.plan/1"


@dataclass(frozen=True, slots=True)
class Preflight:
    """Look at everything once more before anything is changed."""

    kind: ClassVar[str] = "preflight"
    live: str  # pool
    candidate: str


@dataclass(frozen=True, slots=True)
class Retire:
    """End the promise of `version` (if it has one) and make rule R13 true for it: it can neither serve nor write."""

    kind: ClassVar[str] = "retire"
    pool: str
    version: Version
    because: str
    promised: bool  # it ends a way back


@dataclass(frozen=True, slots=True)
class Backup:
    """Take a restore point, restore it into scratch and compare (rule R9)."""

    kind: ClassVar[str] = "backup"
    id: str
    before: str  # "expand" or "contract"


@dataclass(frozen=True, slots=True)
class Expand:
    """Apply the expansions of one version, statement by statement.

    `keeps`: what was compiled of operations as a whole; it is kept in the target before the first statement, so that every
    later step, and cleanup, does exactly this.
    """

    kind: ClassVar[str] = "expand"
    phase: ClassVar[Phase] = Phase.EXPAND
    version: Version
    statements: tuple[Statement, ...]
    digest: str
    keeps: ChangeSet | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """Keep old and new columns equal from now on, whoever writes."""

    kind: ClassVar[str] = "sync"
    phase: ClassVar[Phase] = Phase.SYNC
    version: Version
    statements: tuple[Statement, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """Fill the rows that are there already, in batches. Harmless to repeat: only never-filled rows are touched."""

    kind: ClassVar[str] = "backfill"
    version: Version
    statements: tuple[BackfillStatement, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Ask the checks of one version; every answer must be 0, or nothing goes on."""

    kind: ClassVar[str] = "verify"
    version: Version
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Finalize:
    """Put up the restrictions that hold now that every row is filled."""

    kind: ClassVar[str] = "finalize"
    phase: ClassVar[Phase] = Phase.FINALIZE
    version: Version
    statements: tuple[Statement, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Prove:
    """Run the probes of every version in play against the schema as it is (rule R2)."""

    kind: ClassVar[str] = "prove"
    versions: tuple[tuple[Version, str], ...]  # (version, build)
    when: str  # "expanded", "written" (the new version has written), "contracted" or "undone"


@dataclass(frozen=True, slots=True)
class Rehearse:
    """Apply the contract to the restored copy and run the probes of the versions that stay, before it is real."""

    kind: ClassVar[str] = "rehearse"
    version: Version
    statements: tuple[Statement, ...]
    versions: tuple[tuple[Version, str], ...]


@dataclass(frozen=True, slots=True)
class Start:
    """Start one instance of the version on every slot of the pool."""

    kind: ClassVar[str] = "start"
    pool: str
    version: Version
    build: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Every instance of the pool proves readiness and identity `times` in a row, `every` seconds (rule R1)."""

    kind: ClassVar[str] = "ready"
    pool: str
    version: Version
    build: str
    times: int
    every: float
    within: float


@dataclass(frozen=True, slots=True)
class Smoke:
    """Run the smoke checks through the balancer, by the secret header, before any user sees the version."""

    kind: ClassVar[str] = "smoke"
    pool: str
    version: Version


@dataclass(frozen=True, slots=True)
class Gate:
    """Wait for a person. `name` is what `changeover approve NAME` opens."""

    kind: ClassVar[str] = "gate"
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Move `share` basis points of the visitors to `pool` (ALL = flip: the pool becomes live, the other its way back).

    `pool` is where `version` runs; `other` is the pool that serves the rest. `keep` (flip only): the other pool's
    version is promised as the way back, earliest end after `keep` seconds; None makes no promise.
    """

    kind: ClassVar[str] = "shift"
    pool: str
    other: str
    version: Version
    share: int
    salt: int
    expiry: float
    leaves: Version | None = None  # the version on `other`
    leaves_build: str = ""
    keep: float | None = None

    @property
    def is_flip(self) -> bool:
        return self.share == ALL

    def route(self, mark: str, expires: int) -> Route:
        """The route that this step asks for. A flip has no share and so no expiry."""
        if self.is_flip:
            return Route(self.pool, self.other, 0, self.salt, 0, mark)
        return Route(self.other, self.pool, self.share, self.salt, expires if self.share else 0, mark)


@dataclass(frozen=True, slots=True)
class Bake:
    """Watch the new version for `seconds` under its share; go back by itself when a rule says so."""

    kind: ClassVar[str] = "bake"
    pool: str
    other: str
    share: int
    seconds: float
    min_requests: int
    rules: tuple[GoBackRule, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Wait until nothing is in flight on the pool, on any worker of any balancer (rule R3)."""

    kind: ClassVar[str] = "drain"
    pool: str
    soft: float
    hard: float
    at_deadline: AtDeadline
    long_lived: tuple[Linger, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """Apply the contract of one version: takes away what only versions in `breaks` need. The point of no return."""

    kind: ClassVar[str] = "contract"
    phase: ClassVar[Phase] = Phase.CONTRACT
    version: Version
    statements: tuple[Statement, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop for good what the contract of one version has parked, now that the grace time is over."""

    kind: ClassVar[str] = "drop"
    phase: ClassVar[Phase] = Phase.DROP
    version: Version
    statements: tuple[Statement, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what was added for a version of which no instance ever started."""

    kind: ClassVar[str] = "undo"
    phase: ClassVar[Phase] = Phase.UNDO
    version: Version
    statements: tuple[Statement, ...]
    digest: str


Schema = Expand | Sync | Finalize | Contract | Drop | Undo
"""The steps that apply statements of a phase."""

Action = (
    Preflight
    | Retire
    | Backup
    | Expand
    | Sync
    | Backfill
    | Verify
    | Finalize
    | Prove
    | Rehearse
    | Start
    | Ready
    | Smoke
    | Gate
    | Shift
    | Bake
    | Drain
    | Contract
    | Drop
    | Undo
)

ACTIONS: Mapping[str, type[Action]] = {
    a.kind: a
    for a in (
        Preflight,
        Retire,
        Backup,
        Expand,
        Sync,
        Backfill,
        Verify,
        Finalize,
        Prove,
        Rehearse,
        Start,
        Ready,
        Smoke,
        Gate,
        Shift,
        Bake,
        Drain,
        Contract,
        Drop,
        Undo,
    )
}
KIND_VERSION = 1  # raised for a kind when the meaning of its arguments changes


@dataclass(frozen=True, slots=True)
class Words:
    """A step in people's words: how to see that it is done, what is done, how it is undone, what proves it."""

    task: str
    probe: str
    do: str
    undo: str
    confirm: str
    way_back: str  # how the old version is taken back from here


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a plan. `takes` is the expected duration in seconds. `n` counts from 1."""

    n: int
    action: Action
    words: Words
    takes: float
    who: str = "changeover"
    by_hand: tuple[str, ...] = ()
    expect: str = ""

    @property
    def key(self) -> str:
        """Names the step in journal and route mark: `s4`."""
        return f"s{self.n}"


@dataclass(frozen=True, slots=True)
class Basis:
    """The world that a plan was made of. If any of it moved, the plan is stale (rule R10).

    `pools`: pool -> "version (build)" or "" when nothing runs there. Texts are compared, nothing is interpreted.
    """

    route: str
    pools: Mapping[str, str]
    catalogue: str
    changes: str
    configuration: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered, frozen list of what will be done. `kind`: release, rollback, abort, cleanup or undo.

    `source` serves when the plan begins, `target` when it has ended. `last_safe` is the number of the last step before the point of
    no return, 0 if there is no such point in this plan. `ends` are the versions whose promise this plan ends.
    `owed` is what waits for cleanup afterwards, in words. `back_by_hand` are the shell commands that give `source` everything
    back, from any step after the traffic began to move.
    """

    kind: str
    app: str
    environment: str
    source: Version
    target: Version
    build: str
    by: str
    at: float
    basis: Basis
    steps: tuple[Step, ...]
    schema_from: int = 0
    schema_to: int = 0
    last_safe: int = 0
    ends: tuple[Version, ...] = ()
    owed: tuple[str, ...] = ()
    acknowledged: tuple[Acknowledgement, ...] = ()
    notes: tuple[str, ...] = ()
    because: str = ""
    back_by_hand: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """sha256 over the canonical JSON (sorted keys, UTF-8, no spaces), hexadecimal."""
        return hashlib.sha256(canonical(to_data(self)).encode()).hexdigest()

    @property
    def short(self) -> str:
        """The first eight digits of the hash: what people compare."""
        return self.hash[:8]

    @property
    def takes(self) -> float:
        return sum(s.takes for s in self.steps)


def canonical(data: Any) -> str:
    """Canonical JSON: what is hashed is exactly this text."""
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def to_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values; each action carries its kind and the version of the kind."""
    data: dict[str, Any] = msgspec.to_builtins(plan)
    for raw, step in zip(data["steps"], plan.steps, strict=True):
        raw["kind"] = step.action.kind
        raw["kind_version"] = KIND_VERSION
    return data


def from_data(data: dict[str, Any]) -> Plan:
    """The inverse of `to_data`. Raises PlanUnreadable; `unknown_kinds` tells beforehand what would be missing."""
    missing = unknown_kinds(data)
    if missing:
        raise PlanUnreadable(
            f"the plan has steps of a kind that this changeover does not know: {', '.join(missing)}",
            next=("use the changeover that made the plan, or a newer one",),
        )
    try:
        steps = tuple(_step(raw) for raw in data["steps"])
        hints = _hints()
        known = (f.name for f in fields(Plan) if f.name != "steps" and (f.name in data or f.default is MISSING))
        rest = {name: msgspec.convert(data[name], hints[name]) for name in known}
    except (msgspec.ValidationError, KeyError, TypeError, ValueError) as error:
        raise PlanUnreadable(
            f"the plan is not well-formed: {error}", next=("make it again: changeover plan",)
        ) from None
    return Plan(**rest, steps=steps)


def known_part(data: dict[str, Any]) -> Plan:
    """The plan without the steps that this changeover does not know: to show it and to go back from it, never to run it."""
    known = [s for s in data["steps"] if s.get("kind") in ACTIONS and s.get("kind_version") == KIND_VERSION]
    return from_data({**data, "steps": known})


@lru_cache(maxsize=1)
def _hints() -> Mapping[str, Any]:
    return get_type_hints(Plan)


def _step(raw: dict[str, Any]) -> Step:
    action = msgspec.convert(raw["action"], ACTIONS[raw["kind"]])
    words = msgspec.convert(raw["words"], Words)
    return Step(
        n=int(raw["n"]),
        action=action,
        words=words,
        takes=float(raw["takes"]),
        who=str(raw["who"]),
        by_hand=tuple(raw["by_hand"]),
        expect=str(raw["expect"]),
    )


def unknown_kinds(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The step kinds of a plan in JSON form that this program cannot execute (kind, or a newer version of it)."""
    steps = data.get("steps")
    if not isinstance(steps, list | tuple):
        return ()
    return tuple(
        sorted(
            {
                f"{s.get('kind')}/{s.get('kind_version')}"
                for s in steps
                if s.get("kind") not in ACTIONS or s.get("kind_version") != KIND_VERSION
            }
        )
    )


def dump(plan: Plan) -> str:
    """A plan file: the plan with its hash, readable."""
    document = {"format": PLAN_FORMAT, "hash": plan.hash, "plan": to_data(plan)}
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def load(text: str) -> Plan:
    """Read a plan file. Raises PlanUnreadable when it is not one, was edited, or needs a newer changeover."""
    again = ("make a new plan: changeover plan VERSION --out FILE",)
    try:
        document = json.loads(text)
        fmt, digest, data = document["format"], document["hash"], document["plan"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise PlanUnreadable("this is not a plan file", next=again) from None
    if fmt != PLAN_FORMAT:
        raise PlanUnreadable(f"the plan has format {fmt!r}; this changeover reads {PLAN_FORMAT}", next=again)
    if hashlib.sha256(canonical(data).encode()).hexdigest() != digest:
        raise PlanUnreadable("the plan was edited after it was made: its hash does not fit", next=again)
    return from_data(data)
