"""Caddy behind the balancer port: one object of its configuration, in the file it starts from and through its admin API."""

from __future__ import annotations

import http.client
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
)
from changeover.core.model import Counters, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Capabilities, Fence, Finding
from changeover_caddy import by_hand, config, inspection
from changeover_caddy.admin import Admin
from changeover_caddy.file import ConfigFile, refuse_newer
from changeover_caddy.log import AccessLog

WORKER = "caddy"
OURS = f"/id/{config.ID}"
FEWEST_SECRET_CHARACTERS = 32
TRIES = 5  # writes of a commit: each is refused if somebody else has written since the look


@dataclass(frozen=True, slots=True)
class CaddySettings:
    """One Caddy. `admin`: a unix socket's path, or host:port. `config`: the JSON file it starts from. `log`: its access log.

    `pools`: pool -> addresses of its instances; `secret`: where the preview's secret is, made if it is absent.
    """

    name: str
    entry: str
    pools: Mapping[str, Sequence[str]]
    admin: str
    config: str
    secret: str
    log: str
    health: str = "/health"
    check_every: float = 1.0  # seconds
    keep_alive: bool = False
    timeout: float = 5.0  # seconds, for each exchange with the admin API


@dataclass
class CaddyBalancer:
    """The driver. In the file fences are compared; in Caddy the ETag is: a write of somebody who looked before another one wrote is refused."""

    settings: CaddySettings
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(compares=True, counts_fallbacks=True))

    def __post_init__(self) -> None:
        self._admin = Admin(self.settings.admin, self.settings.timeout)
        self._file = ConfigFile(Path(self.settings.config))
        self._log = AccessLog(Path(self.settings.log))

    @property
    def name(self) -> str:
        return self.settings.name

    def entry(self) -> str:
        return self.settings.entry

    def inspect(self) -> Sequence[Finding]:
        return inspection.findings(self.name, self._admin, self._file, self._log, self.read)

    # the route -------------------------------------------------------------------------------------

    def read(self) -> RouteReading:
        """Mark and expiry are notes, which Caddy does not evaluate: of a running route that decides alike, the file has them."""
        found, _ = self._running()
        problems: list[str] = []
        running = _ours("Caddy", found, problems)
        kept, durable = self._kept(problems)
        route = None if running is None else running.route
        lasting = None if durable is None else durable.route
        if route is not None and lasting is not None:
            alike = route.decides_like(lasting)
            if not config.same_traffic(found, kept):
                problems.append(f"Caddy does not run what {self._file.path} says")
                lasting = None if alike else lasting  # the same shares of other pools are not the same
            elif alike:
                route = lasting
        leaving = {} if running is None else running.leaving(time.time())
        return RouteReading(self.name, {WORKER: route}, lasting, "; ".join(problems), leaving)

    def _kept(self, problems: list[str]) -> tuple[config.Json, config.Ours | None]:
        """Our object in the file, and what it says if it is sound."""
        try:
            kept = self._file.ours()
        except ChangeoverError as error:
            problems.append(error.what)
            return {}, None
        return kept, _ours(str(self._file.path), kept, problems)

    def stage(self, route: Route, fence: Fence) -> None:
        """Raises what `commit` would raise, as far as that can be known before."""
        self._demand_pools(route)
        self._look(fence)
        secret_in(self.settings.secret)
        if not os.access(self._file.path.parent, os.W_OK):
            raise BalancerRefused(f"{self._file.path.parent} is not writable", next=("let this user write it",))

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """File first, then Caddy, then read back. What Caddy refuses is taken out of the file again.

        Raises BalancerMisconfigured if the object is not ours, or no longer: somebody has edited it.
        """
        self._demand_pools(route)
        fence.check()
        before, _ = self._look(fence)
        site = self._site(secret_in(self.settings.secret))
        wanted = config.route_object(
            route, site, token=fence.token, run=fence.run, left=_left(before, route, time.time())
        )
        self._file.write(wanted, fence)
        self._load(wanted, fence)
        reading = self.read()
        if not (reading.settled and reading.route == route):
            self._look(fence)
            raise BalancerRefused(
                f"{self.name} does not show the route that was written: {reading.problem or 'it shows another one'}",
                now="The route is not what was asked.",
                next=("changeover status", "changeover resume"),
            )
        return reading

    def _load(self, wanted: config.Json, fence: Fence) -> None:
        """Until Caddy runs it, or says no. A lost answer is no answer: it is looked at what runs."""
        lost: BalancerUnreachable | None = None
        for _ in range(TRIES):
            try:
                running, etag = self._look(fence)
            except BalancerUnreachable as error:
                raise self._half(error) from None
            if config.same_traffic(running, wanted) and config.read_object(running).fence == fence.token:
                return  # Caddy would load its whole configuration again, for nothing
            fence.check()
            try:
                answer = self._admin.ask("PATCH", OURS, wanted, etag)
            except BalancerUnreachable as error:
                lost = error
                continue
            if answer.status == 200:
                return
            if answer.status != 412:  # 412: somebody has written since the look
                self._take_back(running, fence)
                raise BalancerRefused(
                    f"Caddy refuses the route: {answer.status}: {str(answer.body)[:200]}",
                    now="Caddy runs what it ran before, and its file says so again.",
                    next=("changeover doctor",),
                )
        if lost is not None:
            raise self._half(lost)
        raise BalancerRefused(
            f"the configuration of {self.name} was changed by somebody else {TRIES} times while the route was set",
            now=f"{self._file.path} has the new route, Caddy does not.",
            next=("find out who writes it", "changeover resume"),
        )

    def _half(self, error: BalancerUnreachable) -> BalancerUnreachable:
        return BalancerUnreachable(
            error.what,
            now=f"{self._file.path} has the new route; whether Caddy runs it is not known. Both pools are up.",
            next=error.next,
        )

    def _take_back(self, running: config.Json, fence: Fence) -> None:
        """The file says what Caddy goes on running, with our fence: nobody older may write after this."""
        ours = config.read_object(running)
        head, *rest = running["handle"]
        same = {**running, "handle": [{**head, "changeover_fence": f"{max(ours.fence, fence.token)}"}, *rest]}
        self._file.write(config.signed(same), fence)

    def _look(self, fence: Fence) -> tuple[config.Json, str]:
        """What runs, with its ETag. Raises FencedOut if a newer owner has written file or Caddy, BalancerMisconfigured if it is not ours."""
        running, etag = self._running()
        if not etag:
            raise BalancerMisconfigured(
                "Caddy gives no ETag, so nobody could see that two write at once", next=("install Caddy 2.6 or newer",)
            )
        for who, found in (("Caddy", running), (str(self._file.path), self._file.ours())):
            try:
                refuse_newer(config.read_object(found), fence)
            except ValueError as error:
                raise BalancerMisconfigured(
                    f"{who}: {error}",
                    next=(
                        f"put back what changeover wrote: caddy reload --config {self._file.path}, or the runbook's commands",
                        "changeover resume",
                    ),
                ) from None
        return running, etag

    def _running(self) -> tuple[config.Json, str]:
        answer = self._admin.ask("GET", OURS)
        if answer.status != 200 or not isinstance(answer.body, dict):
            raise BalancerMisconfigured(
                f'Caddy has no object with "@id": "{config.ID}"',
                next=("put it into Caddy's configuration: see README.md of changeover-caddy",),
            )
        return answer.body, answer.etag

    def _site(self, secret: str) -> config.Site:
        asked = self.settings
        return config.Site(asked.pools, secret, asked.health, asked.check_every, asked.keep_alive)

    def _demand_pools(self, route: Route) -> None:
        for pool in (route.live, route.candidate):
            if pool not in self.settings.pools:
                raise BalancerRefused(
                    f"there is no pool {pool!r}; there are {', '.join(self.settings.pools)}",
                    next=("changeover doctor",),
                )

    # the pools -------------------------------------------------------------------------------------

    def _addresses(self, pool: str) -> Sequence[str]:
        if pool not in self.settings.pools:
            raise BalancerMisconfigured(f"there is no pool {pool!r}", next=("changeover doctor",))
        return self.settings.pools[pool]

    def health(self, pool: str) -> PoolHealth:
        """Caddy does not tell what its checks find: the instances are asked from here, by the path that Caddy asks."""
        addresses = self._addresses(pool)
        self._running()
        bad = [a for a in addresses if not _healthy(a, self.settings.health)]
        return PoolHealth(len(addresses) - len(bad), len(addresses), f"not healthy: {', '.join(bad)}" if bad else "")

    def in_flight(self, pool: str) -> InFlight:
        """Caddy counts websockets and event streams as requests. Configurations of before share the counts."""
        addresses = set(self._addresses(pool))
        try:
            answer = self._admin.ask("GET", "/reverse_proxy/upstreams")
        except BalancerUnreachable as error:
            return InFlight(None, None, error.what)
        counts = {u["address"]: int(u["num_requests"]) for u in answer.body or () if u["address"] in addresses}
        if unknown := addresses - set(counts):
            return InFlight(None, None, f"Caddy does not know {', '.join(sorted(unknown))}")
        return InFlight(sum(counts.values()))

    def counters(self, pool: str) -> Counters:
        self._addresses(pool)
        self._running()
        return self._log.counters(pool)

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused, always: Caddy has no means to close what is in flight."""
        self._addresses(pool)
        fence.check()
        self._running()
        raise BalancerRefused(
            f"Caddy cannot close what is in flight on {pool}",
            now="Nothing was closed.",
            next=("at_deadline: wait or hold",),
        )

    # preview and people ----------------------------------------------------------------------------

    def preview(self) -> tuple[str, Mapping[str, str]]:
        found, _ = self._running()
        try:
            config.read_object(found)
            return self.settings.entry, {config.HEADER: config.secret_of(found)}
        except ValueError as error:
            raise BalancerMisconfigured(f"{self.name} has no preview: {error}", next=("changeover doctor",)) from None

    def by_hand(self, route: Route) -> Sequence[str]:
        return by_hand.set_route(self.settings, route, self._site(by_hand.PLACEHOLDER))

    def by_hand_live(self, pool: str) -> Sequence[str]:
        self._addresses(pool)
        return by_hand.demand_live(self.settings, pool)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        return by_hand.wait_healthy(self.settings, self._addresses(pool))

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        return by_hand.wait_drained(self.settings, pool, self._addresses(pool), within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        self._addresses(pool)
        return by_hand.ask_preview(self.settings)


def secret_in(file: str) -> str:
    """The preview's secret, made if it is absent. Raises BalancerMisconfigured."""
    path = Path(file)
    try:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
                made.write(secrets.token_urlsafe(32))
        found = path.read_text("utf-8").strip()
    except OSError as error:
        raise BalancerMisconfigured(
            f"the secret {path} cannot be read or made: {error.strerror}", next=("see its mode",)
        ) from None
    if len(found) < FEWEST_SECRET_CHARACTERS:
        raise BalancerMisconfigured(
            f"the secret in {path} is shorter than {FEWEST_SECRET_CHARACTERS} characters",
            next=("remove the file: a new one is made",),
        )
    return found


def _ours(who: str, found: config.Json, problems: list[str]) -> config.Ours | None:
    try:
        return config.read_object(found)
    except ValueError as error:
        problems.append(f"{who}: {error}")
        return None


def _left(before: config.Json, route: Route, now: float) -> tuple[tuple[Route, float], ...]:
    """What connections of before may still follow, if that is not what they get anyway."""
    ours = config.read_object(before)
    left = (*((r, at) for r, at in ours.left if now < at + config.LEAVE), (ours.route, now))
    return tuple((r, at) for r, at in left if not r.decides_like(route))


def _healthy(address: str, path: str) -> bool:
    line = http.client.HTTPConnection(address, timeout=2)
    try:
        line.request("GET", path)
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
