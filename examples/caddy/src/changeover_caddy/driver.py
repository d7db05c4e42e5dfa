"""Caddy behind the balancer port: one object of its configuration, in the file it starts from and through its admin API."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
    FencedOut,
)
from changeover.core.model import Counters, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Capabilities, Fence, Finding
from changeover_caddy import config

WORKER = "caddy"
OURS = f"/id/{config.ID}"


@dataclass(frozen=True, slots=True)
class CaddySettings:
    """One Caddy. `admin` is its unix socket, `config` the JSON file it starts from, `pools` pool -> addresses of instances."""

    name: str
    entry: str
    pools: Mapping[str, Sequence[str]]
    admin: str
    config: str
    secret: str
    log: str
    health: str = "/health"
    timeout: float = 5.0


@dataclass
class _Count:
    """What was counted of one pool, and how far the log was read."""

    requests: int = 0
    errors: int = 0


@dataclass
class CaddyBalancer:
    """The driver. The file compares fences; in Caddy `If-Match` does (not in 2.6), and a late write is put back by its writer."""

    settings: CaddySettings
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(expiry=False, compares=True, counts_fallbacks=False)
    )
    _counts: dict[str, _Count] = field(default_factory=dict, repr=False)
    _offset: int = field(default=0, repr=False)

    @property
    def name(self) -> str:
        return self.settings.name

    def entry(self) -> str:
        return self.settings.entry

    # the admin API ---------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None, match: str = "") -> tuple[int, Any, str]:
        """(status, JSON, ETag). Raises BalancerUnreachable. On a unix socket Caddy admits an empty host only."""
        line = _Local(self.settings.admin, self.settings.timeout)
        headers = {"content-type": "application/json", "host": ""} | ({"if-match": match} if match else {})
        try:
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.strip() else None, answer.getheader("etag") or ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BalancerUnreachable(
                f"Caddy's admin socket {self.settings.admin} does not answer: {error}",
                now="Traffic goes on as it was.",
                next=("see that Caddy runs and that this user may open the socket", "changeover doctor"),
            ) from None
        finally:
            line.close()

    def _running(self) -> tuple[config.Json, str]:
        status, found, etag = self._ask("GET", OURS)
        if status != 200 or not isinstance(found, dict):
            raise BalancerMisconfigured(
                f'Caddy has no object with "@id": "{config.ID}"',
                next=("put it into Caddy's configuration: see README.md",),
            )
        return found, etag

    def _durable(self) -> config.Json:
        try:
            found = config.find(json.loads(Path(self.settings.config).read_text()))
        except (OSError, ValueError) as error:
            raise BalancerUnreachable(
                f"{self.settings.config} cannot be read: {error}", next=("changeover doctor",)
            ) from None
        if found is None:
            raise BalancerMisconfigured(f"{self.settings.config} has no object with our id", next=("see README.md",))
        return found

    # the route -------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        subject = f"{self.name}: caddy"
        try:
            reading = self.read()
        except ChangeoverError as error:
            return (Finding(subject, ok=False, detail=error.what, fix="; ".join(error.next)),)
        directory = Path(self.settings.config).parent
        writable = os.access(directory, os.W_OK)
        return (
            Finding(
                subject, reading.settled, reading.problem or "file and Caddy agree", "changeover status", fatal=False
            ),
            Finding(
                f"{self.name}: file",
                writable,
                f"{directory} is {'' if writable else 'not '}writable",
                "let this user write it",
            ),
        )

    def read(self) -> RouteReading:
        problems: list[str] = []
        running = self._route_of("Caddy", self._running()[0], problems)
        durable = None
        try:
            durable = self._route_of(self.settings.config, self._durable(), problems)
        except ChangeoverError as error:
            problems.append(error.what)
        if running is not None and durable is not None and running != durable:
            problems.append(f"Caddy does not run what {self.settings.config} says")
        return RouteReading(self.name, {WORKER: running}, durable, "; ".join(problems))

    def _route_of(self, who: str, found: config.Json, problems: list[str]) -> Route | None:
        try:
            return config.read_object(found)[0]
        except ValueError as error:
            problems.append(f"{who}: {error}")
            return None

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """File first, then Caddy, then read back."""
        for pool in (route.live, route.candidate):
            if pool not in self.settings.pools:
                raise BalancerRefused(
                    f"there is no pool {pool!r}; there are {', '.join(self.settings.pools)}",
                    next=("changeover doctor",),
                )
        fence.check()
        _, etag = self._ours_or_older(fence)
        wanted = config.route_object(
            route, self.settings.pools, self._secret(), self.settings.health, token=fence.token, run=fence.run
        )
        self._write(wanted, fence)
        fence.check()
        for _ in range(5):
            status, said, _ = self._ask("PATCH", OURS, wanted, etag)
            if status != 412:
                break
            _, etag = self._ours_or_older(fence)  # changed since it was looked at: by a newer owner, or by hand
            fence.check()
        if status != 200:
            raise BalancerRefused(
                f"Caddy answered {status}: {str(said)[:120]}",
                now="Its file may hold the new route.",
                next=("changeover resume",),
            )
        self._give_way(fence)
        reading = self.read()
        if reading.route != route or not reading.settled:
            self._ours_or_older(fence)
            raise BalancerRefused(
                f"Caddy does not show the route that was written: {reading.problem}",
                now="It may run another.",
                next=("changeover resume",),
            )
        return reading

    def _give_way(self, fence: Fence) -> None:
        """Taken over between the look and the write: what the newer owner has put into the file is put back into Caddy."""
        try:
            self._ours_or_older(fence)
        except FencedOut:
            self._ask("PATCH", OURS, self._durable())
            raise

    def _ours_or_older(self, fence: Fence) -> tuple[config.Json, str]:
        """What runs, with its ETag. Raises FencedOut if a newer owner has written file or Caddy."""
        running, etag = self._running()
        for found in (running, self._durable()):
            try:
                _, token, run = config.read_object(found)
            except ValueError:
                continue
            if token > fence.token:
                raise FencedOut(
                    f"a newer owner (fence {token}, run {run}) has written the route", next=("changeover status",)
                )
        return running, etag

    def _write(self, ours: config.Json, fence: Fence) -> None:
        """Replace the file; a draft of an older owner is swept by a newer one, so that it cannot land afterwards."""
        path = Path(self.settings.config)
        draft = path.with_name(f".{path.name}.{fence.token}.{secrets.token_hex(6)}.draft")
        try:
            whole = config.put(json.loads(path.read_text()), ours)
            draft.write_text(json.dumps(whole, indent=1))
            draft.chmod(path.stat().st_mode & 0o777)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            self._ours_or_older(fence)
            fence.check()
            draft.rename(path)
        except FileNotFoundError:
            self._ours_or_older(fence)
            raise FencedOut("a newer owner has swept this one's draft", next=("changeover status",)) from None
        except (OSError, ValueError) as error:
            raise BalancerRefused(
                f"{path} cannot be replaced: {error}", now="Nothing was changed.", next=("changeover doctor",)
            ) from None
        finally:
            draft.unlink(missing_ok=True)
        for other in path.parent.glob(f".{path.name}.*.draft"):
            if int(other.name.split(".")[-3]) < fence.token:
                other.unlink(missing_ok=True)
        if config.read_object(self._durable())[1] != fence.token:
            self._write(ours, fence)

    # the pools -------------------------------------------------------------------------------------

    def _addresses(self, pool: str) -> Sequence[str]:
        if pool not in self.settings.pools:
            raise BalancerMisconfigured(f"there is no pool {pool!r}", next=("changeover doctor",))
        return self.settings.pools[pool]

    def health(self, pool: str) -> PoolHealth:
        """Caddy does not tell what its checks found: the instances are asked, by the path that Caddy asks."""
        addresses = self._addresses(pool)
        self._running()
        bad = [a for a in addresses if not _healthy(a, self.settings.health)]
        return PoolHealth(len(addresses) - len(bad), len(addresses), f"not healthy: {', '.join(bad)}" if bad else "")

    def in_flight(self, pool: str) -> InFlight:
        addresses = set(self._addresses(pool))
        try:
            _, found, _ = self._ask("GET", "/reverse_proxy/upstreams")
        except BalancerUnreachable as error:
            return InFlight(None, None, error.what)
        return InFlight(sum(int(u["num_requests"]) for u in found or () if u["address"] in addresses))

    def counters(self, pool: str) -> Counters:
        self._addresses(pool)
        self._running()
        self._read_log()
        count = self._counts.get(pool, _Count())
        return Counters(count.requests, count.errors, 0, None)

    def _read_log(self) -> None:
        try:
            with Path(self.settings.log).open("rb") as log:
                log.seek(self._offset)
                for line in log:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    self._book(json.loads(line))
        except (OSError, ValueError) as error:
            raise BalancerUnreachable(
                f"the access log {self.settings.log} cannot be read: {error}", next=("changeover doctor",)
            ) from None

    def _book(self, line: Mapping[str, Any]) -> None:
        for pool in line.get("resp_headers", {}).get(config.POOL, ())[:1]:
            count = self._counts.setdefault(pool, _Count())
            count.requests += 1
            count.errors += int(line.get("status", 0)) >= 500

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
        return self.settings.entry, {config.HEADER: config.secret_of(self._running()[0])}

    def _secret(self) -> str:
        path = Path(self.settings.secret)
        try:
            if not path.exists():
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(secrets.token_urlsafe(32))
            return path.read_text().strip()
        except OSError as error:
            raise BalancerMisconfigured(
                f"the secret {path} cannot be read or made: {error.strerror}", next=("see its mode",)
            ) from None

    def by_hand(self, route: Route) -> Sequence[str]:
        """The object without its secret is put together by the shell from the running one."""
        text = config.encode(route)
        return (
            f"# the route {text}: in the object with @id {config.ID} of {self.settings.config}, then: caddy reload --config {quote(self.settings.config)}",
            f"python3 -m changeover_caddy.by_hand {quote(self.settings.admin)} {quote(self.settings.config)} {quote(self.settings.secret)} {quote(text)}",
        )

    def by_hand_live(self, pool: str) -> Sequence[str]:
        return (f'{self._curl(OURS)} | grep -E \'"changeover_route":"{pool}:[^:]*:0:\'',)

    def by_hand_health(self, pool: str) -> Sequence[str]:
        return tuple(f"curl -fsS -m 5 http://{address}{self.settings.health}" for address in self._addresses(pool))

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        each = "|".join(self._addresses(pool)).replace(".", r"\.")
        look = f"{self._curl('/reverse_proxy/upstreams')} | tr '}}' '\\n' | grep -E '\"({each})\"' | grep -v '\"num_requests\":0' | wc -l"
        return (
            f"# {pool}",
            f'for try in $(seq {int(within)}); do [ "$({look})" = 0 ] && break; sleep 1; done; [ "$({look})" = 0 ]',
        )

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        self._addresses(pool)
        ask = f'curl -sS -m 5 -H "{config.HEADER}: $(cat {quote(self.settings.secret)})"'
        return (f"{ask} {quote(self.settings.entry)}",)

    def _curl(self, path: str) -> str:
        return f"curl -sS -m 5 -H 'Host;' --unix-socket {quote(self.settings.admin)} http://caddy{path}"


class _Local(http.client.HTTPConnection):
    """HTTP over a unix socket; the whole exchange has one timeout."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("caddy", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _healthy(address: str, path: str) -> bool:
    line = http.client.HTTPConnection(address, timeout=2)
    try:
        line.request("GET", path)
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
