"""What a database has: tables with their columns, keys, indexes, constraints and triggers. Frozen values, read by the drivers.

Names are bare, as the catalogue has them (not quoted). Types, defaults and definitions are SQL texts of the engine, as its
catalogue writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `default` None: none. `generated`: the expression of a computed column, else ""."""

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: str = ""
    identity: bool = False
    collation: str = ""
    extra: str = ""  # what the engine needs to restate a definition: comment, character set


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is not the primary key's. `columns` is empty when it is on expressions. `constraint`: it belongs to one.

    `included`: columns that it carries along; `descending`: places (from 0) of key columns that are sorted downwards.
    """

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str = ""
    constraint: bool = False
    definition: str = ""
    included: tuple[str, ...] = ()
    descending: tuple[int, ...] = ()


class Rule(StrEnum):
    """What a constraint demands."""

    CHECK = "check"
    UNIQUE = "unique"
    FOREIGN_KEY = "foreign_key"
    DEFAULT = "default"  # where defaults are objects with names (SQL Server)
    OTHER = "other"  # EXCLUDE and the like


@dataclass(frozen=True, slots=True)
class Constraint:
    """A named constraint; the primary key is not among them. `columns` are those of its own table."""

    name: str
    rule: Rule
    columns: tuple[str, ...]
    definition: str = ""
    references: str = ""  # table of a foreign key
    referred: tuple[str, ...] = ()
    on_update: str = ""  # "CASCADE", "SET NULL", … ; "" does nothing to rows
    on_delete: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of the application, or of changeover (`ours`)."""

    name: str
    definition: str
    enabled: bool = True
    ours: bool = False


class Kind(StrEnum):
    """What stands under a table's name."""

    TABLE = "table"
    PARTITIONED = "partitioned table"
    VIEW = "view"
    VERSIONED = "system-versioned table"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `views`: names of views that read it; `referenced_by`: foreign keys of other tables that point to it.

    `rows` and `bytes` are estimates. `sql`: the text that made it, where the engine keeps it (SQLite). `listeners`: logical
    subscribers and replication slots that carry it.
    """

    name: str
    columns: tuple[Column, ...]
    kind: Kind = Kind.TABLE
    schema: str = ""
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    views: tuple[str, ...] = ()
    referenced_by: tuple[Constraint, ...] = ()
    row_security: bool = False
    listeners: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    sql: str = ""

    def column(self, name: str) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    def constraint(self, name: str) -> Constraint | None:
        return next((c for c in self.constraints if c.name == name), None)

    def index(self, name: str) -> Index | None:
        return next((i for i in self.indexes if i.name == name), None)

    def with_column(self, column: Column) -> Table:
        """The same with this column instead of the one of its name, or added at the end."""
        known = self.column(column.name)
        columns = tuple(column if c is known else c for c in self.columns)
        return replace(self, columns=columns if known else (*self.columns, column))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tables that were asked for, and every name that is taken.

    `tables`: those of the asked names that are there. `names`: all relations of the schema (tables, views, indexes,
    sequences). `enums`: type -> labels in order. `version`: the server's, as numbers; SQL Server's is (major, EngineEdition).
    `texts`: what made everything in the database, in an order in which it can be made, where the engine keeps that (SQLite).
    `fills_before`: a trigger fills a required column that an INSERT leaves out before the row is judged; tried where servers
    differ, None where the engine alone tells.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()
    fills_before: bool | None = None

    def with_table(self, table: Table) -> Catalogue:
        """The same with this table."""
        return replace(self, tables={**self.tables, table.name: table}, names=self.names | {table.name})
