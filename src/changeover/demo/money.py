"""Prices: text with two digits after the point (`12.50`) on the wire, cents in numbers."""

from __future__ import annotations

import re

_PRICE = re.compile(r"([0-9]{1,7})(?:\.([0-9]{1,2}))?")


def to_cents(price: str) -> int:
    """`12.50`, `12.5` and `12` in cents. Raises ValueError for anything else; at most seven digits before the point."""
    found = _PRICE.fullmatch(price)
    if found is None:
        raise ValueError(f"not a price: {price!r}; write it like 12.50")
    return int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def to_price(cents: int) -> str:
    """Cents as `12.50`. Raises ValueError for a negative amount."""
    if cents < 0:
        raise ValueError(f"not a price: {cents} cents")
    return f"{cents // 100}.{cents % 100:02d}"
