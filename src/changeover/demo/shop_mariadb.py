"""The shop on MariaDB, through PyMySQL: as the application of a careful author does it."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import pymysql

from changeover.demo.shop_store import CONNECT, Row, Session, StoreBusy, StoreError, by_table

Connection: TypeAlias = "pymysql.connections.Connection[Any]"

LOCK_WAIT_TIMEOUT, DEADLOCK, DUPLICATE = 1205, 1213, 1062
_UNLESS_THERE = re.compile(r" ON CONFLICT \(\w+\) DO NOTHING")


@dataclass(frozen=True, slots=True)
class MariadbSession:
    connection: Connection

    def run(self, sql: str, parameters: Mapping[str, object] = {}) -> list[Row]:
        """MariaDB has no ON CONFLICT DO NOTHING, and its INSERT IGNORE would pass over other errors too. So a duplicate is
        refused, which leaves the transaction as it was, and the refusal is the answer.
        """
        text, unless_there = _UNLESS_THERE.subn("", sql)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(re.sub(r"(?<!:):(\w+)", r"%(\1)s", text), parameters or None)
                return list(cursor.fetchall())
        except pymysql.err.IntegrityError as error:
            if unless_there and error.args[0] == DUPLICATE:
                return []
            raise


class MariadbStore:
    """READ COMMITTED: an order that was changed meanwhile is read as it is now, and a changed schema disturbs no snapshot.

    A connection is kept, looked after before each use and opened again when the server has gone or has ended it.
    """

    dialect = "mysql"
    threads = 4

    def __init__(self, url: str, name: str) -> None:
        """Raises ValueError for what is no such URL."""
        self._login = _login(url)
        self._name = name
        self._local = threading.local()
        self._all: list[Connection] = []

    def _connection(self) -> Connection:
        found: Connection | None = getattr(self._local, "connection", None)
        if found is not None:
            try:
                found.ping(reconnect=False)
            except pymysql.err.Error:
                self._all.remove(found)
                _close(found)
                found = None
        if found is None:
            found = _open(self._login, self._name)
            self._local.connection = found
            self._all.append(found)
        return found

    @contextlib.contextmanager
    def transaction(self, *, keep: bool = True, write: bool = True) -> Iterator[Session]:
        try:
            connection = self._connection()
            with _transaction(connection, keep=keep) if write else contextlib.nullcontext():
                yield MariadbSession(connection)
        except pymysql.err.Error as error:
            kind = StoreBusy if error.args and error.args[0] in (LOCK_WAIT_TIMEOUT, DEADLOCK) else StoreError
            raise kind(f"MariaDB: {' '.join(str(part) for part in error.args)}") from error

    def columns(self) -> dict[str, frozenset[str]]:
        with self.transaction(write=False) as session:
            rows = session.run(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = database()"
            )
        return by_table(rows)

    def triggers(self) -> frozenset[str]:
        with self.transaction(write=False) as session:
            rows = session.run(
                "SELECT trigger_name FROM information_schema.triggers"
                " WHERE event_object_schema = database() AND event_object_table = 'orders'"
            )
        return frozenset(name for (name,) in rows)

    def close(self) -> None:
        for connection in self._all:
            _close(connection)
        self._all.clear()


def connect(url: str, name: str) -> Connection:
    """A connection in autocommit; the caller closes it. Raises ValueError, pymysql.err.Error."""
    return _open(_login(url), name)


def _login(url: str) -> Mapping[str, Any]:
    parts = urlsplit(url)
    if parts.hostname is None or not parts.path.strip("/"):
        raise ValueError("a MariaDB address is written mysql://USER:PASSWORD@HOST:PORT/NAME")
    return {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or "").encode(),  # a str would be sent as latin1
        "database": unquote(parts.path.strip("/")),
    }


def _open(login: Mapping[str, Any], name: str) -> Connection:
    return pymysql.connect(
        **login,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=int(CONNECT),
        program_name=name,
        init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )


@contextlib.contextmanager
def _transaction(connection: Connection, *, keep: bool) -> Iterator[None]:
    """Committed at the end if `keep`; else, and on any error, rolled back."""
    connection.begin()
    try:
        yield
        if keep:
            connection.commit()
            return
    except BaseException:
        if connection.open:
            with contextlib.suppress(pymysql.err.Error):  # it is gone, and with it the transaction
                connection.rollback()
        raise
    connection.rollback()


def _close(connection: Connection) -> None:
    if connection.open:
        connection.close()
