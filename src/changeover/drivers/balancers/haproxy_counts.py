"""What HAProxy's workers count: health, requests in flight, answers and errors, and the sessions that can be cut.

Every number is summed over all workers, old ones included, and belongs to a worker: it ends with it. What is remembered here
is only what a worker that ended had counted, so that a reload during a bake does not look like a fresh start.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, ChangeoverError
from changeover.core.model import Counters, Cut, InFlight, Lasting, PoolHealth
from changeover.core.ports import Fence
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_config import EVENTS, FALLBACK_TABLE, LONG_TABLE
from changeover.drivers.balancers.haproxy_log import end_of, ended, paths_of
from changeover.drivers.balancers.haproxy_socket import MasterSocket, WorkerGone
from changeover.drivers.balancers.haproxy_wire import Session, Stat, Worker
from changeover.drivers.balancers.pools import no_such_pool

CUT_WITHIN = 5.0  # seconds until what was shut down must be gone
CUT_POLL = 0.05  # seconds
_NONE = Counters(0, 0)


@dataclass
class _Pool:
    """What is remembered of one pool: the last counts of each worker, the sum of those that ended, requests lost sight of."""

    last: dict[int, Counters] = field(default_factory=dict)
    ended: Counters = _NONE
    busy: dict[int, Busy] = field(default_factory=dict)  # worker -> what it carried when it was last seen
    lost: list[Busy] = field(default_factory=list)  # of workers that ended


@dataclass(frozen=True, slots=True)
class Busy:
    """What one worker carries of a pool: everything, of that what waits in a queue; the long-lived before and after that look.

    `clients`: whose requests they are, by client, asked a moment later (of a worker that is about to end, if there is a log;
    otherwise None); `since`: where the log ended before that look.
    """

    total: int
    queued: int
    before: Mapping[Lasting, int]
    after: Mapping[Lasting, int]
    clients: Mapping[str, int] | None = None
    since: int = 0

    @property
    def at_stake(self) -> int:
        """What nobody saw the end of if the worker is gone now: not what ended before its clients were asked for."""
        return self.total if self.clients is None else min(self.total, sum(self.clients.values()))


class Counting:
    """Reads the counts of pools. Threads may share it. `log`: where HAProxy's access log is, None if nobody says.

    A worker that was reloaded ends together with its last request, so that its last count is never 0. How its requests
    ended only the log can tell; without one they are lost sight of.
    """

    def __init__(self, master: MasterSocket, backends: Mapping[str, str], log: str | None = None) -> None:
        self._log = None if log is None else Path(log)
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
        lost = self._lose_sight(pool, {worker.pid: busy for worker, busy in answers})
        kinds = {k.value: sum(max(busy.before[k], busy.after[k]) for _, busy in answers) for k in Lasting}
        detail = [f"worker {w.name}: {busy.total}" for w, busy in answers if busy.total]
        if lost:
            detail.append(f"{lost} lost sight of: their worker ended")
        return InFlight(
            requests=sum(max(0, b.total - sum(min(b.before[k], b.after[k]) for k in Lasting)) for _, b in answers),
            long_lived=sum(kinds.values()),
            detail=", ".join(detail),
            queued=sum(busy.queued for _, busy in answers),
            kinds={kind: count for kind, count in kinds.items() if count},
            lost=lost,
        )

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
                memory.lost.clear()
                memory.busy.clear()

    def cut(self, pool: str, fence: Fence) -> int:
        return len(self.cut_kinds(pool, frozenset({"requests", *Lasting}), fence))

    def cut_kinds(self, pool: str, kinds: frozenset[str], fence: Fence) -> tuple[Cut, ...]:
        """Close what is of these kinds."""
        self._backend(pool)
        shut: dict[tuple[int, str], tuple[str, Session]] = {}
        for worker, sessions in self._sessions(pool):
            for kind, session in self._of_kinds(worker, pool, sessions):
                if kind in kinds:
                    fence.check()
                    if self._shut_down(worker, session):
                        shut[worker.pid, session.id] = kind, session
        self._wait_gone(pool, set(shut))
        paths = {} if self._log is None else paths_of(self._log, {session.client for _, session in shut.values()})
        return tuple(Cut(kind, s.server, s.seconds, paths.get(s.client, "")) for kind, s in shut.values())

    def _of_kinds(self, worker: Worker, pool: str, sessions: list[Session]) -> list[tuple[str, Session]]:
        """Each with its kind. Of the answers that are under way, the oldest are event streams: as many as were asked for."""
        streams = self._lasting(worker, pool)[Lasting.EVENT_STREAMS]
        answering = sorted((s for s in sessions if s.answering), key=lambda s: -s.seconds)
        events = {s.id for s in answering[:streams]}
        return [
            (Lasting.WEBSOCKETS if s.tunnel else Lasting.EVENT_STREAMS if s.id in events else "requests", s)
            for s in sessions
        ]

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

    def _busy(self, worker: Worker, pool: str) -> Busy:
        since = 0 if self._log is None else end_of(self._log)
        before = self._lasting(worker, pool)
        queued, served = self._waiting_and_served(self._rows(worker, pool))
        after = self._lasting(worker, pool)
        clients: Mapping[str, int] | None = None
        if self._log is not None and worker.old and queued + served:
            sessions = wire.parse_sessions(self._master.tell(worker, "show sess"))
            clients = Counter(s.client for s in sessions if self._has(pool, s))
        return Busy(queued + served, queued, before, after, clients, since)

    def _waiting_and_served(self, rows: list[Stat]) -> tuple[int, int]:
        """A backend's `scur` has those in its queue and in its servers' queues, too; its `qcur` has only its own."""
        queued = sum(r.count("qcur") for r in rows)
        return queued, max(0, _backend_row(rows).count("scur") - queued)

    def _lasting(self, worker: Worker, pool: str) -> Mapping[Lasting, int]:
        counts = wire.parse_table(self._master.tell(worker, wire.show_table(LONG_TABLE)), "conn_cur")
        return {Lasting.WEBSOCKETS: counts.get(pool, 0), Lasting.EVENT_STREAMS: counts.get(pool + EVENTS, 0)}

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

    def _lose_sight(self, pool: str, now: Mapping[int, Busy]) -> int:
        with self._lock:
            memory = self._pools[pool]
            memory.lost += [busy for pid, busy in memory.busy.items() if pid not in now and busy.at_stake]
            memory.busy = dict(now)
            return sum(busy.at_stake - self._ended(busy) for busy in memory.lost)

    def _ended(self, busy: Busy) -> int:
        if self._log is None or busy.clients is None:
            return 0
        return min(busy.at_stake, ended(self._log, busy.since, busy.clients))

    def _backend(self, pool: str) -> str:
        if pool not in self._backends:
            raise no_such_pool("the balancer", pool, self._backends, "`backends`")
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
