"""A PostgreSQL replica that versions read, as a Reader: it is only looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from changeover.core.errors import ChangeoverError
from changeover.core.model import Probe
from changeover.core.ports import Finding
from changeover.drivers.databases import postgresql_catalogue as catalogue
from changeover.drivers.databases.postgresql_errors import Doing, translated
from changeover.drivers.databases.postgresql_session import Connection, Sessions

_BEHIND = """
SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) END::float
"""


@dataclass(frozen=True, slots=True)
class PostgresqlReader:
    """One endpoint. `url` is asked at each use; `lag` is how far behind (seconds) it may be without a warning."""

    url: Callable[[], str]
    environment: str
    lag: float

    @property
    def _sessions(self) -> Sessions:
        return Sessions(self.url, self.environment)

    @property
    def name(self) -> str:
        """`db-2:5432/shop`."""
        words = self._sessions.words()
        return (
            f"{words.get('host', 'localhost')}:{words.get('port', '5432')}/{words.get('dbname', words.get('user', ''))}"
        )

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._findings())

    def _findings(self) -> Iterator[Finding]:
        subject = "read endpoint"
        try:
            subject = f"read endpoint {self.name}"
            with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
                yield self._behind(db, subject)
        except ChangeoverError as error:
            yield Finding(subject, ok=False, detail=error.what, fix="; ".join(error.next))

    def _behind(self, db: Connection, subject: str) -> Finding:
        row = db.execute(_BEHIND).fetchone()
        replica, behind = (False, 0.0) if row is None else (bool(row[0]), float(row[1]))
        if behind > self.lag:
            return Finding(
                subject, ok=False, detail=f"{behind:.1f} s behind", fix="look at its replication", fatal=False
            )
        return Finding(
            subject, ok=True, detail="a replica, up to date" if replica else "answers; it is no physical replica"
        )

    def lacks(self, probes: Sequence[Probe]) -> Sequence[Probe]:
        """In one look."""
        with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
            return [p for p in probes if not catalogue.done(db, p)]
