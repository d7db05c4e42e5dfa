"""What a check found, in words; and the refusal when a guard finds something under its lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from changeover.core.errors import RowsInTheWay, Where
from changeover.core.model import Check, Statement
from changeover.core.ports import Count

LONGEST = 60  # characters of one value


def row_words(row: Sequence[Any]) -> str:
    """`(7, 'ann')`; long values are cut."""
    return f"({', '.join(_short(value) for value in row)})"


def _short(value: object) -> str:
    text = "null" if value is None else repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def guarded(statement: Statement, guard: Check, found: Count) -> RowsInTheWay:
    """The refusal of a statement whose guard does not hold."""
    return RowsInTheWay(
        f"{statement.title}: {guard.title}" + (f" ({'; '.join(found.shown)})" if found.shown else ""),
        now="The lock was given back; nothing was changed.",
        next=("see what is so: changeover schema drift", "mend it, then: changeover resume"),
        where=(Where(statement.file, statement.line),),
    )
