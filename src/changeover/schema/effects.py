"""What a statement does, as values. One class per effect; a statement has one or more of them, in order.

Names are kept twice: as written (for rewrites that people copy) and as the catalogue has them (for comparisons and probes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Name:
    """A name of an object. `parts` as the catalogue spells them, `key` for comparisons, `sql` as written."""

    parts: tuple[str, ...]
    key: tuple[str, ...]
    sql: str

    @property
    def last(self) -> str:
        """The name without schema."""
        return self.parts[-1]

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class TypeName:
    """A column type: `sql` as written, `base` its canonical name ("" if it is none of the engine's own), its sizes."""

    sql: str
    base: str = ""
    sizes: tuple[str, ...] = ()
    array: bool = False


class Default(StrEnum):
    """What a DEFAULT is to rows that are there already."""

    NONE = "none"  # no DEFAULT clause
    NULL = "null"
    CONSTANT = "constant"  # one value for all rows: stored once in the catalogue
    STABLE = "stable"  # the time of the statement: evaluated once (PostgreSQL)
    VOLATILE = "volatile"  # may differ per row: the table is rewritten; also everything not known


class Generated(StrEnum):
    """Who computes the column."""

    NO = "no"
    IDENTITY = "identity"
    STORED = "stored"
    VIRTUAL = "virtual"


class Demand(StrEnum):
    """What the author demands of the server, which then refuses instead of blocking (MySQL, SQL Server)."""

    NOTHING = "nothing"
    INSTANT = "instant"  # ALGORITHM=INSTANT: the catalogue only
    ONLINE = "online"  # LOCK=NONE or ONLINE = ON: readers and writers go on while it works


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key's other side. `blocks_delete`: no ON DELETE action, so a parent with children cannot be deleted.

    `written`: the columns that the key itself may change (ON UPDATE CASCADE, ON DELETE SET NULL, …), where the dialect asks.
    """

    table: Name
    blocks_delete: bool
    sql: str  # the clause as written
    written: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """The definition of one column."""

    name: Name
    type: TypeName
    not_null: bool = False
    default: Default = Default.NONE
    default_sql: str = ""
    generated: Generated = Generated.NO
    unique: bool = False
    primary: bool = False
    check: str = ""  # the expression
    reference: Reference | None = None
    expression: str = ""  # of a generated column, where the dialect keeps it
    nullable: bool = False  # NULL is written out
    later_only: bool = False  # the DEFAULT is for new rows; those that are there stay NULL (SQL Server)
    named_default: bool = True  # the DEFAULT can be dropped by name (SQL Server)


class Rule(StrEnum):
    """The kind of a table constraint."""

    CHECK = "check"
    FOREIGN_KEY = "foreign key"
    UNIQUE = "unique"
    PRIMARY_KEY = "primary key"
    EXCLUDE = "exclude"


# tables and columns ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateTable:
    """`references`: the foreign keys of all columns and constraints."""

    table: Name
    columns: tuple[Column, ...] = ()
    references: tuple[Reference, ...] = ()
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateTableAs:
    table: Name
    calls: tuple[str, ...] = ()  # functions that the query calls
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class AddColumn:
    """`moves`: FIRST or AFTER, so that columns behind it get another position."""

    table: Name
    column: Column
    if_not_exists: bool = False
    demand: Demand = Demand.NOTHING
    moves: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn:
    table: Name
    column: Name
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameColumn:
    table: Name
    old: Name
    new: Name


@dataclass(frozen=True, slots=True)
class RenameObject:
    """`kind`: table, view, index, constraint, sequence, type, schema, …; `table` of a constraint."""

    kind: str
    old: Name
    new: Name
    table: Name | None = None


@dataclass(frozen=True, slots=True)
class ChangeType:
    table: Name
    column: Name
    type: TypeName
    using: bool = False


@dataclass(frozen=True, slots=True)
class Redefine:
    """The whole definition of a column is stated anew (MODIFY of MySQL, ALTER COLUMN of SQL Server): what it leaves out is lost.

    `sql`: the definition as written, without the name. `moves`: FIRST or AFTER.
    """

    table: Name
    column: Column
    sql: str
    demand: Demand = Demand.NOTHING
    moves: bool = False


@dataclass(frozen=True, slots=True)
class SetDefault:
    """`name`: that of the constraint (SQL Server)."""

    table: Name
    column: Name
    sql: str
    calls: tuple[str, ...] = ()
    name: Name | None = None


@dataclass(frozen=True, slots=True)
class DropDefault:
    table: Name
    column: Name


@dataclass(frozen=True, slots=True)
class SetNotNull:
    table: Name
    column: Name


@dataclass(frozen=True, slots=True)
class DropNotNull:
    table: Name
    column: Name


@dataclass(frozen=True, slots=True)
class MoveTable:
    """ALTER TABLE … SET SCHEMA."""

    table: Name
    schema: Name


@dataclass(frozen=True, slots=True)
class RowSecurity:
    """ENABLE, DISABLE or FORCE ROW LEVEL SECURITY."""

    table: Name
    verb: str


# constraints, indexes, triggers --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddConstraint:
    """`not_null_of`: the column of `CHECK (column IS NOT NULL)`. `index`: an existing index to use."""

    table: Name
    name: Name | None
    rule: Rule
    body: str  # the clause as written: CHECK (price > 0)
    columns: tuple[str, ...] = ()
    not_valid: bool = False
    index: Name | None = None
    reference: Reference | None = None
    not_null_of: str = ""
    demand: Demand = Demand.NOTHING


@dataclass(frozen=True, slots=True)
class ValidateConstraint:
    table: Name
    name: Name


@dataclass(frozen=True, slots=True)
class DropConstraint:
    table: Name
    name: Name
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """`rest` is everything from ON; `plain`: it indexes columns, not expressions that may fail on somebody's row.

    `kind`: what is special about it (fulltext, clustered, …). `concurrently`: demanded to be online.
    """

    name: Name | None
    table: Name
    rest: str
    unique: bool = False
    concurrently: bool = False
    plain: bool = True
    if_not_exists: bool = False
    kind: str = ""
    constraint: bool = False  # SQL Server: it is made as a constraint


@dataclass(frozen=True, slots=True)
class CreateTrigger:
    """`words`: every word of its body. `update_of`: it does not fire on every UPDATE. `events`: INSERT, UPDATE, …"""

    name: Name
    table: Name
    timing: str  # BEFORE, AFTER, INSTEAD OF
    replace: bool = False
    if_not_exists: bool = False
    update_of: bool = False
    function: Name | None = None
    words: frozenset[str] = frozenset()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DropTrigger:
    name: Name
    table: Name | None
    cascade: bool = False
    if_exists: bool = False


# other objects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """A new object that touches no existing one: kind is sequence, schema, type, extension, domain or synonym."""

    kind: str
    name: Name
    if_not_exists: bool = False
    checked: bool = False  # a domain with a constraint
    enum: bool = False


@dataclass(frozen=True, slots=True)
class CreateView:
    name: Name
    replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateFunction:
    name: Name
    kind: str  # function or procedure
    replace: bool = False
    words: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AddEnumValue:
    type: Name
    value: str


@dataclass(frozen=True, slots=True)
class RenameEnumValue:
    type: Name
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Drop:
    """DROP of one or more objects of a kind: table, view, index, sequence, type, function, schema, …

    `table`: that of an index, where the statement says so.
    """

    kind: str
    names: tuple[Name, ...]
    if_exists: bool = False
    cascade: bool = False
    concurrently: bool = False
    table: Name | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    subject: str


@dataclass(frozen=True, slots=True)
class Grant:
    text: str


@dataclass(frozen=True, slots=True)
class Revoke:
    text: str


# rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Insert:
    """`query`: the rows come from a SELECT; `calls`: functions that are called."""

    table: Name
    query: bool
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """One UPDATE. `condition` and `head` are texts; `where` is everything after WHERE, "" if there is none.

    `sets`: columns that are set. `nulled`: columns set to NULL. `never_filled`: columns of which `IS NULL` must hold.
    `alias` is the name by which the table's columns are written.
    """

    table: Name
    alias: str
    head: str
    where: str
    sets: tuple[Name, ...]
    nulled: tuple[Name, ...] = ()
    never_filled: tuple[str, ...] = ()
    alternatives: bool = False  # the WHERE has an OR at its top
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    table: Name
    where: bool
    calls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truncate:
    tables: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """VACUUM FULL, CLUSTER, REINDEX, OPTIMIZE: locks a table for as long as it takes to write it again."""

    verb: str


Effect = (
    CreateTable
    | CreateTableAs
    | AddColumn
    | DropColumn
    | RenameColumn
    | RenameObject
    | ChangeType
    | Redefine
    | SetDefault
    | DropDefault
    | SetNotNull
    | DropNotNull
    | MoveTable
    | RowSecurity
    | AddConstraint
    | ValidateConstraint
    | DropConstraint
    | CreateIndex
    | CreateTrigger
    | DropTrigger
    | Create
    | CreateView
    | CreateFunction
    | AddEnumValue
    | RenameEnumValue
    | Drop
    | Comment
    | Grant
    | Revoke
    | Insert
    | Update
    | Delete
    | Truncate
    | Rebuild
)
