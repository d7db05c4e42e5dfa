"""A paced client that reuses idle connections blindly: it writes without looking, records every request, never retries.

    python -m bench.client --port 8080 --rate 2000 --connections 100 --seconds 10 --out FILE [--path /slow?s=3 --once]

Request i is planned at `start + i / rate` on connection i mod `connections`, whatever became of the others; latency counts from
then. With several `--port`, connections are spread over them. A request on a connection that the other side closed while it was idle is lost, as it is for every client that does not look;
the next one opens a new connection. An answer that says `connection: close` is obeyed.

Bare epoll, because client, balancer and instances share two cores. FILE is JSON: the start, and one list per request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import wire

PATIENCE = 15.0  # seconds until an answer is given up
EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


@dataclass(slots=True)
class Record:
    """One request; times are epoch seconds, `sent` 0 if it never was. `error` "" means: answered by a version with 200."""

    planned: float
    sent: float = 0.0
    ended: float = 0.0
    version: str = ""
    error: str = ""
    reused: bool = False

    @property
    def latency(self) -> float:
        """Seconds since the planned send time."""
        return self.ended - self.planned


@dataclass(slots=True)
class Line:
    """One connection, and the requests that wait for it; at most one is under way."""

    port: int
    socket: socket.socket | None = None
    under_way: Record | None = None
    waiting: deque[Record] = field(default_factory=deque)
    received: bytes = b""
    stirred: bool = False  # something happened while it was idle; a blind client does not look before it writes
    used: bool = False


class Client:
    """All lines, one thread."""

    def __init__(self, ports: Sequence[int], path: str, connections: int) -> None:
        self._request = wire.request(path)
        self._epoll = select.epoll()
        self._lines = [Line(ports[n % len(ports)]) for n in range(connections)]
        self._by_socket: dict[int, Line] = {}
        self.records: list[Record] = []
        self._open = 0  # requests without an end
        for line in self._lines:
            self._connect(line)

    def run(self, start: float, rate: float, count: int) -> None:
        """Send `count` requests at their times and wait for the end of each."""
        for planned, line in ((start + i / rate, self._lines[i % len(self._lines)]) for i in range(count)):
            self._turn_until(planned)
            record = Record(planned)
            self.records.append(record)
            self._open += 1
            line.waiting.append(record)
            if line.under_way is None:
                self._send(line)
        while self._open:
            self._turn_until(time.time() + 0.05)
            self._give_up()

    def close(self) -> None:
        for line in self._lines:
            self._drop(line)
        self._epoll.close()

    def _turn_until(self, moment: float) -> None:
        """Handle what comes until then. `select` has microseconds; epoll's own timeout has milliseconds."""
        while True:
            left = moment - time.time()
            ready, _, _ = select.select([self._epoll], [], [], max(0.0, left))
            if ready:
                for number, _ in self._epoll.poll(0):
                    self._event(self._by_socket.get(number))
            if left <= 0:
                return

    def _event(self, line: Line | None) -> None:
        if line is None:
            return
        if line.under_way is None:
            line.stirred = True
        else:
            self._receive(line)

    def _connect(self, line: Line) -> None:
        made = socket.create_connection(("127.0.0.1", line.port), timeout=5)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.socket, line.received, line.stirred, line.used = made, b"", False, False
        self._by_socket[made.fileno()] = line
        self._epoll.register(made, EVENTS)

    def _send(self, line: Line) -> None:
        """Send what waits on this line, as long as requests end at once (which lost ones do)."""
        while line.waiting and line.under_way is None:
            record = line.under_way = line.waiting.popleft()
            try:
                if line.socket is None:
                    self._connect(line)
                assert line.socket is not None
                record.sent, record.reused, line.used = time.time(), line.used, True
                line.socket.send(self._request)
            except OSError as error:
                self._end(line, None, f"{type(error).__name__}: {error.strerror or error}")
                continue
            if line.stirred:
                self._receive(line)

    def _receive(self, line: Line) -> None:
        assert line.socket is not None
        try:
            while True:
                piece = line.socket.recv(65536)
                line.received += piece
                answer = wire.parse(line.received)
                if answer is not None:
                    self._end(line, answer, "")
                    break
                if not piece:
                    self._end(line, None, "closed without a whole answer")
                    break
        except BlockingIOError:
            return
        except (OSError, ValueError, IndexError) as error:
            self._end(line, None, f"{type(error).__name__}: {error}")
        self._send(line)

    def _end(self, line: Line, answer: wire.Answer | None, error: str) -> None:
        record, line.under_way = line.under_way, None
        assert record is not None
        record.ended = time.time()
        line.received = b""
        if answer is not None:
            record.version = answer.version
            by = f"by {answer.version}" if answer.version else "without a version"
            error = "" if answer.status == 200 and answer.version else f"status {answer.status} {by}"
        record.error = error
        self._open -= 1
        if answer is None or not answer.keep:
            self._drop(line)

    def _drop(self, line: Line) -> None:
        gone, line.socket = line.socket, None
        if gone is not None:
            self._by_socket.pop(gone.fileno(), None)
            gone.close()  # leaves epoll by itself

    def _give_up(self) -> None:
        late = time.time() - PATIENCE
        for line in self._lines:
            if line.under_way is not None and line.under_way.planned < late:
                self._end(line, None, "no answer in time")
                self._send(line)


def read(path: Path) -> list[Record]:
    """The records of a client that has ended."""
    return [Record(*one) for one in json.loads(path.read_text())]


def main() -> None:
    parser = argparse.ArgumentParser("bench.client")
    parser.add_argument("--port", type=int, required=True, action="append", help="may be given several times")
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--path", default="/")
    parser.add_argument("--once", action="store_true", help="one request per connection")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    client = Client(given.port, given.path, given.connections)
    count = given.connections if given.once else int(given.rate * given.seconds)
    print("ready", flush=True)
    with contextlib.suppress(EOFError):
        start = float(input())  # the stage says when, so that it knows where the windows are
        client.run(start, given.rate, count)
        found = [[r.planned, r.sent, r.ended, r.version, r.error, r.reused] for r in client.records]
        given.out.write_text(json.dumps(found))
    client.close()


if __name__ == "__main__":
    main()
