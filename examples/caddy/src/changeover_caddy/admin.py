"""Caddy's admin API: one exchange per connection, over a unix socket or TCP.

Caddy sends the ETag of a configuration behind the body, as a trailer, which Python's HTTP client throws away; so the answer is
read here.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any

from changeover.core.errors import BalancerUnreachable


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. `etag` is "" where Caddy gave none."""

    status: int
    body: Any
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Admin:
    """`address`: the path of a unix socket, or host:port. `timeout`: seconds for a whole exchange."""

    address: str
    timeout: float = 5.0

    def ask(self, method: str, path: str, body: Any = None, match: str = "") -> Answer:
        """Raises BalancerUnreachable: whether the request was obeyed is then not known."""
        content = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Connection: close", "TE: trailers"]
        head += [f"If-Match: {match}"] if match else []
        if content:
            head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        try:
            return parse(self._exchange("\r\n".join((*head, "", "")).encode() + content))
        except (OSError, ValueError, IndexError) as error:
            raise BalancerUnreachable(
                f"Caddy's admin address {self.address} does not answer: {error}",
                now="Traffic goes on as it was.",
                next=("see that Caddy runs, and that this user may open its admin address", "changeover doctor"),
            ) from None

    @property
    def _host(self) -> str:
        """On a unix socket Caddy 2.6 admits an empty host only."""
        return "" if "/" in self.address else self.address

    def _exchange(self, request: bytes) -> bytes:
        until = time.monotonic() + self.timeout
        with self._connect() as line:
            line.sendall(request)
            received = b""
            while True:
                line.settimeout(max(0.001, until - time.monotonic()))
                piece = line.recv(65_536)
                if not piece:
                    return received
                received += piece

    def _connect(self) -> socket.socket:
        if "/" not in self.address:
            host, _, port = self.address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)), self.timeout)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(self.timeout)
            line.connect(self.address)
        except OSError:
            line.close()
            raise
        return line


def parse(received: bytes) -> Answer:
    """A whole answer with its trailers. Raises ValueError for half of one."""
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        raise ValueError("the answer ends too early")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = _fields(lines)
    if fields.get("transfer-encoding") == "chunked":
        body, trailer = _unchunk(rest)
        fields |= _fields(trailer.decode("latin-1").split("\r\n"))
    else:
        body = rest[: int(fields.get("content-length", len(rest)))]
        if len(body) < int(fields.get("content-length", 0)):
            raise ValueError("the answer ends too early")
    return Answer(int(status.split()[1]), json.loads(body) if body.strip() else None, fields.get("etag", ""))


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _unchunk(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            raise ValueError("the answer ends too early")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            return body, rest
        if len(rest) < length + 2:
            raise ValueError("the answer ends too early")
        body, rest = body + rest[:length], rest[length + 2 :]
