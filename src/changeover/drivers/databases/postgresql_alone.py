"""Statements that run outside any transaction (CONCURRENTLY): look before, run, look after, mark.

They hold the environment's named lock: it goes with the session, and a take-over ends the session first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import Applied, Statement
from changeover.core.ports import Lockwait
from changeover.drivers.databases import postgresql_catalogue as catalogue
from changeover.drivers.databases.ledger_sql import Ledger
from changeover.drivers.databases.limits import Busy, Pace, Wanted, until_locked
from changeover.drivers.databases.postgresql_apply import LOSSES, Acting
from changeover.drivers.databases.postgresql_blocker import BlockerWatch
from changeover.drivers.databases.postgresql_claim import named_lock
from changeover.drivers.databases.postgresql_errors import (
    DEADLOCK,
    LOCK_NOT_AVAILABLE,
    Doing,
    is_lost,
    lost_reply,
    translate,
    translated,
)
from changeover.drivers.databases.postgresql_session import Connection, has_ledger, ledger_on, milliseconds


class _Lost(Exception):
    """The connection was lost while the statement ran."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Alone:
    """Runs one `alone` statement for an owner."""

    acting: Acting
    statement: Statement
    marker: Applied

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
                except _Lost as lost:
                    losses, doing = losses + 1, lost_reply(doing)
                    if losses == LOSSES:
                        raise translate(lost.error, sessions, doing) from None
                    pace.sleep(next(pauses))

    def _mark(self, _: Connection, ledger: Ledger) -> None:
        if not ledger.is_marked(self.marker):
            ledger.mark(self.marker)

    def _attempt(self) -> str | None:
        """None: there was nothing to do. Else it ran; who stood in the way, "" if nobody."""
        acting = self.acting
        watch = BlockerWatch(acting.sessions, acting.owner.fence)
        began = time.monotonic()
        with acting.sessions.connect(acting.owner.fence) as db:
            try:
                with watch.watching(db.info.backend_pid), self._locked(db):
                    return self._under_lock(db, watch)
            except psycopg.Error as error:
                if is_lost(error):
                    raise _Lost(error) from None
                if error.sqlstate not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                    raise
                raise Busy(time.monotonic() - began, watch.blocker) from None
            finally:
                watch.close()

    @contextmanager
    def _locked(self, db: Connection) -> Iterator[None]:
        """The named lock, waited for as long as one attempt may; inside, nothing has a timeout."""
        db.execute("SELECT set_config('lock_timeout', %s, false)", (milliseconds(self.acting.limits.lock),))
        with named_lock(db, self.acting.sessions):
            db.execute("SELECT set_config('lock_timeout', '0', false), set_config('statement_timeout', '0', false)")
            yield

    def _under_lock(self, db: Connection, watch: BlockerWatch) -> str | None:
        statement, acting = self.statement, self.acting
        ledger = ledger_on(db)
        acting.owner.must_hold(ledger.claims() if has_ledger(db) else (), time.time())
        if ledger.is_marked(self.marker) or (statement.probe is not None and catalogue.done(db, statement.probe)):
            return None
        self._clear(db)
        acting.fence.check()
        self._execute(db)
        if statement.probe is not None and not catalogue.done(db, statement.probe):
            raise StatementFailed(
                f"{statement.title}: the database accepted it, and the catalogue does not show it",
                now="Unknown: look at it before you go on.",
                next=("changeover doctor", "changeover resume"),
                where=(Where(statement.file, statement.line),),
            )
        return watch.blocker

    def _execute(self, db: Connection) -> None:
        """Run it; a build that fails leaves an INVALID index, which costs every write: take it away at once."""
        statement, sessions = self.statement, self.acting.sessions
        doing = Doing(statement.title, (Where(statement.file, statement.line),))
        try:
            db.execute(statement.sql)
        except psycopg.Error as error:
            if is_lost(error):
                raise
            try:
                self._clear(db)
            except psycopg.Error:
                left = "An INVALID index may be left; the next attempt takes it away."
                raise translate(error, sessions, Doing(doing.title, doing.where, left)) from None
            if error.sqlstate == DEADLOCK:
                raise
            raise translate(error, sessions, Doing(doing.title, doing.where, "Nothing of it is left.")) from None

    def _clear(self, db: Connection) -> None:
        """Drop the INVALID index that an earlier attempt has left, unless somebody is building it right now."""
        probe = self.statement.probe
        if probe is None or probe.what != "index" or not probe.present:
            return
        found = catalogue.invalid_index(db, probe.name)
        if found is None:
            return
        if found.builder:
            raise Busy(0.0, f"pid {found.builder}, which is building {probe.name}")
        self.acting.fence.check()
        db.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {found.name}")
