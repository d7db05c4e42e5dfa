"""Statements that commit by themselves, which on MariaDB and MySQL is every change of the schema: look before, run, look after, mark.

They run under the environment's lock, which goes with the session, and which a take-over breaks by ending the session. After a
crash between the statement and its marker the catalogue decides. Where the catalogue cannot tell, a row that says *begun* is
written before, and a statement that was begun is never run again: a person has to look.

The lock of a table is asked for, never queued for: where an old transaction holds it, MariaDB does not wait at all and MySQL
is not asked; else one attempt waits a second, the least that both know. `lock_wait_timeout` is what the clauses WAIT and NOWAIT
of MariaDB set, and it is heeded by triggers and views, too, so no statement's text is touched.

Of several statements that are one act each commits by itself. Each has its own look at the catalogue, so an act that was cut is
gone on with where it was cut. What is asked under its lock is asked before the first of them only: that it was asked is
written down, under the lock, before anything is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count

from changeover.core.errors import StatementFailed, StatementFateUnknown, Where
from changeover.core.model import Applied, Lock, Statement
from changeover.core.ports import Lockwait
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.checks import guarded
from changeover.drivers.databases.ledger_sql import APPLIED, literal
from changeover.drivers.databases.limits import Busy, Pace, Wanted, until_locked
from changeover.drivers.databases.mysql_apply import LOSSES, Acting, committing
from changeover.drivers.databases.mysql_blocker import BlockerWatch, old_holder
from changeover.drivers.databases.mysql_counted import counted
from changeover.drivers.databases.mysql_errors import Doing, is_busy, is_lost, lost_reply, translate, translated
from changeover.drivers.databases.mysql_ledger import MysqlLedger, has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_parts import run_parts
from changeover.drivers.databases.mysql_session import (
    CALL,
    Connection,
    Sessions,
    limit_statements,
    watchdog,
    whole_seconds,
)

_WAITS_ALL_THE_SAME = 5  # of so many attempts one waits, where it is only suspected who holds the table


class _Lost(Exception):
    """The connection was lost while the statement ran."""

    def __init__(self, error: pymysql.err.Error) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Alone:
    """Runs one such statement for an owner."""

    acting: Acting
    statement: Statement
    marker: Applied
    _succeeded: bool = False  # the server has accepted it in this process, whatever became of the marker
    _attempts: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self) -> Lockwait:
        """Returns when the statement is done and marked. Raises as `Database.apply`."""
        wanted = Wanted(self.statement.title, self._where)
        blocker, waited = self._until_done(wanted)
        if blocker is None:
            return Lockwait(0)
        return Lockwait(waited.attempts, waited.waited, waited.blocker or blocker)

    @property
    def _where(self) -> tuple[Where, ...]:
        return (Where(self.statement.file, self.statement.line),)

    @property
    def _again(self) -> bool:
        """It may be run again: each part says for itself whether it has been done."""
        return bool(self.statement.block)

    @property
    def _tables(self) -> tuple[str, ...]:
        probe = self.statement.probe or next((p for p in self.statement.probes if p is not None), None)
        if probe is None:
            return ()
        name = probe.table or (probe.name if probe.what in ("table", "view") else "")
        return (probes.parts_of(name)[-1],) if name else ()

    def _until_done(self, wanted: Wanted) -> tuple[str | None, Lockwait]:
        """A lost connection is no answer: look again, under the lock, which the lost session may still hold."""
        sessions = self.acting.sessions
        doing = Doing(wanted.title, wanted.where)
        losses, pace = 0, Pace()
        pauses = pace.pauses()
        while True:
            with translated(sessions, doing):
                try:
                    return until_locked(self._attempt, wanted, self.acting.limits, self.acting.fence)
                except _Lost as lost:
                    losses, doing = losses + 1, lost_reply(doing)
                    if losses == LOSSES:
                        raise translate(lost.error, sessions, doing) from None
                    pace.sleep(next(pauses))

    def _attempt(self) -> str | None:
        """None: there was nothing to do. Else it ran; who stood in the way, "" if nobody."""
        acting = self.acting
        watch = BlockerWatch(acting.sessions, acting.owner.fence, self._tables)
        began = time.monotonic()
        with acting.sessions.connect(acting.owner.fence) as db:
            try:
                with acting.lock.held(db, acting.owner, acting.limits.lock):
                    began = time.monotonic()
                    return self._under_lock(db, watch)
            except pymysql.err.Error as error:
                if is_lost(error):
                    raise _Lost(error) from None
                if not is_busy(error):
                    raise
                raise Busy(time.monotonic() - began, watch.blocker) from None
            finally:
                watch.close()

    def _under_lock(self, db: Connection, watch: BlockerWatch) -> str | None:
        acting, probe = self.acting, self.statement.probe
        ledger = ledger_on(db)
        acting.owner.must_hold(ledger.claims() if has_ledger(db) else (), time.time())
        if ledger.is_marked(self.marker):
            return "" if self._succeeded else None
        if self._succeeded or (probe is not None and probes.done(db, probe)):
            self._mark(db)
            return "" if self._succeeded else None
        begun = ledger.is_begun(self.marker)
        if probe is None and begun and not self._again:
            raise fate_unknown(self.statement, self.marker)
        self._do(db, ledger, watch, begun=begun)
        if probe is not None and not probes.done(db, probe):
            raise StatementFailed(
                f"{self.statement.title}: the database accepted it, and the catalogue does not show it",
                now="Unknown: look at it before you go on.",
                next=("changeover doctor", "changeover resume"),
                where=self._where,
            )
        self._mark(db)
        return watch.blocker

    def _mark(self, db: Connection) -> None:
        """The marker in a transaction of its own, after the claim was compared again."""
        db.execute("SET SESSION innodb_lock_wait_timeout = %s", (whole_seconds(self.acting.limits.lock),))
        with committing(db):
            ledger = self.acting.compared(db)
            self.acting.fence.check()
            ledger.mark(self.marker)

    # running it --------------------------------------------------------------------------------------------------

    def _do(self, db: Connection, ledger: MysqlLedger, watch: BlockerWatch, *, begun: bool) -> None:
        """Run it; what the server refuses leaves nothing, not even the word that it was begun."""
        wait = self._patience(db, watch)
        db.execute("SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s", (wait, max(1, wait)))
        self.acting.fence.check()
        try:
            with self._ended_in_time(db), watch.watching(db.id):
                if self._again:
                    self._block(db, begun=begun)
                else:
                    self._one(db, ledger)
        except pymysql.err.Error as error:
            if is_lost(error) or is_busy(error):
                raise
            doing = Doing(self.statement.title, self._where, _left_by(self.statement, db))
            raise translate(error, self.acting.sessions, doing) from None
        self._succeeded = True

    def _one(self, db: Connection, ledger: MysqlLedger) -> None:
        if self.statement.probe is None:
            ledger.begin(self.marker)
        try:
            db.execute(self.statement.sql)
        except pymysql.err.Error as error:
            if not is_lost(error) and self.statement.probe is None:
                ledger.not_begun(self.marker)
            raise

    def _block(self, db: Connection, *, begun: bool) -> None:
        """Its lock, what is asked under it, then each part that the catalogue does not show. Tables are unlocked in any case."""
        if not self.statement.lock_first:
            self._asked(db)
            run_parts(db, self.statement, self.acting.fence.check)
            return
        with self.acting.sessions.connect(
            self.acting.owner.fence
        ) as beside:  # under the lock no other table can be read
            db.execute(self.statement.lock_first)
            try:
                if not begun:
                    self._asked(db)
                    ledger_on(beside).begin(self.marker)
                run_parts(db, self.statement, self.acting.fence.check)
            finally:
                if db.open:
                    db.execute("UNLOCK TABLES")

    def _asked(self, db: Connection) -> None:
        """Raises RowsInTheWay."""
        for guard in self.statement.guards:
            found = counted(db, guard)
            if found.rows:
                raise guarded(self.statement, guard, found)

    def _patience(self, db: Connection, watch: BlockerWatch) -> int:
        """How many seconds this attempt waits for its lock; 0: not at all. Raises Busy where it must not even be asked for."""
        wait, attempt = whole_seconds(self.acting.limits.lock), next(self._attempts)
        found = old_holder(db, self._tables)
        if found is None:
            return wait
        watch.blocker = found.words if found.certain else f"probably {found.words}"
        if db.product.mariadb:
            return 0 if found.certain or attempt % _WAITS_ALL_THE_SAME else wait
        if found.certain:
            raise Busy(0.0, watch.blocker)
        return wait

    @contextmanager
    def _ended_in_time(self, db: Connection) -> Iterator[None]:
        """What should only change the catalogue and runs longer is ended: it rewrites a table after all."""
        seconds = self.acting.limits.statement_timeout if self.statement.lock is Lock.BRIEF else 0.0
        brief = seconds > 0
        if db.product.mariadb:
            limit_statements(db, seconds)
        with (
            watchdog(db, seconds + 3 * CALL) if brief else nullcontext(),
            stopper(self.acting.sessions, db, seconds) if brief and not db.product.mariadb else nullcontext(),
        ):
            yield
        if db.product.mariadb:
            limit_statements(db, 0.0)


@contextmanager
def stopper(sessions: Sessions, db: Connection, seconds: float) -> Iterator[None]:
    """End the statement of `db` after so long: MySQL's own limit is for SELECT only."""

    def stop() -> None:
        try:
            with sessions.session() as other:
                other.execute(f"KILL QUERY {db.id:d}")
        except pymysql.err.Error:
            return  # it has ended, or the watchdog cuts it

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _left_by(statement: Statement, db: Connection) -> str:
    several = "," in statement.sql and statement.sql.lstrip()[:4].upper() == "DROP"
    if several and db.product.mariadb:
        return "Of the objects that it names, those before the one that failed may be gone."
    return "Nothing of it is left."


def fate_unknown(statement: Statement, marker: Applied) -> StatementFateUnknown:
    """The error that asks a person, with the two statements that tell changeover what the person saw."""
    row = " AND ".join(
        f"{column} = {literal(value)}"
        for column, value in (("version", marker.version.text), ("phase", marker.phase.value), ("idx", marker.index))
    )
    return StatementFateUnknown(
        f"{statement.title}: an earlier attempt began it and did not tell how it ended, and the catalogue cannot show it",
        now="Unknown whether it was done. It was not run again.",
        next=(
            "look whether it was done",
            f"if it was:      UPDATE {APPLIED} SET done = 1 WHERE {row};",
            f"if it was not:  DELETE FROM {APPLIED} WHERE {row} AND done = 0;",
            "changeover resume",
        ),
        where=(Where(statement.file, statement.line),),
    )
