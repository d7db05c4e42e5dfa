"""Backup, Expand, Sync, Backfill, Verify, Finalize, Prove, Rehearse, Contract, Drop, Undo: what is done to the database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from changeover.core import rules
from changeover.core.errors import NotRetired, ProofBroken, ReadEndpointBehind, RowsInTheWay, StillNeeded
from changeover.core.model import COMPLETE, Applied, Check, Evidence, Phase, Probe, Statement, Verdict, Version
from changeover.core.ports import Batch, CommandResult, Count, Database, Gap
from changeover.core.steps import (
    Backfill,
    Backup,
    Contract,
    Drop,
    Expand,
    Finalize,
    Prove,
    Rehearse,
    Schema,
    Sync,
    Undo,
    Verify,
)
from changeover.engine.context import Again, Context, Done, Outcome
from changeover.engine.records import Facts

FIRST_BATCH = 1_000  # rows
BATCH_TARGET = 0.2  # seconds: the size is adapted so that a batch takes about this long (facts: schema 4.1)
SMALLEST = 10  # rows
LOOK_EVERY = 1.0  # seconds between two looks at signals and at what presses the database
LONGEST_REST = 1.0  # seconds
NOTE_EVERY = 0.5  # seconds between two checkpoints in the journal, but for batches that take longer
THROTTLED = 1.0  # seconds until the next look while the database is pressed


def database(ctx: Context) -> Database:
    """The database; a plan with a database step was made for an environment that has one."""
    assert ctx.ports.database is not None, "the environment has no database"
    return ctx.ports.database


def backup(ctx: Context, action: Backup) -> Outcome:
    """Take, restore, compare. The same id is taken once."""
    db = database(ctx)
    if not db.backups():
        return Done({"proof": "none", "note": "there is no restore point; this was accepted in the plan"})
    known = next((p for p in ctx.journal.ledger(ctx.run.environment).restore_points if p.id == action.id), None)
    point = known or db.backup(action.id, ctx.hold)
    data = {"id": point.id, "proof": point.proof, "tables": point.tables, "rows": point.rows, "bytes": point.bytes}
    return Done({**data, "location": point.location, "at": point.at}, Facts(restore_points=(point,)))


def digest(statement: Statement) -> str:
    """sha256 of the statement's text: how the ledger of the target knows it again."""
    return hashlib.sha256(statement.sql.encode()).hexdigest()


def marker(ctx: Context, version: Version, phase: Phase, index: int, digest_: str) -> Applied:
    """The row that the target's ledger keeps of an applied statement."""
    return Applied(version, phase, index, digest_, ctx.ports.clock.now(), ctx.run.id, ctx.hold.token)


def add(ctx: Context, action: Expand | Sync | Finalize | Drop) -> Outcome:
    """Statement by statement, each with its marker in its own transaction; what was compiled is kept before the first."""
    if isinstance(action, Expand) and action.keeps is not None:
        database(ctx).keep(action.keeps, ctx.hold)
    done = _apply(ctx, action)
    return _shown(ctx, action, done) if isinstance(action, Expand) else _complete(ctx, action, done)


def undo(ctx: Context, action: Undo) -> Outcome:
    """Take back an expansion. What is kept of it goes last, so that its absence says: it is done.

    First the ledger is told that it is being taken back, so that nobody releases the version half way; then the marks of what
    was added go, so that the catalogue decides what is there.
    """
    db = database(ctx)
    schema = db.read()
    if all(c.version != action.version for c in schema.kept):
        return Done({"version": action.version.text, "statements": len(action.statements), "revision": schema.revision})
    if not schema.begun(action.version, Phase.UNDO):
        broken = rules.before_undo(ctx.situation(ctx.world()), action.version)
        if broken:
            raise StillNeeded(
                f"what was added for v{action.version} is not taken back: {'; '.join(str(v) for v in broken)}",
                now="Nothing was taken back.",
                next=("changeover status", "changeover schema owed"),
            )
        _fresh_restore_point(ctx, db)
    db.complete(marker(ctx, action.version, Phase.UNDO, COMPLETE, action.digest), ctx.hold)
    db.forget(action.version, ctx.hold)
    done = _complete(ctx, action, _apply(ctx, action))
    db.unkeep(action.version, ctx.hold)
    return replace(done, data={**done.data, "revision": db.read().revision})


def verify(ctx: Context, action: Verify) -> Outcome:
    """Every check must find 0 rows. What it finds is shown, up to ten rows, and nothing goes on."""
    db = database(ctx)
    asked = 0
    for check in action.checks:
        ctx.hold.check()
        found = db.count(check)
        asked += 1
        ctx.note("verified", {"title": check.title, "rows": found.rows})
        if found.rows:
            raise rows_in_the_way(check, found, f"v{action.version} is not verified")
    return Done({"version": action.version.text, "checks": asked, "rows": 0})


def rows_in_the_way(check: Check, found: Count, what: str) -> RowsInTheWay:
    """The refusal that shows the rows."""
    return RowsInTheWay(
        f"{what}: {found.rows} {check.title}" + (f", such as {'; '.join(found.shown[:10])}" if found.shown else ""),
        now="Traffic and schema are as they were before this step.",
        next=("look at these rows and mend them", f"they are found by: {check.sql}"),
    )


def contract(ctx: Context, action: Contract) -> Outcome:
    """Look once more that nobody can need what goes (R4, R13), then statement by statement."""
    broken = rules.before_contract(ctx.situation(ctx.world()), action.version)
    if broken:
        kind = NotRetired if all(v.rule == "R13" for v in broken) else StillNeeded
        raise kind(
            f"the contract of v{action.version} cannot be applied: {'; '.join(str(v) for v in broken)}",
            now="Nothing of it was contracted.",
            next=("changeover status", "changeover cleanup    (it retires what stands in the way first)"),
        )
    return _complete(ctx, action, _apply(ctx, action))


def _shown(ctx: Context, action: Expand, done: Done) -> Outcome:
    """The expansion is complete when every read endpoint shows it; until then it is looked again, so that a person can interrupt."""
    probes = [s.probe for s in action.statements if s.probe is not None]
    lacking = [f"{r.name}: {what(p)}" for r in ctx.ports.readers for p in r.lacks(probes)]
    if not lacking:
        return _complete(ctx, action, done)
    first = next((e for e in ctx.events if e.kind == "lagging"), None)
    if first is None:
        ctx.note("lagging", {"endpoints": lacking})
    elif ctx.ports.clock.now() - first.at > ctx.policy.read_within:
        raise ReadEndpointBehind(
            f"after {ctx.policy.read_within:g} s a read endpoint does not show what v{action.version} added: {'; '.join(lacking)}",
            now="The primary has it. No traffic has moved.",
            next=(
                "look at the replication, or correct `database.read` in changeover.yml",
                f"changeover plan {action.version}",
            ),
        )
    return Again(LOOK_EVERY)


def what(probe: Probe) -> str:
    """`column orders.price_cents`."""
    return f"{probe.what.replace('_', ' ')} {probe.table}{'.' if probe.table else ''}{probe.name}"


def _apply(ctx: Context, action: Schema) -> Done:
    db = database(ctx)
    version, phase, statements = action.version, action.phase, action.statements
    _fresh_restore_point(ctx, db)
    longest, attempts = 0.0, 0
    for index, statement in enumerate(statements):
        ctx.hold.check()
        lock = db.apply(statement, marker(ctx, version, phase, index, digest(statement)), ctx.hold)
        longest, attempts = max(longest, lock.waited), attempts + max(0, lock.attempts - 1)
        if lock.attempts:
            data = {"title": statement.title, "attempts": lock.attempts, "waited": round(lock.waited, 3)}
            ctx.note("applied", {**data, "blocker": lock.blocker, "index": index})
    return Done(
        {
            "version": version.text,
            "statements": len(statements),
            "longest_lock": round(longest, 3),
            "retries": attempts,
        }
    )


def _complete(ctx: Context, action: Schema, done: Done) -> Done:
    """The phase is complete: the ledger says so, and the revision is known."""
    row = marker(ctx, action.version, action.phase, COMPLETE, action.digest)
    return replace(done, data={**done.data, "revision": database(ctx).complete(row, ctx.hold)})


def _fresh_restore_point(ctx: Context, db: Database) -> None:
    """Before the first statement: a restore point that grew too old while the run waited is taken again (rule R9)."""
    points = ctx.journal.ledger(ctx.run.environment).restore_points
    if not db.backups() or not points or any(e.kind == "applied" for e in ctx.events):
        return
    if ctx.ports.clock.now() - points[-1].at > ctx.policy.backup_max_age:
        point = db.backup(f"{points[-1].id}-{ctx.step.key}", ctx.hold)
        ctx.note("backup", {"id": point.id, "proof": point.proof}, facts=Facts(restore_points=(point,)))


def backfill(ctx: Context, action: Backfill) -> Outcome:
    """Batches from the last checkpoint on; between two batches a person may interrupt."""
    db = database(ctx)
    began = ctx.ports.clock.boottime()
    for index, statement in enumerate(action.statements):
        at = _position(ctx, index)
        if at is not None and at.finished:
            continue
        if at is None:
            upto = db.last_key(statement)
            gap = db.gap(statement)
            data = {"index": index, "upto": upto, "remaining": gap.remaining, "total": gap.total}
            ctx.note("range", {**data, "title": statement.title})
            return Again(0)
        upto, after, size = at.upto, at.after, at.size
        busy = db.pressure(statement) if upto is not None and ctx.policy.rest > 0 else ""
        if busy:
            if ctx.events[-1].kind != "throttled":
                ctx.note("throttled", {"index": index, "reason": busy})
            return Again(THROTTLED)
        filled = _Filled(ctx, index)
        try:
            while upto is not None:
                asked = ctx.ports.clock.boottime()
                batch = db.fill(statement, after, upto, size, ctx.hold)
                took = ctx.ports.clock.boottime() - asked  # with its claim and its commit, which others feel as well
                size, after = _next_size(size, batch.seconds, ctx.policy.batch), batch.hi
                filled.add(batch, size)
                if batch.hi is None:
                    break
                if ctx.interrupted() or ctx.ports.clock.boottime() - began > LOOK_EVERY:
                    return Again(0)
                if ctx.policy.rest > 0:
                    ctx.ports.clock.sleep(min(took * ctx.policy.rest, LONGEST_REST))
        finally:
            filled.note()
        if upto is None:
            ctx.note("filled", {"index": index, "hi": None, "rows": 0, "seconds": 0.0, "size": size})
        return Again(0)
    gaps = [db.gap(s) for s in action.statements]
    _must_be_full(ctx, action, gaps)
    rows = sum(int(e.data["rows"]) for e in ctx.events if e.kind == "filled")
    return Done({"version": action.version.text, "rows": rows, "remaining": sum(g.remaining for g in gaps)})


def _must_be_full(ctx: Context, action: Backfill, gaps: list[Gap]) -> None:
    """Before a contract every row must be filled: what is dropped afterwards cannot be copied any more."""
    left = sum(g.remaining for g in gaps)
    if ctx.run.kind == "cleanup" and left:
        raise StillNeeded(
            f"{left} rows are not filled by the backfill of v{action.version}; contracting now would lose their values",
            now="Nothing was contracted.",
            next=("look at those rows, mend the backfill", "changeover resume"),
        )


@dataclass(slots=True)
class _Filled:
    """What was filled since the last line of the journal. A kill loses a checkpoint of less than NOTE_EVERY: to fill again is harmless."""

    ctx: Context
    index: int
    rows: int = 0
    seconds: float = 0.0
    last: tuple[Batch, int] | None = None  # the last batch that is not told yet, and the size of the next one
    noted: float = -NOTE_EVERY  # boottime

    def add(self, batch: Batch, size: int) -> None:
        self.rows, self.seconds, self.last = self.rows + batch.rows, self.seconds + batch.seconds, (batch, size)
        if self.ctx.ports.clock.boottime() - self.noted >= NOTE_EVERY:
            self.note()

    def note(self) -> None:
        if self.last is None:
            return
        batch, size = self.last
        told = {"index": self.index, "hi": batch.hi, "rows": self.rows, "seconds": round(self.seconds, 3), "size": size}
        self.ctx.note("filled", told)
        self.rows, self.seconds, self.last = 0, 0.0, None
        self.noted = self.ctx.ports.clock.boottime()


@dataclass(frozen=True, slots=True)
class _Position:
    """Where one backfill statement stands: the end of its range, the checkpoint, the next batch's size in rows."""

    upto: str | None
    after: str | None
    size: int
    finished: bool = False


def _position(ctx: Context, index: int) -> _Position | None:
    """None: not begun."""
    mine = [e for e in ctx.events if e.data.get("index") == index]
    begun = next((e for e in mine if e.kind == "range"), None)
    if begun is None:
        return None
    filled = next((e for e in reversed(mine) if e.kind == "filled"), None)
    if filled is None:
        return _Position(begun.data["upto"], None, min(FIRST_BATCH, ctx.policy.batch))
    return _Position(begun.data["upto"], filled.data["hi"], int(filled.data["size"]), filled.data["hi"] is None)


def _next_size(size: int, seconds: float, largest: int) -> int:
    """Aim at BATCH_TARGET, at most doubling, from SMALLEST to the configured limit (`limits.batch`)."""
    wanted = size * 2 if seconds <= 0 else int(size * BATCH_TARGET / seconds)
    return min(max(SMALLEST, min(wanted, size * 2)), largest)


def prove(ctx: Context, action: Prove) -> Outcome:
    """Run the probes of every version against the schema as it is. A failed probe is BROKEN and stops the run."""
    db = database(ctx)
    schema = db.read()
    evidence = []
    for version, build in action.versions:
        ctx.hold.check()
        verdict, detail = _verdict(ctx.ports.prober.probes(version, build, db.url()))
        evidence.append(Evidence(version, schema.catalogue, ctx.ports.clock.now(), verdict, detail, ctx.run.id))
        ctx.note("proved", {"version": version.text, "verdict": verdict.value, "detail": detail})
    broken = next((e for e in evidence if e.verdict is Verdict.BROKEN), None)
    if broken is not None:
        raise ProofBroken(
            f"v{broken.version} does not work with schema {schema.revision}: {broken.detail}",
            now="The schema has what was added; every version in play must work with it.",
            next=("read the probe's message, mend the change", "changeover status"),
        )
    words = {e.version.text: e.verdict.value for e in evidence}
    return Done(
        {"verdicts": words, "revision": schema.revision, "catalogue": schema.catalogue}, Facts(evidence=tuple(evidence))
    )


def _verdict(results: Sequence[tuple[str, CommandResult]]) -> tuple[Verdict, str]:
    """All probes passed: OK. None there: UNVERIFIED. Any failed: BROKEN, with what it said."""
    probes = list(results)
    if not probes:
        return Verdict.UNVERIFIED, "no probes are configured"
    for name, result in probes:
        if not result.ok:
            said = (result.err or result.out).strip().splitlines()
            ended = "did not end in time" if result.status is None else f"ended {result.status}"
            return Verdict.BROKEN, f"probe {name} {ended}: {said[-1] if said else 'no message'}"
    return Verdict.OK, f"{len(probes)} of {len(probes)} probes"


def rehearse(ctx: Context, action: Rehearse) -> Outcome:
    """Contract a scratch copy of the restore point and run the probes of the versions that stay."""
    db = database(ctx)
    if not db.backups():
        return Done({"note": "not rehearsed: there is no restore point"})
    ctx.hold.check()
    scratch = db.rehearse(action.statements)
    try:
        verdicts = {}
        for version, build in action.versions:
            verdict, detail = _verdict(ctx.ports.prober.probes(version, build, scratch.url()))
            verdicts[version.text] = verdict.value
            if verdict is Verdict.BROKEN:
                raise ProofBroken(
                    f"v{version} would not work after the contract of v{action.version}: {detail}",
                    now="It was tried on a copy; nothing was contracted.",
                    next=("v" + version.text + " still needs what the contract takes away",),
                )
    finally:
        scratch.close()
    return Done({"verdicts": verdicts})
