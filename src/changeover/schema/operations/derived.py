"""Columns that take the place of others: renamed, given another type, split, merged. Both sides are kept equal until cleanup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.model import Check
from changeover.schema.ddl import Leaving, Pair
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.expressions import check_expression
from changeover.schema.operations.columns import constant
from changeover.schema.operations.operation import At, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Operation):
    """What these have in common: `olds` become `news`."""

    table: str

    def names(self) -> tuple[str, ...]:
        return (self.table,)

    def olds(self) -> tuple[str, ...]:
        raise NotImplementedError

    def news(self, at: At) -> tuple[Column, ...]:
        """The new columns, as they are once everything is filled."""
        raise NotImplementedError

    def pair(self, at: At) -> Pair:
        raise NotImplementedError

    # the verbs

    def check(self, at: At) -> tuple[Check, ...]:
        table = at.writable(at.table(self.table))
        for old in self.olds():
            at.alone(table, at.column(table, old))
        news = self.news(at)
        for column in news:
            at.new_column(table, column.name)
        pair = self.pair(at)
        for new, up in pair.up.items():
            check_expression(up, pair.olds, at.engine.dialect, f"`up` of {self.table}.{new}")
        for old, down in pair.down.items():
            check_expression(down, pair.news, at.engine.dialect, f"`down` of {self.table}.{old}")
        at.engine.moves(table, self.olds(), {c.name: c for c in news})
        found = at.engine.misfits(self._added(at), pair)
        return () if found is None else (found,)

    def expand(self, at: At) -> Acts:
        table = at.table(self.table)
        acts: Acts = ()
        if not at.engine.fills_before:
            for old in self.olds():
                column = at.column(table, old)
                if not column.nullable and column.default is None:
                    acts += at.engine.make_optional(table, column, at.engine.filler(column))
                    table = table.with_column(replace(column, default=at.engine.filler(column)))
        for column in self.news(at):
            acts += at.engine.add_column(table, replace(column, nullable=True, default=None))
            table = table.with_column(replace(column, nullable=True, default=None))
        return acts

    def sync(self, at: At) -> tuple[Pair, ...]:
        return (self.pair(at),)

    def finalize(self, at: At) -> Acts:
        table = self._added(at)
        acts: Acts = ()
        for column in self.news(at):
            if not column.nullable and at.engine.fills_before:
                acts += at.engine.set_not_null(table, column)
        return acts + tuple(act for _, _, made in self._copies(at) for act in made)

    def contract(self, at: At) -> Leaving:
        table = at.table(self.table)
        leaving = Leaving()
        for old in self.olds():
            leaving |= at.engine.leave(table, at.column(table, old), at.parked(self.table, old))
        required = () if at.engine.fills_before else tuple(c.name for c in self.news(at) if not c.nullable)
        copied = tuple(name for name, _, _ in self._copies(at))
        return leaving | Leaving(defaults=self._defaults(at), not_null=required, copied=copied)

    def _defaults(self, at: At) -> Mapping[str, str]:
        return {c.name: c.default for c in self.news(at) if c.default is not None}

    def drop(self, at: At) -> Acts:
        table = at.table(self.table)
        acts: Acts = ()
        for parked in self.contract(at).parked.values():
            acts += at.engine.drop_column(table, parked)
        for name, copy, _ in self._copies(at):
            if isinstance(copy, Constraint):
                acts += at.engine.rename_constraint(table, copy, name)
            else:
                acts += at.engine.rename_index(table, copy.name, name)
        return acts

    def undo(self, at: At) -> Acts:
        table = at.table(self.table)
        acts: Acts = ()
        if not at.engine.drops_indexes:
            for _, copy, _ in reversed(self._copies(at)):
                if isinstance(copy, Constraint):
                    acts += at.engine.drop_constraint(self._added(at), copy)
                else:
                    acts += at.engine.drop_index(self._added(at), copy)
        for column in self.news(at):
            acts += at.engine.drop_column(self._whole(at), column.name)
        if not at.engine.fills_before:
            for old in self.olds():
                column = at.column(table, old)
                if not column.nullable and column.default is None:
                    acts += at.engine.drop_default(table, column)
        return acts

    def after(self, at: At) -> Catalogue:
        return at.catalogue.with_table(self._whole(at))

    def _whole(self, at: At) -> Table:
        """The table with both sides, and with the copies of indexes and constraints."""
        table, copies = self._added(at), [copy for _, copy, _ in self._copies(at)]
        return replace(
            table,
            indexes=(*table.indexes, *(c for c in copies if isinstance(c, Index))),
            constraints=(*table.constraints, *(c for c in copies if isinstance(c, Constraint))),
        )

    def _added(self, at: At) -> Table:
        """The table with both sides."""
        table = at.table(self.table)
        for column in self.news(at):
            waits = not column.nullable and not at.engine.fills_before
            table = table.with_column(replace(column, default=None, nullable=column.nullable or waits))
        return table

    # indexes and constraints of a column that is replaced by one column

    def _copies(self, at: At) -> tuple[tuple[str, Index | Constraint, Acts], ...]:
        """(name on the old column, what is on the new one under another name until the drop, the acts that make it)."""
        olds, news = self.olds(), self.news(at)
        if len(olds) != 1 or len(news) != 1:
            return ()
        before, table = at.table(self.table), self._added(at)
        found: list[tuple[str, Index | Constraint, Acts]] = []
        for index in before.indexes:
            if olds[0] in index.columns and not index.constraint:
                copy = replace(
                    index,
                    name=at.made("zz_ix", self.table, index.name),
                    columns=_moved(index.columns, olds[0], news[0]),
                )
                found.append((index.name, copy, at.engine.add_index(table, copy)))
        for constraint in before.constraints:
            if olds[0] in constraint.columns and constraint.rule in (Rule.UNIQUE, Rule.FOREIGN_KEY):
                name = at.made("zz_cn", self.table, constraint.name)
                moved = replace(constraint, name=name, columns=_moved(constraint.columns, olds[0], news[0]))
                add = at.engine.add_unique if constraint.rule is Rule.UNIQUE else at.engine.add_foreign_key
                found.append((constraint.name, moved, add(table, moved)))
        return tuple(found)


def _moved(columns: tuple[str, ...], old: str, new: Column) -> tuple[str, ...]:
    return tuple(new.name if c == old else c for c in columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameColumn(Derived):
    """The same values under another name."""

    kind: ClassVar[str] = "rename_column"
    column: str
    to: str

    def describe(self) -> str:
        return f"~ column {self.table}.{self.column} becomes {self.to}"

    def olds(self) -> tuple[str, ...]:
        return (self.column,)

    def news(self, at: At) -> tuple[Column, ...]:
        return (replace(at.column(at.table(self.table), self.column), name=self.to),)

    def pair(self, at: At) -> Pair:
        quote = at.engine.quote
        return Pair((self.column,), (self.to,), {self.to: quote(self.column)}, {self.column: quote(self.to)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeType(Derived):
    """Another type: under a new name (`to`), or in place where the engine writes no row anew.

    `up` and `down` convert; left out, they are casts. `default` is what the new column gets in cleanup; left out, the old
    one's default is cast too, and columns that are converted get none.
    """

    kind: ClassVar[str] = "change_type"
    column: str
    type: str
    to: str = ""
    up: str = ""
    down: str = ""
    default: str | None = None

    def describe(self) -> str:
        return f"~ type {self.table}.{self.column} {self.type}" + (f" as {self.to}" if self.to else "")

    def casts(self) -> bool:
        return not (self.up or self.down)

    def olds(self) -> tuple[str, ...]:
        return (self.column,)

    def _type(self, at: At) -> str:
        return at.engine.check_type(self.type, at.catalogue.enums)

    def news(self, at: At) -> tuple[Column, ...]:
        old = at.column(at.table(self.table), self.column)
        default = self.default
        if default is None and old.default is not None and self.casts():
            default = at.engine.recast(old.default, old.type, self._type(at))
        return (replace(old, name=self.to, type=self._type(at), default=default, collation=""),)

    def pair(self, at: At) -> Pair:
        old, quote = at.column(at.table(self.table), self.column), at.engine.quote
        up = self.up or at.engine.cast(quote(self.column), self._type(at))
        down = self.down or at.engine.cast(quote(self.to), old.type)
        return Pair((self.column,), (self.to,), {self.to: up}, {self.column: down}, exact=self.casts())

    def check(self, at: At) -> tuple[Check, ...]:
        if self.default is not None:
            constant(self.default, f"{self.table}.{self.to or self.column}")
        if self.to:
            return Derived.check(self, at)
        if self.up or self.down:
            raise Cannot(
                "`up` and `down` convert between two columns; a type that is changed in place has one",
                "name it: to: NEW_NAME",
            )
        table = at.table(self.table)
        column = at.column(table, self.column)
        if table.views:
            raise Cannot(f"the view {', '.join(table.views)} reads {self.table}", "take the view away first")
        at.engine.change_type(table, column, self._type(at))
        return ()

    def expand(self, at: At) -> Acts:
        if self.to:
            return Derived.expand(self, at)
        table = at.table(self.table)
        return at.engine.change_type(table, at.column(table, self.column), self._type(at))

    def sync(self, at: At) -> tuple[Pair, ...]:
        return Derived.sync(self, at) if self.to else ()

    def finalize(self, at: At) -> Acts:
        return Derived.finalize(self, at) if self.to else ()

    def contract(self, at: At) -> Leaving:
        return Derived.contract(self, at) if self.to else Leaving()

    def drop(self, at: At) -> Acts:
        return Derived.drop(self, at) if self.to else ()

    def undo(self, at: At) -> Acts:
        """A type that has grown in place stays: it may hold longer values by now, and it harms nobody."""
        return Derived.undo(self, at) if self.to else ()

    def after(self, at: At) -> Catalogue:
        if self.to:
            return Derived.after(self, at)
        table = at.table(self.table)
        column = at.column(table, self.column)
        return at.catalogue.with_table(table.with_column(replace(column, type=self._type(at))))


@dataclass(frozen=True, slots=True)
class Part:
    """One of the columns that another one is split into."""

    name: str
    type: str
    up: str
    not_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitColumn(Derived):
    """One column becomes several. `down` puts them together again."""

    kind: ClassVar[str] = "split_column"
    column: str
    into: tuple[Part, ...]
    down: str

    def describe(self) -> str:
        return f"~ column {self.table}.{self.column} is split into {', '.join(p.name for p in self.into)}"

    def olds(self) -> tuple[str, ...]:
        return (self.column,)

    def news(self, at: At) -> tuple[Column, ...]:
        return tuple(
            Column(p.name, at.engine.check_type(p.type, at.catalogue.enums), nullable=not p.not_null) for p in self.into
        )

    def pair(self, at: At) -> Pair:
        del at
        filled = next((p.name for p in self.into if p.not_null), self.into[0].name)
        names = tuple(p.name for p in self.into)
        return Pair((self.column,), names, {p.name: p.up for p in self.into}, {self.column: self.down}, filled)

    def check(self, at: At) -> tuple[Check, ...]:
        if len(self.into) < 2 or len({p.name for p in self.into}) < len(self.into):
            raise Cannot(f"{self.table}.{self.column} is split into two or more columns of different names")
        return Derived.check(self, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeColumns(Derived):
    """Several columns become one. `down` takes it apart again, one expression for each of the old columns."""

    kind: ClassVar[str] = "merge_columns"
    columns: tuple[str, ...]
    into: str
    type: str
    up: str
    down: Mapping[str, str] = field(default_factory=dict)
    not_null: bool = False

    def describe(self) -> str:
        return f"~ columns {', '.join(f'{self.table}.{c}' for c in self.columns)} are merged into {self.into}"

    def olds(self) -> tuple[str, ...]:
        return self.columns

    def news(self, at: At) -> tuple[Column, ...]:
        return (Column(self.into, at.engine.check_type(self.type, at.catalogue.enums), nullable=not self.not_null),)

    def pair(self, at: At) -> Pair:
        del at
        return Pair(self.columns, (self.into,), {self.into: self.up}, dict(self.down))

    def check(self, at: At) -> tuple[Check, ...]:
        if len(self.columns) < 2 or set(self.down) != set(self.columns):
            raise Cannot(
                f"`down` of {self.table}.{self.into} must say how each of {', '.join(self.columns)} is taken out of it again"
            )
        return Derived.check(self, at)
