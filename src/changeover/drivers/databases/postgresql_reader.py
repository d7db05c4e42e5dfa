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

# A replica that has replayed no transaction since it started has no time of one: then it is behind since its start.
_BEHIND = """
SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),
  CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE extract(epoch FROM now() - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())) END::float
"""


@dataclass(frozen=True, slots=True)
class Following:
    """How a read endpoint follows: `behind` in seconds, None when nothing reaches it any more; 0 where it is no replica."""

    replica: bool
    behind: float | None

    @classmethod
    def of(cls, db: Connection) -> Following:
        row = db.execute(_BEHIND).fetchone()
        replica, streams, behind = (False, False, 0.0) if row is None else row
        return cls(bool(replica), None if replica and not streams else float(behind))


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
        found, fix = Following.of(db), "look at its replication"
        if found.behind is None:
            return Finding(subject, ok=False, detail="a replica that receives nothing", fix=fix, fatal=False)
        if found.behind > self.lag:
            return Finding(subject, ok=False, detail=f"{found.behind:.1f} s behind", fix=fix, fatal=False)
        detail = "a replica, up to date" if found.replica else "answers; it is no physical replica"
        return Finding(subject, ok=True, detail=detail)

    def lacks(self, probes: Sequence[Probe]) -> Sequence[Probe]:
        """In one look."""
        with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
            return [p for p in probes if not catalogue.done(db, p)]

    def pressure(self) -> str:
        """Why a backfill should wait for it, "" if it need not. Raises DatabaseUnreachable."""
        with translated(self._sessions, Doing("looking at a read endpoint")), self._sessions.session() as db:
            found = Following.of(db)
        if found.behind is None:
            return f"the replica {self.name} receives nothing"
        return f"the replica {self.name} is {found.behind:.1f} s behind" if found.behind > self.lag else ""
