"""One act, one transaction: the claim compared, the marker written, the statement run, the fence checked, committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from changeover.core.errors import Where
from changeover.core.model import Applied, Check, Lock, Statement
from changeover.core.ports import Count, Fence, Lockwait
from changeover.drivers.databases import postgresql_catalogue as catalogue
from changeover.drivers.databases.checks import guarded, row_words
from changeover.drivers.databases.ledger_sql import Ledger, Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, until_locked
from changeover.drivers.databases.postgresql_blocker import BlockerWatch
from changeover.drivers.databases.postgresql_errors import Doing, is_busy, is_lost, lost_reply, translate, translated
from changeover.drivers.databases.postgresql_session import (
    CALL,
    Connection,
    Sessions,
    has_ledger,
    ledger_on,
    milliseconds,
    watchdog,
)

T = TypeVar("T")
Act = Callable[[Connection, Ledger], T]

LOSSES = 3  # a connection lost more often than this within one act is given up: somebody ends it on purpose


@dataclass(frozen=True, slots=True)
class Acting:
    """Acts of one owner: what every transaction compares, and how long it may wait.

    `line`: the connection for all of them, which the caller closes; None: each opens its own.
    """

    sessions: Sessions
    limits: Limits
    owner: Owner
    fence: Fence
    line: Line | None = None

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
                    except psycopg.Error as error:
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
        line = Line(self.sessions, self.owner.fence, doing)
        try:
            yield line
        finally:
            line.close()

    def _once(self, line: Line, act: Act[T], timeout: float) -> T:
        db = line.db()
        began = time.monotonic()
        with watchdog(db, timeout + 3 * CALL) if timeout > 0 else nullcontext():
            try:
                db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                db.execute(
                    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                    (milliseconds(self.limits.lock), milliseconds(timeout)),
                )
                began = time.monotonic()
                with line.watch.watching(db.info.backend_pid):
                    ledger = ledger_on(db)
                    self.owner.must_hold(ledger.claims(lock=True) if has_ledger(db) else (), time.time())
                    result = act(db, ledger)
                self.fence.check()
                db.execute("COMMIT")
            except psycopg.Error as error:
                if not is_busy(error):
                    raise
                db.execute("ROLLBACK")
                raise Busy(time.monotonic() - began, line.watch.blocker) from None
            return result

    def apply(self, statement: Statement, marker: Applied) -> Lockwait:
        """The statement with its marker. Marked: nothing. Done but not marked: only the marker."""
        ran = False  # also when the reply to the commit was lost, and the next attempt finds the marker

        def act(db: Connection, ledger: Ledger) -> None:
            nonlocal ran
            if ledger.is_marked(marker):
                return
            ledger.mark(marker)
            if statement.probe is None or not catalogue.done(db, statement.probe):
                ran = True
                self._run(db, statement)

        wanted = Wanted(statement.title, (Where(statement.file, statement.line),))
        timeout = self.limits.statement_timeout if statement.lock is Lock.BRIEF else 0.0
        _, waited = self.write(wanted, act, timeout=timeout)
        return waited if ran else Lockwait(0)

    def _run(self, db: Connection, statement: Statement) -> None:
        """Its lock, what is asked under it, then what is done."""
        if statement.lock_first:
            db.execute(statement.lock_first)
        for guard in statement.guards:
            found = counted(db, guard)
            if found.rows:
                raise guarded(statement, guard, found)
        for part in statement.parts:
            db.execute(part)


def counted(db: Connection, check: Check) -> Count:
    """The answer of a check, with a sample when there are such rows."""
    row = db.execute(check.sql).fetchone()
    rows = 0 if row is None else int(row[0])
    shown = db.execute(check.sample).fetchall() if rows and check.sample else []
    return Count(rows, tuple(row_words(r) for r in shown))


class Line:
    """The connection of one act or of several, opened again when it is lost, and the watch beside it."""

    def __init__(self, sessions: Sessions, fence: int, doing: Doing) -> None:
        self._sessions = sessions
        self.fence = fence
        self._db: Connection | None = None
        self._doing = doing
        self.watch = BlockerWatch(sessions, fence)

    def begin(self, doing: Doing) -> None:
        """The next act: who stood in the way of the last one is forgotten."""
        self._doing = doing
        self.watch.blocker = ""

    def db(self) -> Connection:
        """A connection outside any transaction."""
        if self._db is None:
            try:
                self._db = self._sessions.connect(self.fence)
            except psycopg.Error as error:
                raise translate(error, self._sessions, self._doing) from None
        elif self._db.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            self.close_db()
            return self.db()
        return self._db

    def lost(self, doing: Doing) -> None:
        """Forget the connection; should the next one fail, `doing` says what is unknown."""
        self._doing = doing
        self.close_db()

    def close_db(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def close(self) -> None:
        self.watch.close()
        self.close_db()
