"""Columns: added, dropped, made optional or required, given a default."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from changeover.core.catalogue import Catalogue, Column
from changeover.core.model import Check, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.expressions import check_expression, columns_in
from changeover.schema.operations.operation import At, Operation

_CONSTANT = re.compile(
    r"[+-]?\d+(\.\d+)?|N?'(?:[^']|'')*'|TRUE|FALSE|NULL|CURRENT_(TIMESTAMP|DATE|TIME)|NOW\(\)", re.IGNORECASE
)
RESTRICTS = "a version in play that writes otherwise gets an error: say that it does not"


def constant(default: str, where: str) -> str:
    """Raises Cannot for a default that the engine would compute row by row."""
    if not _CONSTANT.fullmatch(default.strip()):
        raise Cannot(
            f"the default of {where} is no constant: {default}",
            "write a number, 'text' in quotes, true, false or now(); compute it with `from:` otherwise",
        )
    return default.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumn(Operation):
    """A new column: empty, with a constant, or computed from other columns and kept so while old versions write.

    `source` is the expression that computes it, over the columns of the same row.
    """

    kind: ClassVar[str] = "add_column"
    table: str
    column: str
    type: str
    not_null: bool = False
    default: str | None = None
    source: str = ""

    def describe(self) -> str:
        tail = " not null" if self.not_null else ""
        come = f" = {self.source}" if self.source else f" default {self.default}" if self.default is not None else ""
        return f"+ column {self.table}.{self.column} {self.type}{tail}{come}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        at.new_column(table, self.column)
        self._column(at)
        if self.source and self.default is not None:
            raise Cannot(
                "a column that is computed cannot have a default as well: it would hide which rows were never filled",
                "leave one of them out",
            )
        if self.source:
            at.writable(table)
            columns = [c.name for c in table.columns]
            check_expression(self.source, columns, at.engine.dialect, f"`from` of {self.table}.{self.column}")
            if not columns_in(self.source, columns, at.engine.dialect):
                raise Cannot(f"`from` of {self.column} reads no column: {self.source}", "use `default:` for a constant")
        elif self.not_null and self.default is None:
            raise Cannot(
                f"{self.table}.{self.column} would be required, and the versions before do not fill it",
                "give it a `default:`, or compute it with `from:`",
            )
        if self.default is not None:
            constant(self.default, f"{self.table}.{self.column}")
        if self._filled_later(at):
            at.keyed(table)
        return ()

    def _column(self, at: At) -> Column:
        """As it is wanted, but for what comes with cleanup: required only with a default."""
        type_ = at.engine.check_type(self.type, at.catalogue.enums)
        return Column(
            self.column, type_, nullable=not (self.not_null and self.default is not None), default=self.default
        )

    def _filled_later(self, at: At) -> bool:
        """Rows that are there get the default from a backfill: adding it would write them all under one lock."""
        return self.default is not None and not at.engine.adds_filled(self._column(at))

    def expand(self, at: At) -> Acts:
        column = self._column(at)
        column = replace(column, nullable=True) if self._filled_later(at) else column
        return at.engine.add_column(at.table(self.table), column)

    def fills(self, at: At) -> tuple[Pair, ...]:
        if self.default is None or not self._filled_later(at):
            return ()
        return (Pair((), (self.column,), {self.column: self.default}),)

    def sync(self, at: At) -> tuple[Pair, ...]:
        if not self.source:
            return ()
        read = columns_in(self.source, [c.name for c in at.table(self.table).columns], at.engine.dialect)
        return (Pair(tuple(c for c in read if c != self.column), (self.column,), {self.column: self.source}),)

    def _waits(self, at: At) -> bool:
        """It becomes NOT NULL only in cleanup, where no trigger can fill it before the row is judged."""
        return self.not_null and bool(self.source) and not at.engine.fills_before

    def finalize(self, at: At) -> Acts:
        if self._waits(at) or not (self.not_null and (self.source or self._filled_later(at))):
            return ()
        return at.engine.set_not_null(at.table(self.table), self._column(at))

    def contract(self, at: At) -> Leaving:
        return Leaving(not_null=(self.column,)) if self._waits(at) else Leaving()

    def undo(self, at: At) -> Acts:
        return at.engine.drop_column(at.table(self.table), self.column)

    def after(self, at: At) -> Catalogue:
        column = self._column(at)
        if self.not_null and not self._waits(at):
            column = replace(column, nullable=False)
        return at.catalogue.with_table(at.table(self.table).with_column(column))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropColumn(Operation):
    """The new version does not write it any more. `default` is what its rows get meanwhile, where it is required."""

    kind: ClassVar[str] = "drop_column"
    table: str
    column: str
    default: str | None = None

    def describe(self) -> str:
        return f"- column {self.table}.{self.column}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        column = at.column(table, self.column)
        at.alone(table, column)
        if self.default is not None:
            constant(self.default, f"{self.table}.{self.column}")
        if not column.nullable and column.default is None and self.default is None:
            raise Cannot(
                f"{self.table}.{self.column} is required, and the new version leaves it out",
                f"say what its rows get until cleanup: drop_column: {{ …, default: {at.engine.filler(column)} }}",
            )
        return ()

    def expand(self, at: At) -> Acts:
        table = at.table(self.table)
        column = at.column(table, self.column)
        if column.nullable or column.default is not None:
            return ()
        return at.engine.make_optional(table, column, self.default)

    def contract(self, at: At) -> Leaving:
        table = at.table(self.table)
        return at.engine.leave(table, at.column(table, self.column), at.parked(self.table, self.column))

    def drop(self, at: At) -> Acts:
        """What could not be parked has gone already."""
        parked = self.contract(at).parked
        table = at.table(self.table)
        return tuple(act for name in parked.values() for act in at.engine.drop_column(table, name))

    def undo(self, at: At) -> Acts:
        table = at.table(self.table)
        column = at.column(table, self.column)
        if column.nullable or column.default is not None:
            return ()
        return at.engine.drop_default(table, column)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNotNull(Operation):
    """The column is required from this release on."""

    kind: ClassVar[str] = "set_not_null"
    table: str
    column: str

    def describe(self) -> str:
        return f"+ not null {self.table}.{self.column}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        column = at.column(table, self.column)
        if not column.nullable:
            raise Cannot(f"{self.table}.{self.column} is not null already", "take the operation out")
        return (at.engine.nulls(table, self.column),)

    def finalize(self, at: At) -> Acts:
        table = at.table(self.table)
        return warned(at.engine.set_not_null(table, at.column(table, self.column)), RESTRICTS)

    def undo(self, at: At) -> Acts:
        table = at.table(self.table)
        return calm(at.engine.undo_not_null(table, at.column(table, self.column)))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(table.with_column(replace(at.column(table, self.column), nullable=False)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropNotNull(Operation):
    """The column may be empty from this release on."""

    kind: ClassVar[str] = "drop_not_null"
    table: str
    column: str

    def describe(self) -> str:
        return f"- not null {self.table}.{self.column}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        if at.column(table, self.column).nullable:
            raise Cannot(f"{self.table}.{self.column} may be null already", "take the operation out")
        if self.column in table.primary_key:
            raise Cannot(f"{self.table}.{self.column} belongs to the primary key")
        return ()

    def expand(self, at: At) -> Acts:
        table = at.table(self.table)
        return at.engine.drop_not_null(table, at.column(table, self.column))

    def undo(self, at: At) -> Acts:
        table = at.table(self.table)
        return at.engine.set_not_null(table, at.column(table, self.column))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(table.with_column(replace(at.column(table, self.column), nullable=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDefault(Operation):
    """Rows that leave the column out get another value from this release on, whoever inserts them."""

    kind: ClassVar[str] = "set_default"
    table: str
    column: str
    default: str

    def describe(self) -> str:
        return f"~ default {self.table}.{self.column} {self.default}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        column = at.column(table, self.column)
        constant(self.default, f"{self.table}.{self.column}")
        if column.generated or column.identity:
            raise Cannot(f"{self.table}.{self.column} is computed by the database")
        return ()

    def expand(self, at: At) -> Acts:
        table = at.table(self.table)
        return at.engine.set_default(table, at.column(table, self.column), self.default)

    def undo(self, at: At) -> Acts:
        table = at.table(self.table)
        column = at.column(table, self.column)
        if column.default is None:
            return at.engine.drop_default(table, column)
        return calm(at.engine.set_default(table, column, column.default))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(table.with_column(replace(at.column(table, self.column), default=self.default)))


def warned(acts: Acts, reason: str) -> Acts:
    """The acts with a warning that a named person acknowledges, on the first of them, beside what it warns of already."""
    return tuple(replace(a, verdict=Verdict.WARN, reason=_both(a, reason)) if not n else a for n, a in enumerate(acts))


def _both(act: Ddl, reason: str) -> str:
    return f"{reason}; {act.reason}" if act.verdict is Verdict.WARN else reason


def calm(acts: Acts) -> Acts:
    """The acts of an undo: what they warn of has been there before."""
    return tuple(replace(a, verdict=Verdict.OK) for a in acts)
