"""Envoy behind the balancer port: the route is a file that Envoy watches, and is read back from its admin port.

What Envoy cannot do, and what that means here:

* It evaluates no expiry: an unwatched share stays until somebody renews or ends it (`capabilities.expiry`).
* It closes no single request: `cut` refuses, and what is left ends with its instance.
* It counts websockets as requests, so `in_flight` has them in `requests` and names them in `detail`.

The file system compares fences (see `envoy_file`), so a stale actor's write is refused, as long as both write through this
driver and the file is on one machine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
)
from changeover.core.model import Counters, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Capabilities, Fence, Finding
from changeover.drivers.balancers import envoy_by_hand, envoy_counts
from changeover.drivers.balancers.envoy_admin import Admin, Updates
from changeover.drivers.balancers.envoy_config import new_secret
from changeover.drivers.balancers.envoy_file import RouteFile
from changeover.drivers.balancers.envoy_inspect import findings
from changeover.drivers.balancers.envoy_route import (
    PREVIEW_HEADER,
    Terms,
    as_file,
    configuration,
    encode,
    parse,
    parse_file,
)
from changeover.drivers.balancers.pools import cannot_cut, no_such_pool

POLL: Final = 0.002  # seconds; Envoy shows a new route 2 to 5 ms after the rename
WORKER: Final = "envoy"


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """Where one Envoy is. `clusters`: pool -> name of its cluster. `deadline` is for the read-back, in seconds.

    `routes` is the route file, alone in a directory that Envoy watches. `preview_secret_file` is made if it is absent (mode
    0600). `route_name` and `silence` are explained at `envoy_route.Terms`.
    """

    name: str
    admin: str
    routes: str
    clusters: Mapping[str, str]
    entry: str
    preview_secret_file: str
    route_name: str = "live"
    silence: float = 300.0
    timeout: float = 5.0
    deadline: float = 10.0


@dataclass(frozen=True, slots=True)
class EnvoyBalancer:
    """The driver. It remembers nothing: several may work on one Envoy."""

    settings: EnvoySettings
    _admin: Admin = field(init=False, repr=False)
    _terms: Terms = field(init=False, repr=False)
    _file: RouteFile = field(init=False, repr=False)

    def __post_init__(self) -> None:
        settings = self.settings
        object.__setattr__(self, "_admin", Admin(settings.admin, settings.timeout))
        object.__setattr__(self, "_terms", Terms(settings.clusters, settings.route_name, settings.silence))
        object.__setattr__(self, "_file", RouteFile(settings.routes))

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(expiry=False, compares=True, counts_fallbacks=True)

    # the route -----------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        reading: RouteReading | ChangeoverError
        try:
            reading = self.read()
        except ChangeoverError as error:
            reading = error
        return (*findings(self._admin, self._terms, self.settings.routes, reading), *self._secret_finding())

    def read(self) -> RouteReading:
        workers, problems = self._workers()
        durable = None
        try:
            durable = parse_file(self._file.read(), self._terms).route
        except ValueError as error:
            problems.append(f"{self.settings.routes}: {error}; a restart may come up without this route")
        except BalancerUnreachable as error:
            problems.append(error.what)
        reading = RouteReading(self.name, workers, durable)
        if not problems and not reading.settled:
            problems.append(f"Envoy does not run what {self.settings.routes} says")
        return RouteReading(self.name, workers, durable, "; ".join(problems))

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """File first, then wait until Envoy runs it. A file that Envoy refuses is taken back, so that a restart finds none.

        Raises BalancerRefused, FencedOut, and BalancerUnreachable when it is not known whether Envoy runs the route.
        """
        wanted = configuration(route, self._terms, self._secret())
        text = as_file(wanted, encode(route, self._terms.pools))
        fence.check()
        self._file.demand(fence)
        before = self._refused_so_far()
        self._file.write(text, fence)
        self._await(wanted, before, fence)
        reading = self.read()
        if reading.route != route or not reading.settled:
            self._file.demand(fence)
            raise self._not_taken(f"the route was changed again at once: {reading.problem or reading.route}")
        return reading

    def stage(self, route: Route, fence: Fence) -> None:
        """Envoy answers, has every cluster, and no newer owner has written the file. Raises as `commit`."""
        configuration(route, self._terms, self._secret())
        fence.check()
        self._file.demand(fence)
        self._refused_so_far()

    def _refused_so_far(self) -> Updates:
        """Raises BalancerRefused if Envoy lacks a cluster that a route may name: it would refuse the whole file."""
        known = self._admin.clusters()
        if missing := sorted(set(envoy_counts.all_clusters(self._terms)) - set(known)):
            raise BalancerRefused(
                f"Envoy has no cluster {', '.join(missing)}",
                next=("add it to Envoy's bootstrap and restart Envoy", "changeover doctor"),
            )
        return self._admin.updates(self._terms.name)

    def _await(self, wanted: Any, before: Updates, fence: Fence) -> None:
        deadline = time.monotonic() + self.settings.deadline
        looks = 0
        while True:
            looks += 1
            silent: BalancerUnreachable | None = None
            try:
                if self._runs(wanted):
                    return
                if (
                    looks % 4 == 0
                    and self._admin.updates(self._terms.name) != before
                    and self._took_back(wanted, fence)
                ):
                    raise self._refused_the_file()
            except BalancerUnreachable as error:
                silent = error  # a moment of silence is no verdict
            self._file.demand(fence)
            if time.monotonic() > deadline:
                raise (
                    self._unknown(silent)
                    if silent
                    else self._not_taken("Envoy does not show the route that was written")
                )
            time.sleep(POLL)

    def _runs(self, wanted: Any) -> bool:
        found = self._admin.routes(self._terms.name)
        return bool(found) and all(each == wanted for each in found)

    def _took_back(self, wanted: Any, fence: Fence) -> bool:
        """Envoy refused a file: make the file say what it runs. False if it runs the wanted route: another file was refused."""
        found = self._admin.routes(self._terms.name)
        if not found:
            raise self._not_taken("Envoy refused the route file, and there is no earlier route to put back")
        earlier = next((each for each in found if each != wanted), None)
        if earlier is not None:
            self._file.write(as_file(earlier, "put back"), fence)
        return earlier is not None

    def _refused_the_file(self) -> BalancerRefused:
        return BalancerRefused(
            "Envoy refused the route file",
            now="Envoy runs the earlier route, and the file says so again.",
            next=("see Envoy's log for the reason", "changeover doctor"),
        )

    def _not_taken(self, why: str) -> BalancerRefused:
        return BalancerRefused(
            why,
            now=f"{self.settings.routes} may say what Envoy does not run; `changeover status` shows both.",
            next=("changeover status", "changeover doctor", "see Envoy's log"),
        )

    def _unknown(self, silent: BalancerUnreachable) -> BalancerUnreachable:
        return BalancerUnreachable(
            f"the route file was written, then {silent.what}",
            now=f"{self.settings.routes} holds the new route; whether Envoy runs it is not known.",
            next=silent.next,
        )

    def _workers(self) -> tuple[dict[str, Route | None], list[str]]:
        found = self._admin.routes(self._terms.name)
        workers: dict[str, Route | None] = {}
        problems: list[str] = []
        for number, each in enumerate(found, 1):
            worker = WORKER if number == 1 else f"{WORKER}#{number}"
            try:
                workers[worker] = parse(each, self._terms).route
            except ValueError as error:
                workers[worker] = None
                problems.append(f"Envoy's route is not changeover's: {error}")
        if not found:
            workers[WORKER] = None
            problems.append(f"Envoy has no route {self._terms.name!r} and answers 404 to everybody")
        return workers, problems

    # pools ---------------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        self._demand_pool(pool)
        return envoy_counts.health(self._admin, self._terms, pool)

    def in_flight(self, pool: str) -> InFlight:
        self._demand_pool(pool)
        try:
            return envoy_counts.in_flight(self._admin, self._terms, pool)
        except (BalancerUnreachable, BalancerMisconfigured) as error:
            return InFlight(None, None, error.what)

    def counters(self, pool: str) -> Counters:
        self._demand_pool(pool)
        return envoy_counts.counters(self._admin, self._terms, pool)

    def cut(self, pool: str, fence: Fence) -> int:
        """Raises BalancerRefused, always: Envoy has no means to close what is in flight on a cluster."""
        self._demand_pool(pool)
        fence.check()
        self._admin.ping()
        raise cannot_cut("Envoy", pool)

    def _demand_pool(self, pool: str) -> None:
        if pool not in self._terms.clusters:
            raise no_such_pool(f"the balancer {self.name}", pool, self._terms.pools, "Envoy's clusters")

    # preview and people --------------------------------------------------------------------------

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """The secret in use: that of the route file, which may be older than the secret's own file."""
        try:
            secret = parse_file(self._file.read(), self._terms).secret
        except (ValueError, BalancerUnreachable):
            secret = self._secret()
        return self.settings.entry, {PREVIEW_HEADER: secret}

    def entry(self) -> str:
        return self.settings.entry

    def by_hand(self, route: Route) -> Sequence[str]:
        settings = self.settings
        return envoy_by_hand.set_route(
            route, self._terms, settings.routes, settings.preview_secret_file, settings.admin
        )

    def by_hand_live(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return envoy_by_hand.demand_live(pool, self.settings.admin)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return envoy_by_hand.wait_healthy(self._terms.clusters[pool], self.settings.admin)

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        self._demand_pool(pool)
        clusters = envoy_counts.members(self._terms, pool)
        return envoy_by_hand.wait_drained(pool, clusters, self.settings.admin, within)

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        self._demand_pool(pool)
        return envoy_by_hand.ask_preview(self.settings.entry, PREVIEW_HEADER, self.settings.preview_secret_file)

    def _secret(self) -> str:
        """The preview's secret, made if there is none. Two processes that make one agree on the first."""
        path = Path(self.settings.preview_secret_file)
        try:
            if not path.exists():
                draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
                    file.write(new_secret() + "\n")
                    file.flush()
                    os.fsync(descriptor)
                try:
                    with contextlib.suppress(FileExistsError):
                        path.hardlink_to(draft)
                finally:
                    draft.unlink()
            return path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BalancerMisconfigured(
                f"the preview's secret {path} cannot be read or made: {getattr(error, 'strerror', '') or 'it is no text'}",
                next=(f"see that this user may read {path} and write {path.parent}",),
            ) from None

    def _secret_finding(self) -> Sequence[Finding]:
        path, routes = Path(self.settings.preview_secret_file), self.settings.routes
        subject = "preview secret"
        try:
            mode = path.stat().st_mode
            used = parse_file(self._file.read(), self._terms).secret
            same = path.read_text("utf-8").strip() == used
        except FileNotFoundError:
            return (Finding(subject, True, f"{path} will be made at the first commit"),)
        except (OSError, ValueError, BalancerUnreachable):
            return (
                Finding(
                    subject, False, f"{path} or the route file cannot be read", "see the mode of both", fatal=False
                ),
            )
        if mode & 0o077:
            return (Finding(subject, False, f"{path} is readable for others", f"chmod 600 {path}", fatal=False),)
        if Path(routes).stat().st_mode & 0o007:
            fix = f"chmod o= {routes}, if Envoy's user can read it then"
            return (Finding(subject, False, f"{routes} holds it and is readable for everybody", fix, fatal=False),)
        detail = f"{path} is in use" if same else f"{path} is not in use yet; the next commit takes it"
        return (Finding(subject, True, detail),)
