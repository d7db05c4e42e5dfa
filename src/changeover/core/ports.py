"""What the outside must offer: one Protocol per port. A driver is one product behind one of these contracts.

The contract suite in `tests/contract/` runs the same cases on the memory drivers and on every real one.
Rules that hold for every port:

* A method that acts takes a `Fence` and calls `fence.check()` immediately before each effect. Acts are absolute and
  idempotent: done twice they leave what done once leaves.
* A method that acts returns only after its own read-back agrees, or raises. It never returns *probably*.
* What cannot be observed is None, UNKNOWN or an error; never zero, never the last known value.
* Every outside call has a timeout (5 s unless said otherwise), well below the lease.
* Errors are `ChangeoverError`s from `core.errors`; texts never contain a secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from changeover.core.catalogue import Catalogue
from changeover.core.errors import BalancerUnreachable, ChangeoverError
from changeover.core.model import (
    Applied,
    BackfillStatement,
    ChangeSet,
    Check,
    Claim,
    Counters,
    Cut,
    Identity,
    InFlight,
    Instance,
    PoolHealth,
    Probe,
    RestorePoint,
    Route,
    RouteReading,
    SchemaReading,
    Slot,
    Statement,
    Version,
)


class Fence(Protocol):
    """The right to act. `token` grows with every owner of the environment; `run` is the run that acts."""

    @property
    def token(self) -> int: ...

    @property
    def run(self) -> str: ...

    def check(self) -> None:
        """Return if this process may still act. Raises FencedOut (lease lost, taken over) otherwise."""


class Clock(Protocol):
    """Time. `now` is the wall clock (epoch seconds); `boottime` grows also while the machine sleeps."""

    def now(self) -> float: ...

    def boottime(self) -> float: ...

    def boot(self) -> str:
        """Identifies this boot of this machine: boottimes of two boots cannot be compared."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is fine, and the fix if not. `cause`: the error that it was found by."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""
    fatal: bool = True  # not ok and fatal: a release would fail
    cause: ChangeoverError | None = None


def cause_of(findings: Sequence[Finding]) -> ChangeoverError | None:
    """The error that speaks for what is fatal, if one does: the only thing wrong, or a moment of silence and nothing else."""
    bad = [f for f in findings if not f.ok and f.fatal]
    wrong = [f for f in bad if not isinstance(f.cause, BalancerUnreachable)]
    if len(wrong) > 1:
        return None
    return next((f.cause for f in wrong or bad), None)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do at all; plan, status and docs say what is missing."""

    expiry: bool = False  # the balancer itself sends an unwatched share home (rule R14)
    compares: bool = False  # a stale actor's write is refused by the target (rule R5)
    counts_fallbacks: bool = False  # visitors that the candidate could not serve are counted
    finest_share: int = 1  # basis points
    preview: bool = (
        True  # the idle pool is reached through the balancer, by a secret; False: `preview` leads to an instance itself
    )
    hides_preview: bool = True  # the preview's secret does not reach the application
    sticky: bool = True  # a visitor keeps his side, and a share only ever grows for him
    moves_settled: bool = True  # a raised share also moves visitors that have a side already
    falls_back: bool = True  # visitors of a dead candidate are served by the live pool
    counts_at_once: bool = (
        True  # what it sent is counted at once, so that the instances' own counts can be held against it
    )
    stale: float = 0.0  # seconds: what it says may be as old as that
    drain_evidence: str = "balancer"  # who says what is in flight: the balancer, the application, or only the time


class Balancer(Protocol):
    """A load balancer with two pools and one route. The route is changed as a whole, never piece by piece."""

    @property
    def name(self) -> str:
        """How it is called in what people read; several balancers have different names."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do at all. Always the same."""

    def inspect(self) -> Sequence[Finding]:
        """Read-only: is everything there that a release needs? Never raises for what it can report."""

    def read(self) -> RouteReading:
        """The route of every worker and of the disk, also one that somebody else has made.

        What is no route, or not ours, is None, with words in `problem`. Raises BalancerUnreachable if it is not known what runs,
        BalancerMisconfigured if there is no place where a route could be.
        """

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """Make `route` the route: durable first, then every worker, then read back everywhere.

        Absolute and idempotent. The returned reading is settled. Raises BalancerRefused for what it cannot do (an unknown pool, a share
        that it cannot cut), before anything is changed, and when the read-back disagrees; FencedOut when a newer fence has
        written; BalancerUnreachable, whose `now` says whether anything was changed.
        """

    def health(self, pool: str) -> PoolHealth:
        """What the workers' own checks say: the fewest healthy servers any worker sees.

        Raises BalancerUnreachable, BalancerMisconfigured for an unknown pool.
        """

    def in_flight(self, pool: str) -> InFlight:
        """Requests in flight on the pool over all workers, old ones included; unknown if one does not answer. Never raises for that."""

    def counters(self, pool: str) -> Counters:
        """Cumulative counts of the pool over all workers. Raises BalancerUnreachable, BalancerMisconfigured for an unknown pool."""

    def cut(self, pool: str, fence: Fence) -> int:
        """Close what is still in flight on the pool. Returns how many were cut.

        Raises BalancerRefused if it has no means to, or if something is still open afterwards; BalancerUnreachable, FencedOut.
        """

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """(base URL of the balancer, headers that reach the idle pool). The header value is a secret.

        It stands in no text and reaches no instance; a preview never falls back to the live pool. Without `Capabilities.preview`:
        (base URL of an idle instance, no headers).
        """

    def entry(self) -> str:
        """Base URL through which users reach the application: `http://127.0.0.1:8080`."""

    def by_hand(self, route: Route) -> Sequence[str]:
        """The shell commands that set this route without changeover, copyable as they stand."""

    def by_hand_live(self, pool: str) -> Sequence[str]:
        """The shell commands that end well only if every worker gives the pool everything."""

    def by_hand_health(self, pool: str) -> Sequence[str]:
        """The shell commands that wait until every worker finds every instance of the pool healthy."""

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        """The shell commands that wait, about `within` seconds at most, until nothing is in flight on the pool."""

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        """A curl that asks the pool through the preview, to which a path is appended; it reads the secret from its file."""


@dataclass(frozen=True, slots=True)
class BalancerOrder:
    """What a driver of others is made from: `type: driver` in changeover.yml.

    The entry point `changeover.balancers` of a package names a function that takes this and returns a `Balancer`. `slots`: pool ->
    where its instances listen; `options` are as they stand in the file, relative paths in them start in `directory`.
    """

    name: str
    entry: str
    slots: Mapping[str, Sequence[Slot]]
    options: Mapping[str, Any]
    directory: Path


@runtime_checkable
class Stages(Protocol):
    """A balancer that can find out, before anything is changed, whether a commit would be refused."""

    def stage(self, route: Route, fence: Fence) -> None:
        """Prepare the route without making it so. Raises what `commit` would raise."""


@runtime_checkable
class Rounds(Protocol):
    """A balancer that cannot give every share: its weights are whole numbers, or it counts instances.

    One without it gives what is asked, to the basis point. `Capabilities.finest_share` is the smallest share that either can give.
    """

    def nearest(self, route: Route) -> float:
        """The share of new visitors, in basis points, that a commit of this route would give. Changes nothing."""


@runtime_checkable
class Reaches(Protocol):
    """Several balancers: a way back is not held up by one that is away."""

    def commit_reachable(self, route: Route, fence: Fence) -> RouteReading:
        """As `commit`, but whoever answers is changed, and nothing is reverted. Raises if anybody was left out."""


@runtime_checkable
class CutsByKind(Protocol):
    """A balancer that can tell websockets and event streams from requests, and names what it closes."""

    def cut_kinds(self, pool: str, kinds: frozenset[str], fence: Fence) -> Sequence[Cut]:
        """Close what is still in flight on the pool of these kinds (`Lasting`, or `requests`); returns what was closed."""


@runtime_checkable
class Signals(Protocol):
    """A runtime that can tell an instance to send its long-lived connections away."""

    def signal(self, slot: Slot, fence: Fence) -> bool:
        """Tell it, once. False if nothing is configured for that. Raises InstanceUnmanageable."""


@runtime_checkable
class Permitted(Protocol):
    """What needs rights that somebody has to give, and can say which."""

    def grants(self) -> Sequence[str]:
        """The smallest set of rights that is enough, as lines that can be copied."""


class Meter(Protocol):
    """Counts the requests of a pool where the balancer itself does not: a metrics service, or the application."""

    @property
    def lag(self) -> float:
        """Seconds until what happened is surely counted. A bake must be longer."""

    def inspect(self) -> Sequence[Finding]: ...

    def counters(self, pool: str) -> Counters:
        """Cumulative counts of the pool. Raises BalancerUnreachable: what cannot be counted is not zero."""


class Runtime(Protocol):
    """Starts and stops instances and finds them again."""

    @property
    def capabilities(self) -> Capabilities: ...

    def slots(self, pool: str) -> Sequence[Slot]:
        """The slots of the pool, by number."""

    def inspect(self) -> Sequence[Finding]: ...

    def observe(self, slot: Slot) -> Instance:
        """The process and its proof: runs? ready? which version and build? Never raises for a dead instance."""

    def start(self, slot: Slot, version: Version, build: str, fence: Fence) -> None:
        """Make an instance of this version run on the slot; nothing to do if it does already.

        Returns when it was started, not when it is ready. Raises InstanceUnmanageable when something else holds the
        port or another version runs there.
        """

    def stop(self, slot: Slot, fence: Fence) -> None:
        """Ask the instance to stop, wait until it is gone, and see to it that no reboot brings it back.

        Raises InstanceUnmanageable when it does not go within its stop timeout; it is not killed before that.
        """

    def log_of(self, slot: Slot) -> str:
        """Where the instance's output is, for people."""

    def by_hand_start(self, slot: Slot, version: Version, build: str) -> Sequence[str]: ...

    def by_hand_stop(self, slot: Slot) -> Sequence[str]: ...

    def by_hand_ready(self, slot: Slot, version: Version, build: str, within: float = 60.0) -> Sequence[str]:
        """The shell commands that wait, about `within` seconds at most, until the instance proves itself."""


@dataclass(frozen=True, slots=True)
class Lockwait:
    """How the lock was obtained: attempts, the longest wait of one attempt in seconds, who stood in the way."""

    attempts: int = 1
    waited: float = 0.0
    blocker: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a backfill. `hi` is the new checkpoint, None when the range is finished; `rows` were changed."""

    hi: str | None
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows that a backfill still has to fill, and the end of the key range fixed at its start."""

    remaining: int
    total: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows a check found, and up to ten of them as text."""

    rows: int
    shown: tuple[str, ...] = ()


class Database(Protocol):
    """The target database: its schema, its own ledger of applied changes, and the claim of the environment.

    The tables `changeover_claim`, `changeover_applied` and `changeover_state` live in it. Every method that acts locks the claim
    row, compares store and fence, and raises FencedOut or ForeignStore if they are not ours.
    """

    @property
    def dialect(self) -> str:
        """`postgresql`, `mysql` (MariaDB too), `sqlserver` or `sqlite`."""

    @property
    def capabilities(self) -> Capabilities: ...

    def inspect(self) -> Sequence[Finding]:
        """Read-only: reachable, not in recovery, privileges, long transactions, running backups."""

    def grants(self) -> Sequence[str]:
        """The minimal GRANT statements that the login needs."""

    def read(self) -> SchemaReading:
        """Revision, catalogue hash, applied statements and claim; works before the tables exist."""

    def claim(self, claim: Claim, fence: Fence) -> None:
        """Take or renew the claim. Raises ForeignStore if another store holds it, FencedOut if a newer fence does.

        Also breaks what an older fence of the same store still runs here: cancels its statements, ends its
        sessions, takes over its named lock.
        """

    def adopt(self, claim: Claim) -> None:
        """Replace a foreign claim, on the order of a person (`lock --adopt`)."""

    def done(self, probe: Probe) -> bool:
        """Does the catalogue show it?"""

    def tables(self, names: Sequence[str]) -> Catalogue:
        """The named tables as they are, for operations; a name that is not there is left out."""

    def count(self, check: Check) -> Count:
        """Ask the question in one snapshot. Nothing is changed."""

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        """What the server accepts first for ALTER TABLE `table` `alter`: tried on an empty copy. "" where nothing has to be said.

        `given`: name -> `COLUMN …` or `INDEX …`, each as it is by then. Raises StatementFailed for what the server refuses
        however it is asked.
        """

    def keep(self, changes: ChangeSet, fence: Fence) -> None:
        """Keep what was compiled of operations, beside the ledger; `read` gives it back. Kept already: nothing to do."""

    def forget(self, version: Version, fence: Fence) -> None:
        """Take the marks of what a release added out of the ledger, before that is undone: the catalogue decides from then on."""

    def unkeep(self, version: Version, fence: Fence) -> None:
        """Forget the version altogether: what it added is undone. The revision is raised."""

    def apply(self, statement: Statement, marker: Applied, fence: Fence) -> Lockwait:
        """Run one statement with its marker in one transaction; where that is impossible (`alone`), look before and after.

        Already marked: nothing to do. Done in the catalogue but not marked: only mark it. Raises LockNotObtained,
        StatementFailed, StatementFateUnknown, FencedOut.
        """

    def complete(self, marker: Applied, fence: Fence) -> int:
        """Mark a phase of a change set as complete and raise the revision, once. Returns the revision."""

    def gap(self, statement: BackfillStatement) -> Gap:
        """How many rows the table has (estimate allowed for `total`), and an upper bound of what is left."""

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        """One batch of `size` keys after the checkpoint, in one statement with its own transaction."""

    def pressure(self, statement: BackfillStatement) -> str:
        """Why a backfill should wait now: replicas that lag, writers that wait for locks, long transactions. "": go on."""

    def last_key(self, statement: BackfillStatement) -> str | None:
        """The largest key now: where the backfill ends. None for an empty table. Keys travel as text."""

    def backup(self, id: str, fence: Fence) -> RestorePoint:
        """Take a backup, restore it into scratch, compare inside one snapshot. Raises RestorePointFailed."""

    def backups(self) -> bool:
        """Whether a backup is configured or built in."""

    def rehearse(self, statements: Sequence[Statement]) -> Scratch:
        """A scratch copy of the newest restore point with the statements applied, for probes. The caller closes it."""

    def url(self) -> str:
        """The address for the application and its probes; a secret."""

    def retire(self, version: Version, fence: Fence) -> int | None:
        """Revoke the version's login, end its connections, return how many are left; None if versions share a login."""

    def admit(self, version: Version, fence: Fence) -> None:
        """Give the version's login back before its instances start. Nothing to do if versions share a login."""

    def by_hand(self, statement: Statement | BackfillStatement, marker: Applied) -> Sequence[str]:
        """The shell commands that do it without changeover and leave the same ledger row (`marker`).

        The last line that those of a backfill print is `N rows left to fill`.
        """

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        """The shell commands that mark a phase as complete and raise the revision."""

    def by_hand_backup(self, id: str) -> Sequence[str]: ...

    def by_hand_count(self, check: Check) -> Sequence[str]:
        """The shell commands that end well only if the check finds 0 rows."""

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        """The shell commands that do what `keep` does."""

    def by_hand_forget(self, version: Version) -> Sequence[str]: ...

    def by_hand_unkeep(self, version: Version) -> Sequence[str]: ...

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        """How a copy of that backup with the statements applied is made. None: there are no commands for that."""

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        """The shell commands that do what `retire` does; none if versions share a login."""

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        """The shell commands that do what `admit` does; none if versions share a login."""


class Reader(Protocol):
    """A read endpoint: a replica that versions read. It is only looked at."""

    @property
    def name(self) -> str:
        """Where it is, without a secret: `db-2:5432/shop`."""

    def inspect(self) -> Sequence[Finding]:
        """Read-only. Never raises for what it can report."""

    def lacks(self, probes: Sequence[Probe]) -> Sequence[Probe]:
        """Those that its catalogue does not show. Raises DatabaseUnreachable."""


@dataclass(frozen=True, slots=True)
class CopyByHand:
    """Shell commands that make a copy, its URL as the configuration would write it, and commands that take it away."""

    make: Sequence[str]
    url: str
    drop: Sequence[str]


class Scratch(Protocol):
    """A database that nobody else uses; gone after `close`."""

    def url(self) -> str: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command did: exit status (None: it was killed at its timeout), output with secrets removed."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == 0


class Host(Protocol):
    """Where commands run. Argument lists only, never a shell."""

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> CommandResult:
        """Run to the end or to the timeout (then the whole process group is killed). Raises ToolMissing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; status 0 and a note when there was none."""

    status: int
    body: bytes
    note: str = ""


class Web(Protocol):
    """One HTTP request, never retried."""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 5.0) -> Answer: ...


class Prober(Protocol):
    """Runs the user's own commands that exercise a version (`probes:`) and the smoke checks."""

    def probes(self, version: Version, build: str, url: str) -> Sequence[tuple[str, CommandResult]]:
        """Run every probe of the version against the database at `url`: (name, result)."""

    def smoke(self, entry: str, headers: Mapping[str, str], identity: Identity) -> Sequence[tuple[str, str]]:
        """Run the smoke checks through the balancer's preview: (name, "" or what was wrong)."""

    def assets(self, entry: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        """For each page: (path, "" or which of the files that it names are not served to users)."""

    def by_hand(self, version: Version, build: str, url: str = "") -> Sequence[str]:
        """The shell commands that run the probes; `url` (may hold references) is that of another database."""

    def by_hand_smoke(self, ask: str, version: Version, build: str) -> Sequence[str]:
        """The shell commands that do what `smoke` does. `ask`: see `Balancer.by_hand_preview`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the engine may touch, passed by hand."""

    balancer: Balancer
    runtime: Runtime
    database: Database | None
    prober: Prober
    clock: Clock
    readers: tuple[Reader, ...] = ()  # where versions read besides the database
