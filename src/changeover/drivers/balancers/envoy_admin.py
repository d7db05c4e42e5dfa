"""Envoy's admin port: one request, one whole answer, within a deadline; and what its answers mean.

Anything that is not a whole and sensible answer is BalancerUnreachable: unknown is not zero.
"""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from changeover.core.errors import BalancerMisconfigured, BalancerUnreachable

LONGEST_ANSWER: Final = 64 * 1024 * 1024  # bytes; more is not an answer
ROUTES_PATH: Final = "/config_dump?resource=dynamic_route_configs"
CLUSTERS_PATH: Final = "/clusters?format=json"

_SHOWN: Final = 120  # characters of a strange answer


@dataclass(frozen=True, slots=True)
class Host:
    """One instance of a cluster. `trouble`: the flags that keep it out of traffic, such as failed_active_health_check."""

    address: str
    trouble: tuple[str, ...]
    stats: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Updates:
    """How often the route file was not taken since Envoy started: `rejected` by its content, `failed` to be read."""

    failed: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin port at `address` (HOST:PORT). `timeout` is for the whole exchange, in seconds, however slowly it drips."""

    address: str
    timeout: float = 5.0

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not (host and port.isascii() and port.isdigit()):
            raise BalancerMisconfigured(
                f"{self.address!r} is not the address of an admin port", next=("write it as HOST:PORT",)
            )

    # what is asked -------------------------------------------------------------------------------

    def ping(self) -> None:
        """Raises BalancerUnreachable unless Envoy answers and is live."""
        self.text("/ready")

    def routes(self, name: str) -> Sequence[Any]:
        """Every dynamic route configuration of this name that listeners use. Empty: Envoy accepted none yet."""
        dump = self.json(ROUTES_PATH)
        try:
            found = [c["route_config"] for c in dump.get("configs", ()) if "route_config" in c]
            return [c for c in found if c["name"] == name]
        except (AttributeError, KeyError, TypeError):
            raise self._strange(ROUTES_PATH, "no dump of routes") from None

    def clusters(self) -> Mapping[str, Sequence[Host]]:
        """Cluster -> its instances; aggregate clusters have none."""
        answer = self.json(CLUSTERS_PATH)
        try:
            return {c["name"]: [_host(h) for h in c.get("host_statuses", ())] for c in answer["cluster_statuses"]}
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._strange(CLUSTERS_PATH, "no list of clusters") from None

    def updates(self, name: str) -> Updates:
        """Over all listeners that use the route configuration of this name. Raises BalancerMisconfigured if there is none."""
        found = self.stats(rf"\.rds\.{re.escape(name)}\.update_(failure|rejected)$")
        if not found:
            raise BalancerMisconfigured(
                f"no listener of Envoy asks for the route configuration {name!r}",
                next=("see route_config_name in the rds of Envoy's listener", "changeover doctor"),
            )
        return Updates(
            sum(v for k, v in found.items() if k.endswith("failure")),
            sum(v for k, v in found.items() if k.endswith("rejected")),
        )

    # one exchange --------------------------------------------------------------------------------

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names the pattern (RE2) finds."""
        path = f"/stats?format=json&filter={quote(pattern)}"
        answer = self.json(path)
        try:
            return {s["name"]: int(s["value"]) for s in answer["stats"] if "name" in s}
        except (KeyError, TypeError, ValueError):
            raise self._strange("/stats", "no list of numbers") from None

    def json(self, path: str) -> Any:
        text = self.text(path)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self._strange(path, "something that is not JSON") from None

    def text(self, path: str) -> str:
        """The body of a 200. Raises BalancerUnreachable."""
        try:
            status, body = _parse(self._exchange(path))
        except TimeoutError:
            raise self._silent(f"did not answer within {self.timeout:g} s") from None
        except http.client.HTTPException as error:
            raise self._silent(f"closed the connection in the middle of an answer ({type(error).__name__})") from None
        except OSError as error:
            raise self._silent(_words(error)) from None
        text = body.decode("utf-8", "replace")
        if status != http.client.OK:
            raise self._strange(path, f"status {status}: {' '.join(text.split())[:_SHOWN]}")
        return text

    def _exchange(self, path: str) -> bytes:
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + self.timeout
        with socket.create_connection((host.strip("[]"), int(port)), self.timeout) as line:
            line.settimeout(_left(deadline))
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n".encode("ascii"))
            received = bytearray()
            while True:
                line.settimeout(_left(deadline))
                piece = line.recv(65536)
                if not piece:
                    return bytes(received)
                received += piece
                if len(received) > LONGEST_ANSWER:
                    raise OSError("sent an answer without end")

    # errors --------------------------------------------------------------------------------------

    def _silent(self, why: str) -> BalancerUnreachable:
        return BalancerUnreachable(
            f"Envoy's admin port {self.address} {why}",
            now="What Envoy does now is not known; traffic goes on as it was.",
            next=("changeover doctor", f"curl -sS -m 5 http://{self.address}/ready"),
        )

    def _strange(self, path: str, what: str) -> BalancerUnreachable:
        return BalancerUnreachable(
            f"Envoy's admin port {self.address} answered {path.partition('?')[0]} with {what}",
            now="What Envoy does now is not known; traffic goes on as it was.",
            next=("changeover doctor", f"curl -sS -m 5 'http://{self.address}{path}'"),
        )


class _Received:
    """What was received, as `http.client` wants to read it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def _parse(data: bytes) -> tuple[int, bytes]:
    """Status and whole body. Raises HTTPException for half an answer."""
    response = http.client.HTTPResponse(_Received(data))  # type: ignore[arg-type]
    with response:
        response.begin()
        return response.status, response.read()


def _host(status: Mapping[str, Any]) -> Host:
    address = status["address"].get("socket_address", {})
    flags = status.get("health_status", {})
    trouble = [name for name, value in flags.items() if value is True]
    if flags.get("eds_health_status", "HEALTHY") != "HEALTHY":
        trouble.append(f"eds_health_status {flags['eds_health_status']}")
    stats = {stat["name"]: int(stat.get("value", 0)) for stat in status.get("stats", ())}
    return Host(f"{address.get('address', '?')}:{address.get('port_value', '?')}", tuple(trouble), stats)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _words(error: OSError) -> str:
    match error:
        case ConnectionRefusedError():
            return "refuses connections: Envoy does not run, or has its admin port elsewhere"
        case ConnectionResetError():
            return "closed the connection in the middle of an answer"
        case _:
            return f"failed: {error.strerror or error}"
