"""The shop itself: its routes, its counters, its readiness."""

from __future__ import annotations

import asyncio
import json
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from changeover.demo import shop_orders
from changeover.demo.money import to_cents, to_price
from changeover.demo.shop_faults import FaultFile, Share
from changeover.demo.shop_orders import Amount, BadOrder, Draft
from changeover.demo.shop_server import Reply
from changeover.demo.shop_store import BUSY, Session, Store, StoreBusy, StoreError
from changeover.demo.shop_versions import Sql
from changeover.demo.wire import Request

BETWEEN = (0.001, 0.005)  # seconds between two tries at a busy database, by chance
LONGEST_SLOW = 60.0  # seconds
CHECKS = ("/version", "/ready", "/health", "/stats")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this instance is."""

    version: str
    build: str
    instance: str  # `port.pid`: another process on the same port is another instance


class Shop:
    """Answers the requests of one instance."""

    def __init__(self, identity: Identity, sql: Sql, store: Store, faults: FaultFile) -> None:
        self._identity = identity
        self._sql = sql
        self._store = store
        self._faults = faults
        self._headers = {"x-version": identity.version, "x-instance": identity.instance}
        self._threads = ThreadPoolExecutor(store.threads, "database") if store.threads else None
        self._failing = Share()
        self._started = time.time()
        self._arrivals: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._in_flight = 0
        self._last: tuple[float, float] | None = None  # epoch, monotonic
        self._cold = "starting"  # why it is not ready; "" once warm

    async def warm_up(self) -> None:
        """Open the database and look for the columns that this version needs, until they are there."""
        while self._cold:
            try:
                missing = self._sql.missing(await self._ask(self._store.columns))
                self._cold = f"the schema has no {', '.join(missing)}" if missing else ""
            except StoreError as error:
                self._cold = str(error)
            if self._cold:
                await asyncio.sleep(0.2)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._store.close()

    async def answer(self, request: Request) -> Reply:
        """Answer one request; never raises."""
        if request.path in CHECKS:
            self._arrivals["checks"] += 1
            return self._check(request.path)
        self._last = (time.time(), time.monotonic())
        self._arrivals[f"{request.method} /{request.path.split('/')[1]}"] += 1
        self._in_flight += 1
        try:
            reply = await self._route(request)
        except BadOrder as error:
            reply = self._reply(400, {"error": str(error)})
        except (StoreError, ValueError) as error:
            reply = self._reply(500, {"error": str(error)})
        except Exception as error:  # an answer all the same: silence would look like a lost request
            traceback.print_exc()
            reply = self._reply(500, {"error": repr(error)})
        finally:
            self._in_flight -= 1
        self._answers[f"{reply.status // 100}xx"] += 1
        return reply

    def _reply(self, status: int, body: Any) -> Reply:
        return Reply(status, json.dumps(body).encode(), self._headers)

    def _check(self, path: str) -> Reply:
        match path:
            case "/version":
                return self._reply(200, {"version": self._identity.version, "build": self._identity.build})
            case "/ready":
                why = "it is told never to be ready" if self._faults.now.never_ready else self._cold
                return self._reply(503 if why else 200, {"ready": not why, "why": why})
            case "/stats":
                return self._reply(200, self._stats())
            case _:
                return self._reply(200, {"healthy": True})

    def _stats(self) -> dict[str, Any]:
        """Counts without the checks: an independent witness of what has arrived here."""
        return {
            "version": self._identity.version,
            "build": self._identity.build,
            "instance": self._identity.instance,
            "started": self._started,
            "in_flight": self._in_flight,
            "arrivals": dict(self._arrivals),
            "answers": dict(self._answers),
            "last_arrival": self._last and {"epoch": self._last[0], "monotonic": self._last[1]},
        }

    async def _route(self, request: Request) -> Reply:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["slow"]:
                seconds = _seconds(request.query.get("s", "1"))
                await asyncio.sleep(seconds)
                return self._reply(200, {"slept": seconds})
            case _, ["orders", *rest]:
                return await self._orders(request, rest)
            case _:
                return self._reply(404, {"error": "there is no such page"})

    async def _orders(self, request: Request, rest: list[str]) -> Reply:
        faults = self._faults.now
        if faults.delay:
            await asyncio.sleep(faults.delay)
        if self._failing.picks(faults.errors):
            return self._reply(500, {"error": "this version is broken on purpose"})
        sql, now = self._sql, time.time()
        match request.method, rest:
            case "POST", []:
                draft = Draft.of(_json(request.body))
                order, new = await self._write(lambda session: shop_orders.create(session, sql, draft, now))
                return self._order(201 if new else 200, order)
            case "GET", []:
                customer = request.query.get("customer", "")
                found = await self._read(lambda session: shop_orders.of_customer(session, sql, customer))
                return self._reply(200, {"orders": [self._told(order) for order in found]})
            case "GET", [id] if _is_id(id):
                return self._order(200, await self._read(lambda session: shop_orders.read(session, sql, int(id))))
            case "PUT", [id] if _is_id(id):
                amount = Amount.of(_json(request.body))
                changed = await self._write(lambda session: shop_orders.change(session, sql, int(id), amount, now))
                return self._order(200, changed)
            case _:
                return self._reply(404, {"error": "there is no such page"})

    def _order(self, status: int, order: dict[str, Any] | None) -> Reply:
        if order is None:
            return self._reply(404, {"error": "there is no such order"})
        return self._reply(status, self._told(order))

    def _told(self, order: dict[str, Any]) -> dict[str, Any]:
        if not self._faults.now.wrong_price:
            return order
        return {**order, "price": to_price(to_cents(order["price"]) + 1)}

    async def _ask(self, work: Callable[[], T]) -> T:
        """Do it in a thread, or here; a busy database is asked again for `BUSY` seconds while other requests go on."""
        deadline = time.monotonic() + BUSY
        while True:
            try:
                if self._threads is None:
                    return work()
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except StoreBusy:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(random.uniform(*BETWEEN))

    async def _write(self, work: Callable[[Session], T]) -> T:
        return await self._ask(lambda: self._do(work, write=True))

    async def _read(self, work: Callable[[Session], T]) -> T:
        return await self._ask(lambda: self._do(work, write=False))

    def _do(self, work: Callable[[Session], T], *, write: bool) -> T:
        with self._store.transaction(write=write) as session:
            return work(session)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise BadOrder("s must be a number of seconds") from error
    if not 0 <= seconds <= LONGEST_SLOW:
        raise BadOrder(f"s must be from 0 to {LONGEST_SLOW:g} seconds")
    return seconds


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadOrder("the body is not JSON") from error
