"""One act, one transaction: the claim compared, the statement run, the marker written, the fence checked, committed.

DDL is transactional in SQL Server, also `CREATE INDEX … WITH (ONLINE = ON)`. What cannot be is `alone`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import Applied, Check, Lock, Statement
from changeover.core.ports import Count, Fence, Lockwait
from changeover.drivers.databases import sqlserver_probes as probes
from changeover.drivers.databases.checks import guarded, row_words
from changeover.drivers.databases.ledger_sql import Ledger, Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, until_locked
from changeover.drivers.databases.sqlserver_blocker import SESSION, BlockerWatch
from changeover.drivers.databases.sqlserver_errors import Doing, lost_reply, translate, translated
from changeover.drivers.databases.sqlserver_faults import Fault, Lost, is_busy
from changeover.drivers.databases.sqlserver_ledger import has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_line import Look
from changeover.drivers.databases.sqlserver_session import BEGIN, COMMIT, OPEN, Connection, Sessions
from changeover.drivers.databases.sqlserver_text import has_word

T = TypeVar("T")
Act = Callable[[Connection, Ledger], T]

LOSSES = 3  # a connection lost more often than this within one act is given up: somebody ends it on purpose


@dataclass(frozen=True, slots=True)
class Acting:
    """Acts of one owner: what every transaction compares, and how long it may wait."""

    sessions: Sessions
    limits: Limits
    owner: Owner
    fence: Fence

    def write(self, wanted: Wanted, act: Act[T]) -> tuple[T, Lockwait]:
        """`act` in a transaction of its own, repeated until it has got its locks.

        When the connection is lost, even in COMMIT, the same is done again: the marker, read under the claim's lock, tells
        whether the first one had been committed. (The lost session holds that lock until the server has rolled it back.)
        """
        doing = Doing(wanted.title, wanted.where)
        with self._line(doing) as line, translated(self.sessions, doing):
            pace = Pace()

            def attempt() -> T:
                for losses, pause in enumerate(pace.pauses(), 1):
                    try:
                        return self._once(line, act, wanted)
                    except Lost as lost:
                        if losses == LOSSES:
                            raise translate(lost, self.sessions, lost_reply(doing)) from None
                        line.lost(lost_reply(doing))
                    except Fault as fault:
                        told = Doing(wanted.title, wanted.where, rolled_back=True)
                        raise translate(fault, self.sessions, told) from None
                    pace.sleep(pause)
                    self.fence.check()
                raise AssertionError("the pauses have no end")

            return until_locked(attempt, wanted, self.limits, self.fence)

    @contextmanager
    def _line(self, doing: Doing) -> Iterator[_Line]:
        line = _Line(self, doing)
        try:
            yield line
        finally:
            line.close()

    def _once(self, line: _Line, act: Act[T], wanted: Wanted) -> T:
        db = line.db()
        db.execute(BEGIN)
        began = time.monotonic()
        try:
            with line.watch.watching(line.session):
                ledger = ledger_on(db)
                self.owner.must_hold(ledger.claims(lock=True) if has_ledger(db) else (), time.time())
                result = act(db, ledger)
            _must_be_ours(db, wanted)
            self.fence.check()
            db.execute(COMMIT)
        except Fault as fault:
            db.settle()
            if not is_busy(fault):
                raise
            raise Busy(time.monotonic() - began, line.watch.blocker) from None
        except BaseException:
            db.settle()
            raise
        return result

    def apply(self, statement: Statement, marker: Applied) -> Lockwait:
        """The statement with its marker. Marked: nothing. Done but not marked: only the marker.

        The marker comes last: who reads the ledger waits for a row that is not committed, and a build may take an hour.
        While the statement runs, the fence is looked at about once a second: a newer owner need not be able to end us.
        """
        ran = False  # also when the reply to the commit was lost, and the next attempt finds the marker

        def act(db: Connection, ledger: Ledger) -> None:
            nonlocal ran
            if ledger.is_marked(marker):
                return
            if statement.probe is None or not probes.done(db, statement.probe):
                ran = True
                self._run(db, statement)
            ledger.mark(marker)

        _, waited = self.write(Wanted(statement.title, (Where(statement.file, statement.line),)), act)
        return waited if ran else Lockwait(0)

    def _run(self, db: Connection, statement: Statement) -> None:
        """Its lock, what is asked under it, then what is done: each a batch of its own, as CREATE TRIGGER wants it."""
        timeout, look = self._timeout(statement), self.fence.check
        if statement.lock_first:
            db.execute(statement.lock_first, timeout=timeout, look=look)
        for guard in statement.guards:
            found = counted(db, guard, timeout=timeout, look=look)
            if found.rows:
                raise guarded(statement, guard, found)
        for part in statement.parts:
            db.execute(part, timeout=timeout, look=look)

    def _timeout(self, statement: Statement) -> float:
        """Seconds that it may run, 0: any. An online build locks briefly, too, and takes as long as the table is large."""
        brief = statement.lock is Lock.BRIEF and not has_word(statement.sql, "ONLINE")
        return self.limits.statement_timeout if brief else 0.0


def counted(db: Connection, check: Check, *, timeout: float = 0.0, look: Look | None = None) -> Count:
    """The answer of a check, with a sample when there are such rows. It may look at every row."""
    row = next(iter(db.execute(check.sql, timeout=timeout, look=look)), None)
    rows = 0 if row is None or row[0] is None else int(row[0])
    shown = db.execute(check.sample, timeout=timeout, look=look) if rows and check.sample else []
    return Count(rows, tuple(row_words(r) for r in shown))


class _Line:
    """The connection of one act, opened again when it is lost, and the watch beside it."""

    def __init__(self, acting: Acting, doing: Doing) -> None:
        self._acting = acting
        self._doing = doing
        self._db: Connection | None = None
        self.session = 0
        self.watch = BlockerWatch(acting.sessions, acting.owner.fence)

    def db(self) -> Connection:
        """A connection outside any transaction."""
        if self._db is None or self._db.lost:
            acting = self._acting
            try:
                self._db = acting.sessions.connect(acting.owner.fence, lock=acting.limits.lock)
                self.session = self._db.number(SESSION)
            except Fault as fault:
                raise translate(fault, acting.sessions, self._doing) from None
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


def _must_be_ours(db: Connection, wanted: Wanted) -> None:
    """Raises StatementFailed when what ran has ended the transaction in which it ran, or begun another one."""
    if db.number(OPEN) != 1:
        raise StatementFailed(
            f"{wanted.title}: it ended or began a transaction of its own, so it and its mark are not one",
            now="Unknown: look at the schema before you go on. It is not known to be marked as applied.",
            next=("take BEGIN, COMMIT and ROLLBACK out of what it runs", "changeover doctor", "changeover resume"),
            where=wanted.where,
        )
