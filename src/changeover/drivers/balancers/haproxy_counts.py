"""What HAProxy's workers count: health, requests in flight, answers and errors, and the sessions that can be cut.

Every number is summed over all workers, old ones included, and belongs to a worker: it ends with it. What is remembered here
is only what a worker that ended had counted, so that a reload during a bake does not look like a fresh start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, ChangeoverError
from changeover.core.model import Counters, InFlight, PoolHealth
from changeover.core.ports import Fence
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_config import FALLBACK_TABLE, LONG_TABLE
from changeover.drivers.balancers.haproxy_socket import MasterSocket, WorkerGone
from changeover.drivers.balancers.haproxy_wire import Session, Stat, Worker

CUT_WITHIN = 5.0  # seconds until what was shut down must be gone
CUT_POLL = 0.05  # seconds
_NONE = Counters(0, 0)


@dataclass
class _Pool:
    """What is remembered of one pool: the last counts of each worker, the sum of those that ended, requests lost sight of."""

    last: dict[int, Counters] = field(default_factory=dict)
    ended: Counters = _NONE
    busy: dict[int, int] = field(default_factory=dict)  # worker -> requests in flight when it was last seen
    lost: int = 0


class Counting:
    """Reads the counts of pools. Threads may share it."""

    def __init__(self, master: MasterSocket, backends: Mapping[str, str]) -> None:
        self._master = master
        self._backends = backends
        self._pools = {pool: _Pool() for pool in backends}
        self._lock = threading.Lock()

    def health(self, pool: str) -> PoolHealth:
        self._backend(pool)
        readings = [
            _health(worker, rows)
            for worker, rows in self._master.each(lambda w: None if w.old else self._rows(w, pool))
            if rows is not None
        ]
        return min(readings, key=lambda h: (h.healthy, -h.known))

    def in_flight(self, pool: str) -> InFlight:
        """The long-lived are counted before and after the requests, and the smaller number is taken off.

        So a websocket that opens or closes in between never makes an ordinary request invisible.
        """
        self._backend(pool)
        try:
            answers = self._master.each(lambda w: self._busy(w, pool))
        except ChangeoverError as error:
            return InFlight(None, None, error.what)
        lost = self._lose_sight(pool, {worker.pid: total for worker, (total, _, _) in answers})
        requests = sum(max(0, total - min(before, after)) for _, (total, before, after) in answers)
        long_lived = sum(max(before, after) for _, (_, before, after) in answers)
        detail = [f"worker {w.name}: {total}" for w, (total, _, _) in answers if total]
        if lost:
            detail.append(f"{lost} lost sight of: their worker ended")
        return InFlight(requests, long_lived, ", ".join(detail))

    def counters(self, pool: str) -> Counters:
        self._backend(pool)
        answers = self._master.each(lambda w: self._counts(w, pool))
        with self._lock:
            memory = self._pools[pool]
            now = {worker.pid: counts for worker, counts in answers}
            for pid, last in memory.last.items():
                if pid not in now or now[pid].requests < last.requests:
                    memory.ended = _sum(memory.ended, last)
            memory.last = now
            return _sum(memory.ended, *now.values())

    def forget_lost(self) -> None:
        """A new route begins a new drain."""
        with self._lock:
            for memory in self._pools.values():
                memory.lost = 0
                memory.busy.clear()

    def cut(self, pool: str, fence: Fence) -> int:
        self._backend(pool)
        found = self._sessions(pool)
        shut: set[tuple[int, str]] = set()
        for worker, sessions in found:
            for session in sessions:
                fence.check()
                if self._shut_down(worker, session):
                    shut.add((worker.pid, session.id))
        self._wait_gone(pool, shut)
        return len(shut)

    def _wait_gone(self, pool: str, shut: set[tuple[int, str]]) -> None:
        deadline = time.monotonic() + CUT_WITHIN
        while shut:
            left = {(w.pid, s.id) for w, sessions in self._sessions(pool) for s in sessions} & shut
            if not left:
                return
            if time.monotonic() > deadline:
                raise BalancerRefused(
                    f"{len(left)} of {len(shut)} sessions of {pool} are still open after they were shut down",
                    now="The others were cut.",
                    next=("changeover status", "changeover resume"),
                )
            time.sleep(CUT_POLL)

    def _shut_down(self, worker: Worker, session: Session) -> bool:
        command = wire.shutdown_session(session.id)
        try:
            reply = self._master.tell(worker, command)
        except WorkerGone:
            return False
        if reply.startswith("No such session"):
            return False  # it ended by itself
        wire.demand_blank(command, reply)
        return True

    def _sessions(self, pool: str) -> list[tuple[Worker, list[Session]]]:
        def ask(worker: Worker) -> list[Session]:
            every = wire.parse_sessions(self._master.tell(worker, "show sess"))
            return [s for s in every if self._has(pool, s)]

        return self._master.each(ask)

    def _has(self, pool: str, session: Session) -> bool:
        return session.backend == self._backends[pool]

    def _busy(self, worker: Worker, pool: str) -> tuple[int, int, int]:
        before = self._long_lived(worker, pool)
        whole = _backend_row(self._rows(worker, pool))
        return whole.count("qcur") + whole.count("scur"), before, self._long_lived(worker, pool)

    def _long_lived(self, worker: Worker, pool: str) -> int:
        return wire.parse_table(self._master.tell(worker, wire.show_table(LONG_TABLE)), "conn_cur").get(pool, 0)

    def _counts(self, worker: Worker, pool: str) -> Counters:
        rows = self._rows(worker, pool)
        table = wire.parse_table(self._master.tell(worker, wire.show_table(FALLBACK_TABLE)), "http_req_cnt")
        return counts_of(rows, table.get(pool, 0))

    def _rows(self, worker: Worker, pool: str) -> list[Stat]:
        """The rows of the pool's servers, and the row BACKEND that has them."""
        backend = self._backends[pool]
        rows = [r for r in wire.parse_stat(self._master.tell(worker, "show stat")) if r.backend == backend]
        if not any(r.server == "BACKEND" for r in rows):
            raise BalancerMisconfigured(
                f"HAProxy has no backend {backend!r}",
                next=("compare `pools` in changeover.yml with haproxy.cfg: changeover doctor",),
            )
        return rows

    def _lose_sight(self, pool: str, now: Mapping[int, int]) -> int:
        with self._lock:
            memory = self._pools[pool]
            memory.lost += sum(busy for pid, busy in memory.busy.items() if pid not in now)
            memory.busy = dict(now)
            return memory.lost

    def _backend(self, pool: str) -> str:
        if pool not in self._backends:
            raise BalancerMisconfigured(f"the balancer has no pool {pool!r}; it has {', '.join(self._backends)}")
        return self._backends[pool]


def _backend_row(rows: list[Stat]) -> Stat:
    return next(r for r in rows if r.server == "BACKEND")


def _servers(rows: list[Stat]) -> list[Stat]:
    return [r for r in rows if r.server not in ("BACKEND", "FRONTEND")]


def _health(worker: Worker, rows: list[Stat]) -> PoolHealth:
    known = [r for r in _servers(rows) if not r.text("status").startswith("MAINT")]
    bad = [
        f"{r.server} is {r.text('status') or '?'} ({r.text('check_status') or 'not checked'})"
        for r in known
        if not r.healthy
    ]
    detail = f"worker {worker.name}: {', '.join(bad)}" if bad else ""
    return PoolHealth(len(known) - len(bad), len(known), detail)


def counts_of(rows: list[Stat], fallbacks: int) -> Counters:
    """The counts of one worker.

    A server counts the answers that came from it, the backend all that went to visitors: what the backend has more of 5xx
    was made by HAProxy, because a server could not be reached, went silent or broke off.
    """
    whole = _backend_row(rows)
    answered = sum(whole.count(f"hrsp_{c}xx") for c in (1, 2, 3, 4, 5))
    own = sum(r.count("hrsp_5xx") for r in _servers(rows))
    failed = max(0, whole.count("hrsp_5xx") - own)
    return Counters(answered, min(own, whole.count("hrsp_5xx")), failed, fallbacks)


def _sum(*counts: Counters) -> Counters:
    return Counters(
        sum(c.requests for c in counts),
        sum(c.errors_5xx for c in counts),
        sum(c.failed for c in counts),
        sum(c.fallbacks or 0 for c in counts),
    )
