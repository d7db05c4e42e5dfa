"""What an operation is: a value with a fixed set of verbs, and the place where it is asked what it would do."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar

from changeover.core.catalogue import Catalogue, Column, Kind, Table
from changeover.core.model import Check, Version
from changeover.schema.ddl import Leaving, Pair, made
from changeover.schema.dialects import dialect_of
from changeover.schema.engines.engine import Acts, Cannot, Engine


@dataclass(frozen=True, slots=True)
class At:
    """Where an operation is asked: the engine, the catalogue as it will be by then, and the release that it belongs to."""

    engine: Engine
    catalogue: Catalogue
    release: Version

    def table(self, name: str) -> Table:
        """The table of this name. Raises Cannot when there is none, or when it is something else."""
        found = self.catalogue.tables.get(name)
        if found is None:
            near = difflib.get_close_matches(name, sorted(self.catalogue.names), 1)
            raise Cannot(f"there is no table {name}", *([f"did you mean {near[0]}?"] if near else []))
        if found.kind is not Kind.TABLE:
            raise Cannot(
                f"{name} is a {found.kind}: no operation is known to be safe there",
                "write the change as plain SQL, part by part",
            )
        return found

    def column(self, table: Table, name: str) -> Column:
        """The column of this name. Raises Cannot."""
        found = table.column(name)
        if found is None:
            near = difflib.get_close_matches(name, [c.name for c in table.columns], 1)
            raise Cannot(f"{table.name} has no column {name}", *([f"did you mean {near[0]}?"] if near else []))
        return found

    def new_column(self, table: Table, name: str) -> str:
        """A name that no column of the table has. Raises Cannot."""
        self.fits(name)
        same = next((c.name for c in table.columns if c.name.lower() == name.lower()), None)
        if same is not None:
            raise Cannot(
                f"{table.name} has a column {same} already, and no release of changeover has added it",
                "if it was made by hand for this change: drop it, or take the operation out",
                "else choose another name",
            )
        return name

    def new_name(self, name: str) -> str:
        """A name that no table, view or index has. Raises Cannot."""
        self.fits(name)
        if name.lower() in {taken.lower() for taken in self.catalogue.names}:
            raise Cannot(f"the name {name} is taken", "choose another one")
        return name

    def new_index(self, table: Table, name: str) -> str:
        """A name that no index has, of the table or of the schema, as the engine tells indexes apart. Raises Cannot."""
        if not dialect_of(self.engine.dialect).index_of_table:
            return self.new_name(name)
        self.fits(name)
        if table.index(name) or table.constraint(name):
            raise Cannot(f"the name {name} is taken on {table.name}", "choose another one")
        return name

    def fits(self, name: str) -> str:
        """Raises Cannot for a name that the engine would cut or refuse."""
        if not name or "\0" in name or '"' in name or "`" in name or "]" in name or ";" in name:
            raise Cannot(f"{name!r} is not a name that every tool can write")
        size = self.engine.size(name)
        if size > self.engine.longest:
            raise Cannot(
                f"the name {name[:24]}… has a length of {size}; {self.engine.dialect} takes {self.engine.longest}",
                "use a shorter one",
            )
        return name

    def parked(self, *words: str) -> str:
        """The name out of reach under which something waits to be dropped."""
        return made("zz_gone", self.engine.longest, self.release.text, *words)

    def made(self, prefix: str, *words: str) -> str:
        """A name that changeover chooses."""
        return made(prefix, self.engine.longest, *words)

    def keyed(self, table: Table) -> Table:
        """A table whose rows can be filled. Raises Cannot."""
        if not table.primary_key:
            raise Cannot(
                f"{table.name} has no primary key: its rows cannot be filled in ranges",
                "give it one first, in a release of its own",
            )
        return table

    def writable(self, table: Table) -> Table:
        """A table whose rows changeover may fill and whose writes it may see. Raises Cannot."""
        self.keyed(table)
        others = [t.name for t in table.triggers if not t.ours]
        if others:
            raise Cannot(
                f"{table.name} has triggers of its own ({', '.join(others)}): whether they and the synchronising trigger agree "
                "cannot be told",
                "write this change as plain SQL with a trigger that you have tried with them",
            )
        owed = [t.name for t in table.triggers if t.ours]
        if owed:
            raise Cannot(
                f"{table.name} is still kept in step for an earlier release ({', '.join(owed)})",
                "clean up first: changeover cleanup",
            )
        if table.row_security:
            raise Cannot(
                f"{table.name} has row-level security: changeover cannot be sure to see every row",
                "write this change as plain SQL",
            )
        return table

    def alone(self, table: Table, column: Column) -> Column:
        """A column that can be replaced: nothing else is built on it. Raises Cannot."""
        name = column.name
        if column.generated or column.identity:
            raise Cannot(f"{table.name}.{name} is computed by the database: it cannot be kept in step")
        if name in table.primary_key:
            raise Cannot(f"{table.name}.{name} belongs to the primary key", "a key is replaced by a new table")
        users = [c.name for c in table.columns if c.generated and _mentions(c.generated, name)]
        if users:
            raise Cannot(f"{table.name}.{name} is used by the computed column {', '.join(users)}")
        checks = [c.name for c in table.constraints if c.rule == "check" and name in c.columns]
        if checks:
            raise Cannot(
                f"{table.name}.{name} is used by the check {', '.join(checks)}",
                "drop the check in an earlier release and add it again for the new column",
            )
        if table.views:
            raise Cannot(
                f"the view {', '.join(table.views)} reads {table.name}", "take the view away first, or write plain SQL"
            )
        pointing = [c.name for c in table.referenced_by if name in c.referred]
        if pointing:
            raise Cannot(f"the foreign key {', '.join(pointing)} points to {table.name}.{name}")
        cascades = [
            c.name
            for c in table.constraints
            if name in c.columns
            and (c.on_update not in ("", "NO ACTION", "RESTRICT") or c.on_delete in ("SET NULL", "SET DEFAULT"))
        ]
        if cascades:
            raise Cannot(
                f"the foreign key {', '.join(cascades)} changes {table.name}.{name} by itself, which no trigger sees everywhere",
                "take ON UPDATE CASCADE / SET NULL away first",
            )
        return column


def _mentions(expression: str, name: str) -> bool:
    words = "".join(c if c.isalnum() or c == "_" else " " for c in expression).split()
    return name in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One change, declared. The verbs are side by side; each may raise Cannot, and each is pure.

    `line` is the one of the change file. What a verb leaves out, the operation does not do.
    """

    kind: ClassVar[str] = ""
    line: int = 0

    def describe(self) -> str:
        """What people read."""
        raise NotImplementedError

    def names(self) -> tuple[str, ...]:
        """The tables that have to be read."""
        return ()

    def check(self, at: At) -> tuple[Check, ...]:
        """Refuse what cannot be done, and ask what must be 0 before anything is touched."""
        raise NotImplementedError

    def expand(self, at: At) -> Acts:
        """What only adds."""
        return ()

    def sync(self, at: At) -> tuple[Pair, ...]:
        """Which columns are kept equal from now on."""
        return ()

    def fills(self, at: At) -> tuple[Pair, ...]:
        """Which columns are only filled, in the rows that are there."""
        return ()

    def finalize(self, at: At) -> Acts:
        """Restrictions that hold once every row is filled."""
        return ()

    def contract(self, at: At) -> Leaving:
        """What goes from its table, under that table's lock."""
        return Leaving()

    def retire(self, at: At) -> Acts:
        """What goes in acts of its own."""
        return ()

    def drop(self, at: At) -> Acts:
        """What is dropped for good when nobody has missed it."""
        return ()

    def undo(self, at: At) -> Acts:
        """What takes expand and finalize back, in this order."""
        return ()

    def after(self, at: At) -> Catalogue:
        """The catalogue when the release has added everything and cleanup has not come yet."""
        return at.catalogue
