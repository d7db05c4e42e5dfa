"""What an engine must be able to write. Pure: a table as it is and what is wanted, to acts.

What an engine cannot do without breaking or blocking the running version, it refuses with `Cannot`, which says why and
what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Table
from changeover.core.model import BackfillStatement, ChangeSet, Check
from changeover.schema.ddl import Ddl, Leaving, Pair

Acts = tuple[Ddl, ...]
Ask = Callable[[str, str, Mapping[str, str]], str]
"""(table, what ALTER TABLE would do, name -> the column or index as it is by then) -> the ALGORITHM and LOCK that the server accepts
first, as ALTER TABLE wants them. Raises StatementFailed for what it refuses. MariaDB and MySQL only."""


class Cannot(Exception):
    """Not possible, or not without harm: the reason, and lines that say what to do instead."""

    def __init__(self, reason: str, *rewrite: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rewrite = rewrite


class Engine(Protocol):
    """One engine. Every method that returns acts may raise Cannot."""

    @property
    def dialect(self) -> str: ...

    @property
    def longest(self) -> int:
        """The length of the longest name, as `size` tells it."""

    @property
    def fills_before(self) -> bool:
        """A trigger fills a column before the row is judged, so that a required column may be left out of an INSERT."""

    def size(self, name: str) -> int:
        """The length of a name as the engine counts it: bytes of UTF-8, or characters."""

    @property
    def drops_indexes(self) -> bool:
        """A column that is dropped takes every index and constraint on it along."""

    def quote(self, name: str) -> str:
        """The name as SQL; quoted where it must be."""

    def named(self, table: Table) -> str:
        """The table's name as SQL, with its schema where there is one."""

    def check_type(self, type_: str, enums: Mapping[str, tuple[str, ...]]) -> str:
        """The type as the catalogue writes it. Raises Cannot for one that is not known."""

    def labels(self, table: Table | None, name: str, enums: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """The labels of an enum: `name` is the type, or the column of `table`. Raises Cannot where there is no such thing."""

    def filler(self, column: Column) -> str:
        """A constant of the column's type, for rows that leave it out: `''`, `0`."""

    def cast(self, expression: str, type_: str) -> str: ...

    def recast(self, default: str, old: str, new: str) -> str:
        """A default as a column of another type has it."""

    def foresee(self, changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
        """A change set whose statements are all there, with what is known only when one follows the other; and the catalogue
        when everything is added. Raises Cannot for what the engine would refuse.
        """

    def moves(self, table: Table, olds: Sequence[str], news: Mapping[str, Column]) -> None:
        """Raises Cannot when the columns cannot be kept equal here: indexes or constraints that cannot be copied."""

    def leave(self, table: Table, column: Column, parked: str) -> Leaving:
        """How the column leaves: parked under that name, or dropped at once where it cannot be parked."""

    # what a release adds

    def create_table(self, table: Table) -> Acts: ...

    def add_column(self, table: Table, column: Column) -> Acts:
        """Without blocking: nullable, or with a constant default."""

    def adds_filled(self, column: Column) -> bool:
        """Adding this column with its constant default writes no row, and the rows that are there have the default then."""

    def make_optional(self, table: Table, column: Column, default: str | None) -> Acts:
        """An INSERT may leave the column out; `default` is then what it gets, None: NULL."""

    def alias_table(self, table: Table, name: str) -> Acts:
        """A second name for the table, which can be read and written."""

    def add_index(self, table: Table, index: Index) -> Acts: ...

    def add_unique(self, table: Table, constraint: Constraint) -> Acts: ...

    def add_check(self, table: Table, constraint: Constraint) -> Acts:
        """`definition` is the expression."""

    def add_foreign_key(self, table: Table, constraint: Constraint) -> Acts: ...

    def set_not_null(self, table: Table, column: Column) -> Acts: ...

    def drop_not_null(self, table: Table, column: Column) -> Acts: ...

    def set_default(self, table: Table, column: Column, default: str) -> Acts: ...

    def drop_default(self, table: Table, column: Column) -> Acts: ...

    def change_type(self, table: Table, column: Column, type_: str) -> Acts:
        """In place, only where no row is written and no statement of a running version breaks but those it warns of."""

    def add_enum_value(self, table: Table | None, name: str, value: str) -> Acts:
        """`name` is the type, or the column of `table` where the engine keeps the labels there."""

    # keeping two columns equal

    def sync(self, table: Table, name: str, pairs: Sequence[Pair], release: str) -> Acts:
        """Triggers called `name` that keep the pairs equal whoever writes."""

    def backfill(self, table: Table, pair: Pair) -> BackfillStatement:
        """Fills the rows that were never filled, by ranges of the primary key. File and line are left open."""

    def never_filled(self, table: Table, pair: Pair) -> Check: ...

    def inconsistent(self, table: Table, pair: Pair) -> Check: ...

    # what stands in the way

    def nulls(self, table: Table, column: str) -> Check: ...

    def duplicates(self, table: Table, columns: Sequence[str]) -> Check: ...

    def orphans(self, table: Table, constraint: Constraint) -> Check: ...

    def violations(self, table: Table, expression: str) -> Check:
        """Rows for which the expression is false."""

    def misfits(self, table: Table, pair: Pair) -> Check | None:
        """Rows whose value does not survive up and down; None where there is nothing to ask."""

    # what cleanup takes away

    def contract(self, table: Table, sync: str, leaving: Leaving) -> Acts:
        """One act under one lock: `sync` triggers looked at and dropped ("": there are none), columns parked, defaults set."""

    def adopt_alias(self, table: Table, name: str) -> Acts:
        """The alias becomes the table's only name."""

    def park_table(self, table: Table, parked: str) -> Acts: ...

    def drop_column(self, table: Table, column: str) -> Acts: ...

    def drop_table(self, name: str) -> Acts: ...

    def drop_constraint(self, table: Table, constraint: Constraint) -> Acts: ...

    def drop_index(self, table: Table, index: Index) -> Acts: ...

    def drop_alias(self, name: str) -> Acts: ...

    def unsync(self, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
        """The triggers go while old versions write: what would refuse a row that they no longer fill goes with them."""

    def undo_not_null(self, table: Table, column: Column) -> Acts:
        """Takes `set_not_null` back, however far it has got."""

    def undo_unique(self, table: Table, constraint: Constraint) -> Acts:
        """Takes `add_unique` back, however far it has got."""

    def rename_index(self, table: Table, old: str, new: str) -> Acts: ...

    def rename_constraint(self, table: Table, constraint: Constraint, new: str) -> Acts:
        """The constraint under another name; `constraint` is it as it stands."""
