"""HAProxy as a Balancer: two backends, one map entry, every worker reached through the master socket.

Why one entry: it is one string, so one command changes the whole route of one worker at once, and no flip needs a reload.
Why every worker: after a reload, old workers go on answering on connections they have; their visitors must follow too.
Why a fenced commit: see `commit` for the running route and `haproxy_file` for the durable one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, BalancerUnreachable, ChangeoverError
from changeover.core.model import Counters, Cut, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Capabilities, Fence, Finding
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_config import PREVIEW_HEADER, parse_preview
from changeover.drivers.balancers.haproxy_counts import Counting
from changeover.drivers.balancers.haproxy_file import MapFile, fenced_out
from changeover.drivers.balancers.haproxy_socket import GONE_PAUSE, RELOAD, ROUNDS, MasterSocket, WorkerGone
from changeover.drivers.balancers.haproxy_wire import OutOfRange, Worker

FEWEST_SECRET_CHARACTERS = 22  # 128 bits in base64


@dataclass(frozen=True, slots=True)
class HaproxySettings:
    """One HAProxy. `socket` is the master socket (`-S`), `backends` maps pool -> backend; `timeout` seconds per command.

    `map_path` and `preview_map_path` are written exactly as in haproxy.cfg: HAProxy knows a map by that text.
    `config_path` lets `inspect` look at what the running HAProxy does not tell; `log` is its access log, which tells the paths of
    what was cut.
    """

    name: str
    socket: str
    map_path: str
    preview_map_path: str
    backends: Mapping[str, str]
    entry: str
    config_path: str | None = None
    timeout: float = 5.0
    log: str | None = None

    def __post_init__(self) -> None:
        """Raises BalancerMisconfigured for paths that cannot work."""
        for path in (self.socket, self.map_path, self.preview_map_path):
            wire.safe_path(path)
        if len(self.socket) > wire.LONGEST_SOCKET_PATH:
            raise BalancerMisconfigured(
                f"the socket path {self.socket} is longer than {wire.LONGEST_SOCKET_PATH} characters",
                next=("put the master socket into a shorter directory",),
            )
        if len(self.backends) < 2:
            raise BalancerMisconfigured(f"{self.name}: two pools are needed, not {len(self.backends)}")


class HaproxyBalancer:
    """The Balancer port on HAProxy 2.4 or newer (versioned maps) in master-worker mode."""

    def __init__(self, settings: HaproxySettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.capabilities = Capabilities(expiry=True, compares=True, counts_fallbacks=True, finest_share=1)
        self._master = MasterSocket(settings.socket, settings.timeout)
        self._file = MapFile(settings.map_path)
        self._counting = Counting(self._master, settings.backends, settings.log)

    def entry(self) -> str:
        return self.settings.entry

    def inspect(self) -> Sequence[Finding]:
        from changeover.drivers.balancers.haproxy_inspect import inspect

        return inspect(self.settings, self._master)

    # the route -----------------------------------------------------------------------------------

    def read(self) -> RouteReading:
        """The route of every worker, old ones included, and of the map file. Raises BalancerUnreachable."""
        problems: list[str] = []
        answers = self._master.each(
            lambda worker: self._route_of(f"worker {worker.name}", lambda: self._value(worker), problems)
        )
        workers = {worker.name: route for worker, route in answers}
        durable = self._route_of(f"the file {self.settings.map_path}", lambda: self._file.read().value, problems)
        problems += _disagreements(workers, durable)
        return RouteReading(self.name, workers, durable, "; ".join(dict.fromkeys(problems)))

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """Make `route` the route: the file first (any reload then finishes what a crash left), then every worker. Durable at the end.

        Each worker gets `prepare map` (a numbered version), `add map @v`, then, the lease looked at once more, `commit map
        @v`, which replaces the whole map at once. HAProxy refuses a version older than the newest committed one: a process
        that slept in between and was taken over gets FencedOut and changes nothing. Every write is such a commit, also of a
        route that is there already, so a take-over that commits the route as it is (see `fence_off`) kills all older
        prepared versions. Version numbers live in one worker and begin again at a reload, so they are never kept.

        Raises BalancerUnreachable (nothing is written if the master does not answer at the start), BalancerRefused when
        the read-back disagrees, BalancerMisconfigured, FencedOut.
        """
        value = wire.encode_route(route, list(self.settings.backends))
        fence.check()
        ready = self._prepared(value, fence)  # reachable, and the map is there, before anything is written
        with self._file.drafted(value, fence) as draft:
            self._file.publish(draft, fence)
        done = self._land(ready, value, fence)
        self._file.settle(value, fence)
        self._commit_workers(lambda _: value, fence, done)
        self._counting.forget_lost()
        return self._settled(route, fence)

    def stage(self, route: Route, fence: Fence) -> None:
        """Open a version on every worker and write a draft of the file; nobody reads either. Raises as `commit`."""
        value = wire.encode_route(route, list(self.settings.backends))
        now = self._file.read()
        if now.token > fence.token:
            raise fenced_out(self.settings.map_path, now, fence)
        self._prepared(value, fence)
        with self._file.drafted(value, fence):
            fence.check()

    def fence_off(self, fence: Fence) -> RouteReading:
        """At a take-over: commit what each worker and the file have, as it is, under the new fence.

        Changes no decision. Afterwards nothing that an older owner prepared, in a worker or beside the file, can land. A
        `commit` of the route that was read does the same; this one works also while workers disagree.
        """
        fence.check()
        self._master.each(self._value)
        self._file.write(self._file.read().value, fence)
        self._commit_workers(self._value, fence)
        return self.read()

    def _prepared(self, value: str, fence: Fence) -> dict[Worker, int]:
        """The route in a new version of every worker's map, invisible as long as it is not committed: worker -> version.

        A worker that ends or is reloaded meanwhile is left out; `_commit_workers` asks again who there is.
        """
        path, found = self.settings.map_path, {}
        for worker in self._master.workers():
            with contextlib.suppress(WorkerGone):
                version = wire.parse_version(self._master.tell(worker, wire.prepare_map(path)))
                self._demand_blank(worker, wire.add_route(path, version, value), fence)
                found[worker] = version
        return found

    def _land(self, ready: Mapping[Worker, int], value: str, fence: Fence) -> set[int]:
        """Commit what was prepared, without a pause between the workers, then read back: the pids of those that show it."""
        path, landed, done = self.settings.map_path, [], set()
        for worker, version in ready.items():
            with contextlib.suppress(WorkerGone, BalancerUnreachable):
                fence.check()
                self._demand_blank(worker, wire.commit_map(path, version), fence)
                landed.append(worker)
        for worker in landed:
            with contextlib.suppress(WorkerGone, BalancerUnreachable):
                if self._value(worker) == value:
                    done.add(worker.pid)
        return done

    def _commit_workers(
        self, wanted: Callable[[Worker], str | None], fence: Fence, done: set[int] | None = None
    ) -> None:
        """Every worker that is not done yet, also those that appear meanwhile; a fresh version for each."""
        done = set() if done is None else done
        patience = time.monotonic() + RELOAD
        for _ in range(ROUNDS):
            todo = [w for w in self._master.workers() if w.pid not in done]
            if not todo:
                return
            for worker in todo:
                try:
                    self._commit_worker(worker, wanted, fence)
                except WorkerGone:
                    time.sleep(GONE_PAUSE)
                except BalancerUnreachable:  # a reload resets connections; done again with a new version it is the same
                    if time.monotonic() > patience:
                        raise
                    time.sleep(GONE_PAUSE)
                else:
                    done.add(worker.pid)
        raise BalancerRefused(
            f"{self.name} was reloaded again and again while the route was written",
            now="The map file holds the new route; every worker started from now on reads it.",
            next=("find out who reloads HAProxy", "changeover resume"),
        )

    def _commit_worker(self, worker: Worker, wanted: Callable[[Worker], str | None], fence: Fence) -> None:
        path = self.settings.map_path
        version = wire.parse_version(self._master.tell(worker, wire.prepare_map(path)))
        value = wanted(worker)  # looked at after the version was opened: what older owners prepared is older
        if value is not None:
            self._demand_blank(worker, wire.add_route(path, version, value), fence)
        fence.check()
        self._demand_blank(worker, wire.commit_map(path, version), fence)
        now = self._value(worker)
        if now != value:
            raise self._lost(f"worker {worker.name} shows {now!r} instead of {value!r}", fence)

    def _demand_blank(self, worker: Worker, command: str, fence: Fence) -> None:
        try:
            wire.demand_blank(command, self._master.tell(worker, command))
        except OutOfRange:
            raise fenced_out(self.settings.map_path, self._file.read(), fence) from None

    def _settled(self, route: Route, fence: Fence) -> RouteReading:
        reading = self.read()
        if not (reading.settled and reading.route == route):
            raise self._lost(reading.problem or "it shows another route", fence)
        return reading

    def _lost(self, what: str, fence: Fence) -> ChangeoverError:
        """The read-back disagrees: taken over, or changed by somebody who asks no fence."""
        now = self._file.read()
        if now.token > fence.token:
            return fenced_out(self.settings.map_path, now, fence)
        return BalancerRefused(
            f"{self.name} does not show the route that was written: {what}",
            now="The route is not what was asked, at least on one worker.",
            next=("changeover status", "changeover resume"),
        )

    def _value(self, worker: Worker) -> str | None:
        return wire.parse_value(self._master.tell(worker, wire.get_route(self.settings.map_path)))

    def _route_of(self, who: str, get: Callable[[], str | None], problems: list[str]) -> Route | None:
        try:
            value = get()
        except ChangeoverError as error:
            problems.append(f"{who}: {error.what}")
            return None
        if value is None:
            problems.append(f"{who} has no entry {wire.ROUTE_KEY!r}: the default of haproxy.cfg applies silently")
            return None
        try:
            return wire.decode_route(value, list(self.settings.backends))
        except ValueError as error:
            problems.append(f"{who} holds no route: {error}")
            return None

    # the pools -----------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        """Old workers are not asked: they check nothing any more. A server in maintenance is not known."""
        return self._counting.health(pool)

    def in_flight(self, pool: str) -> InFlight:
        return self._counting.in_flight(pool)

    def counters(self, pool: str) -> Counters:
        """Raises BalancerUnreachable. What a worker had counted before it ended stays counted, while this object lives."""
        return self._counting.counters(pool)

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused if something is still open 5 s after it was shut down."""
        return self._counting.cut(pool, fence)

    def cut_kinds(self, pool: str, kinds: frozenset[str], fence: Fence) -> Sequence[Cut]:
        """As `cut`, of these kinds only, each named; its path if the settings name HAProxy's access log."""
        return self._counting.cut_kinds(pool, kinds, fence)

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """Raises BalancerRefused while nobody can say which pool is idle, BalancerMisconfigured without a secret for it."""
        pool = self._idle()
        secret = self._secrets().get(pool, "")
        if len(secret) < FEWEST_SECRET_CHARACTERS:
            raise BalancerMisconfigured(
                f"{self.settings.preview_map_path} has no secret of {FEWEST_SECRET_CHARACTERS} or more characters for pool {pool}",
                next=(
                    f"add a line: echo \"$(openssl rand -base64 33 | tr '+/' '-_') {pool}\" >> {self.settings.preview_map_path}",
                    "reload HAProxy",
                ),
            )
        return self.entry(), {PREVIEW_HEADER: secret}

    def _idle(self) -> str:
        reading = self.read()
        route = reading.route
        if route is None:
            raise BalancerRefused(
                f"{self.name}: no pool is idle for certain: {reading.problem}",
                next=("changeover status", "changeover resume"),
            )
        if route.candidate != route.live:
            return route.candidate
        return next(pool for pool in self.settings.backends if pool != route.live)

    def _secrets(self) -> Mapping[str, str]:
        path = self.settings.preview_map_path
        try:
            return parse_preview(Path(path).read_text("utf-8", "replace"))
        except OSError as error:
            raise BalancerMisconfigured(
                f"the preview map {path} cannot be read: {error.strerror}",
                next=(f"see that this user, and nobody else, may read {path}",),
            ) from None

    # by hand -------------------------------------------------------------------------------------

    def by_hand(self, route: Route) -> Sequence[str]:
        from changeover.drivers.balancers.haproxy_by_hand import set_route

        return set_route(self.settings, route)

    def by_hand_live(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers.haproxy_by_hand import demand_live

        return demand_live(self.settings, pool)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers.haproxy_by_hand import wait_healthy

        return wait_healthy(self.settings, pool)

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        from changeover.drivers.balancers.haproxy_by_hand import wait_drained

        return wait_drained(self.settings, pool, within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers.haproxy_by_hand import ask_preview

        return ask_preview(self.settings, pool)


def _disagreements(workers: Mapping[str, Route | None], durable: Route | None) -> list[str]:
    """In words, what differs. What is no route at all is told elsewhere."""
    known = {name: route for name, route in workers.items() if route is not None}
    found = []
    if len(set(known.values())) > 1:
        said = ", ".join(f"{name}: {_short(route)}" for name, route in known.items())
        found.append(f"the workers disagree ({said})")
    elif known and durable is not None and durable not in known.values():
        running = next(iter(known.values()))
        found.append(f"it runs {_short(running)}, but a restart would come up with {_short(durable)}")
    return found


def _short(route: Route) -> str:
    return wire.encode_route(route, (route.live, route.candidate))
