"""Constraints and indexes: what the data must obey, and what makes it quick to find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from changeover.core.catalogue import Catalogue, Constraint, Index, Rule, Table
from changeover.core.model import Check
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.expressions import check_expression, columns_in
from changeover.schema.operations.columns import RESTRICTS, warned
from changeover.schema.operations.operation import At, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnTable(Operation):
    """Something with a name on one table."""

    table: str
    name: str = ""

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def _known(self, at: At, columns: tuple[str, ...]) -> Table:
        table = at.table(self.table)
        for column in columns:
            at.column(table, column)
        return table


@dataclass(frozen=True, slots=True, kw_only=True)
class AddUnique(_OnTable):
    """No two rows may have the same values."""

    kind: ClassVar[str] = "add_unique"
    columns: tuple[str, ...]

    def describe(self) -> str:
        return f"+ unique {self.table} ({', '.join(self.columns)})"

    def _constraint(self, at: At) -> Constraint:
        name = self.name or at.made("uq", self.table, *self.columns)
        return Constraint(name, Rule.UNIQUE, self.columns)

    def check(self, at: At) -> tuple[Check, ...]:
        table = self._known(at, self.columns)
        at.new_index(table, self._constraint(at).name)
        at.engine.add_unique(table, self._constraint(at))
        return (at.engine.duplicates(table, self.columns),)

    def finalize(self, at: At) -> Acts:
        return warned(at.engine.add_unique(at.table(self.table), self._constraint(at)), RESTRICTS)

    def undo(self, at: At) -> Acts:
        return at.engine.undo_unique(at.table(self.table), self._constraint(at))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(replace(table, constraints=(*table.constraints, self._constraint(at))))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheck(_OnTable):
    """Every row must satisfy the expression."""

    kind: ClassVar[str] = "add_check"
    check_: str = ""

    def describe(self) -> str:
        return f"+ check {self.table} ({self.check_})"

    def _constraint(self, at: At) -> Constraint:
        table = at.table(self.table)
        name = self.name or at.made("ck", self.table, self.check_)
        read = columns_in(self.check_, [c.name for c in table.columns], at.engine.dialect)
        return Constraint(name, Rule.CHECK, read, self.check_)

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table)
        check_expression(self.check_, [c.name for c in table.columns], at.engine.dialect, f"the check on {self.table}")
        at.fits(self._constraint(at).name)
        if table.constraint(self._constraint(at).name):
            raise Cannot(f"{self.table} has a constraint {self._constraint(at).name} already", "choose another name")
        at.engine.add_check(table, self._constraint(at))
        return (at.engine.violations(table, self.check_),)

    def finalize(self, at: At) -> Acts:
        return warned(at.engine.add_check(at.table(self.table), self._constraint(at)), RESTRICTS)

    def undo(self, at: At) -> Acts:
        return at.engine.drop_constraint(at.table(self.table), self._constraint(at))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(replace(table, constraints=(*table.constraints, self._constraint(at))))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddForeignKey(_OnTable):
    """Every value must be there in another table."""

    kind: ClassVar[str] = "add_foreign_key"
    columns: tuple[str, ...]
    references: str
    referred: tuple[str, ...]
    on_delete: str = ""

    def describe(self) -> str:
        return f"+ foreign key {self.table} ({', '.join(self.columns)}) -> {self.references}"

    def names(self) -> tuple[str, ...]:
        return (self.table, self.references)

    def _constraint(self, at: At) -> Constraint:
        name = self.name or at.made("fk", self.table, *self.columns)
        return Constraint(
            name,
            Rule.FOREIGN_KEY,
            self.columns,
            references=self.references,
            referred=self.referred,
            on_delete=self.on_delete,
        )

    def check(self, at: At) -> tuple[Check, ...]:
        table = self._known(at, self.columns)
        other = at.table(self.references)
        for column in self.referred:
            at.column(other, column)
        if len(self.columns) != len(self.referred):
            raise Cannot(f"{len(self.columns)} columns cannot refer to {len(self.referred)}")
        keys = [other.primary_key, *(c.columns for c in other.constraints if c.rule is Rule.UNIQUE)]
        keys += [i.columns for i in other.indexes if i.unique and not i.where]
        if not any(set(k) == set(self.referred) for k in keys):
            raise Cannot(f"{self.references} ({', '.join(self.referred)}) is neither its primary key nor unique")
        at.fits(self._constraint(at).name)
        if table.constraint(self._constraint(at).name):
            raise Cannot(f"{self.table} has a constraint {self._constraint(at).name} already", "choose another name")
        at.engine.add_foreign_key(table, self._constraint(at))
        return (at.engine.orphans(table, self._constraint(at)),)

    def finalize(self, at: At) -> Acts:
        return warned(at.engine.add_foreign_key(at.table(self.table), self._constraint(at)), RESTRICTS)

    def undo(self, at: At) -> Acts:
        return at.engine.drop_constraint(at.table(self.table), self._constraint(at))

    def after(self, at: At) -> Catalogue:
        table = at.table(self.table)
        return at.catalogue.with_table(replace(table, constraints=(*table.constraints, self._constraint(at))))


@dataclass(frozen=True, slots=True, kw_only=True)
class DropConstraint(_OnTable):
    """The versions before may rely on it, so it goes in cleanup."""

    kind: ClassVar[str] = "drop_constraint"

    def describe(self) -> str:
        return f"- constraint {self.name} on {self.table}"

    def _constraint(self, at: At) -> Constraint:
        found = at.table(self.table).constraint(self.name)
        if found is None:
            raise Cannot(f"{self.table} has no constraint {self.name}")
        return found

    def check(self, at: At) -> tuple[Check, ...]:
        constraint = self._constraint(at)
        table = at.table(self.table)
        pointing = [c.name for c in table.referenced_by if set(c.referred) == set(constraint.columns)]
        if constraint.rule is Rule.UNIQUE and pointing and set(constraint.columns) != set(table.primary_key):
            raise Cannot(f"the foreign key {', '.join(pointing)} relies on {self.name}", "drop the foreign key first")
        at.engine.drop_constraint(table, constraint)
        return ()

    def retire(self, at: At) -> Acts:
        return at.engine.drop_constraint(at.table(self.table), self._constraint(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIndex(_OnTable):
    """An index, built while everybody reads and writes."""

    kind: ClassVar[str] = "add_index"
    columns: tuple[str, ...]

    def describe(self) -> str:
        return f"+ index {self.table} ({', '.join(self.columns)})"

    def _index(self, at: At) -> Index:
        return Index(self.name or at.made("ix", self.table, *self.columns), self.columns)

    def check(self, at: At) -> tuple[Check, ...]:
        table = self._known(at, self.columns)
        at.new_index(table, self._index(at).name)
        at.engine.add_index(table, self._index(at))
        return ()

    def finalize(self, at: At) -> Acts:
        return at.engine.add_index(at.table(self.table), self._index(at))

    def undo(self, at: At) -> Acts:
        return at.engine.drop_index(at.table(self.table), self._index(at))

    def after(self, at: At) -> Catalogue:
        table, index = at.table(self.table), self._index(at)
        found = at.catalogue.with_table(replace(table, indexes=(*table.indexes, index)))
        return replace(found, names=found.names | {index.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndex(_OnTable):
    """The versions before may be slow without it, so it goes in cleanup."""

    kind: ClassVar[str] = "drop_index"

    def describe(self) -> str:
        return f"- index {self.name} on {self.table}"

    def _index(self, at: At) -> Index:
        found = at.table(self.table).index(self.name)
        if found is None:
            raise Cannot(f"{self.table} has no index {self.name}")
        return found

    def check(self, at: At) -> tuple[Check, ...]:
        if self._index(at).constraint:
            raise Cannot(
                f"{self.name} belongs to a constraint", f"drop_constraint: {{ table: {self.table}, name: {self.name} }}"
            )
        return ()

    def retire(self, at: At) -> Acts:
        return at.engine.drop_index(at.table(self.table), self._index(at))


@dataclass(frozen=True, slots=True, kw_only=True)
class AddEnumValue(Operation):
    """One more label. `type` is an enum type; `table` and `column` where the engine keeps the labels in the column."""

    kind: ClassVar[str] = "add_enum_value"
    value: str
    type: str = ""
    table: str = ""
    column: str = ""

    def describe(self) -> str:
        return f"+ value {self.value} of {self.type or f'{self.table}.{self.column}'}"

    def names(self) -> tuple[str, ...]:
        return (self.table,) if self.table else ()

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.table(self.table) if self.table else None
        labels = at.engine.labels(table, self.type or self.column, at.catalogue.enums)
        if self.value in labels:
            raise Cannot(
                f"{self.type or self.column} has the value {self.value} already",
                "take the operation out (an undo leaves labels where they are)",
            )
        return ()

    def expand(self, at: At) -> Acts:
        table = at.table(self.table) if self.table else None
        acts = at.engine.add_enum_value(table, self.type or self.column, self.value)
        return warned(acts, "readers of the version before may meet a value that they do not know")

    def after(self, at: At) -> Catalogue:
        if not self.type:
            return at.catalogue
        labels = (*at.catalogue.enums.get(self.type, ()), self.value)
        return replace(at.catalogue, enums={**at.catalogue.enums, self.type: labels})
