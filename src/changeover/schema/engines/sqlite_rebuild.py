"""How a table of SQLite is written anew: its text is changed, its rows are copied, and what belongs to it is made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from changeover.core.model import Edit, Rewrite
from changeover.schema.ddl import made
from changeover.schema.dialects.sqlite_lexicon import LEXICON
from changeover.schema.engines.sqlite_text import Made, Unreadable, alike, columns_at, edited, indexed, parsed, same
from changeover.schema.tokens import Kind, tokenize

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import IdentifierPreparer

LONGEST = 128  # bytes of a name; SQLite itself has no limit

_ON_INDEXES = ("index_name", "index_to_constraint")


@dataclass(frozen=True, slots=True)
class Object:
    """A row of sqlite_master. `sql` is "" for what SQLite made by itself."""

    type: str
    name: str
    table: str
    sql: str


def rebuilt(rewrite: Rewrite, objects: Sequence[Object]) -> tuple[str, ...]:
    """The statements that change the table as it is now, all of one transaction. Raises Unreadable.

    The old table steps aside under another name, so that the new text stays as it is written; `legacy_alter_table` keeps
    views, triggers and foreign keys of others pointing at the name. Connections have `foreign_keys` off.
    """
    return tuple(_Rebuild(rewrite, objects).statements())


@dataclass(frozen=True, slots=True)
class _Rebuild:
    rewrite: Rewrite
    objects: Sequence[Object]

    def statements(self) -> Iterator[str]:
        edits = [e for e in self.rewrite.edits if e.what not in _ON_INDEXES]
        indexes = {e.name: e for e in self.rewrite.edits if e.what in _ON_INDEXES}
        edits = [self._named(e) for e in edits]
        edits += [self._constraint_of(e) for e in indexes.values() if e.what == "index_to_constraint"]
        if not edits:
            yield from self._indexes_only(indexes.values())
            return
        table, before = self._table()
        sql = edited(before.sql, table.name, edits)
        if self.rewrite.like and alike(sql, self.rewrite.like):
            sql = self.rewrite.like
        after = parsed(sql)
        gone = [c.name for c in before.columns if after.column(c.name) is None]
        yield from self._copied(table.name, sql, before, after)
        for thing in self.objects:
            if thing.type not in ("index", "trigger") or not same(thing.table, table.name) or not thing.sql:
                continue
            edit = indexes.get(thing.name)
            if thing.type == "index" and any(indexed(thing.sql, c) for c in gone):
                continue
            if edit is None:
                yield thing.sql
            elif edit.what == "index_name":
                yield _index_named(thing.sql, edit.text)

    def _table(self) -> tuple[Object, Made]:
        found = next((o for o in self.objects if o.type == "table" and same(o.name, self.rewrite.table)), None)
        if found is None:
            raise Unreadable(f"there is no table {self.rewrite.table}")
        return found, parsed(found.sql)

    def _copied(self, name: str, sql: str, before: Made, after: Made) -> Iterator[str]:
        here, aside = quoted(name), quoted(made("zz_was", LONGEST, name))
        columns = [quoted(c.name) for c in after.columns if c.rule("generated") is None and before.column(c.name)]
        numbered = before.rowid if before.column(before.rowid) is None else ""
        names = ", ".join([numbered, *columns] if numbered and after.rowid == numbered else columns)
        yield "PRAGMA legacy_alter_table = ON"
        yield f"ALTER TABLE {here} RENAME TO {aside}"
        yield sql
        yield f"INSERT INTO {here} ({names}) SELECT {names} FROM {aside}"
        if before.autoincrement and after.autoincrement:
            yield f"DELETE FROM sqlite_sequence WHERE name = {text(name)}"
            yield (
                f"INSERT INTO sqlite_sequence (name, seq) SELECT {text(name)}, seq FROM sqlite_sequence "
                f"WHERE name = {text(made('zz_was', LONGEST, name))}"
            )
        yield f"DROP TABLE {aside}"
        yield "PRAGMA legacy_alter_table = OFF"

    def _index(self, name: str) -> Object:
        found = next((o for o in self.objects if o.type == "index" and same(o.name, name)), None)
        if found is None:
            raise Unreadable(f"there is no index {name}")
        return found

    def _indexes_only(self, edits: Iterable[Edit]) -> Iterator[str]:
        for edit in edits:
            yield f"DROP INDEX {quoted(edit.name)}"
            yield _index_named(self._index(edit.name).sql, edit.text)

    def _named(self, edit: Edit) -> Edit:
        """A name becomes SQL."""
        return replace(edit, text=quoted(edit.text)) if edit.what == "constraint_name" and edit.text else edit

    def _constraint_of(self, edit: Edit) -> Edit:
        """The unique index as a constraint of the table's text; `text` is the constraint's name, "": it has none."""
        sql = self._index(edit.name).sql
        head = f"CONSTRAINT {quoted(edit.text)} " if edit.text else ""
        return Edit("constraint", "", f"{head}UNIQUE {sql[columns_at(sql) :]}")


def _name_in(sql: str) -> tuple[int, int]:
    """Where the name of an index stands in its text."""
    tokens, _ = tokenize(sql, LEXICON)
    at = next((n for n, t in enumerate(tokens) if t.word == "INDEX"), None)
    if at is None or tokens[at + 1].kind not in (Kind.WORD, Kind.QUOTED):
        raise Unreadable("this is no index")
    return tokens[at + 1].start, tokens[at + 1].end


def _index_named(sql: str, name: str) -> str:
    begin, end = _name_in(sql)
    return sql[:begin] + quoted(name) + sql[end:]


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """The name as SQL; quoted where it must be."""
    return _preparer().quote(name)


@lru_cache(maxsize=1)
def _preparer() -> IdentifierPreparer:
    from sqlalchemy.dialects.sqlite.base import SQLiteDialect

    return SQLiteDialect().identifier_preparer
