"""What the load client asks for: a mix of orders made, read back, changed and listed, each remembered for the judge."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from changeover.demo.money import to_cents, to_price
from changeover.demo.records import CHANGE, CREATE, LIST, READ, SLOW, Seen

REMEMBERED = 500  # orders that are read and changed again
CUSTOMERS = 20


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of request is made, relative to the others; `slow_seconds` each slow one takes."""

    create: float = 0.3
    read: float = 0.5
    change: float = 0.1
    list: float = 0.1
    slow: float = 0.0
    slow_seconds: float = 3.0

    @property
    def weights(self) -> tuple[float, ...]:
        return (self.create, self.read, self.change, self.list, self.slow)


@dataclass(frozen=True, slots=True)
class Errand:
    """One request to make. `asked` names the order and, for a write, the values wanted."""

    kind: str
    method: str
    path: str
    body: bytes = b""
    order: int = 0
    asked: Seen | None = None


class Work:
    """Chooses errands by chance (seeded) and remembers the orders that were acknowledged."""

    def __init__(self, run: str, seed: int) -> None:
        self._run = run
        self._random = random.Random(seed)
        self._made = 0
        self._known: list[tuple[int, str]] = []  # id, ref

    def next(self, mix: Mix) -> Errand:
        (kind,) = self._random.choices((CREATE, READ, CHANGE, LIST, SLOW), mix.weights)
        if kind in (READ, CHANGE, LIST) and not self._known:
            kind = CREATE
        match kind:
            case "create":
                return self._create()
            case "read":
                order, ref = self._random.choice(self._known)
                return Errand(READ, "GET", f"/orders/{order}", order=order, asked=Seen(ref, 0, 0))
            case "change":
                order, ref = self._random.choice(self._known)
                asked = self._amount(ref)
                return Errand(CHANGE, "PUT", f"/orders/{order}", _body(asked), order, asked)
            case "list":
                return Errand(LIST, "GET", f"/orders?customer={self._customer()}")
            case _:
                return Errand(SLOW, "GET", f"/slow?s={mix.slow_seconds:g}")

    def acknowledged(self, order: int, ref: str) -> None:
        """The order is there; from now on it is read and changed by chance."""
        if len(self._known) < REMEMBERED:
            self._known.append((order, ref))
        else:
            self._known[self._random.randrange(REMEMBERED)] = (order, ref)

    def _create(self) -> Errand:
        self._made += 1
        asked = self._amount(f"{self._run}-{self._made}")
        return Errand(
            CREATE, "POST", "/orders", _body(asked, ref=asked.ref, customer=self._customer(), item="tea"), asked=asked
        )

    def _customer(self) -> str:
        return f"{self._run}-c{self._random.randrange(CUSTOMERS)}"

    def _amount(self, ref: str) -> Seen:
        return Seen(ref, self._random.randint(1, 99), self._random.randint(1, 99_999))


def _body(asked: Seen, **more: str) -> bytes:
    return json.dumps({"quantity": asked.quantity, "price": to_price(asked.cents), **more}).encode()


def request(errand: Errand, host: str, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """The errand as bytes on the wire."""
    lines = [f"{errand.method} {errand.path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if not keep_alive:
        lines.append("connection: close")
    if errand.method != "GET":
        lines += ["content-type: application/json", f"content-length: {len(errand.body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + errand.body


def look(kind: str, body: bytes) -> tuple[int, tuple[Seen, ...]]:
    """What an acknowledging answer shows: (id of the order, the orders seen). Raises ValueError if it is no such answer."""
    if kind == SLOW:
        return 0, ()
    try:
        content = json.loads(body)
        if kind == LIST:
            return 0, tuple(_seen(order) for order in content["orders"])
        return int(content["id"]), (_seen(content),)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an answer of the shop: {error!r}") from error


def _seen(order: Mapping[str, Any]) -> Seen:
    return Seen(str(order["ref"]), int(order["quantity"]), to_cents(order["price"]))
