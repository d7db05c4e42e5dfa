"""The probe of a version: does it work with this schema? Everything it does is rolled back."""

from __future__ import annotations

import time
import uuid

from changeover.demo import shop_orders
from changeover.demo.shop_orders import Amount, Draft
from changeover.demo.shop_store import Session, Store, StoreError, opened
from changeover.demo.shop_versions import Sql, cents_of, sql_of


class ProbeFailed(Exception):
    """The version does not work with the schema as it is; the text says what failed."""


def probe(url: str, version: str) -> str:
    """Exercise every statement of the version, compare what is read with what was written, roll back.

    Gives a line of what was done. Raises ProbeFailed, and ValueError for an unknown version or address.
    """
    sql = sql_of(version)
    with opened(url, f"shop {version} probe") as store:
        try:
            _columns(store, sql)
            with store.transaction(keep=False) as session:
                _newest(session, sql)
                _orders(session, sql)
        except StoreError as error:
            raise ProbeFailed(str(error)) from error
    return f"shop {version} works with this schema: {len(sql.needs)} tables, reads and writes"


def _columns(store: Store, sql: Sql) -> None:
    missing = sql.missing(store.columns())
    if missing:
        raise ProbeFailed(f"the schema has no {', '.join(missing)}")


def _newest(session: Session, sql: Sql) -> None:
    """Orders that other versions have written are read too: a price that this version cannot read is a failure."""
    for row in session.run(sql.newest):
        try:
            cents_of(row[5])
        except ValueError as error:
            raise ProbeFailed(f"order {row[0]}: {error}") from error


def _orders(session: Session, sql: Sql) -> None:
    name = f"probe-{uuid.uuid4().hex}"
    note = "probe" if sql.note else ""
    draft = Draft(ref=name, customer=name, item="probe", amount=Amount(3, 1205), note=note)
    now = time.time()
    made, new = shop_orders.create(session, sql, draft, now)
    _same("a new order", (made["ref"], made["quantity"], made["price"], new), (name, 3, "12.05", True))
    again, new = shop_orders.create(session, sql, draft, now)
    _same("the same order once more", (again["id"], new), (made["id"], False))
    changed = shop_orders.change(session, sql, made["id"], Amount(4, 70000), now)
    _same("the changed order", changed and (changed["quantity"], changed["price"]), (4, "700.00"))
    read = shop_orders.read(session, sql, made["id"])
    _same("the order read again", read and (read["ref"], read["quantity"], read["price"]), (name, 4, "700.00"))
    if sql.notes:
        _same("its notes", read and read["notes"], [note])
    listed = [(order["id"], order["price"]) for order in shop_orders.of_customer(session, sql, name)]
    _same("the customer's orders", listed, [(made["id"], "700.00")])


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise ProbeFailed(f"{what}: {found!r} was read, {expected!r} was written")
