"""The tables of a SQLite database as operations need them; the text that made a table is kept, for a table is changed by its text."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Kind, Rule, Table, Trigger
from changeover.schema.engines.sqlite_foresight import objects, texts
from changeover.schema.engines.sqlite_rebuild import Object
from changeover.schema.engines.sqlite_text import Made, Unreadable, mentions, parsed, same

OURS = "zz_co_"  # the names of changeover's triggers begin like this
_RULES = {"unique": Rule.UNIQUE, "check": Rule.CHECK, "foreign key": Rule.FOREIGN_KEY}


def catalogue(db: sqlite3.Connection, names: Sequence[str]) -> Catalogue:
    """Those of the named tables that are there, and what else is in the file. One snapshot."""
    db.execute("BEGIN")
    try:
        reader = _Reader(db, objects(db))
        found = {o.name: reader.table(o) for o in reader.objects if o.type in ("table", "view") and o.name in names}
        version = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
        return Catalogue(
            found,
            frozenset(o.name for o in reader.objects if not o.name.startswith("sqlite_")),
            {},
            version,
            texts(reader.objects),
        )
    finally:
        db.execute("ROLLBACK")


@dataclass(frozen=True, slots=True)
class _Reader:
    """One look at one file."""

    db: sqlite3.Connection
    objects: tuple[Object, ...]

    def table(self, thing: Object) -> Table:
        name, made = thing.name, _made(thing)
        keyed = self.db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (name,))
        return Table(
            name,
            tuple(self._columns(name, made)),
            kind=_kind(thing),
            primary_key=tuple(row[0] for row in keyed),
            indexes=tuple(self._indexes(name, made)),
            constraints=() if made is None else tuple(_constraints(name, made, self._key_of)),
            triggers=tuple(
                Trigger(o.name, o.sql, ours=o.name.startswith(OURS))
                for o in sorted(self.objects, key=lambda o: o.name)
                if o.type == "trigger" and same(o.table, name)
            ),
            views=tuple(sorted(o.name for o in self.objects if o.type == "view" and o != thing and _reads(o, name))),
            referenced_by=tuple(self._pointing(name)),
            sql=thing.sql,
        )

    def _columns(self, name: str, made: Made | None) -> Iterator[Column]:
        query = 'SELECT name, type, "notnull", dflt_value, hidden FROM pragma_table_xinfo(?)'
        for column, type_, required, default, hidden in self.db.execute(query, (name,)):
            text = None if made is None else made.column(column)
            computed = text.rule("generated") if text is not None else None
            collation = text.rule("collate") if text is not None else None
            yield Column(
                column,
                type_.lower(),
                nullable=not required,
                default=default,
                generated="" if hidden not in (2, 3) else computed.body if computed is not None else "generated",
                collation="" if collation is None else collation.body,
            )

    def _indexes(self, name: str, made: Made | None) -> Iterator[Index]:
        """One that SQLite has made for a constraint has the constraint's name: its own is a number."""
        written = {o.name: o.sql for o in self.objects if o.type == "index"}
        named = () if made is None else made.named(name)
        uniques = {tuple(c.lower() for c in rule.columns): known for known, rule in named if rule.what == "unique"}
        query = 'SELECT name, "unique", origin FROM pragma_index_list(?) ORDER BY name'
        for index, unique, origin in self.db.execute(query, (name,)).fetchall():
            if origin == "pk":
                continue
            rows = self.db.execute(
                'SELECT name, "desc" FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno', (index,)
            ).fetchall()
            columns = tuple(r[0] for r in rows) if all(r[0] for r in rows) else ()
            falling = tuple(n for n, r in enumerate(rows) if r[1]) if columns else ()
            sql = written.get(index, "")
            where = re.search(r"\bwhere\b(.*)$", sql, re.IGNORECASE | re.DOTALL)
            condition = where[1].strip() if where else ""
            shown = uniques.get(tuple(c.lower() for c in columns), index) if origin == "u" else index
            yield Index(shown, columns, bool(unique), condition, origin == "u", sql, descending=falling)

    def _pointing(self, name: str) -> Iterator[Constraint]:
        """Foreign keys of other tables that refer to this one."""
        for other in self.objects:
            made = _made(other) if other.type == "table" and not same(other.name, name) else None
            for constraint in () if made is None else _constraints(other.name, made, self._key_of):
                if constraint.rule is Rule.FOREIGN_KEY and same(constraint.references, name):
                    yield constraint

    def _key_of(self, name: str) -> tuple[str, ...]:
        """What a foreign key refers to when it names no columns."""
        rows = self.db.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (name,))
        return tuple(row[0] for row in rows)


def _made(thing: Object) -> Made | None:
    """The parts of a table; None for what has none, and for a text that is not understood: then no operation touches it."""
    try:
        return parsed(thing.sql) if thing.type == "table" else None
    except Unreadable:
        return None


def _kind(thing: Object) -> Kind:
    if thing.type == "view":
        return Kind.VIEW
    return Kind.OTHER if thing.sql.upper().startswith("CREATE VIRTUAL") else Kind.TABLE


def _reads(view: Object, name: str) -> bool:
    try:
        return mentions(view.sql, name)
    except Unreadable:
        return True


def _constraints(name: str, made: Made, key_of: Callable[[str], tuple[str, ...]]) -> Iterator[Constraint]:
    for known, rule in made.named(name):
        columns = rule.columns
        if rule.what == "check":
            columns = tuple(c.name for c in made.columns if mentions(rule.body, c.name))
        referred = rule.referred
        if rule.what == "foreign key" and not referred:
            referred = key_of(rule.references)
        yield Constraint(
            known, _RULES[rule.what], columns, rule.body, rule.references, referred, rule.on_update, rule.on_delete
        )
