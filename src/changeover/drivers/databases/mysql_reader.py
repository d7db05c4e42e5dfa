"""A MariaDB or MySQL replica that versions read, as a Reader: it is only looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from changeover.core.errors import ChangeoverError
from changeover.core.model import Probe
from changeover.core.ports import Finding
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.mysql_errors import Doing, is_denied, translated
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import Connection, Sessions

_MAY = {True: "REPLICA MONITOR", False: "REPLICATION CLIENT"}  # on MariaDB, on MySQL


@dataclass(frozen=True, slots=True)
class Replication:
    """How a server follows another one: `behind` in seconds, None where it has stopped; `follows` False: it is no replica."""

    follows: bool
    behind: float | None = 0.0

    @classmethod
    def of(cls, db: Connection) -> Replication:
        """Of its channels the one that is furthest behind. Raises pymysql.err.Error, also where this login may not look."""
        channels = db.named("SHOW ALL SLAVES STATUS" if db.product.mariadb else "SHOW REPLICA STATUS")
        found = [_behind(channel) for channel in channels]
        known = [seconds for seconds in found if seconds is not None]
        return cls(bool(found), None if len(known) < len(found) else max(known, default=0.0))


def _behind(channel: Mapping[str, object]) -> float | None:
    found = channel.get("Seconds_Behind_Master", channel.get("Seconds_Behind_Source"))
    return None if found is None else float(str(found))


@dataclass(frozen=True, slots=True)
class MysqlReader:
    """One endpoint. `url` is asked at each use; `lag` is how far behind (seconds) it may be without a warning."""

    url: Callable[[], str]
    environment: str
    lag: float

    @property
    def _sessions(self) -> Sessions:
        return Sessions(self.url, self.environment)

    @property
    def name(self) -> str:
        """`db-2:3306/shop`."""
        address = self._sessions.address
        return f"{address.socket or f'{address.host}:{address.port}'}/{address.database}"

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._findings())

    def _findings(self) -> Iterator[Finding]:
        subject = "read endpoint"
        try:
            subject = f"read endpoint {self.name}"
            with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
                yield self._followed(db, subject)
        except ChangeoverError as error:
            yield Finding(subject, ok=False, detail=error.what, fix="; ".join(error.next))

    def _followed(self, db: Connection, subject: str) -> Finding:
        try:
            found = Replication.of(db)
        except pymysql.err.Error as error:
            if not is_denied(error):
                raise
            fix = f"GRANT {_MAY[db.product.mariadb]} ON *.* to the login on that server"
            return Finding(subject, ok=False, detail="how far behind it is cannot be seen", fix=fix, fatal=False)
        if found.behind is None:
            return Finding(subject, ok=False, detail="its replication has stopped", fix="start it again", fatal=False)
        if found.behind > self.lag:
            detail = f"{found.behind:.0f} s behind"
            return Finding(subject, ok=False, detail=detail, fix="look at its replication", fatal=False)
        detail = "a replica, up to date" if found.follows else "answers; it is no replica"
        return Finding(subject, ok=True, detail=detail)

    def lacks(self, wanted: Sequence[Probe]) -> Sequence[Probe]:
        """In one look."""
        with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
            return [p for p in wanted if not probes.done(db, p)]

    def pressure(self) -> str:
        """Why a backfill should wait for it, "" if it need not, or if this login may not look. Raises DatabaseUnreachable."""
        with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
            try:
                found = Replication.of(db)
            except pymysql.err.Error as error:
                if not is_denied(error):
                    raise
                return ""
        if found.behind is None:
            return f"the replica {self.name} has stopped to follow"
        return f"the replica {self.name} is {found.behind:.0f} s behind" if found.behind > self.lag else ""
