"""The HTTP server of the shop: keep-alive connections, requests in flight counted, a stop that loses nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from changeover.demo.wire import Malformed, Request, RequestReader, render

LINGER = 1.0  # seconds that idle connections may still bring a request after the stop was asked for
LAST = 60.0  # seconds after which what is still in flight is given up


class Reply:
    """An answer of the application."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers


Application = Callable[[Request], Awaitable[Reply]]


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False  # the client has closed its side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._next()

    def eof_received(self) -> bool:
        """A client that has closed its side may still read: keep the connection until it has its answer."""
        self._ended = True
        return self._task is not None

    def _next(self) -> None:
        if self._task is not None or self._transport is None:
            return
        try:
            request = self._reader.next()
        except Malformed as error:
            self._transport.write(render(error.status, str(error).encode(), {}, keep_alive=False))
            self._transport.close()
            return
        if request is not None:
            self._task = self._server.loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        self._server.in_flight += 1
        try:
            reply = await self._server.application(request)
        finally:
            self._server.in_flight -= 1
            self._task = None
        if self._transport is None:
            return
        last = self._ended or self._server.stopping or not request.keep_alive
        self._transport.write(render(reply.status, reply.body, reply.headers, keep_alive=not last))
        if last:
            self._transport.close()
        else:
            self._next()

    @property
    def idle(self) -> bool:
        return self._task is None and not self._reader.pending

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Server:
    """Listens on one address. Idle connections are never closed: that is the balancer's or the client's to do."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.connections: set[_Connection] = set()
        self.in_flight = 0
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self._listener: asyncio.Server | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Start to accept on a listening socket, which belongs to the server from now on."""
        self._listener = await self.loop.create_server(lambda: _Connection(self), sock=listener, backlog=1024)

    async def stop(self) -> int:
        """Stop accepting, finish what is in flight, close. Gives the number of requests given up after `LAST` seconds.

        Connections that are idle get `LINGER` seconds: what arrives on them is answered with `connection: close`.
        """
        self.stopping = True
        await asyncio.sleep(0)  # one turn of the loop: what waits in the kernel's queue is accepted, not reset
        if self._listener is not None:
            self._listener.close()
        deadline = self.loop.time() + LAST
        idle_until = self.loop.time() + LINGER
        while self.connections and self.loop.time() < deadline:
            if self.loop.time() >= idle_until:
                for connection in [one for one in self.connections if one.idle]:
                    connection.close()
            await asyncio.sleep(0.02)
        left = self.in_flight
        for connection in list(self.connections):
            connection.close()
        return left
