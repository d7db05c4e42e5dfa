"""A unix socket before Caddy's that loses a PATCH: before Caddy gets it, or its answer; or that says it was done, and it was not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Cut = Literal["request", "reply", "lie"]


@dataclass
class CuttingAdmin:
    """`cuts` are done in order, one per PATCH; `made` is what was cut. Everything else passes."""

    path: str
    behind: str
    cuts: list[Cut]
    made: list[Cut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(16)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                self._carry(client)

    def _carry(self, client: socket.socket) -> None:
        client.settimeout(5)
        request = b""
        while not whole(request):
            request += client.recv(65_536)
        cut = self.cuts.pop(0) if request.startswith(b"PATCH") and self.cuts else ""
        if cut:
            self.made.append(cut)  # type: ignore[arg-type]
        if cut == "lie":
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if cut in ("request", "lie"):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.connect(self.behind)
            server.sendall(request)
            answer = b""
            while piece := server.recv(65_536):
                answer += piece
        if cut != "reply":
            client.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def whole(request: bytes) -> bool:
    head, found, body = request.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found) and len(body) >= (int(lengths[0].partition(b":")[2]) if lengths else 0)


@contextlib.contextmanager
def cutting(path: str, behind: str, *cuts: Cut) -> Iterator[CuttingAdmin]:
    admin = CuttingAdmin(path, behind, list(cuts))
    thread = threading.Thread(target=admin.serve, daemon=True)
    thread.start()
    try:
        yield admin
    finally:
        admin.close()
        thread.join(timeout=10)
