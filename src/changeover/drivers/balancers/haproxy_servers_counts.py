"""The counts of pools that share one backend: those of its servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from changeover.core.model import Counters, Lasting
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_counts import Counting
from changeover.drivers.balancers.haproxy_socket import MasterSocket
from changeover.drivers.balancers.haproxy_wire import Session, Stat, Worker, strange

STREAM = 1.0  # seconds that an answer has been under way before it counts as a stream


class ServersCounting(Counting):
    """As `Counting`, by server. What waits in the backend's own queue counts for both pools: nobody knows where it will go."""

    def __init__(
        self, master: MasterSocket, backend: str, servers: Mapping[str, Sequence[str]], log: str | None = None
    ) -> None:
        super().__init__(master, dict.fromkeys(servers, backend), log)
        self._servers = {pool: frozenset(names) for pool, names in servers.items()}

    def _rows(self, worker: Worker, pool: str) -> list[Stat]:
        mine = self._servers[pool]
        rows = super()._rows(worker, pool)
        missing = mine - {r.server for r in rows}
        if missing:
            raise strange("show stat", f"no server {', '.join(sorted(missing))} in {self._backends[pool]}")
        return [r for r in rows if r.server == "BACKEND" or r.server in mine]

    def _has(self, pool: str, session: Session) -> bool:
        return session.backend == self._backends[pool] and session.server in self._servers[pool]

    def _waiting_and_served(self, rows: list[Stat]) -> tuple[int, int]:
        return sum(r.count("qcur") for r in rows), sum(r.count("scur") for r in rows if r.server != "BACKEND")

    def _lasting(self, worker: Worker, pool: str) -> Mapping[Lasting, int]:
        """By the sessions: a protocol was switched to (no analyser is left), or an answer has been under way for a while.

        Nothing marks an event stream here, so a long download looks like one.
        """
        mine = [s for s in wire.parse_sessions(self._master.tell(worker, "show sess")) if self._has(pool, s)]
        return {
            Lasting.WEBSOCKETS: sum(1 for s in mine if s.tunnel),
            Lasting.EVENT_STREAMS: sum(1 for s in mine if s.answering and s.seconds >= STREAM),
        }

    def _counts(self, worker: Worker, pool: str) -> Counters:
        """Errors on the way to a server count for it even where another server answered instead."""
        rows = [r for r in self._rows(worker, pool) if r.server != "BACKEND"]
        answered = sum(r.count(f"hrsp_{c}xx") for r in rows for c in (1, 2, 3, 4, 5))
        own = sum(r.count("hrsp_5xx") for r in rows)
        failed = sum(r.count("econ") + r.count("eresp") for r in rows)
        return Counters(answered, own, failed, None)
