"""Who stands in the way of a statement that waits for a lock. Named, never killed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.postgresql_session import CALL, Connection, Sessions, milliseconds

_PATIENCE = 0.03  # seconds: a change of the catalogue that nobody blocks is over before that
_PERIOD = 0.02  # seconds between two looks

_WHO = """
SELECT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM now() - a.xact_start)::float8, left(a.query, 200)
FROM pg_stat_activity a WHERE a.pid = ANY(pg_blocking_pids(%s)) ORDER BY a.xact_start NULLS LAST LIMIT 1
"""


class BlockerWatch:
    """Looks, from a session of its own, who blocks a server process; one for all attempts of one act."""

    def __init__(self, sessions: Sessions, fence: int) -> None:
        self._sessions = sessions
        self._fence = fence
        self._db: Connection | None = None
        self.blocker = ""

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    @contextmanager
    def watching(self, pid: int) -> Iterator[None]:
        """Look while the block runs, until somebody is found. A failure to look is not a failure of the statement."""
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(pid, over), name="changeover-blocker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=2 * CALL)

    def _look(self, pid: int, over: threading.Event) -> None:
        if not self.blocker and over.wait(_PATIENCE):
            return
        try:
            db = self._session()
            found = ""
            while not found and not over.is_set():
                found = who_blocks(db, pid)
                over.wait(_PERIOD)
        except psycopg.Error:
            return
        self.blocker = found or self.blocker

    def _session(self) -> Connection:
        if self._db is None or self._db.closed:
            self._db = self._sessions.connect(self._fence)
            self._db.execute("SELECT set_config('statement_timeout', %s, false)", (milliseconds(CALL),))
        return self._db


def who_blocks(db: Connection, pid: int) -> str:
    """The oldest transaction that blocks `pid`, in words; "" if nobody does."""
    row = db.execute(_WHO, (pid,)).fetchone()
    if row is not None:
        return described(row)
    prepared = db.execute("SELECT 0 = ANY(pg_blocking_pids(%s))", (pid,)).fetchone()
    return "a prepared transaction (see pg_prepared_xacts)" if prepared is not None and prepared[0] else ""


def described(row: tuple[object, ...]) -> str:
    """`pid 4711 (shop, "web", from 10.0.0.7), idle in transaction for 12 s: SELECT …`; values in the query are masked."""
    pid, user, application, address, state, seconds, query = row
    named = [str(user or "unknown user")]
    named += [f'"{application}"'] if application else []
    named += [f"from {str(address).partition('/')[0]}"] if address else []
    since = f" for {age(seconds)}" if isinstance(seconds, int | float) else ""
    masked = re.sub(
        r"\s+", " ", re.sub(r"'[^']*'?|\$([A-Za-z_]*)\$.*", "'…'", str(query or ""), flags=re.DOTALL)
    ).strip()
    text = f": {masked[:60]}" if masked else ""
    return f"pid {pid} ({', '.join(named)}), {state or 'state unknown'}{since}{text}"
