"""Tables: created, renamed, dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Table
from changeover.core.model import Check
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.expressions import check_expression
from changeover.schema.operations.operation import At, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable(Operation):
    """A new table: no version before knows it."""

    kind: ClassVar[str] = "create_table"
    table: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()

    def describe(self) -> str:
        return f"+ table {self.table} ({', '.join(c.name for c in self.columns)})"

    def check(self, at: At) -> tuple[Check, ...]:
        at.new_name(self.table)
        known = [at.fits(c.name) for c in self.columns]
        used = [*(c for x in self.constraints for c in x.columns), *(c for x in self.indexes for c in x.columns)]
        for name in (*self.primary_key, *used):
            if name not in known:
                raise Cannot(f"{self.table} has no column {name}; it has {', '.join(known)}")
        for constraint in self.constraints:
            if constraint.rule == "check":
                check_expression(constraint.definition, known, at.engine.dialect, f"the check {constraint.name}")
        self._table(at)
        return ()

    def _table(self, at: At) -> Table:
        enums = at.catalogue.enums
        columns = tuple(replace(c, type=at.engine.check_type(c.type, enums)) for c in self.columns)
        return Table(
            self.table,
            columns,
            primary_key=self.primary_key,
            indexes=self.indexes,
            constraints=self.constraints,
        )

    def expand(self, at: At) -> Acts:
        return at.engine.create_table(self._table(at))

    def undo(self, at: At) -> Acts:
        return at.engine.drop_table(self.table)

    def after(self, at: At) -> Catalogue:
        return at.catalogue.with_table(self._table(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameTable(Operation):
    """Both names work until cleanup: the new one is a view that can be read and written."""

    kind: ClassVar[str] = "rename_table"
    table: str
    to: str

    def describe(self) -> str:
        return f"~ table {self.table} becomes {self.to}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        at.new_name(self.to)
        if table.row_security:
            raise Cannot(f"{self.table} has row-level security: a view in front of it may not obey it in the same way")
        at.engine.alias_table(table, self.to)
        return ()

    def expand(self, at: At) -> Acts:
        return at.engine.alias_table(at.table(self.table), self.to)

    def retire(self, at: At) -> Acts:
        return at.engine.adopt_alias(at.table(self.table), self.to)

    def undo(self, at: At) -> Acts:
        return at.engine.drop_alias(self.to)

    def after(self, at: At) -> Catalogue:
        return replace(at.catalogue, names=at.catalogue.names | {self.to})


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTable(Operation):
    """Cleanup puts it out of reach; it is dropped for good when the grace time is over."""

    kind: ClassVar[str] = "drop_table"
    table: str

    def describe(self) -> str:
        return f"- table {self.table}"

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        if table.views:
            raise Cannot(f"the view {', '.join(table.views)} reads {self.table}", "take the view away first")
        if table.referenced_by:
            names = ", ".join(c.name for c in table.referenced_by)
            raise Cannot(f"the foreign key {names} points to {self.table}", "drop the foreign key first")
        return ()

    def retire(self, at: At) -> Acts:
        return at.engine.park_table(at.table(self.table), at.parked(self.table))

    def drop(self, at: At) -> Acts:
        return at.engine.drop_table(at.parked(self.table))
