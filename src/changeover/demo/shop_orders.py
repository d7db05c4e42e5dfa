"""What the shop does with orders, in one transaction each. Server and probe call the same functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from changeover.demo.money import to_cents, to_price
from changeover.demo.shop_store import Row, Session
from changeover.demo.shop_versions import CUSTOMER, Sql, price_of


class BadOrder(Exception):
    """What the client asks for makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of an item, and the price of one."""

    quantity: int
    cents: int

    @classmethod
    def of(cls, body: Any) -> Amount:
        """Read the JSON of PUT /orders/ID. Raises BadOrder."""
        quantity = body.get("quantity") if isinstance(body, dict) else None
        if type(quantity) is not int or not 1 <= quantity <= 1_000_000:
            raise BadOrder("quantity must be a whole number from 1 to 1000000")
        price = body.get("price")
        if not isinstance(price, str):
            raise BadOrder("price must be a text like 12.50")
        try:
            return cls(quantity, to_cents(price))
        except ValueError as error:
            raise BadOrder(str(error)) from error


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as the client asks for it. `ref` is its idempotency id: asked twice, made once."""

    ref: str
    customer: str
    item: str
    amount: Amount
    note: str = ""

    @classmethod
    def of(cls, body: Any) -> Draft:
        """Read the JSON of POST /orders. Raises BadOrder."""
        texts = {name: _text(body, name) for name in ("ref", "customer", "item")}
        note = body.get("note", "")
        if not isinstance(note, str):
            raise BadOrder("note is not text")
        return cls(**texts, amount=Amount.of(body), note=note)


def _text(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value or len(value) > 200:
        raise BadOrder(f"{name} must be a text of 1 to 200 characters")
    return value


def shown(row: Row) -> dict[str, Any]:
    """A row as the JSON that clients see, the same for every version. Raises ValueError if the price cannot be read."""
    number, ref, customer, item, quantity, price, status = row
    return {
        "id": number,
        "ref": ref,
        "customer": customer,
        "item": item,
        "quantity": quantity,
        "price": price_of(price),
        "status": status,
    }


def create(session: Session, sql: Sql, draft: Draft, now: float) -> tuple[dict[str, Any], bool]:
    """Make the order, or find the one that was made with the same ref. Gives the order and whether it is new."""
    values: dict[str, object] = {
        "ref": draft.ref,
        "customer": draft.customer,
        "item": draft.item,
        "quantity": draft.amount.quantity,
        "price": to_price(draft.amount.cents),
        "price_cents": draft.amount.cents,
        "created_at": now,
    }
    session.run(CUSTOMER, values)
    made = session.run(sql.create, values)
    if made:
        _follow(session, sql, {**values, "id": made[0][0], "what": "create", "note": draft.note})
    (row,) = session.run(sql.by_ref, values)
    return shown(row), bool(made)


def change(session: Session, sql: Sql, id: int, amount: Amount, now: float) -> dict[str, Any] | None:
    """Set quantity and price of an order. None if there is no such order."""
    values: dict[str, object] = {
        "id": id,
        "quantity": amount.quantity,
        "price": to_price(amount.cents),
        "price_cents": amount.cents,
    }
    session.run(sql.change, values)
    changed = read(session, sql, id)
    if changed is not None:
        _follow(session, sql, {"id": id, "ref": changed["ref"], "what": "change", "created_at": now, "note": ""})
    return changed


def read(session: Session, sql: Sql, id: int) -> dict[str, Any] | None:
    """The order with its notes (if the version knows notes). None if there is no such order."""
    rows = session.run(sql.by_id, {"id": id})
    if not rows:
        return None
    notes = {"notes": [note for (note,) in session.run(sql.notes, {"id": id})]} if sql.notes else {}
    return {**shown(rows[0]), **notes}


def of_customer(session: Session, sql: Sql, customer: str) -> list[dict[str, Any]]:
    """The customer's newest orders, at most five."""
    return [shown(row) for row in session.run(sql.by_customer, {"customer": customer})]


def _follow(session: Session, sql: Sql, values: Mapping[str, object]) -> None:
    if sql.audit:
        session.run(sql.audit, values)
    if sql.note and values["note"]:
        session.run(sql.note, values)
