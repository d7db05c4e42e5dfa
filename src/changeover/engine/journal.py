"""The state store: runs, their append-only events, signals, leases, and the ledger. SQLAlchemy Core on SQLite.

One write path: every write is one `BEGIN IMMEDIATE` transaction, and every write of a run compares the fence first.
SQLite: WAL, `synchronous=FULL`, local disk only.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from changeover.core.errors import EnvironmentHeld, FencedOut, GateUnknown, RunUnknown, StoreUnusable
from changeover.core.model import Ended, Evidence, Identity, Ledger, Promise, RestorePoint, Verdict, Version
from changeover.core.ports import Clock
from changeover.core.states import ENDED, Event, State, move
from changeover.core.steps import Plan, canonical, to_data
from changeover.engine import tables as t
from changeover.engine.owner import Owner
from changeover.engine.records import EventRecord, Facts, Holder, RunRecord, Signal

BUSY_TIMEOUT = 5.0  # seconds a writer waits for another one


class Journal:
    """One state store. `clock` gives wall time for people and boottime for leases. Threads may share it."""

    def __init__(self, path: Path, clock: Clock, *, create: bool = True) -> None:
        """Open (or create) the store. Raises StoreUnusable."""
        self.path = path
        self.clock = clock
        if not create and not path.exists():
            raise StoreUnusable(f"there is no state store at {path}", next=("start a release, or check `state:`",))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(f"the folder of the state store cannot be made: {error.strerror}") from None
        self._writer = _engine(path, immediate=True)
        self._reader = _engine(path, immediate=False)
        with self._write() as db:
            t.meta.create_all(db)
            row = db.execute(sa.select(t.store)).first()
            if row is None:
                row_id = secrets.token_hex(8)
                db.execute(t.store.insert().values(id=row_id, format=t.FORMAT))
                self.store_id = row_id
            elif row.format > t.FORMAT:
                raise StoreUnusable(
                    f"the state store {path} was written by a newer changeover (format {row.format})",
                    next=("use that changeover or a newer one",),
                )
            else:
                self.store_id = row.id

    def close(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()

    # transactions --------------------------------------------------------------------------------

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        try:
            with self._writer.begin() as db:
                yield db
        except SQLAlchemyError as error:
            raise _unusable(self.path, error) from None

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        try:
            with self._reader.connect() as db:
                yield db
        except SQLAlchemyError as error:
            raise _unusable(self.path, error) from None

    # environments and their holders ------------------------------------------------------------------

    def holder(self, environment: str) -> Holder | None:
        """Who holds the environment, alive or not; None if nobody ever did or it was let go."""
        with self._read() as db:
            row = db.execute(sa.select(t.environment).where(t.environment.c.name == environment)).first()
        return None if row is None or row.pid == 0 else self._holder(row)

    def _holder(self, row: Any) -> Holder:
        owner = Owner(row.owner, row.pid, row.born, row.boot)
        alive = owner.boot == self.clock.boot() and row.lease_until > self.clock.boottime() and not owner.is_dead()
        return Holder(row.name, row.run, row.owner, row.pid, row.fence, row.since, alive)

    def take(self, environment: str, run_id: str | None, owner: Owner, lease: float, *, force: bool = False) -> int:
        """Take the environment for `lease` seconds. Returns the new fence. Raises EnvironmentHeld, unless `force`.

        A holder whose lease is over, whose process is gone or whose machine was started again is no obstacle.
        """
        e = t.environment
        with self._write() as db:
            row = db.execute(sa.select(e).where(e.c.name == environment)).first()
            if row is not None and row.pid != 0 and not force:
                holder = self._holder(row)
                if holder.alive:  # another thread of this process is somebody else, too
                    raise held(holder, self.clock.now())
            fence = 1 if row is None else row.fence + 1
            values = {
                "fence": fence,
                "run": run_id,
                "owner": owner.name,
                "pid": owner.pid,
                "born": owner.born,
                "boot": owner.boot,
                "lease_until": self.clock.boottime() + lease,
                "since": self.clock.now(),
            }
            if row is None:
                db.execute(e.insert().values(name=environment, **values))
            else:
                db.execute(e.update().where(e.c.name == environment).values(**values))
        return fence

    def renew(self, environment: str, fence: int, lease: float) -> float:
        """Prolong the lease. Returns the boottime at which it ends. Raises FencedOut."""
        until = self.clock.boottime() + lease
        with self._write() as db:
            self._fenced(db, environment, fence)
            db.execute(t.environment.update().where(t.environment.c.name == environment).values(lease_until=until))
        return until

    def let_go(self, environment: str, fence: int) -> None:
        """Give the environment back; nothing to do if somebody else has it by now."""
        e = t.environment
        with self._write() as db:
            db.execute(
                e.update().where(e.c.name == environment, e.c.fence == fence).values(pid=0, run=None, lease_until=0)
            )

    def fence_of(self, environment: str) -> int:
        """The newest fence of the environment; 0 if it was never taken."""
        with self._read() as db:
            found = db.execute(sa.select(t.environment.c.fence).where(t.environment.c.name == environment)).scalar()
        return int(found or 0)

    def _fenced(self, db: sa.Connection, environment: str, fence: int) -> None:
        row = db.execute(sa.select(t.environment).where(t.environment.c.name == environment)).first()
        if row is None or row.fence != fence:
            who = "somebody" if row is None else f"{row.owner} (process {row.pid})"
            raise FencedOut(
                f"{who} took the environment {environment} over",
                now="This process changed nothing after that.",
                next=("changeover status",),
            )

    # runs ------------------------------------------------------------------------------------------------

    def submit(self, plan: Plan, by: str) -> str:
        """Freeze a plan as a run. Raises EnvironmentHeld if another run of the environment is open."""
        with self._write() as db:
            other = db.execute(
                sa.select(t.run.c.id, t.run.c.by, t.run.c.at, t.run.c.state)
                .where(t.run.c.environment == plan.environment, t.run.c.ended.is_(None))
                .limit(1)
            ).first()
            if other is not None:
                age = max(0, round(self.clock.now() - other.at))
                raise EnvironmentHeld(
                    f"{other.id} is under way in {plan.environment} ({other.state}), started by {other.by} {age} s ago",
                    next=("changeover status", "changeover resume    or    changeover rollback"),
                )
            return self._insert(db, plan, by, None)

    def submit_way_back(self, plan: Plan, by: str, parent: RunRecord, fence: int) -> str:
        """Freeze the way back of a run that is under way. Raises FencedOut when this process does not hold it any more."""
        with self._write() as db:
            self._fenced(db, parent.environment, fence)
            return self._insert(db, plan, by, parent.id)

    def _insert(self, db: sa.Connection, plan: Plan, by: str, parent: str | None) -> str:
        count = db.execute(sa.select(sa.func.count()).select_from(t.run)).scalar() or 0
        run_id = f"r-{count + 1:04d}"
        db.execute(
            t.run.insert().values(
                id=run_id,
                environment=plan.environment,
                kind=plan.kind,
                parent=parent,
                plan=canonical(to_data(plan)),
                plan_hash=plan.hash,
                state=State.RUNNING.value,
                by=by,
                at=self.clock.now(),
            )
        )
        return run_id

    def run(self, run_id: str) -> RunRecord:
        """Raises RunUnknown."""
        with self._read() as db:
            row = db.execute(sa.select(t.run).where(t.run.c.id == run_id)).first()
        if row is None:
            raise RunUnknown(f"there is no run {run_id}", next=("changeover history",))
        return _run(row)

    def runs(self, environment: str, *, limit: int = 50) -> tuple[RunRecord, ...]:
        """The newest runs first."""
        query = sa.select(t.run).where(t.run.c.environment == environment).order_by(t.run.c.id.desc()).limit(limit)
        with self._read() as db:
            return tuple(_run(r) for r in db.execute(query))

    def open_run(self, environment: str) -> RunRecord | None:
        """The run that is under way: the outermost one that has not ended."""
        query = sa.select(t.run).where(t.run.c.environment == environment, t.run.c.ended.is_(None)).order_by(t.run.c.id)
        with self._read() as db:
            row = db.execute(query).first()
        return None if row is None else _run(row)

    def child(self, run_id: str) -> RunRecord | None:
        """The newest way back of a run."""
        query = sa.select(t.run).where(t.run.c.parent == run_id).order_by(t.run.c.id.desc())
        with self._read() as db:
            row = db.execute(query).first()
        return None if row is None else _run(row)

    # events: the one write path ------------------------------------------------------------------------------

    def record(
        self,
        run: RunRecord,
        fence: int,
        kind: str,
        step: str = "",
        data: Mapping[str, Any] | None = None,
        *,
        move_by: Event | None = None,
        facts: Facts | None = None,
        takes: Signal | None = None,
    ) -> int:
        """Append one event, and with it move the run, record facts, take a signal: one transaction. Returns seq."""
        now = self.clock.now()
        with self._write() as db:
            self._fenced(db, run.environment, fence)
            seq = (db.execute(sa.select(sa.func.max(t.event.c.seq)).where(t.event.c.run == run.id)).scalar() or 0) + 1
            if move_by is not None:
                state = State(db.execute(sa.select(t.run.c.state).where(t.run.c.id == run.id)).scalar_one())
                target = move(state, move_by)
                ended = now if target in ENDED else None
                db.execute(t.run.update().where(t.run.c.id == run.id).values(state=target.value, ended=ended))
            db.execute(
                t.event.insert().values(
                    run=run.id, seq=seq, at=now, fence=fence, kind=kind, step=step, data=canonical(dict(data or {}))
                )
            )
            if takes is not None:
                db.execute(t.signal.update().where(t.signal.c.id == takes.id).values(taken=seq))
            if facts is not None:
                _facts(db, run, facts, now)
        return seq

    def wait_or_take(self, run: RunRecord, fence: int, gate: str, step: str) -> Signal | None:
        """At a gate: take its approval, or record that the run waits. Decided and written in one transaction.

        An approval that arrives at any moment is either seen here or finds the run waiting; none is lost.
        """
        s = t.signal
        with self._write() as db:
            self._fenced(db, run.environment, fence)
            row = db.execute(
                sa.select(s)
                .where(s.c.run == run.id, s.c.taken.is_(None), s.c.name == "approve", s.c.argument == gate)
                .order_by(s.c.id)
            ).first()
            state = State(db.execute(sa.select(t.run.c.state).where(t.run.c.id == run.id)).scalar_one())
            if row is None and state is State.WAITING:
                return None
            signal = None if row is None else _signal(row)
            kind, moved = ("waiting", Event.WAIT) if signal is None else ("approved", Event.GO)
            data = {"gate": gate} if signal is None else {"gate": gate, "by": signal.by, "note": signal.note}
            seq = (db.execute(sa.select(sa.func.max(t.event.c.seq)).where(t.event.c.run == run.id)).scalar() or 0) + 1
            db.execute(
                t.event.insert().values(
                    run=run.id, seq=seq, at=self.clock.now(), fence=fence, kind=kind, step=step, data=canonical(data)
                )
            )
            db.execute(t.run.update().where(t.run.c.id == run.id).values(state=move(state, moved).value))
            if signal is not None:
                db.execute(s.update().where(s.c.id == signal.id).values(taken=seq))
        return signal

    def events(self, run_id: str, after: int = 0) -> tuple[EventRecord, ...]:
        """The events of a run in order, those after `after` only."""
        query = sa.select(t.event).where(t.event.c.run == run_id, t.event.c.seq > after).order_by(t.event.c.seq)
        with self._read() as db:
            return tuple(
                EventRecord(r.run, r.seq, r.at, r.fence, r.kind, r.step, json.loads(r.data)) for r in db.execute(query)
            )

    def import_run(self, record: Mapping[str, Any]) -> str:
        """Record a run that was driven while this store was away; what it preempted is ended. Done twice, it is once.

        The fence is raised to the one that was used at the targets: later runs of this store must not be older.
        """
        e = t.environment
        with self._write() as db:
            known = sa.select(t.run.c.id).where(t.run.c.plan_hash == record["plan_hash"], t.run.c.at == record["at"])
            found = db.execute(known).scalar()
            if found is not None:
                return str(found)
            name, fence, now = record["environment"], int(record["fence"]), self.clock.now()
            row = db.execute(sa.select(e).where(e.c.name == name)).first()
            if row is None:
                blank = {"run": None, "owner": "", "pid": 0, "born": 0.0, "boot": "", "lease_until": 0.0, "since": now}
                db.execute(e.insert().values(name=name, fence=fence, **blank))
            elif row.fence < fence:
                db.execute(e.update().where(e.c.name == name).values(fence=fence, pid=0, run=None, lease_until=0))
            ended = t.run.update().where(t.run.c.environment == name, t.run.c.ended.is_(None))
            db.execute(ended.values(state=State.PREEMPTED.value, ended=now))
            count = db.execute(sa.select(sa.func.count()).select_from(t.run)).scalar() or 0
            run_id = f"r-{count + 1:04d}"
            values = {k: record[k] for k in ("environment", "kind", "plan", "plan_hash", "state", "by", "at", "ended")}
            db.execute(t.run.insert().values(id=run_id, parent=None, **values))
            for seq, ev in enumerate(record["events"], 1):
                text = canonical(ev["data"])
                row_ = {"at": ev["at"], "fence": fence, "kind": ev["kind"], "step": ev["step"], "data": text}
                db.execute(t.event.insert().values(run=run_id, seq=seq, **row_))
        return run_id

    def start_after(self, environment: str, fence: int) -> None:
        """Let the next owner's fence be greater than `fence`: the targets have seen that one already."""
        e = t.environment
        with self._write() as db:
            row = db.execute(sa.select(e).where(e.c.name == environment)).first()
            if row is None:
                blank = {"run": None, "owner": "", "pid": 0, "born": 0.0, "boot": "", "lease_until": 0.0}
                db.execute(e.insert().values(name=environment, fence=fence, since=self.clock.now(), **blank))
            elif row.fence < fence:
                db.execute(e.update().where(e.c.name == environment).values(fence=fence))

    # signals ---------------------------------------------------------------------------------------------------

    def send(self, run_id: str, name: str, by: str, *, argument: str = "", note: str = "") -> None:
        """Ask something of a run. Raises RunUnknown if it has ended; GateUnknown for a gate that the plan lacks."""
        with self._write() as db:
            row = db.execute(sa.select(t.run).where(t.run.c.id == run_id)).first()
            if row is None or row.ended is not None:
                raise RunUnknown(f"{run_id} is not under way", next=("changeover status",))
            if name == "approve":
                gates = [s["action"]["name"] for s in json.loads(row.plan)["steps"] if s["kind"] == "gate"]
                if argument not in (*gates, "go-on"):
                    raise GateUnknown(
                        f"{run_id} has no gate {argument!r}", next=tuple(f"changeover approve {g}" for g in gates)
                    )
            db.execute(
                t.signal.insert().values(
                    run=run_id, name=name, argument=argument, by=by, note=note, at=self.clock.now()
                )
            )

    def signals(self, run_id: str) -> tuple[Signal, ...]:
        """Signals that nobody has taken yet, oldest first."""
        s = t.signal
        query = sa.select(s).where(s.c.run == run_id, s.c.taken.is_(None)).order_by(s.c.id)
        with self._read() as db:
            return tuple(_signal(r) for r in db.execute(query))

    # the ledger ------------------------------------------------------------------------------------------------

    def ledger(self, environment: str) -> Ledger:
        """What outlives runs."""
        with self._read() as db:

            def rows(table: sa.Table, *order: Any) -> list[Any]:
                return list(db.execute(sa.select(table).where(table.c.environment == environment).order_by(*order)))

            promises = rows(t.promise, t.promise.c.id)  # a wall clock that jumps does not order them
            points = rows(t.restore_point, t.restore_point.c.at)
            evidence = rows(t.evidence, t.evidence.c.id)
            started = rows(t.started)
            deployed = rows(t.deployed)
        return Ledger(
            promises=tuple(
                Promise(
                    Version(r.version),
                    r.build,
                    r.pool,
                    r.since,
                    r.earliest,
                    None if r.ended_at is None else Ended(r.ended_at, r.ended_by, r.ended_run, r.because),
                )
                for r in promises
            ),
            restore_points=tuple(
                RestorePoint(r.id, r.at, r.run, r.location, r.proof, r.schema, r.tables, r.rows, r.bytes)
                for r in points
            ),
            evidence=tuple(
                Evidence(Version(r.version), r.catalogue, r.at, Verdict(r.verdict), r.detail, r.run) for r in evidence
            ),
            started=frozenset(Version(r.version) for r in started),
            deployed={r.pool: Identity(Version(r.version), r.build) for r in deployed},
        )

    def remember(self, environment: str, data: Mapping[str, Any]) -> None:
        """Keep the last picture of the environment for those who may not look themselves."""
        with self._write() as db:
            db.execute(t.seen.delete().where(t.seen.c.environment == environment))
            db.execute(t.seen.insert().values(environment=environment, at=self.clock.now(), data=canonical(dict(data))))

    def recall(self, environment: str) -> tuple[float, Mapping[str, Any]] | None:
        """The last picture and its time."""
        with self._read() as db:
            row = db.execute(sa.select(t.seen).where(t.seen.c.environment == environment)).first()
        return None if row is None else (row.at, json.loads(row.data))


def held(holder: Holder, now: float) -> EnvironmentHeld:
    """The refusal that names who holds the environment."""
    return EnvironmentHeld(
        f"{holder.environment} is held by {holder.words(now)}",
        next=("changeover status", "wait for it: --wait 15m", "changeover rollback    (takes over)"),
    )


def _engine(path: Path, *, immediate: bool) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # Transactions are begun by hand: the library sends no BEGIN before a SELECT, and two writers would both
        # read the same fence.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT * 1000)}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _unusable(path: Path, error: SQLAlchemyError) -> StoreUnusable:
    cause = str(error.orig) if isinstance(error, DatabaseError) and error.orig is not None else type(error).__name__
    return StoreUnusable(
        f"the state store {path} cannot be used: {cause}",
        now="What was recorded before is safe.",
        next=("free space or mend the permissions, then: changeover resume",),
    )


def _run(row: Any) -> RunRecord:
    return RunRecord(
        row.id,
        row.environment,
        row.kind,
        row.parent,
        row.plan,
        row.plan_hash,
        State(row.state),
        row.by,
        row.at,
        row.ended,
    )


def _signal(row: Any) -> Signal:
    return Signal(row.id, row.run, row.name, row.argument, row.by, row.note, row.at)


def _facts(db: sa.Connection, run: RunRecord, facts: Facts, now: float) -> None:
    env = run.environment
    for p in facts.promises:
        known = sa.select(t.promise.c.id).where(
            t.promise.c.environment == env, t.promise.c.version == p.version.text, t.promise.c.ended_at.is_(None)
        )
        if db.execute(known).first() is None:
            values = {"version": p.version.text, "build": p.build, "pool": p.pool, "since": p.since}
            insert = t.promise.insert().prefix_with("OR IGNORE")
            db.execute(insert.values(environment=env, run=run.id, earliest=p.earliest, **values))
    for version, by, because in facts.ended:
        db.execute(
            t.promise.update()
            .where(t.promise.c.environment == env, t.promise.c.version == version.text, t.promise.c.ended_at.is_(None))
            .values(ended_at=now, ended_by=by, ended_run=run.id, because=because)
        )
    for point in facts.restore_points:
        db.execute(
            t.restore_point.insert()
            .prefix_with("OR REPLACE")
            .values(
                environment=env,
                id=point.id,
                at=point.at,
                run=point.run,
                location=point.location,
                proof=point.proof,
                schema=point.schema,
                tables=point.tables,
                rows=point.rows,
                bytes=point.bytes,
            )
        )
    for e in facts.evidence:
        db.execute(
            t.evidence.insert().values(
                environment=env,
                version=e.version.text,
                catalogue=e.catalogue,
                at=e.at,
                verdict=e.verdict.value,
                detail=e.detail,
                run=run.id,
            )
        )
    for version in facts.started:
        db.execute(t.started.insert().prefix_with("OR IGNORE").values(environment=env, version=version.text))
    for pool, identity in facts.deployed.items():
        db.execute(t.deployed.delete().where(t.deployed.c.environment == env, t.deployed.c.pool == pool))
        if identity is not None:
            values = {"version": identity.version.text, "build": identity.build}
            db.execute(t.deployed.insert().values(environment=env, pool=pool, **values))
