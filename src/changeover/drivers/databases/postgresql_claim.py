"""The claim of the environment, and how a newer owner ends what an older one still runs in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from changeover.core.errors import DatabaseDenied
from changeover.core.model import Claim
from changeover.core.ports import Fence
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, not_obtained, until_locked
from changeover.drivers.databases.postgresql_errors import DENIED, LOCK_NOT_AVAILABLE
from changeover.drivers.databases.postgresql_session import (
    CALL,
    NAMESPACE,
    Connection,
    Sessions,
    has_ledger,
    ledger_on,
    milliseconds,
    watchdog,
)

_FIRST_COME = 0x436C61  # the second key of the lock under which the tables are made and claimed
_END_WITHIN = 10.0  # seconds for ended sessions to be gone


@dataclass(frozen=True, slots=True)
class Claiming:
    """Takes the claim for one environment."""

    sessions: Sessions
    limits: Limits

    def take(self, claim: Claim, fence: Fence, *, adopt: bool = False) -> None:
        """Write the claim. Older sessions of the same environment are ended before (they may hold the claim row) and after
        (one may have compared just before), and their named lock is free on return.

        Raises ForeignStore or FencedOut, unless `adopt`; LockNotObtained.
        """
        with self.sessions.connect(claim.fence) as db, watchdog(db, self.limits.lock_deadline + 6 * CALL):
            db.execute("SELECT set_config('lock_timeout', %s, false)", (milliseconds(self.limits.lock),))
            wanted = Wanted("claiming the database")
            if not adopt and has_ledger(db):
                db.execute("BEGIN")
                Owner(claim.environment, claim.store, claim.fence).judge(ledger_on(db).claims(), claim.at)
                db.execute("COMMIT")
            until_locked(lambda: self._write(db, claim, fence, adopt=adopt), wanted, self.limits, fence)
            end_older(db, self.sessions, claim.fence)
            until_locked(lambda: self._free_named_lock(db), wanted, self.limits, fence)

    def _write(self, db: Connection, claim: Claim, fence: Fence, *, adopt: bool) -> None:
        began = time.monotonic()
        end_older(db, self.sessions, claim.fence)
        db.execute("BEGIN")
        try:
            db.execute("SELECT pg_advisory_xact_lock(%s, %s)", (NAMESPACE, _FIRST_COME))
            ledger = ledger_on(db)
            if not has_ledger(db):
                ledger.create()
            held = ledger.claims(lock=True)
            if not adopt:
                Owner(claim.environment, claim.store, claim.fence).judge(held, claim.at)
            fence.check()
            ledger.put_claim(claim)
            db.execute("COMMIT")
        except psycopg.Error as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            db.execute("ROLLBACK")
            raise Busy(time.monotonic() - began, "another claim of the database") from None

    def _free_named_lock(self, db: Connection) -> None:
        began = time.monotonic()
        try:
            with named_lock(db, self.sessions):
                return
        except psycopg.Error as error:
            if error.sqlstate != LOCK_NOT_AVAILABLE:
                raise
            raise Busy(time.monotonic() - began, "a statement of an older owner") from None


class named_lock:  # noqa: N801 - reads as a context
    """The lock for statements that cannot share a transaction: held by the session, gone with it."""

    def __init__(self, db: Connection, sessions: Sessions) -> None:
        self._db = db
        self._keys = (NAMESPACE, sessions.key)

    def __enter__(self) -> None:
        self._db.execute("SELECT pg_advisory_lock(%s, %s)", self._keys)

    def __exit__(self, *_: object) -> None:
        if not self._db.broken:
            self._db.execute("SELECT pg_advisory_unlock(%s, %s)", self._keys)


def end_older(db: Connection, sessions: Sessions, fence: int) -> int:
    """End the sessions of older fences of this environment; returns how many there were, when they are gone.

    Raises DatabaseDenied when the login may not, LockNotObtained when they do not go.
    """
    ended = 0
    pace = Pace()
    until = pace.now() + _END_WITHIN
    while older := _older(db, sessions, fence):
        ended = max(ended, len(older))
        try:
            for pid in older:
                db.execute("SELECT pg_terminate_backend(%s)", (pid,))
        except psycopg.Error as error:
            if error.sqlstate != DENIED:
                raise
            raise DatabaseDenied(
                f"sessions of an older owner run under another login, and this login may not end them (pids {older})",
                next=("GRANT pg_signal_backend TO the login, or end them yourself", "changeover resume"),
            ) from None
        if pace.now() > until:
            raise not_obtained(
                Wanted("ending an older owner's sessions"), Limits(lock_deadline=_END_WITHIN), 1, str(older)
            )
        pace.sleep(0.02)
    return ended


def _older(db: Connection, sessions: Sessions, fence: int) -> list[int]:
    prefix = sessions.name(None) + "/"
    rows = db.execute(
        "SELECT pid, substr(application_name, %s) FROM pg_stat_activity "
        "WHERE datname = current_database() AND starts_with(application_name, %s) AND pid <> pg_backend_pid()",
        (len(prefix) + 1, prefix),
    ).fetchall()
    return [pid for pid, number in rows if str(number).isdigit() and int(number) < fence]
