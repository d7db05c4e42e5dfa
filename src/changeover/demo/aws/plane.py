"""The data plane: real requests, carried to real instances, by what the nodes have heard of the configuration.

A connection belongs to one node. A request goes to one target on a connection of its own and is never tried twice: what
breaks is lost, and the client is told 502, as an ALB does.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import unquote

from changeover.demo.aws.choice import STICKY, Asked, Chosen, choose
from changeover.demo.aws.world import ClassicView, Place, World

HEAD = 64 * 1024  # bytes
Answered = tuple[str, list[tuple[str, str]], bytes]  # status line, headers, body
WATCH = 0.05  # seconds between two looks at what has to be cut


@dataclass(frozen=True, slots=True)
class Way:
    """Where a request goes: the group or classic load balancer it is counted for, the place, the cookie to set."""

    owner: str
    place: Place | None
    chosen: Chosen = field(default_factory=Chosen)


@dataclass(slots=True)
class Counts:
    """Of one group or classic load balancer, since the last time they were taken."""

    requests: int = 0
    errors: int = 0
    unreachable: int = 0


@dataclass(slots=True)
class Router:
    """Chooses; knows nothing of sockets, so that visitors in memory go the same way."""

    world: World
    dice: Random
    turns: Counter[str] = field(default_factory=Counter)

    def way(self, node: int, port: int, asked: Asked) -> Way:
        """By what this node has heard."""
        world, now = self.world, self.world.now()
        with world.lock:
            view = world.nodes[node].view(now)
            classic = view.classic.get(port)
            if classic is not None:
                return self._turn(classic.name, world.classic_candidates(classic))
            rules = view.rules.get(port)
            if not rules:
                return Way("", None, Chosen(status=503))
            chosen = choose(rules, asked, self.dice, now)
            if not chosen.group:
                return Way("", None, chosen)
            return self._turn(chosen.group, world.candidates(view, chosen.group), chosen)

    def _turn(self, owner: str, places: list[Place], chosen: Chosen | None = None) -> Way:
        """One after the other."""
        if not places:
            return Way(owner, None, Chosen(status=503))
        self.turns[owner] += 1
        return Way(owner, places[self.turns[owner] % len(places)], chosen or Chosen())

    def classic_view(self, node: int, port: int) -> ClassicView | None:
        return self.world.nodes[node].view(self.world.now()).classic.get(port)


class Plane:
    """Listens on 127.0.0.1 on the ports of the listeners, in a thread of its own."""

    def __init__(self, router: Router, told: Callable[[Mapping[str, Counts]], None] | None = None) -> None:
        self.router = router
        self.counts: dict[str, Counts] = {}
        self._told = told
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="data-plane", daemon=True)
        self._flying: set[tuple[asyncio.Future[Answered], str, Place]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._next = 0

    def start(self, ports: Iterable[int]) -> None:
        self._thread.start()
        for port in ports:
            asyncio.run_coroutine_threadsafe(self._listen(port), self._loop).result(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        watch = self._loop.create_task(self._watch())
        self._loop.run_forever()
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(watch)

    async def _listen(self, port: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._connection(port, reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                pass  # the client is gone, or talks nonsense: nobody waits for an answer
            finally:
                self._connections.discard(task)
                writer.close()

        self._servers.append(await asyncio.start_server(serve, "127.0.0.1", port, limit=HEAD, backlog=1024))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _watch(self) -> None:
        """Cut what outlives its draining; tell the counts."""
        while True:
            await asyncio.sleep(WATCH)
            for task, owner, place in list(self._flying):
                if not self.router.world.still_served(owner, place):
                    task.cancel("cut")
            if self._told is not None and self.counts:
                taken, self.counts = self.counts, {}
                self._told(taken)

    # one connection ------------------------------------------------------------------------------------

    async def _connection(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._next += 1
        node = self._next % len(self.router.world.nodes)
        while True:
            head = await _head(reader)
            if head is None:
                return
            first, headers = head
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            keep = headers.get("connection", "").lower() != "close"
            answer = await self._answer(node, port, first, headers, body)
            status, fields, text = answer
            lines = [f"HTTP/1.1 {status}", *(f"{n}: {v}" for n, v in fields)]
            lines += [f"content-length: {len(text)}", f"connection: {'keep-alive' if keep else 'close'}"]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + text)
            await writer.drain()
            if not keep:
                return

    async def _answer(self, node: int, port: int, first: str, headers: Mapping[str, str], body: bytes) -> Answered:
        method, target, _ = first.split(" ", 2)
        path, _, query = target.partition("?")
        way = self.router.way(node, port, Asked(method, unquote(path), query, headers))
        counts = self.counts.setdefault(way.owner, Counts()) if way.owner else Counts()
        if way.place is None:
            fields = [("location", way.chosen.location)] if way.chosen.location else []
            return f"{way.chosen.status} stand-in", fields, way.chosen.body.encode()
        counts.requests += 1
        exchange = asyncio.ensure_future(_exchange(way.place, first, headers, body))
        entry = (exchange, way.owner, way.place)
        self._flying.add(entry)
        try:
            status, fields, text = await exchange
        except (OSError, asyncio.IncompleteReadError, ValueError):
            counts.unreachable += 1
            return "502 Bad Gateway", [], b"the target did not answer"
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return "502 Bad Gateway", [], b"cut at the end of the deregistration delay"
        finally:
            self._flying.discard(entry)
        counts.errors += status.startswith("5")
        if way.chosen.cookie:
            fields = [*fields, ("set-cookie", f"{STICKY}={way.chosen.cookie}; Path=/")]
        return status, fields, text


async def _head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    """(request line, headers in lower case); None when the client is done."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    return first, {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}


async def _exchange(place: Place, first: str, headers: Mapping[str, str], body: bytes) -> Answered:
    """One request to one target. Raises OSError and what broken answers raise."""
    reader, writer = await asyncio.open_connection(*place, limit=HEAD)
    try:
        kept = {n: v for n, v in headers.items() if n not in ("connection", "keep-alive")}
        lines = [first, *(f"{n}: {v}" for n, v in kept.items()), "x-forwarded-for: 127.0.0.1", "connection: close"]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        await writer.drain()
        raw = await reader.readuntil(b"\r\n\r\n")
        start, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        fields = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in rest)]
        named = {n.lower(): v for n, v in fields}
        if "content-length" in named:
            text = await reader.readexactly(int(named["content-length"]))
        else:
            text = await reader.read()
        left_out = ("content-length", "connection", "transfer-encoding", "keep-alive")
        return start.partition(" ")[2], [f for f in fields if f[0].lower() not in left_out], text
    finally:
        writer.close()
