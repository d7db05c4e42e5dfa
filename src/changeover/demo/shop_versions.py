"""What each version of the shop asks of the database: one frozen record per version, used by server and probe alike.

All of them name their columns. 1.1.0 and later never name `price`, 1.2.0 and later never name `legacy_audit`: each
works before and after its own contract.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from changeover.demo.money import to_cents, to_price


@dataclass(frozen=True, slots=True)
class Sql:
    """The statements of one version. Parameters are named (`:ref`); `price` and `price_cents` mean the same price.

    Every select gives id, ref, customer, item, quantity, the price (text or cents), status.
    """

    version: str
    create: str  # gives the id; no row when the ref is there already
    by_id: str
    by_ref: str
    by_customer: str  # newest first
    newest: str
    change: str
    needs: tuple[tuple[str, tuple[str, ...]], ...]  # table, columns
    audit: str = ""  # "" if the version does not write it
    note: str = ""
    notes: str = ""

    def missing(self, columns: dict[str, frozenset[str]]) -> list[str]:
        """The `table.column`s that this version needs and the schema (table -> its columns) does not have."""
        return [
            f"{table}.{name}" for table, names in self.needs for name in names if name not in columns.get(table, ())
        ]


CUSTOMER = "INSERT INTO customers (name) VALUES (:customer) ON CONFLICT (name) DO NOTHING"

_ORDER = ("id", "ref", "customer", "item", "quantity", "created_at")
_CUSTOMERS = ("customers", ("id", "name"))
_AUDIT = ("legacy_audit", ("order_ref", "what", "created_at"))
_AUDIT_SQL = "INSERT INTO legacy_audit (order_ref, what, created_at) VALUES (:ref, :what, :created_at)"


def _selects(columns: str) -> tuple[str, str, str, str]:
    select = f"SELECT id, ref, customer, item, quantity, {columns} FROM orders"
    return (
        f"{select} WHERE id = :id",
        f"{select} WHERE ref = :ref",
        f"{select} WHERE customer = :customer ORDER BY id DESC LIMIT 5",
        f"{select} ORDER BY id DESC LIMIT 20",
    )


def _create(columns: str, values: str) -> str:
    return (
        f"INSERT INTO orders (ref, customer, item, quantity, {columns}, created_at)"
        f" VALUES (:ref, :customer, :item, :quantity, {values}, :created_at)"
        " ON CONFLICT (ref) DO NOTHING RETURNING id"
    )


V1_0 = Sql(
    "1.0.0",
    _create("price", ":price"),
    *_selects("price, 'new' AS status"),
    "UPDATE orders SET quantity = :quantity, price = :price WHERE id = :id",
    (("orders", (*_ORDER, "price")), _CUSTOMERS, _AUDIT),
    audit=_AUDIT_SQL,
)

V1_1 = Sql(
    "1.1.0",
    _create("price_cents", ":price_cents"),
    *_selects("price_cents, 'new' AS status"),
    "UPDATE orders SET quantity = :quantity, price_cents = :price_cents WHERE id = :id",
    (("orders", (*_ORDER, "price_cents")), _CUSTOMERS, _AUDIT),
    audit=_AUDIT_SQL,
)

V1_2 = Sql(
    "1.2.0",
    _create("price_cents, status", ":price_cents, 'new'"),
    *_selects("price_cents, coalesce(status, 'new') AS status"),
    "UPDATE orders SET quantity = :quantity, price_cents = :price_cents, status = 'changed' WHERE id = :id",
    (
        ("orders", (*_ORDER, "price_cents", "status")),
        _CUSTOMERS,
        ("order_notes", ("id", "order_id", "note", "created_at")),
    ),
    note="INSERT INTO order_notes (order_id, note, created_at) VALUES (:id, :note, :created_at)",
    notes="SELECT note FROM order_notes WHERE order_id = :id ORDER BY id",
)

VERSIONS = (V1_0, V1_1, V1_2)


def _parts(version: str) -> tuple[int, ...]:
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None:
        raise ValueError(f"not a version of the shop: {version!r}; write it like 1.1.0")
    return tuple(int(part) for part in numbers.groups())


def sql_of(version: str) -> Sql:
    """The statements of a version: those of the newest version that is not newer (1.1.7 asks what 1.1.0 asks).

    Raises ValueError for what is no version, or older than 1.0.0.
    """
    wanted = _parts(version)
    known = [sql for sql in VERSIONS if _parts(sql.version) <= wanted]
    if not known:
        raise ValueError(f"there is no shop {version}; the oldest is {VERSIONS[0].version}")
    return known[-1]


def cents_of(price: object) -> int:
    """The price of a row, text or cents, in cents. Raises ValueError when the row has none that this version can read."""
    match price:
        case int():
            return price
        case str():
            return to_cents(price)
        case _:
            raise ValueError("the order has no price")


def price_of(price: object) -> str:
    """The price of a row, text or cents, as `12.50`. Raises ValueError as `cents_of` does."""
    return to_price(cents_of(price))
