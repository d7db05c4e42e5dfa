"""A model world in which plans are walked step by step, and the judge of every walk.

`Sim` is the reference reading of what each step does. `walk` executes a plan and returns every violation: of a state
rule that did not hold before the plan, of a rule asked before an act, or of what the step itself demands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from changeover.core import rules as RULES
from changeover.core.model import (
    COMPLETE,
    Applied,
    ChangeSet,
    Ended,
    Identity,
    InFlight,
    Instance,
    Ledger,
    Phase,
    PoolHealth,
    Process,
    Promise,
    RestorePoint,
    Route,
    RouteReading,
    SchemaReading,
    Slot,
    Version,
    World,
)
from changeover.core.steps import (
    Action,
    Backfill,
    Backup,
    Bake,
    Contract,
    Drain,
    Drop,
    Expand,
    Finalize,
    Plan,
    Prove,
    Ready,
    Rehearse,
    Retire,
    Shift,
    Start,
    Sync,
    Undo,
    Verify,
)

POOLS = ("blue", "green")


@dataclass(slots=True)
class Inst:
    """One running instance: `identity` None hides it (it hangs), `ready` False is unhealthy."""

    identity: Identity
    started: str
    ready: bool = True
    hangs: bool = False


@dataclass(slots=True)
class Sim:
    """Everything there is. `dirty` are the versions of which old rows are not filled; `proved` holds on this catalogue.

    `kept` are the versions whose compiled operations the target keeps. `verified` and `expanding` are of the plan that is
    walked: the versions whose rows were asked since they were last written, and those that it expands.
    """

    slots: dict[str, int]
    changes: tuple[ChangeSet, ...]
    at: float = 1_000_000.0
    route: Route = field(default_factory=lambda: Route("blue", "green"))
    instances: dict[tuple[str, int], Inst] = field(default_factory=dict)
    flying: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(POOLS, 0))
    applied: tuple[Applied, ...] | None = ()
    kept: frozenset[Version] = frozenset()
    revision: int = 0
    promises: tuple[Promise, ...] = ()
    points: tuple[RestorePoint, ...] = ()
    started: frozenset[Version] = frozenset()
    deployed: dict[str, Identity] = field(default_factory=dict)
    dirty: frozenset[Version] = frozenset()
    proved: frozenset[Version] = frozenset()
    verified: frozenset[Version] = frozenset()
    expanding: frozenset[Version] = frozenset()
    filled_now: frozenset[Version] = frozenset()
    unproved_writes: bool = False
    kind: str = ""  # of the plan that is walked
    watched: bool = True  # the last shift of a release is followed by its bake
    starts: int = 0

    def copy(self) -> Sim:
        return replace(
            self,
            instances={k: replace(i) for k, i in self.instances.items()},
            flying=dict(self.flying),
            deployed=dict(self.deployed),
        )

    # what planner and rules see ----------------------------------------------------------------------------

    def world(self) -> World:
        pools = {p: tuple(self._instance(p, n) for n in range(1, self.slots[p] + 1)) for p in POOLS}
        return World(
            at=self.at,
            route=RouteReading("sim", {"1": self.route, "2": self.route}, self.route),
            pools=pools,
            in_flight={p: InFlight(self.flying[p]) for p in POOLS},
            health={p: PoolHealth(sum(1 for i in pools[p] if i.ready), self.slots[p]) for p in POOLS},
            schema=None
            if self.applied is None
            else SchemaReading(self.revision, self.catalogue, self.applied, kept=self.compiled()),
        )

    def _instance(self, pool: str, number: int) -> Instance:
        slot = Slot(pool, number, "127.0.0.1", 8000 + number)
        found = self.instances.get((pool, number))
        if found is None:
            return Instance(slot, Process.STOPPED)
        if found.hangs:
            return Instance(slot, Process.UNKNOWN, found.started)
        return Instance(slot, Process.RUNNING, found.started, found.ready, found.identity)

    def ledger(self) -> Ledger:
        return Ledger(self.promises, self.points, (), self.started, dict(self.deployed))

    @property
    def catalogue(self) -> str:
        return ";".join(f"{a.version}{a.phase}" for a in self.applied or ())

    def situation(self):
        return RULES.Situation(self.world(), self.ledger(), self.changes)

    def put(self, pool: str, version: str, build: str = "b1") -> None:
        """Running, ready instances of a version on every slot of a pool, as if they had always been there."""
        identity = Identity(Version(version), build)
        for n in range(1, self.slots[pool] + 1):
            self.starts += 1
            self.instances[pool, n] = Inst(identity, str(self.starts))
        self.deployed[pool] = identity
        self.started |= {identity.version}

    def on(self, pool: str) -> list[Inst]:
        return [i for (p, _), i in self.instances.items() if p == pool]

    def compiled(self) -> tuple[ChangeSet, ...]:
        """What the target keeps."""
        return tuple(c for c in self.changes if c.version in self.kept)

    def change(self, version: Version) -> ChangeSet | None:
        return next((c for c in self.changes if c.version == version), None)

    def mark(self, version: Version, phase: Phase, digest: str, run: str = "r-1") -> None:
        """The ledger's rows of a phase that is done."""
        assert self.applied is not None
        row = Applied(version, phase, 0, "s", self.at, run, 1)
        self.applied += (row, replace(row, index=COMPLETE, digest=digest))
        self.revision += phase in (Phase.EXPAND, Phase.CONTRACT)
        self.proved = frozenset()

    def done(self, version: Version, phase: Phase) -> bool:
        return any((a.version, a.phase, a.index) == (version, phase, COMPLETE) for a in self.applied or ())

    # what the steps do ---------------------------------------------------------------------------------------

    def step(self, action: Action, run: str = "r-1", rules=RULES) -> Iterator[str]:
        """Do one step; yield what is wrong with doing it now."""
        match action:
            case Retire():
                yield from self._retire(action, run, rules)
            case Backup(id=name):
                self.points += (RestorePoint(name, self.at, run, name, "compared", self.revision),)
            case Expand():
                yield from self._expand(action, run)
            case Sync(version=version):
                if not self.done(version, Phase.EXPAND):
                    yield f"{version} is kept in step before its expansion"
                if version in self.filled_now:
                    yield f"{version} is kept in step after its backfill: what was written between is lost"
                if not self.done(version, Phase.SYNC):
                    self.mark(version, Phase.SYNC, action.digest, run)
            case Backfill(version=version):
                if not self.done(version, Phase.EXPAND):
                    yield f"backfill of {version} before its expansion"
                change = self.change(version)
                if change is not None and change.sync and not self.done(version, Phase.SYNC):
                    yield f"backfill of {version} before its rows are kept in step"
                self.dirty -= {version}
                self.filled_now |= {version}
            case Verify(version=version):
                if version in self.dirty:
                    yield f"{version} is verified and its rows are not filled"
                self.verified |= {version}
            case Finalize():
                yield from self._finalize(action, run)
            case Prove(versions=versions, when=when):
                schema = self.world().schema
                for version, _ in versions:
                    why = _misfit(version, schema, self.changes)
                    if why:
                        yield f"the proof fails: {why}"
                self.proved = frozenset(v for v, _ in versions)
                if when == "written":
                    self.unproved_writes = False
            case Rehearse(version=version):
                if not any(p.run == run for p in self.points):
                    yield f"the rehearsal of {version} has no restore point of this run"
                if version in self.dirty:
                    yield f"the rehearsal of {version} meets rows that are not filled"
            case Start():
                yield from self._start(action)
            case Ready(pool=pool, version=version, build=build):
                here = self.on(pool)
                same = {i.identity for i in here}
                if len(here) != self.slots[pool] or len(same) != 1 or not all(i.ready and not i.hangs for i in here):
                    yield f"{pool} is not ready"
                elif next(iter(same)).version != version or build not in ("", next(iter(same)).build):
                    yield f"{pool} runs {next(iter(same))}"
                else:
                    self.deployed[pool] = next(iter(same))
            case Shift():
                yield from self._shift(action, rules)
            case Bake(pool=pool, seconds=seconds):
                self.at += seconds
                if pool not in self.carrying():
                    yield f"nobody is on {pool}, and it is watched"
                self.watched = True
                self._write()
            case Drain(pool=pool):
                if pool in self.carrying():
                    yield f"{pool} has traffic and is drained"
                self.flying[pool] = 0
                self.at += 1
            case Contract():
                yield from self._contract(action, run, rules)
            case Drop():
                yield from self._drop(action, run)
            case Undo():
                yield from self._undo(action, rules)
            case _:
                self.at += 1

    def carrying(self) -> set[str]:
        return {self.route.live} | ({self.route.candidate} if self.route.share else set())

    def _write(self) -> None:
        """Old versions write rows that the backfill of a newer version has not seen."""
        serving = {i.identity.version for p in self.carrying() for i in self.on(p)}
        sets = [
            c.version
            for c in self.changes
            if c.backfill and self.done(c.version, Phase.EXPAND) and not self.done(c.version, Phase.SYNC)
        ]
        self.dirty |= {v for v in sets if not self.done(v, Phase.CONTRACT) and any(s < v for s in serving)}

    def _retire(self, action: Retire, run: str, rules) -> Iterator[str]:
        holds = [p for p in self.promises if p.ended is None and p.version == action.version and p.pool == action.pool]
        if bool(holds) is not action.promised:
            yield f"retiring {action.version}: promised is {bool(holds)}, the step says {action.promised}"
        yield from (str(v) for v in rules.before_stop(self.situation(), action.pool))
        if action.promised:
            ended = Ended(self.at, "dana", run, action.because)
            self.promises = tuple(replace(p, ended=ended) if p in holds else p for p in self.promises)
        self.instances = {
            k: i for k, i in self.instances.items() if k[0] != action.pool or i.identity.version != action.version
        }
        if self.deployed.get(action.pool, Identity(action.version, "")).version == action.version:
            self.deployed.pop(action.pool, None)

    def _expand(self, action: Expand, run: str) -> Iterator[str]:
        change = self.change(action.version)
        assert change is not None
        if not _missing(change, self.applied or ()):
            yield f"{action.version} is expanded a second time"
        if change.declared:
            if action.keeps != change:
                yield f"what was compiled for {action.version} is not kept before its first statement"
            else:
                self.kept |= {action.version}
        self.expanding |= {action.version}
        if self.done(action.version, Phase.EXPAND):
            return
        self.mark(action.version, Phase.EXPAND, action.digest, run)
        if change.backfill:
            self.dirty |= {action.version}

    def _finalize(self, action: Finalize, run: str) -> Iterator[str]:
        change = self.change(action.version)
        assert change is not None
        if not self.done(action.version, Phase.EXPAND):
            yield f"{action.version} is finalized before its expansion"
        if change.backfill and action.version in self.dirty:
            yield f"{action.version} is finalized and its rows are not filled"
        if change.verify and action.version not in self.verified:
            yield f"{action.version} is finalized before its rows are verified"
        if not self.done(action.version, Phase.FINALIZE):
            self.mark(action.version, Phase.FINALIZE, action.digest, run)

    def _start(self, action: Start) -> Iterator[str]:
        for n in range(1, self.slots[action.pool] + 1):
            found = self.instances.get((action.pool, n))
            if found is None:
                self.starts += 1
                self.instances[action.pool, n] = Inst(Identity(action.version, action.build or "b1"), str(self.starts))
            elif found.identity.version != action.version or action.build not in ("", found.identity.build):
                yield f"{action.pool}-{n} runs {found.identity}"
            elif found.hangs or not found.ready:
                self.starts += 1
                self.instances[action.pool, n] = Inst(found.identity, str(self.starts))
        for held in (p for p in self.promises if p.ended is None and p.pool == action.pool):
            if held.version != action.version:
                yield f"{action.pool} was promised to {held.version}"
        self.deployed[action.pool] = Identity(action.version, action.build)
        self.started |= {action.version}

    def _shift(self, action: Shift, rules) -> Iterator[str]:
        yield from (str(v) for v in rules.before_shift(self.situation(), action))
        forward = self.kind == "release"
        if forward and self.applied is not None:
            missing = self._must_be_proved(action) - self.proved
            if missing:
                yield f"not proved on this catalogue: {', '.join(sorted(map(str, missing)))}"
            if self.unproved_writes:
                yield "the new version has written, and nothing was proved since"
            if action.pool not in self.carrying():
                self.unproved_writes = True
                yield from self._unprepared(action.version)
        self.watched = not forward
        before = self.carrying()
        self.route = action.route("r-1.s1", int(self.at + action.expiry))
        for pool in before | self.carrying():
            self.flying[pool] = 3
        self._write()
        if action.is_flip and action.keep is not None and action.leaves is not None:
            promise = Promise(action.leaves, action.leaves_build, action.other, self.at, self.at + action.keep)
            kept = tuple(p for p in self.promises if p.ended is not None or p.version != action.leaves)
            self.promises = (*kept, promise)

    def _unprepared(self, version: Version) -> Iterator[str]:
        """What a version lacks that is about to get its first users."""
        for change in (c for c in self.changes if c.version <= version and not self.done(c.version, Phase.CONTRACT)):
            asked = change.verify and (change.backfill or change.version in self.expanding)
            if asked and change.version not in self.verified:
                yield f"the rows of {change.version} are not verified, and users come"
            for phase in _missing(change, self.applied or ()):
                yield f"{change.version} lacks its {phase}, and users come"

    def _must_be_proved(self, action: Shift) -> set[Version]:
        """The version that takes traffic, and those that stay or can come back."""
        here = {p.version for p in self.promises if p.ended is None and p.pool not in POOLS}
        source = next((i.identity.version for i in self.on(action.other) if i.ready and not i.hangs), None)
        fit = source is not None and not any(
            a.phase is Phase.CONTRACT and a.version > source for a in self.applied or ()
        )
        return here | {action.version} | ({source} if source is not None and fit else set())

    def _contract(self, action: Contract, run: str, rules) -> Iterator[str]:
        yield from (str(v) for v in rules.before_contract(self.situation(), action.version))
        earlier = (c.version for c in self.changes if c.contract and c.version < action.version)
        for version in (v for v in earlier if not self.done(v, Phase.CONTRACT)):
            if self.done(version, Phase.EXPAND):
                yield f"the contract of {version} is owed longer than that of {action.version}"
        if action.version in self.dirty:
            yield f"the contract of {action.version} loses rows that are not filled"
        if self.done(action.version, Phase.CONTRACT):
            yield f"{action.version} is contracted a second time"
        change = self.change(action.version)
        if change is not None and change.verify and action.version not in self.verified:
            yield f"{action.version} is contracted before its rows are verified"
        self.mark(action.version, Phase.CONTRACT, action.digest, run)

    def _drop(self, action: Drop, run: str) -> Iterator[str]:
        if not self.done(action.version, Phase.CONTRACT):
            yield f"what {action.version} has parked is dropped before its contract"
        if self.done(action.version, Phase.DROP):
            yield f"what {action.version} has parked is dropped a second time"
        self.mark(action.version, Phase.DROP, action.digest, run)

    def _undo(self, action: Undo, rules) -> Iterator[str]:
        yield from (str(v) for v in rules.before_undo(self.situation(), action.version))
        if action.version not in self.kept:
            yield f"nothing is kept of {action.version}, and it is taken back"
        assert self.applied is not None
        self.applied = tuple(a for a in self.applied if a.version != action.version)
        self.kept -= {action.version}
        self.dirty -= {action.version}
        self.revision += 1
        self.proved = frozenset()


SALT = 1234


def _misfit(version: Version, schema: SchemaReading | None, changes: tuple[ChangeSet, ...]) -> str:
    """Written apart from the product's own, so that both would have to be wrong."""
    assert schema is not None
    for row in schema.applied:
        if row.phase is Phase.CONTRACT and row.version > version:
            return f"{version} lost what the contract of {row.version} took"
    for change in changes:
        lacks = _missing(change, schema.applied) if change.version <= version else ()
        if lacks:
            return f"{version} needs the {lacks[0]} of {change.version}"
    return ""


def _missing(change: ChangeSet, applied: tuple[Applied, ...]) -> tuple[Phase, ...]:
    """The phases of a change set that a release applies and that are not complete."""
    wanted = {Phase.EXPAND} if change.expand or change.backfill or change.declared else set()
    wanted |= {p for p, there in ((Phase.SYNC, change.sync), (Phase.FINALIZE, change.finalize)) if there}
    complete = {a.phase for a in applied if a.version == change.version and a.index == COMPLETE}
    return tuple(sorted(wanted - complete))


CHANGES = (
    Retire,
    Expand,
    Sync,
    Finalize,
    Start,
    Ready,
    Shift,
    Drain,
    Contract,
    Drop,
    Undo,
)  # the other kinds leave what rules see as it is


def begin(sim: Sim, plan: Plan) -> None:
    """What is known of the plan that is walked begins anew."""
    sim.kind, sim.watched, sim.unproved_writes = plan.kind, True, False
    sim.verified = sim.expanding = sim.filled_now = frozenset()


def walk(sim: Sim, plan: Plan, *, upto: int | None = None, rules=RULES, judged: bool = True) -> list[str]:
    """Execute the first `upto` steps (all, if None). Every state rule is judged after every step that changes it, if `judged`."""
    if not judged:
        begin(sim, plan)
        for step in plan.steps[:upto]:
            list(sim.step(step.action, rules=rules))
        return []
    allowed = {v.rule for v in rules.judge(sim.situation())}
    if plan.kind == "release":
        start = sim.world()
        warm = start.healthy(start.route.route.live)
        allowed |= {"R7"} if warm < sim.slots[start.route.route.live] else set()
        allowed |= {"R11"} if not warm else set()
    accepted = any(a.name.startswith("capacity:") for a in plan.acknowledged)
    allowed |= {"R7"} if accepted else set()
    problems: list[str] = []
    begin(sim, plan)
    for step in plan.steps[:upto]:
        if not sim.watched and not isinstance(step.action, Bake):
            problems.append(f"{step.key}: traffic was moved and nobody watches")
        problems += [
            f"{plan.kind} {step.key} {step.action.kind}: {p}"
            for p in sim.step(step.action, rules=rules)
            if not (accepted and p.startswith("R7"))
        ]
        if isinstance(step.action, CHANGES):
            found = [v for v in rules.judge(sim.situation()) if v.rule not in allowed]
            problems += [f"{plan.kind} after {step.key} {step.action.kind}: {v}" for v in found]
    if upto is None and sim.unproved_writes:
        problems.append("the new version has written, and nothing was proved since")
    return problems
