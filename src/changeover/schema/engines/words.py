"""What engines have in common: the conditions of a pair of columns, and the words for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changeover.core.catalogue import Column, Rule, Table
from changeover.schema.ddl import Leaving, Pair
from changeover.schema.engines.engine import Cannot
from changeover.schema.expressions import qualified

if TYPE_CHECKING:
    from changeover.schema.engines.engine import Engine

Differs = Callable[[str, str, str], str]
"""(one SQL value, another, the column whose type they have) -> the condition that they differ; NULL equals NULL."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The conditions of one pair, as one engine writes them. `differs` knows how values of a column are compared there."""

    engine: Engine
    table: Table
    pair: Pair
    differs: Differs

    def at(self, row: str, column: str) -> str:
        """The column of a row: `NEW.price`, or `price` with row ""."""
        name = self.engine.quote(column)
        return f"{row}.{name}" if row else name

    def upped(self, new: str, row: str = "NEW") -> str:
        """What `up` makes of the old columns of that row."""
        up = self.pair.up[new]
        return qualified(up, self.pair.olds, row, self.engine.dialect) if row else up

    def downed(self, old: str, row: str = "NEW") -> str:
        down = self.pair.down[old]
        return qualified(down, self.pair.news, row, self.engine.dialect) if row else down

    def unfilled(self, row: str) -> str:
        return f"{self.at(row, self.pair.first)} IS NULL"

    def changed(self, columns: Iterable[str], row: str = "NEW") -> str:
        """Any of the columns has another value than before."""
        return _any(self.differs(self.at(row, c), self.at("OLD", c), c) for c in columns)

    def not_up(self, row: str = "NEW") -> str:
        """The new columns are not what the old ones make of them."""
        return _any(self.differs(self.at(row, n), f"({self.upped(n, row)})", n) for n in self.pair.news)

    def not_down(self, row: str = "NEW") -> str:
        """The old columns are not what the new ones make of them."""
        return _any(self.differs(self.at(row, o), f"({self.downed(o, row)})", o) for o in self.pair.down)

    def up(self, assign: str) -> str:
        """The assignments that fill the new columns; `assign` has {column} and {value}."""
        return " ".join(assign.format(column=self.engine.quote(n), value=self.upped(n)) for n in self.pair.news)

    def down(self, assign: str) -> str:
        return " ".join(assign.format(column=self.engine.quote(o), value=self.downed(o)) for o in self.pair.down)

    def fillable(self) -> str:
        """A row that was never filled and can be. *Never filled*, never *not what up makes of it*: that would undo edits."""
        return f"{self.unfilled('')} AND ({self.upped(self.pair.first, '')}) IS NOT NULL"

    def inconsistent(self) -> str:
        """Neither side follows from the other, or the row was never filled."""
        return f"({self.not_down('')} AND {self.not_up('')}) OR ({self.fillable()})"


def _any(conditions: Iterable[str]) -> str:
    found = tuple(conditions)
    return f"({' OR '.join(found)})" if len(found) > 1 else found[0]


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def columns_of(table: Table) -> tuple[str, ...]:
    return tuple(c.name for c in table.columns)


def pair_words(pair: Pair) -> str:
    """`price <-> price_cents`, or `price -> price_cents` when nothing is written back."""
    return f"{listed(pair.olds)} {'<->' if pair.down else '->'} {listed(pair.news)}"


def must_not_repeat(table: Table, column: Column, default: str) -> None:
    """Rows that leave a unique column out would all have this constant. Raises Cannot."""
    held = [i.name for i in table.indexes if i.unique and column.name in i.columns]
    held += [
        c.name for c in table.constraints if c.rule is Rule.UNIQUE and column.name in c.columns and c.name not in held
    ]
    if held:
        raise Cannot(
            f"{table.name}.{column.name} is unique ({listed(held)}): a second row that leaves it out would have {default} once more",
            f"drop {listed(held)} in an earlier release",
        )


def table_words(table: Table, sync: str, leaving: Leaving) -> str:
    """What a contract does to a table, as one line of a plan."""
    parts = [f"- trigger {sync}"] if sync else []
    parts += [f"- column {table.name}.{c} (parked as {p})" for c, p in leaving.parked.items()]
    parts += [f"- column {table.name}.{c} (cannot be parked)" for c in leaving.dropped]
    parts += [f"~ default {table.name}.{c}" for c in leaving.defaults]
    return "; ".join(parts) or f"~ {table.name}"
