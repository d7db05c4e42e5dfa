"""Sessions with a MariaDB or MySQL server: short-lived, named after environment and fence, never waiting for ever."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from changeover.drivers.databases.mysql_address import Address, address_of, other
from changeover.drivers.databases.mysql_library import pymysql

Rows = Sequence[tuple[Any, ...]]
Values = Mapping[str, Any] | Sequence[Any] | None

CALL = 5.0  # seconds: connecting, and looking at one thing
READ = 30.0  # seconds: reading the whole catalogue
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}")
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 15_000}
_READ_DIFFERENTLY = frozenset(
    {"ANSI", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL"}
)
_CONNECT_ERROR = 2003
_IDLE = 120  # seconds of silence after which the server ends a session of ours: we are gone, and hold locks


@dataclass(frozen=True, slots=True)
class Product:
    """MariaDB or MySQL, and its version."""

    mariadb: bool
    version: tuple[int, ...]

    @classmethod
    def of(cls, said: str) -> Product:
        """From `SELECT VERSION()`: `10.11.19-MariaDB-log`, `8.0.36`."""
        mariadb = "mariadb" in said.lower()
        number = re.match(r"\d+(?:\.\d+)*", said.removeprefix("5.5.5-") if mariadb else said)
        return cls(mariadb, tuple(int(n) for n in number[0].split(".")) if number else ())

    def __str__(self) -> str:
        return f"{'MariaDB' if self.mariadb else 'MySQL'} {'.'.join(map(str, self.version))}"


class Connection:
    """One session in autocommit. Errors are PyMySQL's."""

    def __init__(self, raw: pymysql.connections.Connection[Any], line: socket.socket) -> None:
        """`line`: the session's socket once more, to cut it from another thread."""
        self._raw = raw
        self._line = line
        self.id = int(raw.thread_id())  # type: ignore[no-untyped-call]
        (said,) = self.execute("SELECT VERSION()")[0]
        self.product = Product.of(str(said))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, values: Values = None) -> Rows:
        """Its rows, or none. With values every % that is none of theirs is doubled."""
        with self._raw.cursor() as cursor:
            cursor.execute(sql, values)
            return tuple(cursor.fetchall())

    def named(self, sql: str) -> Sequence[Mapping[str, Any]]:
        """Its rows by the names of their columns."""
        with self._raw.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(sql)
            return tuple(cursor.fetchall())

    def change(self, sql: str, values: Values = None) -> int:
        """How many rows it changed."""
        with self._raw.cursor() as cursor:
            return int(cursor.execute(sql, values))

    @property
    def open(self) -> bool:
        return bool(self._raw.open)

    def cut(self) -> None:
        """End the connection from another thread, without a word to the server."""
        with suppress(OSError):  # it is closed already
            self._line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The server ends the session, and with it its transaction and its named locks."""
        self._line.close()
        if self._raw.open:
            with suppress(pymysql.err.Error):  # it is gone already
                self._raw.close()


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens sessions. `url` is asked at each use, so that a secret lives as short as possible."""

    url: Callable[[], str]
    environment: str

    @property
    def address(self) -> Address:
        """Raises DatabaseUnreachable for a URL that cannot be used."""
        return address_of(self.url())

    def name(self, fence: int | None) -> str:
        """The connection attribute program_name, for people: `changeover/production/7`."""
        plain = self.environment
        if not _PLAIN.fullmatch(plain):
            plain = hashlib.sha256(plain.encode()).hexdigest()[:16]
        return f"changeover/{plain}" if fence is None else f"changeover/{plain}/{fence}"

    def connect(self, fence: int | None = None) -> Connection:
        """A session in autocommit; the caller closes it. Raises pymysql.err.Error, DatabaseUnreachable."""
        return _opened(self.address, self.name(fence))

    @contextmanager
    def session(self, fence: int | None = None, timeout: float = CALL) -> Iterator[Connection]:
        """A session for looking: every statement, and the whole, ends after `timeout` seconds."""
        with self.connect(fence) as db:
            limit_statements(db, timeout)
            with watchdog(db, timeout + CALL):
                yield db

    def other(self, database: str) -> str:
        """The URL of another database on the same server."""
        return other(self.url(), database)

    def redact(self, text: str) -> str:
        """The text without the password, should a message quote it."""
        secret = self.address.password
        for one in (secret, quote(secret, safe="")):
            text = text.replace(one, "***") if len(one) > 2 else text
        return text


class _Raw(pymysql.connections.Connection):
    """PyMySQL reads all certificates of the system for each connection, also where it verifies none; that takes longer than all
    the rest of connecting. What depends on no file is read once.
    """

    _plain: ClassVar[ssl.SSLContext | None] = None

    def _create_ssl_ctx(self, sslp: Mapping[str, Any]) -> ssl.SSLContext:
        if sslp:
            return self._made(sslp)
        if _Raw._plain is None:
            _Raw._plain = self._made(sslp)
        return _Raw._plain

    def _made(self, sslp: Mapping[str, Any]) -> ssl.SSLContext:
        made: ssl.SSLContext = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return made


def _opened(address: Address, name: str) -> Connection:
    raw = _Raw(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password.encode(),  # a str would be sent as latin1
        database=address.database,
        unix_socket=address.socket or None,
        charset="utf8mb4",
        autocommit=True,
        defer_connect=True,
        program_name=name,
        ssl_ca=address.tls.get("ssl_ca"),
        ssl_cert=address.tls.get("ssl_cert"),
        ssl_key=address.tls.get("ssl_key"),
        ssl_verify_cert=address.flag("ssl_verify_cert"),
        ssl_verify_identity=address.flag("ssl_verify_identity"),
    )
    line = _dialled(address)
    spare = line.dup()
    timer = threading.Timer(CALL, lambda: _shut(spare))
    timer.daemon = True
    timer.start()
    try:
        raw.connect(line)
        db = Connection(raw, spare)
        _settle(db)
    except BaseException:
        spare.close()
        line.close()
        raise
    finally:
        timer.cancel()
    return db


def _dialled(address: Address) -> socket.socket:
    try:
        if address.socket:
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(CALL)
            line.connect(address.socket)
        else:
            line = socket.create_connection((address.host, address.port), CALL)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE.items():
                if hasattr(socket, option):
                    line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except OSError as error:
        there = address.socket or f"{address.host}:{address.port}"
        raise pymysql.err.OperationalError(_CONNECT_ERROR, f"{there}: {error.strerror or error}") from None
    return line


def _shut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _settle(db: Connection) -> None:
    """Messages in English; SQL read as its grammar reads it, whatever the server's own sql_mode says of quotes."""
    (mode,) = db.execute("SELECT @@SESSION.sql_mode")[0]
    kept = ",".join(m for m in str(mode).split(",") if m not in _READ_DIFFERENTLY)
    db.execute("SET SESSION sql_mode = %s, wait_timeout = %s", (kept, _IDLE))
    with suppress(pymysql.err.Error):  # only words depend on it
        db.execute("SET SESSION lc_messages = 'en_US'")


def limit_statements(db: Connection, seconds: float) -> None:
    """End each statement after so long, 0: never. On MySQL it ends SELECTs only; `watchdog` and `Stopper` end the rest."""
    if db.product.mariadb:
        db.execute("SET SESSION max_statement_time = %s", (max(0.0, seconds),))
    else:
        db.execute("SET SESSION max_execution_time = %s", (max(0, round(seconds * 1000)),))


@contextmanager
def watchdog(db: Connection, seconds: float) -> Iterator[None]:
    """Cut the connection after `seconds`: a server that hangs without closing would keep us waiting for ever."""
    timer = threading.Timer(seconds, db.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def whole_seconds(seconds: float) -> int:
    """As the servers' lock timeouts take it: at least one."""
    return max(1, -int(-seconds // 1))
