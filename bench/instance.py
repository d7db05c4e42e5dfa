"""The smallest honest instance: answers every request with its version and clocks each arrival itself.

    python -m bench.instance --port 8001 --version 1.0.0 --arrivals FILE

`/slow?s=3` answers after three seconds, everything else at once. FILE is 24 bytes, mapped into memory: the time of the last
arrival (epoch seconds, double), the number of arrivals (int64), and the time of the first arrival after the last pause of more than
`PAUSE` (double). Health checks are not counted. Bare epoll: see `bench.client`.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import itertools
import mmap
import select
import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

from bench import wire

RECORD = struct.Struct("=dqd")
PAUSE = 0.1  # seconds without a request: the version was not live


class Arrivals(NamedTuple):
    """Epoch seconds of the last one, how many so far, epoch seconds of the first one since the last pause; 0 is never."""

    last: float
    count: int
    first: float


class Instance:
    """One listener and its connections, one thread."""

    def __init__(self, listener: socket.socket, version: str, arrivals: Path) -> None:
        arrivals.write_bytes(RECORD.pack(*Arrivals(0.0, 0, 0.0)))
        with arrivals.open("r+b") as file:
            self._arrivals = mmap.mmap(file.fileno(), RECORD.size)
        self._seen = Arrivals(0.0, 0, 0.0)
        self._reply = wire.reply(version)
        self._listener = listener
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._connections: dict[int, socket.socket] = {}
        self._received: dict[int, bytes] = {}
        self._later: list[tuple[float, int, socket.socket]] = []
        self._order = itertools.count()

    def serve(self) -> None:
        """For ever."""
        while True:
            for number, _ in self._epoll.poll(self._patience()):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._read(number)
            self._answer_due()

    def _patience(self) -> float:
        return max(0.0, self._later[0][0] - time.time()) if self._later else -1

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                made, _ = self._listener.accept()
                made.setblocking(False)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections[made.fileno()] = made
                self._received[made.fileno()] = b""
                self._epoll.register(made, select.EPOLLIN)

    def _read(self, number: int) -> None:
        connection = self._connections[number]
        try:
            piece = connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._close(number)
            return
        data = self._received[number] + piece
        while b"\r\n\r\n" in data:
            head, _, data = data.partition(b"\r\n\r\n")
            self._request(connection, head.split(b" ", 2)[1])
        self._received[number] = data

    def _request(self, connection: socket.socket, path: bytes) -> None:
        if path != b"/health":
            self._note(time.time())
        if path.startswith(b"/slow"):
            due = time.time() + float(path.partition(b"=")[2])
            heapq.heappush(self._later, (due, next(self._order), connection))
        else:
            self._answer(connection)

    def _note(self, now: float) -> None:
        seen = self._seen
        self._seen = Arrivals(now, seen.count + 1, now if now - seen.last > PAUSE else seen.first)
        self._arrivals[:] = RECORD.pack(*self._seen)  # at once: `pack_into` writes zeros first, which somebody may read

    def _answer_due(self) -> None:
        while self._later and self._later[0][0] <= time.time():
            self._answer(heapq.heappop(self._later)[2])

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other side is gone; its client will tell
            connection.send(self._reply)

    def _close(self, number: int) -> None:
        self._connections.pop(number).close()
        del self._received[number]


def arrivals(path: Path) -> Arrivals:
    """What the instance has noted by now. It may be writing: what is read twice alike is whole."""
    before, now = b"", path.read_bytes()
    while before != now:
        before, now = now, path.read_bytes()
    return Arrivals(*RECORD.unpack(now))


def main() -> None:
    parser = argparse.ArgumentParser("bench.instance")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--arrivals", type=Path, required=True)
    given = parser.parse_args()
    Instance(socket.create_server(("127.0.0.1", given.port), backlog=1024), given.version, given.arrivals).serve()


if __name__ == "__main__":
    main()
