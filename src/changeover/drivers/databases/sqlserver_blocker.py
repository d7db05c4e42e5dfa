"""Who stands in the way of a statement that waits for a lock. Named, never killed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from changeover.core.errors import ChangeoverError
from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.sqlserver_faults import Fault
from changeover.drivers.databases.sqlserver_session import CALL, Connection, Row, Sessions

_PATIENCE = 0.03  # seconds: a change of the catalogue that nobody blocks is over before that
_PERIOD = 0.02  # seconds between two looks

SESSION = "SELECT @@SPID;"
WHO = """
SELECT TOP (1) w.blocking_session_id, s.login_name, s.program_name, s.host_name, s.status,
  DATEDIFF(SECOND, t.transaction_begin_time, GETDATE()), CONVERT(nvarchar(200), LEFT(q.text, 200))
FROM sys.dm_exec_requests w
LEFT JOIN sys.dm_exec_sessions s ON s.session_id = w.blocking_session_id
LEFT JOIN sys.dm_tran_session_transactions x ON x.session_id = s.session_id
LEFT JOIN sys.dm_tran_active_transactions t ON t.transaction_id = x.transaction_id
LEFT JOIN sys.dm_exec_connections c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) q
WHERE w.session_id = @session AND w.blocking_session_id <> 0
ORDER BY t.transaction_begin_time;
"""
_NOBODY_S = {-2: "an orphaned distributed transaction", -3: "a transaction of a recovery that was put off"}


class BlockerWatch:
    """Looks, from a session of its own, who blocks a session; one for all attempts of one act.

    A login without VIEW SERVER STATE sees nobody: the blocker is then unknown.
    """

    def __init__(self, sessions: Sessions, fence: int) -> None:
        self._sessions = sessions
        self._fence = fence
        self._db: Connection | None = None
        self.blocker = ""

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    @contextmanager
    def watching(self, session: int) -> Iterator[None]:
        """Look while the block runs, until somebody is found. A failure to look is not a failure of the statement."""
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(session, over), name="changeover-blocker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=2 * CALL)

    def _look(self, session: int, over: threading.Event) -> None:
        if over.wait(_PATIENCE):
            return
        try:
            if self._db is None or self._db.lost:
                self._db = self._sessions.connect(self._fence)
            found = ""
            while not found and not over.is_set():
                found = who_blocks(self._db, session)
                over.wait(_PERIOD)
        except (Fault, ChangeoverError):
            return
        self.blocker = found or self.blocker


def who_blocks(db: Connection, session: int) -> str:
    """Who blocks the session, in words; "" if nobody does, or nobody that this login may see."""
    row = db.one(WHO, {"session": session})
    return "" if row is None else described(row)


def described(row: Row) -> str:
    """`session 57 (shop, "web", from app-1), sleeping, in a transaction for 12 s: SELECT …`; values are masked."""
    session, login, program, host, status, seconds, text = row
    if session < 0:
        return _NOBODY_S.get(session, f"the server itself (blocking session {session})")
    named = [str(login or "unknown login")]
    named += [f'"{program}"'] if program else []
    named += [f"from {host}"] if host else []
    since = f", in a transaction for {age(seconds)}" if seconds is not None else ""
    query = re.sub(r"\s+", " ", re.sub(r"'[^']*'?", "'…'", str(text or ""))).strip()
    said = f": {query[:60]}" if query else ""
    return f"session {session} ({', '.join(named)}), {status or 'state unknown'}{since}{said}"
