"""Sessions with a SQL Server: short-lived, named after environment and fence, never waiting for ever."""

from __future__ import annotations

import hashlib
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from changeover.core.errors import ChangeoverError, ExtraMissing
from changeover.drivers.databases.sqlserver_address import Address, other_database
from changeover.drivers.databases.sqlserver_faults import FATAL, Cancelled, Fault, Lost, Message, Refused
from changeover.drivers.databases.sqlserver_line import Line, Look
from changeover.drivers.databases.sqlserver_tls import authorities, compare_hosts_ourselves

try:
    import pytds
except ImportError:
    raise ExtraMissing(
        "the SQL Server driver needs python-tds, which is not installed", next=("pip install 'changeover[mssql]'",)
    ) from None

logging.getLogger("pytds").addHandler(logging.NullHandler())  # it tells stderr that a login took longer than no time
CALL = 5.0  # seconds: connecting, and looking at one thing
READ = 30.0  # seconds: reading the whole catalogue

_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}")

SETTINGS = (
    "SET XACT_ABORT ON; SET NOCOUNT ON; SET IMPLICIT_TRANSACTIONS OFF; SET DEADLOCK_PRIORITY LOW; "
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, "
    "CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON; SET NUMERIC_ROUNDABORT OFF; SET LOCK_TIMEOUT {lock};"
)
"""Any error rolls back; in a deadlock the application wins; what tables with indexed views or computed columns demand."""

BEGIN = "BEGIN TRANSACTION;"
COMMIT = "COMMIT TRANSACTION;"
ROLLBACK = "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;"
OPEN = "SELECT @@TRANCOUNT;"

Row = tuple[Any, ...]


class Connection:
    """One connection, in autocommit. Every call ends; what it raises are Faults. After Lost nothing works any more."""

    def __init__(self, line: Line, connected: Any) -> None:
        self._line = line
        self._connected = connected
        self.lost = False

    def execute(
        self, sql: str, values: Mapping[str, Any] | None = None, *, timeout: float = CALL, look: Look | None = None
    ) -> list[Row]:
        """Run one batch to its end and return its rows. `@name` in it stands for `values["name"]`.

        Without values the text is sent as it is. `timeout` (seconds, 0: none) is for the whole; after it the server is told
        to stop, and Cancelled says that it did. `look`: see Line. Raises Refused, Cancelled, Lost.
        """
        return self._run(sql, values, timeout, look)[1]

    def records(self, sql: str, *, timeout: float = CALL) -> list[dict[str, Any]]:
        """The rows of one batch by the names of their columns, for what has other columns in every version."""
        columns, rows = self._run(sql, None, timeout, None)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _run(
        self, sql: str, values: Mapping[str, Any] | None, timeout: float, look: Look | None
    ) -> tuple[list[str], list[Row]]:
        if self.lost:
            raise Lost("the connection is closed")
        self._line.allow(timeout, look)
        with self._faults():
            cursor = self._connected.cursor()
            try:
                return self._to_the_end(cursor, sql, values)
            except TimeoutError:
                self._cancel(cursor)
                raise Cancelled(f"it was stopped after {timeout:g} s") from None
            except pytds.DatabaseError as error:
                raise self._refused(cursor, error) from None

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Whatever is no answer of the server ends the connection: half an answer cannot be told from another one."""
        try:
            yield
        except Fault:
            raise
        except ChangeoverError:  # somebody looked, and it must not go on
            self.close()
            raise
        except Exception as error:
            self.close()
            raise Lost(str(error) or type(error).__name__) from None
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _to_the_end(cursor: Any, sql: str, values: Mapping[str, Any] | None) -> tuple[list[str], list[Row]]:
        """An error may come after the rows of an earlier statement: only the end of the answer says that all is well."""
        if values is None:
            cursor.execute(sql)
        else:
            names = "|".join(re.escape(name) for name in values)
            text = sql.replace("%", "%%")
            cursor.execute(re.sub(rf"(?<![@\w])@({names})\b", r"%(\1)s", text) if names else text, dict(values))
        columns: list[str] = []
        rows: list[Row] = []
        while True:
            if cursor.description:
                columns = [column[0] for column in cursor.description]
                rows += cursor.fetchall()
            if not cursor.nextset():
                return columns, rows

    def _cancel(self, cursor: Any) -> None:
        self._line.allow(CALL)
        try:
            cursor.cancel()
        except TimeoutError:
            self.close()
            raise Lost("it took too long, and the server did not say that it has stopped it") from None

    def _refused(self, cursor: Any, error: pytds.DatabaseError) -> Fault:
        said = tuple(
            Message(m.number, m.severity, m.text) for _, m in cursor.messages or () if m.severity > _NO_ERROR
        ) or (Message(error.number, error.severity, error.text),)
        if any(m.severity >= FATAL for m in said):
            self.close()
            return Lost(" ".join(m.text for m in said))
        return Refused(said)

    def one(self, sql: str, values: Mapping[str, Any] | None = None, *, timeout: float = CALL) -> Row | None:
        """The first row, if there is one."""
        return next(iter(self.execute(sql, values, timeout=timeout)), None)

    def number(self, sql: str, values: Mapping[str, Any] | None = None, *, timeout: float = CALL) -> int:
        """The one number that the query returns; no row or NULL counts as 0."""
        row = self.one(sql, values, timeout=timeout)
        return 0 if row is None or row[0] is None else int(row[0])

    def settle(self) -> None:
        """Roll back what is open; a connection that is lost has nothing open that is ours to end."""
        if not self.lost:
            with suppress(Fault):
                self.execute(ROLLBACK)
                return
            self.close()

    def close(self) -> None:
        """The server rolls back what is open."""
        self.lost = True
        self._line.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_NO_ERROR = 10  # the highest severity that only informs


@dataclass(frozen=True, slots=True)
class Sessions:
    """Opens sessions. `url` is asked at each use, so that a secret lives as short as possible."""

    url: Callable[[], str]
    environment: str
    lock: float = field(
        default=CALL
    )  # seconds that a statement waits for a lock, unless a session is opened with another

    def address(self) -> Address:
        """Raises DatabaseUnreachable."""
        return Address.of(self.url())

    def name(self, fence: int | None) -> str:
        """The program_name: `changeover/production/7`. A take-over finds older owners by it."""
        return f"changeover/{self.plain}" if fence is None else f"changeover/{self.plain}/{fence}"

    @property
    def plain(self) -> str:
        """The environment's name, or a hash of it where it could be misread."""
        if _PLAIN.fullmatch(self.environment):
            return self.environment
        return hashlib.sha256(self.environment.encode()).hexdigest()[:16]

    def connect(
        self, fence: int | None = None, *, lock: float | None = None, database: str | None = None
    ) -> Connection:
        """A connection in autocommit; the caller closes it. `lock`: seconds that a statement waits for a lock.

        Raises Refused, Lost, DatabaseUnreachable.
        """
        address = self.address()
        cafile = authorities(address.cafile) if address.encrypt else None
        try:
            line = Line(address.host, address.port, CALL)
        except OSError as error:
            raise Lost(f"{address.host}:{address.port}: {error.strerror or error}") from None
        try:
            connection = Connection(line, _login(line, address, self.name(fence), cafile, database or address.database))
        except BaseException:
            line.close()
            raise
        connection.execute(SETTINGS.format(lock=milliseconds(self.lock if lock is None else lock)))
        return connection

    @contextmanager
    def session(self, fence: int | None = None) -> Iterator[Connection]:
        """A connection for looking."""
        with self.connect(fence) as db:
            yield db

    def other(self, database: str) -> str:
        """The URL of another database on the same server."""
        return other_database(self.url(), database)

    def redact(self, text: str) -> str:
        return self.address().redact(text)


def _login(line: Line, address: Address, name: str, cafile: str | None, database: str) -> Any:
    """One attempt within the line's deadline; the loops that try again are ours, and they look at the fence."""
    if cafile is not None:
        compare_hosts_ourselves()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # pytds uses parts of pyOpenSSL that are on their way out
            return pytds.connect(
                dsn=address.host,
                port=address.port,
                database=database,
                user=address.user,
                password=address.password,
                appname=name,
                autocommit=True,
                sock=line,
                cafile=cafile,
                login_timeout=0.0,  # no second attempt: a refusal would be slept over, and its reason hidden
                disable_connect_retry=True,
            )
    except pytds.DatabaseError as error:
        raise Refused((Message(error.number, error.severity, error.text),)) from None
    except TimeoutError as error:
        raise _why(error) from None
    except Exception as error:
        tls = type(error).__module__.startswith("OpenSSL")
        raise Lost(f"{'the TLS handshake failed: ' if tls else ''}{error or type(error).__name__}") from None


def _why(error: TimeoutError) -> Fault:
    """Pytds says *timeout* for whatever went wrong last."""
    cause = error.__cause__
    if isinstance(cause, pytds.DatabaseError):
        return Refused((Message(cause.number, cause.severity, cause.text),))
    if cause is None or isinstance(cause, TimeoutError):
        return Lost("no answer to the login in time")
    return Lost(str(cause) or type(cause).__name__)


def milliseconds(seconds: float) -> int:
    """As LOCK_TIMEOUT takes it: -1 waits for ever, 0 not at all, so what is wanted short is never rounded down to it."""
    return -1 if seconds <= 0 else max(1, round(seconds * 1000))
