"""The claim of the environment, and how a newer owner ends what an older one still runs in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.model import Claim
from changeover.core.ports import Fence
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Busy, Limits, Wanted, until_locked
from changeover.drivers.databases.mysql_errors import is_busy
from changeover.drivers.databases.mysql_ledger import has_kept, has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_lock import NamedLock
from changeover.drivers.databases.mysql_session import CALL, Connection, Sessions, watchdog, whole_seconds


@dataclass(frozen=True, slots=True)
class Claiming:
    """Takes the claim for one environment."""

    sessions: Sessions
    limits: Limits

    def take(self, claim: Claim, fence: Fence, *, adopt: bool = False) -> None:
        """Write the claim. An act of an older fence is ended before (it may hold the claim row) and after (it may have
        compared just before); on return none is under way.

        Raises ForeignStore or FencedOut, unless `adopt`; LockNotObtained.
        """
        owner = Owner(claim.environment, claim.store, claim.fence)
        with self.sessions.connect(claim.fence) as db, watchdog(db, self.limits.lock_deadline + 6 * CALL):
            wait = whole_seconds(self.limits.lock)
            db.execute("SET SESSION lock_wait_timeout = %s, innodb_lock_wait_timeout = %s", (wait, wait))
            if not adopt and has_ledger(db):
                owner.judge(ledger_on(db).claims(), claim.at)
            wanted = Wanted("claiming the database")
            until_locked(lambda: self._write(db, claim, fence, adopt=adopt), wanted, self.limits, fence)
            self._lock(claim).end_older(db, owner)

    def _lock(self, claim: Claim) -> NamedLock:
        return NamedLock(self.sessions.address.database, claim.environment)

    def _write(self, db: Connection, claim: Claim, fence: Fence, *, adopt: bool) -> None:
        began = time.monotonic()
        owner = Owner(claim.environment, claim.store, claim.fence)
        self._make_room(db, claim, owner, adopt=adopt)
        with self._lock(claim).first(db, self.limits.lock):
            ledger = ledger_on(db)
            if not (has_ledger(db) and has_kept(db)):
                fence.check()
                ledger.create()
            try:
                db.execute("START TRANSACTION")
                held = ledger.claims(lock=True)
                if not adopt:
                    owner.judge(held, claim.at)
                fence.check()
                ledger.put_claim(claim)
                db.execute("COMMIT")
            except pymysql.err.Error as error:
                if not is_busy(error):
                    raise
                db.execute("ROLLBACK")
                raise Busy(time.monotonic() - began, "an act of another owner") from None

    def _make_room(self, db: Connection, claim: Claim, owner: Owner, *, adopt: bool) -> None:
        """End what holds the claim row. A person who adopts ends it whosever it is."""
        if adopt and has_ledger(db):
            for held in ledger_on(db).claims():
                self._lock(held).end_older(db, owner, anybody=True)
        self._lock(claim).end_older(db, owner, anybody=adopt)
