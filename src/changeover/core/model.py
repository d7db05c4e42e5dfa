"""The nouns: what a release is about. Frozen values; no I/O, no clock, no randomness.

Units: times are seconds since the epoch (UTC) as float; durations are seconds; shares are basis points
(0…10000, 100 = 1 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, total_ordering

from packaging.version import InvalidVersion
from packaging.version import Version as _Pep440

from changeover.core.errors import ChangeoverError, VersionUnusable

ALL = 10_000  # basis points: the whole traffic


# versions ------------------------------------------------------------------------------------------


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What the user calls a version. A leading v is stripped; order and equality are PEP 440's (`packaging.version`)."""

    text: str

    @classmethod
    def of(cls, text: str) -> Version:
        """`v1.1.0` -> Version("1.1.0"). Raises VersionUnusable (CO-0018) for what cannot be ordered."""
        bare = text.strip()
        bare = bare[1:] if bare[:1] in ("v", "V") else bare
        try:
            _Pep440(bare if bare[:1] not in ("v", "V") else "")
        except InvalidVersion:
            raise VersionUnusable(
                f"{text!r} is not a version that can be ordered",
                next=("write it as numbers and dots: 1.1.0, 1.1.0rc1, 2026.11.2",),
            ) from None
        return cls(bare)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and _order(self.text) == _order(other.text)

    def __hash__(self) -> int:
        return hash(_order(self.text))

    def __lt__(self, other: Version) -> bool:
        return _order(self.text) < _order(other.text)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)
def _order(text: str) -> _Pep440:
    return _Pep440(text)


@dataclass(frozen=True, slots=True)
class Identity:
    """What really runs: the version and the build (the artifact's digest or commit) an instance reports."""

    version: Version
    build: str

    def __str__(self) -> str:
        return f"{self.version} ({self.build})" if self.build else str(self.version)


# instances -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one instance: the n-th of its pool (from 1), and where it listens."""

    pool: str
    number: int
    host: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.pool}-{self.number}"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Process(StrEnum):
    """Whether the process of an instance runs. UNKNOWN is not STOPPED."""

    RUNNING = "running"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Instance:
    """One observation of one instance.

    `started` identifies this start of the process (pid and start time); it changes when the instance restarts
    itself, and then its proof is void (rule R1). `note` says why it is not ready. `requests` is its own count of what users
    asked since this start, None if it does not tell; `configuration` what names the configuration that it runs with, if it tells.
    """

    slot: Slot
    process: Process
    started: str = ""
    ready: bool = False
    identity: Identity | None = None
    note: str = ""
    requests: int | None = None
    configuration: str = ""

    def proves(self, version: Version, build: str = "") -> bool:
        """Ready, and runs this version and, if a build is asked for, this build."""
        return (
            self.process is not Process.STOPPED
            and self.ready
            and self.identity is not None
            and self.identity.version == version
            and (not build or self.identity.build == build)
        )


# traffic ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """What a balancer is asked to do. 100 % is a flip (the candidate becomes live), never a share of 10000.

    `share` of the visitors go to `candidate`: those with `(bucket + salt) mod 10000 < share`. The salt is constant
    for a release, so a share only grows for a visitor. After `expires` (epoch seconds, 0 = never) everybody gets
    `live` again, where the balancer can evaluate it (rule R14). `mark` says who wrote it: run and step.
    """

    live: str
    candidate: str
    share: int = 0
    salt: int = 0
    expires: int = 0
    mark: str = ""

    def __post_init__(self) -> None:
        """Reject what a balancer would accept without a word and turn into 503 for everybody."""
        for name in (self.live, self.candidate):
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"not a pool name: {name!r}")
        if not 0 <= self.share < ALL:
            raise ValueError(f"a share is 0…9999 basis points, not {self.share}; 100 % is a flip")
        if not 0 <= self.salt < ALL:
            raise ValueError(f"a salt is 0…9999, not {self.salt}")
        if self.expires < 0:
            raise ValueError(f"expires is epoch seconds or 0, not {self.expires}")
        if self.mark and not all(c.isalnum() or c in "-._" for c in self.mark):
            raise ValueError(f"a mark is letters, digits, '-', '.' and '_', not {self.mark!r}")

    def decides_like(self, other: Route) -> bool:
        """The same decision for every visitor now; who wrote it and until when may differ."""
        return (self.live, self.share) == (other.live, other.share) and (
            self.share == 0 or (self.candidate, self.salt) == (other.candidate, other.salt)
        )

    def share_of(self, pool: str, now: float) -> int:
        """Basis points of the visitors that go to `pool` at `now`, the expiry taken into account."""
        share = 0 if 0 < self.expires <= now else self.share
        if pool == self.live:
            return ALL - share if self.candidate != self.live else ALL
        return share if pool == self.candidate else 0


@dataclass(frozen=True, slots=True)
class RouteReading:
    """What the balancer really does, read back from every worker and from the disk.

    `workers`: worker name -> route (None: it did not answer, or what it says is no route).
    `durable`: what a restart would come up with (None: no file, or unreadable; equal to the running one if a
    balancer has no such difference). `problem`: words for what does not fit, "" if all agree. `leaving`: workers that
    take no new connections and whose route nothing changes any more; until they are gone, requests on connections
    that they have go where it says, so their pools count as carrying traffic. `refusal`: why the balancer cannot be
    worked with at all; what plans raises it. `garbled`: of several balancers, the workers and disks that say what is no
    route, apart from those that do not answer.
    """

    balancer: str
    workers: Mapping[str, Route | None]
    durable: Route | None
    problem: str = ""
    leaving: Mapping[str, Route | None] = field(default_factory=dict)
    refusal: ChangeoverError | None = None
    garbled: tuple[str, ...] | None = None

    @property
    def strange(self) -> tuple[str, ...]:
        """Who answers, and says what is no route: somebody else's hand, or a file that is gone."""
        if self.garbled is not None:
            return self.garbled
        disk = ("disk",) if self.durable is None and self.workers else ()
        return (*(name for name, route in self.workers.items() if route is None), *disk)

    @property
    def route(self) -> Route | None:
        """The route that every worker agrees on, or None. Disagreement is never *the newest wins*."""
        routes = set(self.workers.values())
        return next(iter(routes)) if len(routes) == 1 else None

    @property
    def settled(self) -> bool:
        """Every worker and the disk agree."""
        return self.route is not None and self.route == self.durable


@dataclass(frozen=True, slots=True)
class InFlight:
    """Requests being processed or queued for a pool, over all workers. None is unknown, and unknown is not zero."""

    requests: int | None  # HTTP/2 streams one by one, and those that wait in a queue
    long_lived: int | None = 0  # websockets and the like, counted apart
    detail: str = ""
    queued: int = 0  # of the requests, those that no instance has yet
    kinds: Mapping[str, int] = field(default_factory=dict)  # `Lasting` -> how many of the long-lived are of it
    lost: int = 0  # their worker ended while they were in flight: nobody knows how they ended

    @property
    def is_zero(self) -> bool:
        return self.requests == 0 and self.long_lived == 0


@dataclass(frozen=True, slots=True)
class Counters:
    """Cumulative counts of one pool since its balancer's workers started; None where the balancer cannot tell.

    `errors_5xx` are answers of the version itself; `failed` are requests that got no answer from it (connect
    errors, resets, balancer's own 5xx); `fallbacks` were served by the live pool because the candidate was dead.
    """

    requests: int
    errors_5xx: int
    failed: int = 0
    fallbacks: int | None = 0

    def since(self, start: Counters) -> Counters:
        """What was counted after `start`; a counter that went back (worker restarted) counts from 0."""
        if self.requests < start.requests:
            return self
        lost = None if self.fallbacks is None or start.fallbacks is None else max(0, self.fallbacks - start.fallbacks)
        return Counters(
            self.requests - start.requests,
            max(0, self.errors_5xx - start.errors_5xx),
            max(0, self.failed - start.failed),
            lost,
        )


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """What every worker of the balancer says about a pool: servers checked and healthy, of those it knows."""

    healthy: int
    known: int
    detail: str = ""


# schema ----------------------------------------------------------------------------------------------


class Phase(StrEnum):
    """The part of a change that a statement belongs to, in the order in which they are done. UNDO takes an expansion back.

    DROP removes for good what the contract has parked.
    """

    EXPAND = "expand"
    SYNC = "sync"
    BACKFILL = "backfill"
    FINALIZE = "finalize"
    CONTRACT = "contract"
    DROP = "drop"
    UNDO = "undo"


PLAIN = (Phase.EXPAND, Phase.BACKFILL, Phase.CONTRACT)  # what plain SQL may be written for, in order
FORWARD = (Phase.EXPAND, Phase.SYNC, Phase.FINALIZE)  # what a release applies, backfills apart


class Verdict(StrEnum):
    """What is concluded. Only OK counts as OK; WARN and UNVERIFIED need a named person's acknowledgement."""

    OK = "OK"
    WARN = "WARN"
    BROKEN = "BROKEN"
    UNVERIFIED = "UNVERIFIED"


class Lock(StrEnum):
    """How long a statement keeps others out."""

    NONE = "none"  # nobody waits
    BRIEF = "brief"  # catalogue only: milliseconds once the lock is there
    SCAN = "scan"  # grows with the rows, blocks writers
    REWRITE = "rewrite"  # grows with the rows, blocks everybody


@dataclass(frozen=True, slots=True)
class Probe:
    """How to see in the catalogue that a statement has been done: `what` named `name` (of `table`) is there or not.

    `what` is one of table, view, synonym, column, index, constraint, trigger, function, type, default, not_null,
    sequence, schema, valid (a constraint that was validated), enum_value (its label in `definition`; with a `table` the labels
    of its column `name`). `definition` is compared where the engine can tell (a column's type, an index's columns with commas),
    "" compares nothing.
    """

    what: str
    name: str
    table: str = ""
    present: bool = True
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A question whose answer must be 0: `sql` counts the rows that are wrong, `sample` shows up to ten of them.

    `title` says what is wrong with them: `rows of orders whose price_cents does not fit price`.
    """

    title: str
    sql: str
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of the text that made a table, where an engine changes tables by their text.

    `what`, with the `name` of a column: not_null, nullable, default (`text`), no_default, type (`text`), column (`text`: its
    definition), no_column. With that of a constraint: no_constraint, constraint_name (`text`), check (`text`: its condition);
    without a name: constraint (`text`: one more). With that of an index: index_name (`text`), index_to_constraint (`text`: its name there, or "").
    """

    what: str
    name: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A table that is written anew with another text. What it is by then is read under the lock: it is never lost.

    `before`: the text that it is expected to have. `like`: a text that it had; when the new one says the same, it is that one
    to the letter, so that an undo gives it back.
    """

    table: str
    edits: tuple[Edit, ...]
    before: str = ""
    like: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a change, classified; or several that are one act.

    `block`: the statements of one act, run one after the other in one transaction or under one lock; `sql` is then all of
    them. `lock_first`: what takes that lock. `guards` are asked under it, before anything is changed. `rewrite`: a table that
    is written anew after them; `sql` then shows it as it is expected. `probes`, where each
    part of a block commits by itself: how each of them is seen, in order, so that what a kill has cut is gone on with; None: it
    may be run again. The last part that changes anything is what `probe` sees.

    `title` is what people read (`+ column orders.price_cents integer`). `probe` None means that only the ledger
    can tell whether it was done. `alone` means outside any transaction (CREATE INDEX CONCURRENTLY).
    `verdict` is OK or WARN in a statement that is let through; BROKEN statements never reach a plan.
    """

    sql: str
    file: str
    line: int
    phase: Phase
    title: str
    lock: Lock = Lock.BRIEF
    alone: bool = False
    probe: Probe | None = None
    verdict: Verdict = Verdict.OK
    reason: str = ""
    block: tuple[str, ...] = ()
    lock_first: str = ""
    guards: tuple[Check, ...] = ()
    rewrite: Rewrite | None = None
    probes: tuple[Probe | None, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What is run, in order, before the table is written anew."""
        return self.block or (() if self.rewrite else (self.sql,))


@dataclass(frozen=True, slots=True)
class BackfillStatement:
    """A backfill in batches: `sql` is one UPDATE whose WHERE has a marker for the key range.

    `table` and `key` (columns of the primary key) give the ranges; `sql` has the named parameters `:lo` and `:hi`,
    meaning `key > :lo AND key <= :hi`. With `keys` (the columns of the key one by one, of any type that can be ordered) it
    has RANGE once instead, for which the driver writes the condition.
    """

    sql: str
    file: str
    line: int
    table: str
    key: str
    title: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The schema changes of one version. `digest` is the sha256 of its files, in phase order.

    `declared`: they were compiled from operations, of a catalogue that is another one afterwards; so what was compiled is
    kept in the target when it begins. `compiled` False: they are not compiled yet, and only their version is known.
    """

    version: Version
    expand: tuple[Statement, ...] = ()
    backfill: tuple[BackfillStatement, ...] = ()
    contract: tuple[Statement, ...] = ()
    digest: str = ""
    sync: tuple[Statement, ...] = ()
    verify: tuple[Check, ...] = ()
    finalize: tuple[Statement, ...] = ()
    drop: tuple[Statement, ...] = ()
    undo: tuple[Statement, ...] = ()
    declared: bool = False
    compiled: bool = True

    def statements(self, phase: Phase) -> tuple[Statement, ...]:
        """Those of a phase; none of BACKFILL, which has no Statements."""
        return {
            Phase.EXPAND: self.expand,
            Phase.SYNC: self.sync,
            Phase.FINALIZE: self.finalize,
            Phase.CONTRACT: self.contract,
            Phase.DROP: self.drop,
            Phase.UNDO: self.undo,
        }.get(phase, ())

    @property
    def adds(self) -> tuple[Statement, ...]:
        """Every statement that a release applies."""
        return tuple(s for phase in FORWARD for s in self.statements(phase))

    @property
    def empty(self) -> bool:
        """It adds nothing, and that is certain. What was declared is recorded even then."""
        return not (self.declared or self.adds or self.backfill)


@dataclass(frozen=True, slots=True)
class Applied:
    """One row of the ledger in the target database: a statement (or a whole phase) that was applied.

    `index` counts from 0 within the phase; `digest` is the statement's; -1 with the change set's digest says that
    the phase is complete.
    """

    version: Version
    phase: Phase
    index: int
    digest: str
    at: float
    run: str
    fence: int


RANGE = "/* changeover: range */"  # where the condition on the keys stands in a backfill

COMPLETE = -1  # Applied.index of the row that says: this phase is complete


@dataclass(frozen=True, slots=True)
class Claim:
    """Who may change the target database: the environment, its one state store, and the fence of its run."""

    environment: str
    store: str  # id of the state store
    fence: int
    holder: str = ""  # user@host
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class SchemaReading:
    """The schema as it is. `catalogue` is a hash over every table, column, index, constraint, trigger, function."""

    revision: int
    catalogue: str
    applied: tuple[Applied, ...] = ()
    claim: Claim | None = None
    kept: tuple[ChangeSet, ...] = ()  # what was compiled of operations, by version, when it began

    def completed(self, version: Version, phase: Phase) -> bool:
        """The phase has a row that says so. A phase without statements has none."""
        return any(a.version == version and a.phase is phase and a.index == COMPLETE for a in self.applied)

    def versions(self, phase: Phase) -> frozenset[Version]:
        """The versions whose `phase` is complete."""
        return frozenset(a.version for a in self.applied if a.phase is phase and a.index == COMPLETE)

    def begun(self, version: Version, phase: Phase) -> bool:
        return any(a.version == version and a.phase is phase for a in self.applied)


# the ledger: facts that outlive runs --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ended:
    """When, by whom, by which run and why a promise ended."""

    at: float
    by: str
    run: str
    because: str


@dataclass(frozen=True, slots=True)
class Promise:
    """The way back to `version`, warm on `pool` since `since`. `earliest` is the earliest time it may be ended."""

    version: Version
    build: str
    pool: str
    since: float
    earliest: float
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """A backup that was taken, and how far it is proved.

    `proof`: "compared" (restored and compared, rows and checksums per table, inside one snapshot), "restored"
    (restored, not compared) or "taken". `schema` is the revision it holds.
    """

    id: str
    at: float
    run: str
    location: str
    proof: str
    schema: int
    tables: int = 0
    rows: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A proof that a version works with a schema: which, when, on which catalogue, with what verdict."""

    version: Version
    catalogue: str
    at: float
    verdict: Verdict
    detail: str
    run: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What outlives runs. Promises are in order of `since`; `started` are the versions of which an instance ever ran."""

    promises: tuple[Promise, ...] = ()
    restore_points: tuple[RestorePoint, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    started: frozenset[Version] = frozenset()
    deployed: Mapping[str, Identity] = field(default_factory=dict)  # pool -> what was put there

    @property
    def promised(self) -> tuple[Promise, ...]:
        """The promises that hold."""
        return tuple(p for p in self.promises if p.ended is None)

    def promise_of(self, version: Version) -> Promise | None:
        """The newest promise of this version, ended or not."""
        return next((p for p in reversed(self.promises) if p.version == version), None)


# the world: one frozen observation ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """One observation of balancer, instances and schema. What could not be observed is None or UNKNOWN, never zero."""

    at: float
    route: RouteReading
    pools: Mapping[str, tuple[Instance, ...]]
    in_flight: Mapping[str, InFlight]
    health: Mapping[str, PoolHealth]
    schema: SchemaReading | None  # None: the environment has no database

    def identity(self, pool: str) -> Identity | None:
        """The identity on which all running instances of the pool agree, or None."""
        found = {i.identity for i in self.pools.get(pool, ()) if i.process is not Process.STOPPED}
        return next(iter(found)) if len(found) == 1 else None

    def running(self, pool: str) -> tuple[Instance, ...]:
        """Instances that run, or of which that cannot be excluded."""
        return tuple(i for i in self.pools.get(pool, ()) if i.process is not Process.STOPPED)

    def healthy(self, pool: str) -> int:
        """Instances of the pool that just proved ready, all with one identity; 0 if they disagree."""
        if self.identity(pool) is None:
            return 0
        return sum(1 for i in self.pools.get(pool, ()) if i.ready and i.process is not Process.STOPPED)


# what is asked for -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A named person accepts a named risk, such as `unverified:1.0.0` or `warn:1.1.0.expand.sql:7`."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Release:
    """What a person asks for. `changes` are all known change sets up to `version`, in order, classified."""

    version: Version
    build: str = ""
    changes: tuple[ChangeSet, ...] = ()
    no_schema_change: bool = False
    acknowledged: tuple[Acknowledgement, ...] = ()

    def acknowledges(self, name: str) -> bool:
        return any(a.name == name for a in self.acknowledged)


class Lasting(StrEnum):
    """Kinds of connections that outlive a request."""

    WEBSOCKETS = "websockets"
    EVENT_STREAMS = "event streams"  # server-sent events


class Leave(StrEnum):
    """What is done about long-lived connections to a version that drains."""

    WAIT = "wait"  # as for requests: the drain's own deadline decides
    SIGNAL = "signal"  # the application is told to send them away; what is left at the deadline is cut
    CUT = "cut"  # nobody is told; what is left at the deadline is cut


@dataclass(frozen=True, slots=True)
class Linger:
    """The policy for one kind. `within`: seconds from the begin of the drain to its deadline (not for WAIT)."""

    kind: Lasting
    policy: Leave = Leave.WAIT
    within: float = 300.0


@dataclass(frozen=True, slots=True)
class Cut:
    """What was closed: its kind (a `Lasting`, or `requests`), the instance, its age in seconds, and the path where a log gives it."""

    kind: str
    instance: str
    age: float
    path: str = ""


class RuleMetric(StrEnum):
    """What a plain rule of going back looks at."""

    ERRORS_5XX = "errors_5xx"
    INSTANCE = "instance"
    FALLBACKS = "fallbacks"


@dataclass(frozen=True, slots=True)
class GoBackRule:
    """Go back by itself when `metric` is over `above` (a fraction, 0.01 = 1 %) with at least `min_requests`.

    INSTANCE: an instance of the new version unhealthy for `seconds`. FALLBACKS: any visitor that the candidate could
    not serve.
    """

    metric: RuleMetric
    above: float = 0.0
    seconds: float = 0.0
    min_requests: int = 0


class AtDeadline(StrEnum):
    """What happens to requests still in flight at the drain's hard limit."""

    WAIT = "wait"
    CUT = "cut"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Policy:
    """How the environment wants its releases. Defaults: the project's documented ones (docs/reference)."""

    shift: tuple[int, ...] = (500, 2500, 5000, ALL)  # basis points, ends with ALL
    bake: float = 600.0
    min_requests: int = 0  # fewer requests on the new version during a bake: not enough data, hold
    gates: Mapping[int, str] = field(default_factory=dict)  # share -> role that opens it
    drain_soft: float = 30.0
    drain_hard: float = 300.0
    at_deadline: AtDeadline = AtDeadline.WAIT
    long_lived: tuple[Linger, ...] = ()  # kinds that are not named wait
    keep_old: float = 86_400.0
    keep_parked: float = 604_800.0  # what a contract has parked is dropped for good after this
    expiry: float = 60.0  # rule R14: an unwatched share goes home after this
    go_back_when: tuple[GoBackRule, ...] = (
        GoBackRule(RuleMetric.INSTANCE, seconds=15.0),
        GoBackRule(RuleMetric.FALLBACKS),
        GoBackRule(RuleMetric.ERRORS_5XX, above=0.01, min_requests=200),
    )
    ready_times: int = 3
    ready_every: float = 1.0
    ready_within: float = 60.0
    probes: int = 0  # how many probes a version has; 0: its proof is UNVERIFIED
    smoke: int = 0  # how many smoke checks are configured
    batch: int = 100  # rows of one batch of a backfill, at most
    rest: float = 4.0  # pauses between the batches of a backfill, in times that the batch took; 0: full speed
    read_within: float = 60.0  # how long a read endpoint may take to show what was added
    backup_max_age: float = 14_400.0  # an older restore point is taken again before the schema changes
    backup: bool = True  # a restore point is taken (False: needs the acknowledgement `no-backup`)
