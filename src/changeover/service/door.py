"""THE DOOR: check, doctor, plan, release, resume, approve, pause, abort, rollback, cleanup, undo, status, owed, drift, log, lock."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changeover.core.errors import (
    ChangeoverError,
    EnvironmentHeld,
    GateUnknown,
    NothingToDo,
    NoWayBack,
    RunUnknown,
    StoreUnusable,
    UsageError,
)
from changeover.core.model import Acknowledgement, Claim, Version
from changeover.core.ports import Finding, Permitted
from changeover.core.states import ENDED, Event, State
from changeover.core.steps import Plan, from_data, known_part
from changeover.engine.dispatch import Drive, Stop, until_it_ends
from changeover.engine.executor import WAYS_BACK, Engine, moved_traffic
from changeover.engine.journal import Journal
from changeover.engine.lease import LEASE, Hold
from changeover.engine.owner import Owner, whoami
from changeover.engine.records import EventRecord, Holder, RunRecord
from changeover.service import planning
from changeover.service import status as _status
from changeover.service.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changeover.schema.parting import Parted
    from changeover.service.drift import Drift
    from changeover.service.owed import Owed

CALL_TIMEOUT = 5.0  # seconds that a rollback waits for the holder before it takes over


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: the run (None: nothing had to be done), its state, and words."""

    run: str | None
    state: State
    words: str = ""


@dataclass(frozen=True, slots=True)
class Changeover:
    """One environment. Every method opens and closes the state store itself; threads may share the object.

    `lease` is in seconds; tests shorten it.
    """

    site: Site
    lease: float = LEASE
    heartbeat: bool = True

    # looking --------------------------------------------------------------------------------------------

    def doctor(self) -> tuple[Finding, ...]:
        """Read-only: is everything reachable and allowed? Nothing is changed."""
        ports = self.site.ports
        found: list[Finding] = [*ports.balancer.inspect(), *ports.runtime.inspect()]
        if ports.database is not None:
            found += ports.database.inspect()
        for reader in ports.readers:
            found += reader.inspect()
        if not self.site.policy.probes:
            fix = "configure `probes:`, commands that exercise a version against a schema"
            found.append(Finding("probes", ok=False, detail="none: every proof is UNVERIFIED", fix=fix, fatal=False))
        if self.site.assets:
            found.append(self._assets())
        return tuple(found)

    def _assets(self) -> Finding:
        """Whether the page of the serving version has every asset that it names: a check that would fail then is of no use."""
        entry = self.site.ports.balancer.entry()
        found = self.site.ports.prober.assets(entry, self.site.assets)
        detail = "; ".join(f"{path}: {problem}" for path, problem in found if problem)
        fix = "serve the files that the page names, see docs/howto/assets.md"
        return Finding(
            "assets",
            not detail,
            detail or f"every asset that {', '.join(self.site.assets)} names is there",
            fix,
            fatal=False,
        )

    def grants(self) -> tuple[str, ...]:
        """The minimal GRANT statements, then what the balancer needs, if somebody has to give it that."""
        ports = self.site.ports
        found = () if ports.database is None else tuple(ports.database.grants())
        return (*found, *ports.balancer.grants()) if isinstance(ports.balancer, Permitted) else found

    def status(self) -> _status.Status:
        """Asked and observed, the way back, what is owed."""
        if not self.site.store.exists():
            return _status.status(self.site, None)
        with self._journal() as journal:
            return _status.status(self.site, journal)

    def history(self, limit: int = 50) -> tuple[RunRecord, ...]:
        """The newest runs first."""
        with self._journal() as journal:
            return journal.runs(self.site.environment, limit=limit)

    def events(self, run: str | None = None, after: int = 0) -> tuple[EventRecord, ...]:
        """The events of a run (default: the newest)."""
        with self._journal() as journal:
            if run is None:
                newest = journal.runs(self.site.environment, limit=1)
                if not newest:
                    raise RunUnknown("nothing was ever run here", next=("changeover plan VERSION",))
                run = newest[0].id
            return journal.events(journal.run(run).id, after)

    def plan_of(self, run: str) -> Plan:
        """The frozen plan of a run."""
        with self._journal() as journal:
            return from_data(json.loads(journal.run(run).plan))

    def holder(self) -> Holder | None:
        """Who holds the environment."""
        with self._journal() as journal:
            return journal.holder(self.site.environment)

    def run_of(self, run: str) -> RunRecord:
        """One run."""
        with self._journal() as journal:
            return journal.run(run)

    # the schema -----------------------------------------------------------------------------------------

    def owed(self) -> tuple[Owed, ...]:
        """What waits to be taken away, since when, and what ends it. Read-only."""
        from changeover.service import owed

        return owed.owed(self.site)

    def drift(self) -> Drift:
        """The database against its ledger, the journal and the change files. Read-only."""
        from changeover.service import drift

        return drift.drift(self.site)

    def split(self, file: Path, version: str = "VERSION") -> Parted:
        """A migration as other tools write it, in two parts. Touches no server, writes nothing.

        Raises WouldBreak, StatementUnknown, ChangesUnreadable with every statement that cannot be split.
        """
        from changeover.schema.parting import part

        database = self.site.ports.database
        if database is None:
            raise UsageError("the environment has no database, so nobody knows whose SQL this is")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UsageError(f"{file} cannot be read: {why}") from None
        return part(text, str(file), database.dialect, version if version == "VERSION" else Version.of(version).text)

    # planning -------------------------------------------------------------------------------------------

    def plan(
        self,
        version: str,
        *,
        build: str = "",
        no_schema_change: bool = False,
        acknowledge: Sequence[str] = (),
    ) -> Plan:
        """Plan a release. Raises the refusal; nothing is changed."""
        return planning.for_release(
            self.site,
            Version.of(version),
            build=build,
            no_schema_change=no_schema_change,
            acknowledged=_acks(acknowledge),
            by=whoami(),
        )

    def plan_cleanup(self, *, through: str | None = None, acknowledge: Sequence[str] = ()) -> Plan:
        """Plan the point of no return."""
        upto = None if through is None else Version.of(through)
        return planning.for_cleanup(self.site, through=upto, acknowledged=_acks(acknowledge), by=whoami())

    def plan_undo(self, version: str, *, acknowledge: Sequence[str] = ()) -> Plan:
        """Plan taking back what was added for a version of which no instance ever started."""
        return planning.for_undo(self.site, Version.of(version), acknowledged=_acks(acknowledge), by=whoami())

    def plan_rollback(self, *, to: str | None = None, because: str = "") -> Plan:
        """Plan the way back from here."""
        with self._journal() as journal:
            known = journal.ledger(self.site.environment)
        return planning.for_rollback(
            self.site, known, to=None if to is None else Version.of(to), because=because, by=whoami()
        )

    # acting ---------------------------------------------------------------------------------------------

    def submit(self, plan: Plan) -> str:
        """Freeze the plan as a run. Raises PlanStale, EnvironmentHeld, ForeignStore; returns the run's id."""
        with self._journal() as journal:
            self._free(journal)
            planning.not_stale(self.site, plan)
            return journal.submit(plan, whoami())

    def _free(self, journal: Journal) -> None:
        """Refuse early when somebody else is at work here, in this store or in another one."""
        run = journal.open_run(self.site.environment)
        holder = journal.holder(self.site.environment)
        if run is not None:
            who = (
                holder.words(self.site.ports.clock.now())
                if holder is not None and holder.alive
                else "nobody watches it"
            )
            age = max(0, round(self.site.ports.clock.now() - run.at))
            raise EnvironmentHeld(
                f"{run.id} ({run.kind}) is {run.state} in {run.environment}: started by {run.by} {age} s ago; {who}",
                next=("changeover status", "changeover resume    or    changeover rollback"),
            )
        self._ours(journal)

    def _ours(self, journal: Journal) -> None:
        """Raises ForeignStore when the target database is held from another state store."""
        database = self.site.ports.database
        if database is not None:
            claim = database.read().claim
            if claim is not None and claim.store != journal.store_id:
                raise foreign(claim, self.site.ports.clock.now())

    def drive(
        self, run: str, *, stop: Stop = until_it_ends, interrupt: threading.Event | None = None, force: bool = False
    ) -> State:
        """Advance a run in this process until it has ended, `stop` says so, or `interrupt` is set."""
        with self._journal() as journal:
            return self._drive(journal).run(run, stop=stop, interrupt=interrupt, force=force)

    def _drive(self, journal: Journal) -> Drive:
        return Drive(self.engine(journal), Owner.me(self.site.ports.clock), self.lease, self.heartbeat)

    def engine(self, journal: Journal) -> Engine:
        """The engine of this environment on an open journal."""
        site = self.site

        def plan_back(run: RunRecord, given_up: bool, because: str) -> Plan:
            if run.kind != "release":
                raise NothingToDo("nothing of it has to be undone")
            known = journal.ledger(site.environment)
            by = f"changeover for {run.by}"
            gone = known_part(json.loads(run.plan))
            moved = moved_traffic(journal.events(run.id))
            if moved and not given_up:
                return planning.for_rollback(site, known, to=gone.source, because=because, by=by)
            return planning.for_abort(site, known, because=because, by=by, of=gone)

        return Engine(site.ports, journal, site.policy, site.pools, plan_back)

    def rollback(
        self, *, to: str | None = None, because: str = "", interrupt: threading.Event | None = None
    ) -> Outcome:
        """Take the old version back, now: preempts whatever is under way. Never touches the schema.

        The holder of a run gets one call timeout to let go; then the fence is raised, and what it still does at the
        database is cancelled. Raises NoWayBack with the reason; a refused rollback disturbs nothing. When the state store is
        away, the world alone decides, and what was done is recorded when the store is back.
        """
        by = whoami()
        wanted = None if to is None else Version.of(to)
        try:
            return self._roll_back(wanted, because, by, interrupt)
        except StoreUnusable as away:
            from changeover.service import emergency

            state, file = emergency.roll_back(self.site, to=wanted, because=because, by=by, interrupt=interrupt)
            return Outcome(None, state, f"The state store is away ({away.what}); it will be recorded from {file}.")

    def _roll_back(self, wanted: Version | None, because: str, by: str, interrupt: threading.Event | None) -> Outcome:
        with self._journal() as journal:
            run = journal.open_run(self.site.environment)
            known = journal.ledger(self.site.environment)
            if run is None:
                self._ours(journal)
                plan = planning.for_rollback(self.site, known, to=wanted, because=because, by=by)
                run_id = journal.submit(plan, by)
                return Outcome(run_id, self._drive(journal).run(run_id, interrupt=interrupt))
            gone = known_part(json.loads(run.plan))
            goal = wanted or _goal(gone)
            with suppress(NothingToDo):  # whatever refuses the way back does so before anything is disturbed
                planning.for_rollback(self.site, known, to=goal, because=because, by=by)
            self._preempt(journal, run, by, because)
            known = journal.ledger(self.site.environment)
            try:
                plan = planning.for_rollback(self.site, known, to=goal, because=because, by=by)
            except NothingToDo:
                return self._abandon(journal, gone, by, because)
            run_id = journal.submit(plan, by)
            return Outcome(run_id, self._drive(journal).run(run_id, interrupt=interrupt))

    def _abandon(self, journal: Journal, gone: Plan, by: str, because: str) -> Outcome:
        """No traffic had moved: stop what was started, and say so."""
        known = journal.ledger(self.site.environment)
        words = f"v{_goal(gone) or gone.target} serves everything; no traffic had to be moved."
        try:
            plan = planning.for_abort(self.site, known, because=because, by=by, of=gone)
        except NothingToDo:
            return Outcome(None, State.DONE, words)
        run_id = journal.submit(plan, by)
        return Outcome(run_id, self._drive(journal).run(run_id), words)

    def _preempt(self, journal: Journal, run: RunRecord, by: str, because: str) -> None:
        """End the run that is under way; politely first, then by raising the fence."""
        clock = self.site.ports.clock
        holder = journal.holder(self.site.environment)
        if holder is not None and holder.alive:
            journal.send(run.id, "rollback", by, note=because)
            deadline = clock.boottime() + CALL_TIMEOUT
            while clock.boottime() < deadline:
                holder = journal.holder(self.site.environment)
                if journal.run(run.id).state in ENDED and (holder is None or not holder.alive):
                    return
                clock.sleep(0.05)
        owner = Owner.me(clock)
        hold = Hold.take(journal, self.site.environment, run.id, owner, lease=self.lease, force=True)
        try:
            record = journal.run(run.id)
            if record.state not in ENDED:
                journal.record(record, hold.token, "preempted", data={"by": by, "note": because}, move_by=Event.PREEMPT)
            child = journal.child(run.id)
            if child is not None and child.state not in ENDED:
                journal.record(child, hold.token, "preempted", data={"by": by}, move_by=Event.PREEMPT)
            # The old owner may be asleep in the middle of an act: the targets must know that it was taken over.
            self.engine(journal).enter(record, hold)
        finally:
            hold.let_go()

    def resume(self, *, interrupt: threading.Event | None = None, stop: Stop = until_it_ends) -> Outcome:
        """Go on after a pause, a hold or a crash; takes over a run whose process is gone. Looks before it acts."""
        with self._journal() as journal:
            run = self._open(journal)
            if run.state in (State.PAUSED, State.HELD, State.BLOCKED, State.UNKNOWN):
                journal.send(run.id, "resume", whoami())
            child = journal.child(run.id)
            if child is not None and child.state in (State.PAUSED, State.HELD, State.BLOCKED, State.UNKNOWN):
                journal.send(child.id, "resume", whoami())
            holder = journal.holder(self.site.environment)
            if holder is not None and holder.alive:
                return Outcome(run.id, run.state, f"{holder.words(self.site.ports.clock.now())} goes on with it")
            return Outcome(run.id, self._drive(journal).run(run.id, stop=stop, interrupt=interrupt))

    def approve(self, gate: str, note: str = "") -> str:
        """Open the named gate. Raises GateUnknown if the plan has no such gate, or none is waiting."""
        with self._journal() as journal:
            run = self._open(journal)
            journal.send(run.id, "approve", whoami(), argument=gate, note=note)
            return run.id

    def gate(self) -> str:
        """The gate that waits. Raises GateUnknown."""
        found = self.status().gate
        if not found:
            raise GateUnknown("nothing waits for an approval", next=("changeover status",))
        return found

    def pause(self, note: str = "") -> str:
        """Hold at the next safe point."""
        with self._journal() as journal:
            run = self._open(journal)
            journal.send(run.id, "pause", whoami(), note=note)
            return run.id

    def abort(self, because: str = "", *, interrupt: threading.Event | None = None) -> Outcome:
        """Give the release up: traffic home, new instances stopped; what expand added stays and is owed."""
        with self._journal() as journal:
            run = self._open(journal)
            if run.kind in WAYS_BACK:
                raise NothingToDo(
                    f"{run.id} is a way back already: a {run.kind}, {run.state}",
                    next=("let it end: changeover status", "if nobody drives it: changeover resume"),
                )
            if run.state is not State.GOING_BACK:
                journal.send(run.id, "abort", whoami(), note=because)
            holder = journal.holder(self.site.environment)
            if holder is None or not holder.alive:
                return Outcome(run.id, self._drive(journal).run(run.id, interrupt=interrupt))
            clock = self.site.ports.clock
            while interrupt is None or not interrupt.is_set():
                record = journal.run(run.id)
                if record.ended is not None:
                    break
                clock.sleep(0.1)
            return Outcome(run.id, journal.run(run.id).state)

    def adopt(self) -> str:
        """Make this state store the one of the environment, on the order of a person. Returns who held it."""
        database = self.site.ports.database
        if database is None:
            raise NoWayBack("the environment has no database, so nothing is claimed")
        with self._journal() as journal:
            claim = database.read().claim
            if claim is None or claim.store == journal.store_id:
                raise NothingToDo("this state store holds the environment already")
            mine = Claim(
                self.site.environment, journal.store_id, claim.fence + 1, whoami(), self.site.ports.clock.now()
            )
            journal.start_after(self.site.environment, mine.fence)
            database.adopt(mine)
            return claim.holder

    def _open(self, journal: Journal) -> RunRecord:
        run = journal.open_run(self.site.environment)
        if run is None:
            raise RunUnknown("nothing is under way", next=("changeover status", "changeover plan VERSION"))
        return run

    @contextmanager
    def _journal(self) -> Iterator[Journal]:
        journal = self.site.journal()
        try:
            yield journal
        finally:
            journal.close()


def _goal(gone: Plan) -> Version | None:
    """What a rollback without a name goes back to while a run is under way; None: whatever is promised."""
    match gone.kind:
        case "release":
            return gone.source
        case "rollback" | "abort":
            return gone.target  # it was on its way there
        case _:
            return None


def foreign(claim: Claim, now: float) -> ChangeoverError:
    """The refusal that names who holds the environment from another state store."""
    from changeover.core.errors import ForeignStore

    return ForeignStore(
        f"{claim.environment} is held from another state store, by {claim.holder}, since {max(0, round(now - claim.at))} s",
        next=("work from that machine", "if that store is gone for good: changeover lock --adopt"),
    )


def _acks(names: Sequence[str]) -> tuple[Acknowledgement, ...]:
    by = whoami()
    return tuple(Acknowledgement(name, by) for name in names)
