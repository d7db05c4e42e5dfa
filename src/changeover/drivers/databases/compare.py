"""Is what came back what was there? Rows and a checksum per table, which does not depend on the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SHOWN = 5  # tables named in an error


@dataclass(frozen=True, slots=True)
class Sum:
    """`rows` of a table and the sum of their hashes."""

    rows: int
    checksum: int


def differences(live: Mapping[str, Sum], restored: Mapping[str, Sum]) -> tuple[str, ...]:
    """What differs, one line per table; empty if nothing does."""
    found = []
    for table in sorted(live.keys() | restored.keys()):
        here, there = live.get(table), restored.get(table)
        if here == there:
            continue
        if there is None:
            found.append(f"{table} is missing in the restored copy")
        elif here is None:
            found.append(f"{table} is in the restored copy only")
        elif here.rows != there.rows:
            found.append(f"{table} has {here.rows} rows, restored {there.rows}")
        else:
            found.append(f"{table}: the values of its {here.rows} rows differ")
    return tuple(found)


def in_short(found: tuple[str, ...]) -> str:
    """The differences in one line."""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + more
