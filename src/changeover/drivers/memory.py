"""Every port in memory: for tests, for dry runs, and as the reference reading of `core.ports`.

One `MemoryWorld` is shared by the drivers made from it. `world.hook` is called before and after every effect with its
name (`before commit`, `after start blue-1`, …): the crash tests raise there, and `world.effects` is the outside witness that
counts what really happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.core.catalogue import Catalogue, Table
from changeover.core.errors import (
    BalancerRefused,
    BalancerUnreachable,
    FencedOut,
    ForeignStore,
    InstanceUnmanageable,
    RestorePointFailed,
    StatementFailed,
)
from changeover.core.model import (
    ALL,
    COMPLETE,
    FORWARD,
    Applied,
    BackfillStatement,
    ChangeSet,
    Check,
    Claim,
    Counters,
    Identity,
    InFlight,
    Instance,
    Phase,
    PoolHealth,
    Probe,
    Process,
    RestorePoint,
    Route,
    RouteReading,
    SchemaReading,
    Slot,
    Statement,
    Version,
)
from changeover.core.ports import (
    Batch,
    Capabilities,
    CommandResult,
    CopyByHand,
    Count,
    Fence,
    Finding,
    Gap,
    Lockwait,
    Ports,
)

_ALL = Capabilities(expiry=True, compares=True, counts_fallbacks=True)


def _nothing(_: str) -> None:
    """The hook of a world in which nothing goes wrong."""


@dataclass(slots=True)
class MemoryInstance:
    """A process that exists only here."""

    identity: Identity
    number: int  # the how-manieth start of this world: identifies the start
    ready: bool = True
    requests: int | None = None  # its own count, if it keeps one
    configuration: str = ""


@dataclass(slots=True)
class MemoryWorld:
    """The world behind the memory drivers. Times are the fake clock's seconds."""

    pools: Mapping[str, int] = field(default_factory=lambda: {"blue": 2, "green": 2})
    time: float = 1_000_000.0
    route: Route | None = field(default_factory=lambda: Route("blue", "green"))
    writer: int = 0  # the newest fence that wrote the route
    instances: dict[str, MemoryInstance] = field(default_factory=dict)  # slot name -> process
    flying: dict[str, int | None] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)  # pool -> healthy servers of the balancer that have no slot
    counted: dict[str, Counters] = field(default_factory=dict)
    applied: list[Applied] = field(default_factory=list)
    objects: set[tuple[str, str, str]] = field(default_factory=set)  # (what, table, name) in the catalogue
    rows: dict[str, int] = field(default_factory=dict)  # table -> rows, keys 1…n
    filled: dict[str, set[int]] = field(default_factory=dict)  # table -> keys that the backfill has filled
    tables: dict[str, Table] = field(default_factory=dict)  # what operations are compiled against
    lagging: dict[str, set[tuple[str, str, str]]] = field(
        default_factory=dict
    )  # read endpoint -> what it does not show yet
    pressed: str = ""  # why a backfill should wait
    answers: dict[str, int] = field(default_factory=dict)  # title of a check -> rows that it finds
    kept: dict[Version, ChangeSet] = field(default_factory=dict)
    revision: int = 0
    claimed: Claim | None = None
    backups: list[RestorePoint] = field(default_factory=list)
    never_ready: set[str] = field(default_factory=set)  # slot names
    broken: set[Version] = field(default_factory=set)  # versions whose probes fail
    smoke_broken: set[Version] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)  # effect names that fail
    unreachable: bool = False  # the balancer's control
    has_backup: bool = True
    starts: int = 0
    actors: dict[str, int] = field(default_factory=dict)  # slot name -> the newest fence that acted on it
    jumped: float = 0.0  # seconds that the wall clock was set forward (back, if negative); boottime knows nothing of it
    effects: list[str] = field(default_factory=list)
    hook: Callable[[str], None] = _nothing

    def effect(self, name: str, apply: Callable[[], None], guard: Callable[[], None] | None = None) -> None:
        """One effect on the world, with the hook around it. `guard` is the target's own comparison, made with the effect."""
        self.hook(f"before {name}")
        if name in self.failing:
            raise StatementFailed(f"{name} failed, as this world was told to")
        if guard is not None:
            guard()
        apply()
        self.effects.append(name)
        self.hook(f"after {name}")

    def run(self, pool: str, version: str, build: str = "b1") -> None:
        """Put running instances of a version on a pool, as if they had always been there."""
        for number in range(1, self.pools[pool] + 1):
            self.starts += 1
            self.instances[f"{pool}-{number}"] = MemoryInstance(Identity(Version.of(version), build), self.starts)

    def visit(self, bucket: int) -> str:
        """The pool that serves a visitor with this bucket (0…9999)."""
        assert self.route is not None
        share = (
            self.route.share_of(self.route.candidate, self.time + self.jumped)
            if self.route.candidate != self.route.live
            else 0
        )
        return self.route.candidate if (bucket + self.route.salt) % ALL < share else self.route.live


@dataclass(frozen=True, slots=True)
class MemoryClock:
    """A clock that moves only when somebody sleeps."""

    world: MemoryWorld

    def now(self) -> float:
        return self.world.time + self.world.jumped

    def boottime(self) -> float:
        return self.world.time

    def boot(self) -> str:
        return "memory"

    def sleep(self, seconds: float) -> None:
        self.world.time += max(seconds, 0.0)


@dataclass(frozen=True, slots=True)
class MemoryFence:
    """A fence for tests and dry runs: always holds, unless told otherwise."""

    token: int = 1
    run: str = "r-1"
    held: Callable[[], bool] = lambda: True

    def check(self) -> None:
        if not self.held():
            raise FencedOut("somebody else holds the environment")


@dataclass(frozen=True, slots=True)
class MemoryBalancer:
    """The reference balancer: one worker, compares fences, evaluates the expiry itself."""

    world: MemoryWorld
    name: str = "memory"
    capabilities: Capabilities = _ALL

    def inspect(self) -> Sequence[Finding]:
        return (
            Finding(
                "memory balancer", not self.world.unreachable, "answers" if not self.world.unreachable else "silent"
            ),
        )

    def _answer(self) -> None:
        if self.world.unreachable:
            raise BalancerUnreachable("the memory balancer does not answer", next=("wait until it does",))

    def read(self) -> RouteReading:
        self._answer()
        problem = "" if self.world.route is not None else "the route is missing"
        return RouteReading(self.name, {"1": self.world.route}, self.world.route, problem)

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        self._answer()
        for pool in (route.live, route.candidate):
            if pool not in self.world.pools:
                raise BalancerRefused(f"there is no pool {pool!r}", next=("check the names of the pools",))
        fence.check()

        def write() -> None:
            if fence.token < self.world.writer:
                raise FencedOut("a newer owner has written the route")
            self.world.writer = fence.token
            self.world.route = route

        if self.world.route is None or not route.decides_like(self.world.route):
            self.world.effect(f"route {route.live}:{route.candidate}:{route.share}", write)
        else:
            write()
        return self.read()

    def health(self, pool: str) -> PoolHealth:
        self._answer()
        known, more = self.world.pools[pool], self.world.beyond.get(pool, 0)
        return PoolHealth(sum(1 for n in range(1, known + 1) if self._ready(f"{pool}-{n}")) + more, known + more)

    def _ready(self, slot: str) -> bool:
        instance = self.world.instances.get(slot)
        return instance is not None and instance.ready and slot not in self.world.never_ready

    def in_flight(self, pool: str) -> InFlight:
        if self.world.unreachable:
            return InFlight(None, None, "the balancer does not answer")
        return InFlight(self.world.flying.get(pool, 0))

    def counters(self, pool: str) -> Counters:
        self._answer()
        return self.world.counted.get(pool, Counters(0, 0))

    def cut(self, pool: str, fence: Fence) -> int:
        self._answer()
        fence.check()
        left = self.world.flying.get(pool) or 0
        self.world.effect(f"cut {pool}", lambda: self.world.flying.update({pool: 0}))
        return left

    def preview(self) -> tuple[str, Mapping[str, str]]:
        return "memory://preview", {"x-changeover-preview": "secret"}

    def entry(self) -> str:
        return "memory://entry"

    def by_hand(self, route: Route) -> Sequence[str]:
        return (f"# memory: route {route.live}:{route.candidate}:{route.share}",)

    def by_hand_live(self, pool: str) -> Sequence[str]:
        return (f"# memory: {pool} is live",)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        return (f"# memory: {pool} is healthy",)

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        return (f"# memory: nothing in flight on {pool} within {within:g} s",)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        return (f"# memory: preview of {pool}",)


@dataclass(frozen=True, slots=True)
class MemoryRuntime:
    """The reference runtime."""

    world: MemoryWorld
    capabilities: Capabilities = _ALL

    def slots(self, pool: str) -> Sequence[Slot]:
        base = 8000 + 100 * sorted(self.world.pools).index(pool)
        return tuple(Slot(pool, n, "127.0.0.1", base + n) for n in range(1, self.world.pools[pool] + 1))

    def inspect(self) -> Sequence[Finding]:
        return ()

    def observe(self, slot: Slot) -> Instance:
        found = self.world.instances.get(slot.name)
        if found is None:
            return Instance(slot, Process.STOPPED, note="not running")
        ready = found.ready and slot.name not in self.world.never_ready
        note = "" if ready else "not ready: told to be so"
        return Instance(
            slot, Process.RUNNING, str(found.number), ready, found.identity, note, found.requests, found.configuration
        )

    def start(self, slot: Slot, version: Version, build: str, fence: Fence) -> None:
        found = self.world.instances.get(slot.name)
        if found is not None:
            if found.identity.version == version and build in ("", found.identity.build):
                return
            raise InstanceUnmanageable(f"{slot.name} runs {found.identity}", next=("retire it first",))
        fence.check()

        def spawn() -> None:
            self.world.starts += 1
            self.world.instances[slot.name] = MemoryInstance(Identity(version, build or "b1"), self.world.starts)

        self.world.effect(f"start {slot.name} {version}", spawn, lambda: self._newest(slot, fence))

    def _newest(self, slot: Slot, fence: Fence) -> None:
        if fence.token < self.world.actors.get(slot.name, 0):
            raise FencedOut(f"a newer owner has acted on {slot.name}")
        self.world.actors[slot.name] = fence.token

    def stop(self, slot: Slot, fence: Fence) -> None:
        if slot.name not in self.world.instances:
            return
        fence.check()

        def end() -> None:
            del self.world.instances[slot.name]

        self.world.effect(f"stop {slot.name}", end, lambda: self._newest(slot, fence))

    def signal(self, slot: Slot, fence: Fence) -> bool:
        fence.check()
        self.world.effect(f"signal {slot.name}", lambda: None, lambda: self._newest(slot, fence))
        return True

    def log_of(self, slot: Slot) -> str:
        return f"memory:{slot.name}"

    def by_hand_start(self, slot: Slot, version: Version, build: str) -> Sequence[str]:
        return (f"# memory: start {slot.name} {version} {build}".rstrip(),)

    def by_hand_stop(self, slot: Slot) -> Sequence[str]:
        return (f"# memory: stop {slot.name}",)

    def by_hand_ready(self, slot: Slot, version: Version, build: str, within: float = 60.0) -> Sequence[str]:
        return (f"# memory: {slot.name} is ready as {version} {build} within {within:g} s",)


@dataclass(frozen=True, slots=True)
class MemoryScratch:
    """A scratch database that is nowhere."""

    def url(self) -> str:
        return "memory://scratch"

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class MemoryDatabase:
    """The reference database: a catalogue of named objects and a ledger, changed together."""

    world: MemoryWorld
    dialect: str = "memory"
    capabilities: Capabilities = _ALL

    def inspect(self) -> Sequence[Finding]:
        return (Finding("memory database", ok=True, detail="answers"),)

    def grants(self) -> Sequence[str]:
        return ()

    def read(self) -> SchemaReading:
        catalogue = ";".join(sorted(".".join(o) for o in self.world.objects))
        kept = tuple(self.world.kept[v] for v in sorted(self.world.kept))
        return SchemaReading(self.world.revision, catalogue, tuple(self.world.applied), self.world.claimed, kept)

    def claim(self, claim: Claim, fence: Fence) -> None:
        fence.check()
        held = self.world.claimed
        if held is not None and held.store != claim.store:
            raise ForeignStore(
                f"the database is claimed for {held.environment} by another state store ({held.holder})",
                next=("use that store, or: changeover lock --adopt",),
            )
        if held is not None and held.fence > claim.fence:
            raise FencedOut("a newer run holds the database")
        self.world.claimed = claim

    def adopt(self, claim: Claim) -> None:
        self.world.claimed = claim

    def _guard(self, fence: Fence) -> None:
        fence.check()
        self._compare(fence)

    def _compare(self, fence: Fence) -> None:
        if self.world.claimed is not None and self.world.claimed.fence > fence.token:
            raise FencedOut("a newer run holds the database")

    def done(self, probe: Probe) -> bool:
        return ((probe.what, probe.table, probe.name) in self.world.objects) is probe.present

    def _marked(self, version: Version, phase: Phase, index: int) -> bool:
        return any((a.version, a.phase, a.index) == (version, phase, index) for a in self.world.applied)

    def apply(self, statement: Statement, marker: Applied, fence: Fence) -> Lockwait:
        self._guard(fence)
        if self._marked(marker.version, marker.phase, marker.index):
            return Lockwait(0)
        probe = statement.probe
        if probe is not None and self.done(probe):
            self.world.applied.append(marker)
            return Lockwait(0)

        def change() -> None:
            if probe is not None:
                key = (probe.what, probe.table, probe.name)
                (self.world.objects.add if probe.present else self.world.objects.discard)(key)
            self.world.applied.append(marker)

        name = f"ddl {marker.version} {marker.phase} {marker.index}"
        self.world.effect(name, change, lambda: self._compare(fence))
        return Lockwait()

    def tables(self, names: Sequence[str]) -> Catalogue:
        return Catalogue({n: t for n, t in self.world.tables.items() if n in names}, frozenset(self.world.tables))

    def count(self, check: Check) -> Count:
        return Count(self.world.answers.get(check.title, 0))

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        del table, alter, given
        return ""

    def keep(self, changes: ChangeSet, fence: Fence) -> None:
        self._guard(fence)
        if changes.version not in self.world.kept:
            name = f"keep {changes.version}"
            self.world.effect(
                name, lambda: self.world.kept.update({changes.version: changes}), lambda: self._compare(fence)
            )

    def forget(self, version: Version, fence: Fence) -> None:
        self._guard(fence)
        self._forget(f"forget {version}", version, FORWARD, fence)

    def unkeep(self, version: Version, fence: Fence) -> None:
        self._guard(fence)
        if version in self.world.kept:
            self._forget(f"unkeep {version}", version, (*FORWARD, Phase.UNDO), fence, gone=True)

    def _forget(
        self, name: str, version: Version, phases: Sequence[Phase], fence: Fence, *, gone: bool = False
    ) -> None:
        if not gone and not any(a.version == version and a.phase in phases for a in self.world.applied):
            return

        def change() -> None:
            self.world.applied[:] = [a for a in self.world.applied if a.version != version or a.phase not in phases]
            if gone:
                del self.world.kept[version]
                self.world.revision += 1

        self.world.effect(name, change, lambda: self._compare(fence))

    def complete(self, marker: Applied, fence: Fence) -> int:
        self._guard(fence)
        if not self._marked(marker.version, marker.phase, COMPLETE):

            def change() -> None:
                self.world.applied.append(replace(marker, index=COMPLETE))
                if marker.phase in (Phase.EXPAND, Phase.CONTRACT):
                    self.world.revision += 1

            self.world.effect(f"complete {marker.version} {marker.phase}", change, lambda: self._compare(fence))
        return self.world.revision

    def gap(self, statement: BackfillStatement) -> Gap:
        total = self.world.rows.get(statement.table, 0)
        return Gap(total - len(self.world.filled.get(statement.table, ())), total)

    def pressure(self, statement: BackfillStatement) -> str:
        del statement
        return self.world.pressed

    def last_key(self, statement: BackfillStatement) -> str | None:
        total = self.world.rows.get(statement.table, 0)
        return str(total) if total else None

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        self._guard(fence)
        start = int(after or 0)
        end = min(start + size, int(upto))
        filled = self.world.filled.setdefault(statement.table, set())
        missing = {key for key in range(start + 1, end + 1) if key not in filled}
        if missing:
            name = f"fill {statement.table} {start + 1}-{end}"
            self.world.effect(name, lambda: filled.update(missing), lambda: self._compare(fence))
        return Batch(str(end) if end < int(upto) else None, len(missing), 0.0)

    def backups(self) -> bool:
        return self.world.has_backup

    def backup(self, id: str, fence: Fence) -> RestorePoint:
        self._guard(fence)
        if not self.world.has_backup:
            raise RestorePointFailed("no backup is configured")
        found = next((b for b in self.world.backups if b.id == id), None)
        if found is not None:
            return found
        point = RestorePoint(id, self.world.time, fence.run, f"memory:{id}", "compared", self.world.revision, 1, 1)
        self.world.effect(f"backup {id}", lambda: self.world.backups.append(point), lambda: self._compare(fence))
        return point

    def rehearse(self, statements: Sequence[Statement]) -> MemoryScratch:
        del statements
        return MemoryScratch()

    def url(self) -> str:
        return "memory://database"

    def retire(self, version: Version, fence: Fence) -> int | None:
        self._guard(fence)
        del version
        return 0

    def admit(self, version: Version, fence: Fence) -> None:
        self._guard(fence)
        del version

    def by_hand(self, statement: Statement | BackfillStatement, marker: Applied) -> Sequence[str]:
        return (f"# memory: {statement.sql} as {marker.version} {marker.phase} {marker.index}",)

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        return (f"# memory: {marker.version} {marker.phase} is complete",)

    def by_hand_backup(self, id: str) -> Sequence[str]:
        return (f"# memory: backup {id}",)

    def by_hand_count(self, check: Check) -> Sequence[str]:
        return (f"# memory: 0 {check.title}",)

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        return (f"# memory: keep {changes.version}",)

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        return (f"# memory: forget {version}",)

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        return (f"# memory: nothing of {version} is left",)

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        names = ", ".join(statement.title for statement, _ in statements)
        return CopyByHand((f"# memory: copy of {id} with {names}",), "memory://copy", ("# memory: no copy",))

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        return (f"# memory: no login of {version}",)

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        return (f"# memory: login of {version}",)


@dataclass(frozen=True, slots=True)
class MemoryReader:
    """A read endpoint that shows what the database has, but for what the world says that it lacks."""

    world: MemoryWorld
    name: str

    def inspect(self) -> Sequence[Finding]:
        return (Finding(f"read endpoint {self.name}", ok=True, detail="answers"),)

    def lacks(self, probes: Sequence[Probe]) -> Sequence[Probe]:
        hidden = self.world.lagging.get(self.name, set())
        database = MemoryDatabase(self.world)
        return [p for p in probes if (p.what, p.table, p.name) in hidden or not database.done(p)]


@dataclass(frozen=True, slots=True)
class MemoryProber:
    """Probes that pass unless the world says that a version is broken."""

    world: MemoryWorld

    def probes(self, version: Version, build: str, url: str) -> Sequence[tuple[str, CommandResult]]:
        del build, url
        broken = version in self.world.broken
        return (("memory", CommandResult(1 if broken else 0, "", "broken" if broken else "", 0.0)),)

    def smoke(self, entry: str, headers: Mapping[str, str], identity: Identity) -> Sequence[tuple[str, str]]:
        del entry, headers
        return (("memory", "broken" if identity.version in self.world.smoke_broken else ""),)

    def assets(self, entry: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        return tuple((path, "" if entry else "no entry") for path in paths)

    def by_hand(self, version: Version, build: str, url: str = "") -> Sequence[str]:
        return (f"# memory: probe {version} {build} {url}".rstrip(),)

    def by_hand_smoke(self, ask: str, version: Version, build: str) -> Sequence[str]:
        return (f"{ask}: {version} {build}".rstrip(),)


def ports(world: MemoryWorld) -> Ports:
    """Every port on one world."""
    return Ports(
        balancer=MemoryBalancer(world),
        runtime=MemoryRuntime(world),
        database=MemoryDatabase(world),
        prober=MemoryProber(world),
        clock=MemoryClock(world),
        readers=tuple(MemoryReader(world, name) for name in sorted(world.lagging)),
    )
