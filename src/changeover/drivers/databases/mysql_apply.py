"""One act, one transaction, under the environment's lock: claim compared, marker and rows written, fence checked, committed.

For what a transaction can hold: rows. What commits by itself is in `mysql_alone`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from changeover.core.errors import Where
from changeover.core.model import Applied, Statement
from changeover.core.ports import Fence, Lockwait
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, until_locked
from changeover.drivers.databases.mysql_blocker import BlockerWatch
from changeover.drivers.databases.mysql_errors import Doing, is_busy, is_lost, lost_reply, translate, translated
from changeover.drivers.databases.mysql_ledger import MysqlLedger, has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_lock import NamedLock
from changeover.drivers.databases.mysql_session import (
    CALL,
    Connection,
    Sessions,
    limit_statements,
    watchdog,
    whole_seconds,
)

T = TypeVar("T")
Act = Callable[[Connection, MysqlLedger], T]

LOSSES = 3  # a connection lost more often than this within one act is given up: somebody ends it on purpose
_ROWS = re.compile(r"(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)


def is_about_rows(statement: Statement) -> bool:
    """Whether a transaction can hold it. What is not known to be about rows is taken for one that commits by itself."""
    return _ROWS.match(statement.sql.lstrip()) is not None


@dataclass(frozen=True, slots=True)
class Acting:
    """Acts of one owner: what every act compares, and how long it may wait.

    `line`: the session for all of them, which the caller closes; None: each opens its own.
    """

    sessions: Sessions
    limits: Limits
    owner: Owner
    fence: Fence
    line: Line | None = None

    @property
    def lock(self) -> NamedLock:
        return NamedLock(self.sessions.address.database, self.owner.environment)

    def write(self, wanted: Wanted, act: Act[T], *, timeout: float = CALL) -> tuple[T, Lockwait]:
        """`act` in a transaction of its own, repeated until it has got its locks.

        `timeout` ends each statement (seconds, 0: never). When the connection is lost, even in COMMIT, the same is done
        again: the marker, read under the claim's lock, tells whether the first one had been committed.
        """
        doing = Doing(wanted.title, wanted.where)
        with self._line(doing) as line, translated(self.sessions, doing):
            pace = Pace()

            def attempt() -> T:
                for losses, pause in enumerate(pace.pauses(), 1):
                    try:
                        return self._once(line, act, timeout)
                    except pymysql.err.Error as error:
                        if not is_lost(error):
                            told = Doing(wanted.title, wanted.where, rolled_back=True)
                            raise translate(error, self.sessions, told) from None
                        if losses == LOSSES:
                            raise translate(error, self.sessions, lost_reply(doing)) from None
                        line.lost(lost_reply(doing))
                    pace.sleep(pause)
                    self.fence.check()
                raise AssertionError("the pauses have no end")

            return until_locked(attempt, wanted, self.limits, self.fence)

    @contextmanager
    def _line(self, doing: Doing) -> Iterator[Line]:
        if self.line is not None:
            self.line.begin(doing)
            yield self.line
            return
        line = Line(self.sessions, self.lock, self.owner, doing)
        try:
            yield line
        finally:
            line.close()

    def _once(self, line: Line, act: Act[T], timeout: float) -> T:
        db = line.db()
        with watchdog(db, timeout + 3 * CALL) if timeout > 0 else nullcontext():
            with self.lock.held(db, self.owner, self.limits.lock):
                wait = whole_seconds(self.limits.lock)
                db.execute("SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s", (wait, wait))
                limit_statements(db, timeout)
                began = time.monotonic()
                with committing(db):
                    try:
                        with line.watch.watching(db.id):
                            ledger = self.compared(db)
                            result = act(db, ledger)
                    except pymysql.err.Error as error:
                        if not is_busy(error):
                            raise
                        raise Busy(time.monotonic() - began, line.watch.blocker) from None
                    self.fence.check()
            return result

    def compared(self, db: Connection) -> MysqlLedger:
        """Lock the claim row in this transaction and compare it. Raises FencedOut, ForeignStore."""
        ledger = ledger_on(db)
        self.owner.must_hold(ledger.claims(lock=True) if has_ledger(db) else (), time.time())
        return ledger

    def apply(self, statement: Statement, marker: Applied) -> Lockwait:
        """A statement about rows, with its marker. Marked: nothing. Done but not marked: only the marker."""
        ran = False  # also when the reply to the commit was lost, and the next attempt finds the marker

        def act(db: Connection, ledger: MysqlLedger) -> None:
            nonlocal ran
            if ledger.is_marked(marker):
                return
            ledger.mark(marker)
            if statement.probe is None or not probes.done(db, statement.probe):
                ran = True
                db.execute(statement.sql)

        _, waited = self.write(Wanted(statement.title, (Where(statement.file, statement.line),)), act, timeout=0.0)
        return waited if ran else Lockwait(0)


@contextmanager
def committing(db: Connection) -> Iterator[None]:
    """A transaction: committed at the end, rolled back by any error. READ COMMITTED: no gaps between rows are locked."""
    db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    db.execute("START TRANSACTION")
    try:
        yield
    except BaseException:
        if db.open:
            _roll_back(db)
        raise
    db.execute("COMMIT")


def _roll_back(db: Connection) -> None:
    """A session that is closed rolls back, too."""
    try:
        db.execute("ROLLBACK")
    except pymysql.err.Error:
        db.close()


class Line:
    """The session of one act or of several, opened again when it is lost, and the watch beside it."""

    def __init__(self, sessions: Sessions, lock: NamedLock, owner: Owner, doing: Doing) -> None:
        self._sessions = sessions
        self._lock = lock
        self.owner = owner
        self._db: Connection | None = None
        self._lost = 0
        self._doing = doing
        self.watch = BlockerWatch(sessions, owner.fence)

    def begin(self, doing: Doing) -> None:
        """The next act: who stood in the way of the last one is forgotten."""
        self._doing = doing
        self.watch.blocker = ""

    def db(self) -> Connection:
        """A session outside any transaction."""
        if self._db is None or not self._db.open:
            try:
                self._db = self._sessions.connect(self.owner.fence)
                if self._lost:
                    self._lock.end_lost(self._db, self._lost, self.owner)
            except pymysql.err.Error as error:
                raise translate(error, self._sessions, self._doing) from None
        return self._db

    def lost(self, doing: Doing) -> None:
        """Forget the session; should the next one fail, `doing` says what is unknown."""
        self._doing = doing
        if self._db is not None:
            self._lost = self._db.id
        self.close_db()

    def close_db(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def close(self) -> None:
        self.watch.close()
        self.close_db()
