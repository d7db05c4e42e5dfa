"""Sessions with a PostgreSQL server: short-lived, named after environment and fence, never waiting for ever."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from changeover.core.errors import DatabaseUnreachable, ExtraMissing
from changeover.drivers.databases.ledger_sql import APPLIED, CHANGE, CLAIM, STATE, Ledger

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ImportError:
    raise ExtraMissing(
        "the PostgreSQL driver needs psycopg, which is not installed", next=("pip install 'changeover[postgres]'",)
    ) from None

Connection = psycopg.Connection[tuple[Any, ...]]

CALL = 5.0  # seconds: connecting, and looking at one thing
READ = 30.0  # seconds: reading the whole catalogue
_WATCHED = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}")
_NAME = re.compile(r":([a-z]+)")
NAMESPACE = 0x436F  # the first key of changeover's advisory locks


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens sessions. `url` is asked at each use, so that a secret lives as short as possible."""

    url: Callable[[], str]
    environment: str

    def words(self) -> Mapping[str, str]:
        """The parts of the URL. Raises DatabaseUnreachable for what is none; the URL itself is never shown."""
        try:
            return {k: str(v) for k, v in conninfo_to_dict(self.url()).items() if v is not None}
        except psycopg.Error:
            raise DatabaseUnreachable(
                "the database's URL cannot be read (it is not shown: it is a secret)",
                next=("write it as postgresql://user:password@host:5432/name; encode special characters as %XX",),
            ) from None

    def name(self, fence: int | None) -> str:
        """The application_name: `changeover/production/7`. A take-over finds older owners by it."""
        plain = self.environment
        if not _PLAIN.fullmatch(plain):
            plain = hashlib.sha256(plain.encode()).hexdigest()[:16]
        return f"changeover/{plain}" if fence is None else f"changeover/{plain}/{fence}"

    @property
    def key(self) -> int:
        """The second key of the environment's advisory lock: 31 bits of a hash of its name."""
        return int.from_bytes(hashlib.sha256(self.environment.encode()).digest()[:4], "big") & 0x7FFFFFFF

    def connect(self, fence: int | None = None, **override: str) -> Connection:
        """A connection in autocommit; the caller closes it. Raises psycopg.Error."""
        words = {**_WATCHED, **self.words(), "application_name": self.name(fence), **override}
        return psycopg.connect(make_conninfo(**words), autocommit=True, prepare_threshold=None)

    @contextmanager
    def session(self, fence: int | None = None, timeout: float = CALL) -> Iterator[Connection]:
        """A connection for looking: every statement, and the whole, ends after `timeout` seconds."""
        with self.connect(fence) as db:
            db.execute("SELECT set_config('statement_timeout', %s, false)", (milliseconds(timeout),))
            with watchdog(db, timeout + CALL):
                yield db

    def other(self, database: str) -> str:
        """The URL of another database on the same server."""
        url = self.url()
        if "://" not in url:
            return make_conninfo(url, dbname=database)
        parts = urlsplit(url)
        query = "&".join(p for p in parts.query.split("&") if p and not p.startswith("dbname="))
        rest = f"?{query}" if query else ""
        return f"{parts.scheme}://{parts.netloc}/{quote(database, safe='')}{rest}"

    def redact(self, text: str) -> str:
        """The text without the password, should a message quote it."""
        words = self.words()
        secrets = {words.get("password", ""), words.get("sslpassword", "")}
        secrets |= {quote(s, safe="") for s in secrets}
        for secret in sorted((s for s in secrets if len(s) > 2), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def milliseconds(seconds: float) -> str:
    """As PostgreSQL's timeouts take it; 0 is no timeout, so never rounded down to it."""
    return "0" if seconds <= 0 else str(max(1, round(seconds * 1000)))


@contextmanager
def watchdog(db: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection after `seconds`: a server that hangs without closing would keep us waiting for ever."""

    def cut() -> None:
        try:
            with socket.socket(fileno=os.dup(db.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            return  # it is closed already

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def rows_of(db: Connection, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[tuple[Any, ...]]:
    """Run SQL with `:name` parameters; its rows, or none."""
    cursor = db.execute(_NAME.sub(r"%(\1)s", sql.replace("%", "%%")), values) if values else db.execute(sql)
    return cursor.fetchall() if cursor.description else ()


def ledger_on(db: Connection) -> Ledger:
    """The ledger in this database; its tables may be missing."""
    return Ledger(lambda sql, values: rows_of(db, sql, values), for_update=" FOR UPDATE")


def has_ledger(db: Connection) -> bool:
    """Whether all three tables are there, on the login's search_path."""
    cursor = db.execute("SELECT count(to_regclass(t)) FROM unnest(%s::text[]) t", ([CLAIM, APPLIED, STATE],))
    row = cursor.fetchone()
    return row is not None and row[0] == 3


def has_kept(db: Connection) -> bool:
    """Whether there is a table for what was compiled of operations; older ledgers have none."""
    row = db.execute("SELECT to_regclass(%s)", (CHANGE,)).fetchone()
    return row is not None and row[0] is not None
