"""The load client: paced, open-loop, never retries, writes down every request.

Requests are planned by the clock and sent at their time whatever became of the others; latency counts from the planned
time. When the application stalls, requests pile up here as users would.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

from changeover.demo.load_book import Notebook
from changeover.demo.load_line import CHECKING, FRESH, NAIVE, Line, Pool, open_line
from changeover.demo.load_work import Errand, Mix, Work, look, request
from changeover.demo.records import BALANCER, CREATE, GARBLED, REFUSED, TIMED_OUT, Record, Seen
from changeover.demo.wire import Answer

FLUSH = 0.1  # seconds: what a SIGKILL may lose
CONTROL = 0.2  # seconds between two looks at the control file
TOO_MANY = 5000  # requests under way: the client waits then, and the latency shows it
OURS = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS)  # the client's own limits, nobody's failure


class LoadBroken(Exception):
    """The load client itself failed; what it has recorded proves nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What load to make. `rate` in requests per second; sizes in connections; times in seconds."""

    url: str
    rate: float = 100.0
    mix: Mix = field(default_factory=Mix)
    naive: int = 20
    checking: int = 10
    fresh: float = 0.1  # part of the requests on a connection of their own
    timeout: float = 30.0
    max_idle: float = 5.0
    headers: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()  # more addresses: each new connection goes to one of them or to `url`, in turn
    seed: int = 0
    out: str = ""  # file of the records, "" for none
    control: str = ""  # JSON file that changes rate and mix while it runs
    keep: bool = True  # records stay in memory too

    def steered_by(self, file: Path) -> Settings:
        """The settings by a control file; the same settings while it is missing or half written."""
        try:
            return self.steered(file.read_text("utf-8"))
        except (OSError, ValueError, TypeError):
            return self

    def steered(self, text: str) -> Settings:
        """The settings by a control file: `{"rate": 50, "slow": 0.1}`; rate and the parts of the mix. Raises ValueError."""
        content = json.loads(text)
        names = {field.name for field in fields(Mix)}
        if not isinstance(content, dict) or not content.keys() <= names | {"rate"}:
            raise ValueError(f"the control file knows rate, {', '.join(sorted(names))}")
        wanted = {name: float(value) for name, value in content.items()}
        rate = wanted.pop("rate", self.rate)
        return replace(self, rate=rate, mix=replace(self.mix, **wanted))


def _target(url: str) -> tuple[str, int]:
    """Host and port of `http://HOST:PORT`. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"not an address for the load client: {url!r}; write http://HOST:PORT")
    return parts.hostname, parts.port or 80


class _Flight:
    """One request under way."""

    __slots__ = ("_client", "errand", "kind", "line", "number", "planned", "sent", "started", "task")

    def __init__(self, client: Client, number: int, planned: float, kind: str, errand: Errand) -> None:
        self._client = client
        self.number = number
        self.planned = planned
        self.kind = kind  # of client
        self.errand = errand
        self.started = time.monotonic()
        self.sent = 0.0
        self.line: Line | None = None
        self.task: asyncio.Task[None] | None = None

    def landed(self, line: Line, answer: Answer | None, error: str) -> None:
        self._client.landed(self, line, answer, error)


class Client:
    """The load client inside an event loop."""

    def __init__(self, settings: Settings, note: Callable[[Record], None]) -> None:
        """`note` gets every record as soon as its request has ended."""
        self._targets = itertools.cycle([_target(url) for url in (settings.url, *settings.others)])
        self._name = urlsplit(settings.url).netloc
        self._settings = settings
        self._note = note
        self._random = random.Random(settings.seed + 1)
        self._work = Work(uuid.uuid4().hex[:8], settings.seed)
        self._pools = {
            NAIVE: Pool(NAIVE, settings.naive, settings.max_idle),
            CHECKING: Pool(CHECKING, settings.checking, settings.max_idle),
        }
        self._flights: set[_Flight] = set()
        self._epoch = time.time() - time.monotonic()
        self._number = 0
        self._all_landed = asyncio.Event()
        self.stopping = asyncio.Event()
        self.broken = ""

    async def run(self) -> None:
        """Make load until `stopping` is set, then wait for what is under way. Raises LoadBroken."""
        await self._open_pools()
        helpers = [asyncio.create_task(self._sweep()), asyncio.create_task(self._steer())]
        try:
            await self._pace()
            await self._landing()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for pool in self._pools.values():
                pool.close()
            await asyncio.sleep(0)  # lets the transports close their sockets
        if self.broken:
            raise LoadBroken(self.broken)

    async def _open_pools(self) -> None:
        """Fill the pools. What cannot be opened now is opened when it is needed, and recorded then."""
        for pool in self._pools.values():
            for _ in range(pool.size):
                try:
                    pool.give(await open_line(*next(self._targets)))
                except OSError:
                    return

    async def _landing(self) -> None:
        """Wait for what is under way; the sweep ends what takes too long."""
        self._all_landed.clear()
        if self._flights and not self.broken:
            await self._all_landed.wait()

    async def _pace(self) -> None:
        planned = time.monotonic()
        while not self.stopping.is_set() and not self.broken:
            rate = self._settings.rate
            now = time.monotonic()
            if rate <= 0 or len(self._flights) >= TOO_MANY:
                await asyncio.sleep(0.02)
                if rate <= 0:
                    planned = time.monotonic()
                continue
            if planned > now:
                await asyncio.sleep(min(planned - now, 0.05))
                continue
            self._start(planned)
            planned += 1 / rate

    def _start(self, planned: float) -> None:
        self._number += 1
        settings = self._settings
        if self._random.random() < settings.fresh or not (settings.naive or settings.checking):
            kind = FRESH
        else:
            kind = NAIVE if self._random.randrange(settings.naive + settings.checking) < settings.naive else CHECKING
        flight = _Flight(self, self._number, planned, kind, self._work.next(settings.mix))
        self._flights.add(flight)
        line = self._pools[kind].take() if kind in self._pools else None
        if line is None:
            flight.task = asyncio.get_running_loop().create_task(self._open(flight))
        else:
            self._send(flight, line)

    async def _open(self, flight: _Flight) -> None:
        try:
            line = await open_line(*next(self._targets))
        except OSError as error:
            if error.errno in OURS:
                self.broken = f"the load client is at its own limits: {error}"
            self._end(flight, None, REFUSED)
            return
        if flight in self._flights:
            self._send(flight, line)
        else:
            line.drop()

    def _send(self, flight: _Flight, line: Line) -> None:
        flight.line = line
        flight.sent = time.monotonic()
        keep_alive = flight.kind != FRESH
        line.send(flight, request(flight.errand, self._name, self._settings.headers, keep_alive=keep_alive))

    def landed(self, flight: _Flight, line: Line, answer: Answer | None, error: str) -> None:
        """The request has ended: its connection goes back to its pool or is closed."""
        if answer is not None and answer.keep_alive and flight.kind in self._pools:
            self._pools[flight.kind].give(line)
        else:
            line.drop()
        self._end(flight, answer, error)

    def _end(self, flight: _Flight, answer: Answer | None, error: str) -> None:
        if flight not in self._flights:
            return
        self._flights.discard(flight)
        if not self._flights or self.broken:
            self._all_landed.set()
        record = self._record(flight, answer, error, time.monotonic())
        if record.kind == CREATE and record.acknowledged and record.asked:
            self._work.acknowledged(record.order, record.asked.ref)
        self._note(record)

    def _record(self, flight: _Flight, answer: Answer | None, error: str, ended: float) -> Record:
        errand = flight.errand
        status, version, order = 0, "", errand.order
        instance = ""
        seen: tuple[Seen, ...] = ()
        if answer is not None:
            status = answer.status
            version, instance = answer.headers.get("x-version", ""), answer.headers.get("x-instance", "")
            error = error or ("" if version else BALANCER)
            if not error and 200 <= status < 300:
                try:
                    found, seen = look(errand.kind, answer.body)
                    order = found or order
                except ValueError:
                    error = GARBLED
        return Record(
            number=flight.number,
            client=flight.kind,
            kind=errand.kind,
            path=errand.path,
            planned=self._at(flight.planned),
            sent=self._at(flight.sent) if flight.sent else 0.0,
            ended=self._at(ended),
            reused=flight.line is not None and flight.line.used > 1,
            status=status,
            version=version,
            instance=instance,
            error=error,
            order=order,
            asked=errand.asked,
            seen=seen,
        )

    def _at(self, moment: float) -> float:
        return round(moment + self._epoch, 6)

    async def _sweep(self) -> None:
        """Give up what has taken longer than the timeout."""
        while True:
            await asyncio.sleep(0.1)
            late = time.monotonic() - self._settings.timeout
            for flight in [one for one in self._flights if one.started < late]:
                if flight.task is not None and flight.line is None:
                    flight.task.cancel()
                if flight.line is not None:
                    flight.line.drop()
                self._end(flight, None, TIMED_OUT)

    async def _steer(self) -> None:
        """Follow the control file."""
        while self._settings.control:
            self._settings = self._settings.steered_by(Path(self._settings.control))
            await asyncio.sleep(CONTROL)


async def make_load(settings: Settings, book: Notebook, ready: Callable[[Client], None]) -> None:
    """Run a client into a notebook. `ready` gets the client, to stop it. Raises LoadBroken, OSError."""
    client = Client(settings, book.note)
    ready(client)

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH)
            try:
                book.flush()
            except OSError as error:
                client.broken = f"the records cannot be written: {error}"
                return

    flushing = asyncio.create_task(flush())
    try:
        await client.run()
    finally:
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
