"""HAProxy as people already run it: one backend with the servers of both pools. The route is the weights of its servers.

For a site that does not want to change its configuration. The map design (`haproxy`) can do more, and is the recommended one;
what weights cannot do, and what that means here:

* They are set server by server: for some hundred microseconds of a flip both pools serve. Those who get more come first.
* Their ratio is the share: cut no finer than 39 basis points for pools of one size, and untrue while a server is missing.
* A visitor draws anew with each request: no stickiness. The idle pool has no preview: smoke checks ask an instance directly.
* After a reload nothing changes the weights of an old worker. It takes no new connections; what comes on those it has goes where
  its last weights say until it ends (`timeout http-keep-alive`), so its pools are not drained before (`RouteReading.leaving`).
* HAProxy evaluates no expiry, counts no fallback (a dead candidate's requests go to whoever is left), compares no fence.

Durable is either haproxy.cfg itself, whose weights are kept equal to what runs, or a server-state file (`haproxy_servers_file`).
The file compares fences; a worker's weights cannot be compared with, so whoever wrote them late looks at the file afterwards
and, when a newer owner is in it, puts the newer owner's weights back.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
    FencedOut,
)
from changeover.core.model import Counters, Cut, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Capabilities, Fence, Finding
from changeover.drivers.balancers import haproxy_weights as weights
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_file import fenced_out
from changeover.drivers.balancers.haproxy_servers_counts import ServersCounting
from changeover.drivers.balancers.haproxy_servers_file import (
    ConfigFile,
    ServersFile,
    StateFile,
    Wanted,
    by_pool,
    restarted,
)
from changeover.drivers.balancers.haproxy_socket import GONE_PAUSE, RELOAD, ROUNDS, MasterSocket, WorkerGone
from changeover.drivers.balancers.haproxy_weights import CannotWeigh, ServerState, split_for
from changeover.drivers.balancers.haproxy_wire import Worker

RELOAD_WITHIN = 15.0  # seconds until a reload of our own shows a new worker
POLL = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class HaproxyServersSettings:
    """One HAProxy with one backend. `servers`: pool -> names of its servers; `timeout` seconds per command.

    Durable is `state_path`, a server-state file, if it is given, else `config_path`, haproxy.cfg. `reload` is the last resort: the
    command that makes HAProxy read its files again, for one that does not let weights be set.
    """

    name: str
    socket: str
    backend: str
    servers: Mapping[str, Sequence[str]]
    entry: str
    config_path: str | None = None
    state_path: str | None = None
    reload: tuple[str, ...] = ()
    timeout: float = 5.0
    log: str | None = None  # the access log: paths of what was cut, and how requests of an old worker ended

    def __post_init__(self) -> None:
        """Raises BalancerMisconfigured for what cannot work."""
        wire.safe_path(self.socket)
        if self.config_path is None and self.state_path is None:
            raise BalancerMisconfigured(
                f"{self.name}: weights that nobody keeps are lost at the next reload",
                next=("name haproxy.cfg (`config`), or a server-state file (`state_file`)",),
            )
        if len(self.servers) < 2:
            raise BalancerMisconfigured(f"{self.name}: two pools are needed, not {len(self.servers)}")


class HaproxyServersBalancer:
    """The Balancer port on one backend of HAProxy in master-worker mode."""

    def __init__(self, settings: HaproxyServersSettings) -> None:
        self.settings = settings
        self.name = settings.name
        sizes = [len(names) for names in settings.servers.values()]
        self.capabilities = Capabilities(
            expiry=False,
            compares=False,
            counts_fallbacks=False,
            finest_share=weights.finest(max(sizes), min(sizes)),
            preview=False,
            sticky=False,
        )
        self._master = MasterSocket(settings.socket, settings.timeout)
        self._file: ServersFile = self._durable()
        self._counting = ServersCounting(self._master, settings.backend, settings.servers, settings.log)

    def _durable(self) -> ServersFile:
        settings = self.settings
        if settings.state_path is not None:
            return StateFile(settings.state_path, settings.backend, settings.servers, self._dump)
        assert settings.config_path is not None
        return ConfigFile(settings.config_path, settings.backend, settings.servers)

    def entry(self) -> str:
        return self.settings.entry

    def inspect(self) -> Sequence[Finding]:
        from changeover.drivers.balancers.haproxy_servers_inspect import inspect

        return inspect(self.settings, self._master, self._file)

    # the route -----------------------------------------------------------------------------------

    def read(self) -> RouteReading:
        """The route of every worker and of the file; old workers are leaving. Raises BalancerUnreachable."""
        problems: list[str] = []
        text = self._text(problems)
        record = None if text is None else self._file.record(text)
        answers = self._master.each(
            lambda worker: self._route_of(f"worker {worker.name}", lambda: self._states(worker), record, problems)
        )
        durable = None if text is None else self._durable_route(text, record, problems)
        routes = {worker.name: route for worker, route in answers if not worker.old}
        leaving = {worker.name: route for worker, route in answers if worker.old}
        problems += _disagreements(routes, durable, self._file.path)
        return RouteReading(self.name, routes, durable, "; ".join(dict.fromkeys(problems)), leaving)

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """The file first (a reload at any moment finishes what a crash left), then every worker, then read back.

        Raises BalancerUnreachable, BalancerRefused, BalancerMisconfigured, and FencedOut when the file's fence is newer: then the
        workers have the newer owner's weights.
        """
        wire.encode_route(route, list(self.settings.servers))
        fence.check()
        states = by_pool(self._newest(), self.settings.servers)
        wanted = Wanted(route, split_for(route.share, *self._sizes(route, states)))
        value = wanted.text(list(self.settings.servers))
        try:
            with self._file.drafted(value, fence) as draft:
                self._file.publish(draft, fence)
            self._apply(wanted.weights(), fence.check)
            self._file.settle(value, fence)
            self._apply(wanted.weights(), fence.check)  # those that appeared meanwhile
            self._no_newer(fence)
        except FencedOut:
            self._give_way(fence)
            raise
        self._counting.forget_lost()
        return self._settled(route, fence)

    def stage(self, route: Route, fence: Fence) -> None:
        """Every server is there, and a draft of the file can be written. Raises as `commit`."""
        wire.encode_route(route, list(self.settings.servers))
        self._no_newer(fence)
        states = by_pool(self._newest(), self.settings.servers)
        wanted = Wanted(route, split_for(route.share, *self._sizes(route, states)))
        with self._file.drafted(wanted.text(list(self.settings.servers)), fence):
            fence.check()

    def nearest(self, route: Route) -> float:
        """What whole weights up to 256 give, with as many servers as take part now."""
        sizes = self._sizes(route, by_pool(self._newest(), self.settings.servers))
        return weights.share_of(split_for(route.share, *sizes), *sizes)

    def _sizes(self, route: Route, states: Mapping[str, Sequence[ServerState]]) -> tuple[int, int]:
        """Servers of both pools that take part. A pool that is out as a whole comes in as a whole."""
        found = [[s for s in states[p] if not s.is_out] or states[p] for p in (route.live, route.candidate)]
        return len(found[0]), len(found[1])

    def _apply(self, wanted: Mapping[str, int], check: Callable[[], None]) -> None:
        """Every worker, also those that appear meanwhile."""
        done: set[int] = set()
        patience = time.monotonic() + RELOAD
        for _ in range(ROUNDS):
            todo = [w for w in self._master.workers() if w.pid not in done]
            if not todo:
                return
            for worker in todo:
                try:
                    self._tell(worker, wanted, check)
                except WorkerGone:
                    time.sleep(GONE_PAUSE)
                except CannotWeigh as refused:
                    if not self.settings.reload:
                        raise self._cannot_weigh(refused) from None
                    self._reload(wanted, check)
                    return
                except BalancerUnreachable:  # a reload resets connections; set again it is the same
                    if time.monotonic() > patience:
                        raise
                    time.sleep(GONE_PAUSE)
                else:
                    done.add(worker.pid)
        raise BalancerRefused(
            f"{self.name} was reloaded again and again while the route was written",
            now=f"{self._file.path} holds the new route; every worker started from now on has it.",
            next=("find out who reloads HAProxy", "changeover resume"),
        )

    def _tell(self, worker: Worker, wanted: Mapping[str, int], check: Callable[[], None]) -> None:
        states = by_pool(self._states(worker), self.settings.servers)
        if self._has(states, wanted):
            return
        lines = weights.commands(self.settings.backend, states, wanted)
        check()
        replies = self._master.tell_all(worker, lines)
        if any(
            reply.startswith("Proxy is disabled") for reply in replies
        ):  # HAProxy's words for an old worker's backend
            if worker.old:
                return
            raise WorkerGone  # it became one just now
        for line, reply in zip(lines, replies, strict=True):
            weights.demand_set(line, reply)
        if not self._has(by_pool(self._states(worker), self.settings.servers), wanted):
            raise BalancerRefused(
                f"worker {worker.name} does not show the weights that were set",
                now="The route is not what was asked, at least on one worker.",
                next=("changeover status", "changeover resume"),
            )

    def _has(self, states: Mapping[str, Sequence[ServerState]], wanted: Mapping[str, int]) -> bool:
        for pool, weight in wanted.items():
            part = [s for s in states[pool] if not s.is_out]
            if any(s.weight != weight for s in part) or not part:
                return False
        return True

    def _cannot_weigh(self, refused: CannotWeigh) -> BalancerMisconfigured:
        return BalancerMisconfigured(
            f"{self.name}: the running HAProxy does not let the weights of {self.settings.backend} be set: {refused}",
            now=f"{self._file.path} may hold the new route; the workers run the earlier one.",
            next=(
                "balance roundrobin, and a master socket of level admin (haproxy -S PATH,mode,660,level,admin)",
                "or, as the last resort, `reload:` in changeover.yml: the command that reloads HAProxy",
            ),
        )

    def _reload(self, wanted: Mapping[str, int], check: Callable[[], None]) -> None:
        """The last resort: the file has the route already; a new worker reads it."""
        before = {w.pid for w in self._master.workers()}
        check()
        done = subprocess.run(self.settings.reload, capture_output=True, text=True, timeout=30, check=False)
        deadline = time.monotonic() + RELOAD_WITHIN
        while done.returncode == 0 and time.monotonic() < deadline:
            try:
                fresh = [w for w in self._master.workers() if not w.old and w.pid not in before]
                if fresh and all(self._has(by_pool(self._states(w), self.settings.servers), wanted) for w in fresh):
                    return
            except (BalancerUnreachable, WorkerGone):
                pass  # the master executes itself anew
            time.sleep(POLL)
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise BalancerRefused(
            f"{self.settings.reload[0]} brought no worker with the new weights: {said[0][:120] if said else f'exit {done.returncode}'}",
            now="The earlier worker goes on.",
            next=("haproxy -c -f haproxy.cfg", "changeover resume"),
        )

    def _no_newer(self, fence: Fence) -> None:
        now = self._file.read()
        if now.token > fence.token:
            raise fenced_out(self._file.path, now, fence)

    def _give_way(self, fence: Fence) -> None:
        """Taken over: what this process may have set after the newer owner did is set back to what the newer one wrote."""
        text = self._file.text()
        record, now = self._file.record(text), self._file.parse(text)
        if record is not None and now.token > fence.token and now.value is not None:
            self._apply(record.weights(), lambda: None)

    def _settled(self, route: Route, fence: Fence) -> RouteReading:
        reading = self.read()
        if reading.settled and reading.route == route:
            return reading
        self._no_newer(fence)
        raise BalancerRefused(
            f"{self.name} does not show the route that was written: {reading.problem or 'it shows another route'}",
            now="The route is not what was asked, at least on one worker.",
            next=("changeover status", "changeover resume"),
        )

    # what is there --------------------------------------------------------------------------------

    def _states(self, worker: Worker) -> tuple[ServerState, ...]:
        """Raises BalancerMisconfigured if there is no such backend."""
        reply = self._master.tell(worker, wire.show_servers(self.settings.backend))
        if reply.startswith("Can't find backend"):
            raise BalancerMisconfigured(
                f"HAProxy has no backend {self.settings.backend!r}",
                next=("name the right `backend` in changeover.yml: changeover doctor",),
            )
        return weights.parse_states(reply)

    def _newest(self) -> tuple[ServerState, ...]:
        """By a worker that takes connections."""
        last: ChangeoverError | None = None
        for _ in range(ROUNDS):
            try:
                return self._states(next(w for w in self._master.workers() if not w.old))
            except WorkerGone:
                time.sleep(GONE_PAUSE)
            except BalancerUnreachable as error:
                last = error
                break
        raise last or BalancerUnreachable(f"{self.name} is being reloaded again and again", next=("changeover doctor",))

    def _dump(self) -> str:
        worker = next(w for w in self._master.workers() if not w.old)
        return self._master.tell(worker, "show servers state")

    def _text(self, problems: list[str]) -> str | None:
        try:
            return self._file.text()
        except BalancerUnreachable as error:
            problems.append(error.what)
            return None

    def _durable_route(self, text: str, record: Wanted | None, problems: list[str]) -> Route | None:
        def saved() -> Sequence[ServerState]:
            found = self._file.states(text)
            return restarted(self._newest(), found) if self.settings.state_path is not None else found

        return self._route_of(f"the file {self._file.path}", saved, record, problems)

    def _route_of(
        self, who: str, get: Callable[[], Sequence[ServerState]], record: Wanted | None, problems: list[str]
    ) -> Route | None:
        try:
            states = by_pool(get(), self.settings.servers)
            return weights.route_of(states, None if record is None else (record.route, record.split))
        except ChangeoverError as error:
            problems.append(f"{who}: {error.what}")
        except ValueError as error:
            problems.append(f"{who}: {error}")
        return None

    # the pools -----------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        """Old workers are not asked: they check nothing any more. A server in maintenance is not known."""
        return self._counting.health(pool)

    def in_flight(self, pool: str) -> InFlight:
        return self._counting.in_flight(pool)

    def counters(self, pool: str) -> Counters:
        """Raises BalancerUnreachable. `fallbacks` is None: nobody counts them."""
        return self._counting.counters(pool)

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused if something is still open 5 s after it was shut down."""
        return self._counting.cut(pool, fence)

    def cut_kinds(self, pool: str, kinds: frozenset[str], fence: Fence) -> Sequence[Cut]:
        """As `cut`, of these kinds only, each named; its path if the settings name HAProxy's access log."""
        return self._counting.cut_kinds(pool, kinds, fence)

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """The address of an instance of the idle pool, and no header: nothing leads there through the balancer."""
        route = self.read().route
        if route is None:
            raise BalancerRefused(
                f"{self.name}: no pool is idle for certain", next=("changeover status", "changeover resume")
            )
        pool = route.candidate
        first = by_pool(self._newest(), self.settings.servers)[pool][0]
        return f"http://{first.address}", {}

    # by hand -------------------------------------------------------------------------------------

    def by_hand(self, route: Route) -> Sequence[str]:
        from changeover.drivers.balancers import haproxy_servers_by_hand as by_hand

        return by_hand.set_route(self.settings, self._file, route)

    def by_hand_live(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers import haproxy_servers_by_hand as by_hand

        return by_hand.demand_live(self.settings, pool)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers import haproxy_servers_by_hand as by_hand

        return by_hand.wait_healthy(self.settings, pool)

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        from changeover.drivers.balancers import haproxy_servers_by_hand as by_hand

        return by_hand.wait_drained(self.settings, pool, within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        from changeover.drivers.balancers import haproxy_servers_by_hand as by_hand

        return by_hand.ask_instance(self.settings, pool)


def _disagreements(workers: Mapping[str, Route | None], durable: Route | None, path: str) -> list[str]:
    """In words, what differs."""
    known = {name: route for name, route in workers.items() if route is not None}
    if len(set(known.values())) > 1:
        return [f"the workers disagree ({', '.join(f'{n}: {_short(r)}' for n, r in known.items())})"]
    if known and durable is not None and durable not in known.values():
        running = next(iter(known.values()))
        return [f"it runs {_short(running)}, but {path} says {_short(durable)}: a restart would change it"]
    return []


def _short(route: Route) -> str:
    share = f", {route.share / 100:g} % {route.candidate}" if route.share else ""
    return f"{route.live}{share}"
