"""The claim of the environment, and how a newer owner ends what an older one still runs in the database."""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.model import Claim
from changeover.core.ports import Fence
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Busy, Limits, Pace, Wanted, not_obtained, until_locked
from changeover.drivers.databases.sqlserver_errors import DENIED
from changeover.drivers.databases.sqlserver_faults import Fault, Refused, is_busy
from changeover.drivers.databases.sqlserver_ledger import has_kept, has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_locks import FIRST_COME, held_by_session, hold_for_transaction
from changeover.drivers.databases.sqlserver_session import BEGIN, COMMIT, Connection, Row, Sessions
from changeover.drivers.databases.sqlserver_text import literal

_END_WITHIN = 10.0  # seconds for ended sessions to be gone, their work rolled back

SEES_SESSIONS = "SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE');"
OLDER = (
    "SELECT session_id, program_name FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND database_id = DB_ID() "
    "AND LEFT(program_name, LEN(@prefix)) = @prefix AND session_id <> @@SPID;"
)
_KILL = (
    "IF EXISTS (SELECT 1 FROM sys.dm_exec_sessions WHERE session_id = {session} AND {still}) KILL {session};"
    # a session id is given to the next who comes: it is looked at in the batch that kills
)
_GONE_ALREADY = 6106  # not an active process id


@dataclass(frozen=True, slots=True)
class Claiming:
    """Takes the claim for one environment."""

    sessions: Sessions
    limits: Limits

    def take(self, claim: Claim, fence: Fence, *, adopt: bool = False) -> None:
        """Write the claim. Older sessions of the same environment are ended before (they may hold the claim row) and after
        (one may run outside a transaction), and their named lock is free on return.

        Where the login may neither see nor end sessions, the locks alone keep the order: an older owner's transaction has
        locked the claim row, its statement outside a transaction holds the named lock, and the claim waits for both.
        Raises ForeignStore or FencedOut, unless `adopt`; LockNotObtained.
        """
        with self.sessions.connect(claim.fence, lock=self.limits.lock) as db:
            wanted = Wanted("claiming the database")
            if not adopt and has_ledger(db):
                Owner(claim.environment, claim.store, claim.fence).judge(ledger_on(db).claims(), claim.at)
            until_locked(lambda: self._write(db, claim, fence, adopt=adopt), wanted, self.limits, fence)
            end_older(db, self.sessions, claim.fence)
            until_locked(lambda: self._free_named_lock(db), wanted, self.limits, fence)

    def _write(self, db: Connection, claim: Claim, fence: Fence, *, adopt: bool) -> None:
        began = time.monotonic()
        unseen = end_older(db, self.sessions, claim.fence)
        db.execute(BEGIN)
        try:
            hold_for_transaction(db, FIRST_COME, self.limits.lock, "another claim of the database")
            ledger = ledger_on(db)
            if not (has_ledger(db) and has_kept(db)):
                ledger.create()
            held = ledger.claims(lock=True)
            if not adopt:
                Owner(claim.environment, claim.store, claim.fence).judge(held, claim.at)
            fence.check()
            ledger.put_claim(claim)
            db.execute(COMMIT)
        except Fault as fault:
            db.settle()
            if not is_busy(fault):
                raise
            raise Busy(time.monotonic() - began, unseen or "another claim of the database") from None
        except BaseException:
            db.settle()
            raise

    def _free_named_lock(self, db: Connection) -> None:
        with held_by_session(db, self.sessions.name(None), self.limits.lock, "a statement of an older owner"):
            return


def end_older(db: Connection, sessions: Sessions, fence: int) -> str:
    """End the sessions of older fences of this environment; on return those that may be ended are gone.

    Returns "" when there is none left, else words for what may be left. Raises LockNotObtained when ended ones do not go.
    """
    if db.number(SEES_SESSIONS) != 1:
        return "perhaps an older owner's session: this login may not see sessions (VIEW SERVER STATE)"
    pace = Pace()
    until = pace.now() + _END_WITHIN
    while older := _older(db, sessions, fence):
        for session, name in older:
            try:
                db.execute(kill_sql(session, program=name))
            except Refused as refused:
                if refused.numbers & DENIED:
                    return f"an older owner's session {session}: this login may not end it (ALTER ANY CONNECTION)"
                if refused.number != _GONE_ALREADY:
                    raise
        if pace.now() > until:
            left = f"sessions {', '.join(str(s) for s, _ in older)} of an older owner, which roll back"
            raise not_obtained(Wanted("ending an older owner's sessions"), Limits(lock_deadline=_END_WITHIN), 1, left)
        pace.sleep(0.02)
    return ""


def kill_sql(session: int, *, program: str = "", login: str = "") -> str:
    """KILL takes a number, not a parameter; only if the session is still that of the program, or of the login."""
    of = literal(login)
    still = f"program_name = {literal(program)}" if program else f"{of} IN (original_login_name, login_name)"
    return _KILL.format(session=int(session), still=still)


def _older(db: Connection, sessions: Sessions, fence: int) -> list[Row]:
    prefix = sessions.name(None) + "/"
    rows = db.execute(OLDER, {"prefix": prefix})
    return [(s, name) for s, name in rows if name[len(prefix) :].isdigit() and int(name[len(prefix) :]) < fence]
