"""One connection of the load client, and the pools that keep idle connections in three ways.

*naive*: writes on an idle connection without looking whether the other side has closed it. *checking*: looks first.
*fresh*: a new connection for every request. Only the naive kind sees what a careless reload loses.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Protocol

from changeover.demo.records import CUT, GARBLED, RESET
from changeover.demo.wire import Answer, AnswerReader, Malformed

NAIVE = "naive"
CHECKING = "checking"
FRESH = "fresh"
CLIENTS = (NAIVE, CHECKING, FRESH)


class Flight(Protocol):
    """A request under way, as its connection sees it: called exactly once when it has ended."""

    def landed(self, line: Line, answer: Answer | None, error: str) -> None: ...


class Line(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._flight: Flight | None = None
        self.closed = False  # the other side has closed, or broken, the connection
        self.used = 0  # requests carried
        self.idle_since = monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, flight: Flight, request: bytes) -> None:
        """Write without looking; `flight.landed` is called when the answer is there or cannot come any more."""
        self._flight = flight
        self.used += 1
        if self._transport is not None:
            self._transport.write(request)
        if self.closed:
            self._land(None, RESET)
        elif self._reader.pending:  # something came while the line was idle: a naive client takes it for its answer
            self._progress(ended=False)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._flight is not None:
            self._progress(ended=False)

    def eof_received(self) -> bool:
        self.closed = True
        if self._flight is not None:
            self._progress(ended=True)
            self._land(None, self._broken)
        return True  # an idle line stays open on our side, as in a client that does not look

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed = True
        self._transport = None
        self._land(None, self._broken)

    @property
    def _broken(self) -> str:
        return CUT if self._reader.pending else RESET

    def _progress(self, *, ended: bool) -> None:
        try:
            answer = self._reader.next(ended=ended)
        except Malformed:
            self._land(None, GARBLED)
            return
        if answer is not None:
            self._land(answer, "")

    def _land(self, answer: Answer | None, error: str) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            self.idle_since = monotonic()
            flight.landed(self, answer, error)

    def drop(self) -> None:
        """Close and forget the request under way, if there is one."""
        self._flight = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class Pool:
    """Idle connections of one kind of client, the longest idle one first, so that all of them are used.

    `size` connections are kept. More are opened when none is idle, as more users would come; they are closed after.
    A connection that was idle for longer than `max_idle` seconds is replaced, whatever its state: every client has
    such a limit below the server's own.
    """

    def __init__(self, client: str, size: int, max_idle: float) -> None:
        self.client = client
        self.size = size
        self._max_idle = max_idle
        self._idle: deque[Line] = deque()

    def take(self) -> Line | None:
        """An idle connection that this kind of client would use; None: open one."""
        old = monotonic() - self._max_idle
        while self._idle:
            line = self._idle.popleft()
            if line.idle_since < old or (line.closed and self.client == CHECKING):
                line.drop()
            else:
                return line
        return None

    def give(self, line: Line) -> None:
        if len(self._idle) < self.size:
            self._idle.append(line)
        else:
            line.drop()

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().drop()


async def open_line(host: str, port: int) -> Line:
    """A new connection. Raises OSError."""
    _, line = await asyncio.get_running_loop().create_connection(Line, host, port)
    return line
