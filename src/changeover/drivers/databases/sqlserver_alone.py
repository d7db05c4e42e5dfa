"""Statements that run outside any transaction (RESUMABLE builds, full-text indexes): look before, run, look after, mark.

They hold the environment's named lock: it goes with the session, and a take-over ends the session first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import Applied, Statement
from changeover.core.ports import Lockwait
from changeover.drivers.databases import sqlserver_probes as probes
from changeover.drivers.databases.ledger_sql import Ledger
from changeover.drivers.databases.limits import Busy, Pace, Wanted, until_locked
from changeover.drivers.databases.sqlserver_apply import LOSSES, Acting
from changeover.drivers.databases.sqlserver_blocker import SESSION, BlockerWatch
from changeover.drivers.databases.sqlserver_errors import Doing, lost_reply, translate, translated
from changeover.drivers.databases.sqlserver_faults import Fault, Lost, is_busy
from changeover.drivers.databases.sqlserver_ledger import has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_locks import held_by_session
from changeover.drivers.databases.sqlserver_session import Connection
from changeover.drivers.databases.sqlserver_text import last_part, quoted

HAS_RESUMABLE = "SELECT COUNT(*) FROM sys.system_views WHERE name = N'index_resumable_operations';"
RESUMABLE = "SELECT state FROM sys.index_resumable_operations WHERE name = @name AND object_id = OBJECT_ID(@table);"
_RUNNING = 0  # state of a build that somebody is at; 1: paused


@dataclass(frozen=True, slots=True)
class Alone:
    """Runs one `alone` statement for an owner. `began`: this act has begun the statement, so what is left of it is ours."""

    acting: Acting
    statement: Statement
    marker: Applied
    began: list[bool] = field(default_factory=list)

    def run(self) -> Lockwait:
        """Returns when the statement is done and marked. Raises as `apply`."""
        wanted = Wanted(self.statement.title, (Where(self.statement.file, self.statement.line),))
        blocker, waited = self._until_done(wanted)
        self.acting.write(wanted, self._mark)
        if blocker is None:
            return Lockwait(0)
        return Lockwait(waited.attempts, waited.waited, waited.blocker or blocker)

    def _until_done(self, wanted: Wanted) -> tuple[str | None, Lockwait]:
        """A lost connection is no answer: look again, under the named lock, which the lost session may still hold."""
        sessions = self.acting.sessions
        doing = Doing(wanted.title, wanted.where)
        losses, pace = 0, Pace()
        pauses = pace.pauses()
        while True:
            with translated(sessions, doing):
                try:
                    return until_locked(self._attempt, wanted, self.acting.limits, self.acting.fence)
                except Lost as lost:
                    losses, doing = losses + 1, lost_reply(doing)
                    if losses == LOSSES:
                        raise translate(lost, sessions, doing) from None
                    pace.sleep(next(pauses))

    def _mark(self, _: Connection, ledger: Ledger) -> None:
        if not ledger.is_marked(self.marker):
            ledger.mark(self.marker)

    def _attempt(self) -> str | None:
        """None: there was nothing to do. Else it ran; who stood in the way, "" if nobody."""
        acting = self.acting
        watch = BlockerWatch(acting.sessions, acting.owner.fence)
        began = time.monotonic()
        with acting.sessions.connect(acting.owner.fence, lock=acting.limits.lock) as db:
            by = "a statement of an older owner, or this one's own of a moment ago"
            try:
                with (
                    watch.watching(db.number(SESSION)),
                    held_by_session(db, acting.sessions.name(None), acting.limits.lock, by),
                ):
                    return self._under_lock(db, watch)
            except Fault as fault:
                if not is_busy(fault):
                    raise
                raise Busy(time.monotonic() - began, watch.blocker) from None
            finally:
                watch.close()

    def _under_lock(self, db: Connection, watch: BlockerWatch) -> str | None:
        statement, acting = self.statement, self.acting
        ledger = ledger_on(db)
        acting.owner.must_hold(ledger.claims() if has_ledger(db) else (), time.time())
        if ledger.is_marked(self.marker) or (statement.probe is not None and probes.done(db, statement.probe)):
            return None
        sql = self._next(db)
        acting.fence.check()
        self._execute(db, sql)
        if statement.probe is not None and not probes.done(db, statement.probe):
            raise StatementFailed(
                f"{statement.title}: the database accepted it, and the catalogue does not show it",
                now="Unknown: look at it before you go on.",
                next=("changeover doctor", "changeover resume"),
                where=(Where(statement.file, statement.line),),
            )
        return watch.blocker

    def _execute(self, db: Connection, sql: str) -> None:
        self.began.append(True)
        try:
            db.execute(sql, timeout=0.0, look=self.acting.fence.check)
        except Fault as fault:
            if is_busy(fault) or isinstance(fault, Lost):
                raise
            left = "It is not done. A build that can be resumed may be left paused; the next attempt takes it away."
            doing = Doing(self.statement.title, (Where(self.statement.file, self.statement.line),), left)
            raise translate(fault, self.acting.sessions, doing) from None

    def _next(self, db: Connection) -> str:
        """The statement; or, where this act's own attempt has left a paused build, its resumption.

        One that is not of this act may be of another text: it is taken away. Raises Busy when somebody is at it.
        """
        probe, sql = self.statement.probe, self.statement.sql
        if probe is None or probe.what != "index" or not probe.table or db.number(HAS_RESUMABLE) == 0:
            return sql
        name = last_part(probe.name)
        state = db.one(RESUMABLE, {"name": name, "table": probe.table})
        if state is None:
            return sql
        if int(state[0]) == _RUNNING:
            raise Busy(0.0, f"somebody who is building {name}")
        alter = f"ALTER INDEX {quoted(name)} ON {probe.table}"
        if self.began:
            return f"{alter} RESUME;"
        self.acting.fence.check()
        db.execute(f"{alter} ABORT;", timeout=0.0)
        return sql
