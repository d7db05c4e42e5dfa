"""MariaDB and MySQL: what an ALTER TABLE does, and what its author demands with ALGORITHM and LOCK."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from changeover.schema.dialects.mysql_columns import KEY_WORDS, column_definition, position, table_key
from changeover.schema.effects import (
    AddColumn,
    Comment,
    CreateIndex,
    Demand,
    Drop,
    DropColumn,
    DropConstraint,
    DropDefault,
    Effect,
    MoveTable,
    Name,
    Rebuild,
    Redefine,
    RenameColumn,
    RenameObject,
    SetDefault,
)
from changeover.schema.grammar.expressions import calls
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind

_COPIES = (
    "ENGINE", "ROW_FORMAT", "CONVERT TO", "FORCE", "ORDER BY", "PARTITION BY", "REMOVE PARTITIONING", "REORGANIZE PARTITION",
    "COALESCE PARTITION", "REBUILD PARTITION", "OPTIMIZE PARTITION", "DROP PARTITION", "TRUNCATE PARTITION", "ADD PARTITION",
    "EXCHANGE PARTITION", "KEY_BLOCK_SIZE", "PAGE_COMPRESSED",
)  # fmt: skip
PRIMARY = Name(("PRIMARY",), ("primary",), "PRIMARY KEY")


@dataclass(slots=True)
class _Altering:
    """What has been read of one ALTER TABLE. `guarded`: per effect, whether it says IF EXISTS or IF NOT EXISTS."""

    table: Name
    effects: list[Effect] = field(default_factory=list)
    guarded: list[bool] = field(default_factory=list)
    algorithm: str = ""
    lock: str = ""

    def add(self, effect: Effect, *, guarded: bool = False) -> None:
        self.effects.append(effect)
        self.guarded.append(guarded)

    @property
    def demand(self) -> Demand:
        if self.algorithm == "INSTANT":
            return Demand.INSTANT
        return Demand.ONLINE if self.lock == "NONE" else Demand.NOTHING

    @property
    def blocks(self) -> str:
        """The option that demands to keep others out, "" if there is none."""
        if self.algorithm == "COPY" and self.lock != "NONE":
            return "ALGORITHM=COPY"
        return f"LOCK={self.lock}" if self.lock in ("SHARED", "EXCLUSIVE") else ""


def alter_table(reader: Reader) -> tuple[Effect, ...]:
    """The rest of ALTER [ONLINE] TABLE."""
    online = reader.accept("ONLINE")
    reader.need("TABLE")
    guarded = reader.accept("IF", "EXISTS")
    found = _Altering(reader.name(), lock="NONE" if online else "")
    if reader.sees("WAIT") or reader.sees("NOWAIT"):
        reader.lost("changeover itself says how long a statement waits for its lock; take it out")
    _action(reader, found)
    while reader.accept_mark(","):
        _action(reader, found)
    if found.blocks:
        found.add(Rebuild(found.blocks), guarded=found.guarded[0] if found.guarded else False)
    if not found.effects:
        reader.lost("it changes nothing")
    if len(set(found.guarded)) > 1 and not guarded:
        reader.lost("write IF EXISTS or IF NOT EXISTS in every action of the statement, or in none")
    return tuple(_demanding(effect, found.demand) for effect in found.effects)


def _demanding(effect: Effect, demand: Demand) -> Effect:
    match effect:
        case AddColumn() | Redefine():
            return replace(effect, demand=demand)
        case CreateIndex():
            return replace(effect, concurrently=demand is Demand.ONLINE)
        case _:
            return effect


def option(reader: Reader) -> tuple[str, str]:
    """(ALGORITHM or LOCK, its value), ("", "") if none comes next."""
    word = reader.one_of("ALGORITHM", "LOCK")
    if not word:
        return "", ""
    reader.accept_mark("=")
    values = ("DEFAULT", "COPY", "INPLACE", "NOCOPY", "INSTANT") if word == "ALGORITHM" else (
        "DEFAULT", "NONE", "SHARED", "EXCLUSIVE",
    )  # fmt: skip
    value = reader.one_of(*values)
    if not value:
        reader.lost(f"expected {', '.join(values)}")
    return word, value


def _action(reader: Reader, found: _Altering) -> None:
    word, value = option(reader)
    if word == "ALGORITHM":
        found.algorithm = value
    elif word == "LOCK":
        found.lock = value
    elif copied := next((c for c in _COPIES if reader.accept(*c.split())), ""):
        if not (reader.done or reader.sees_mark(",")):
            reader.run(commas=True)
        found.add(Rebuild(copied))
    elif reader.accept("ADD"):
        _add(reader, found)
    elif reader.accept("DROP"):
        _drop(reader, found)
    elif reader.accept("MODIFY"):
        reader.accept("COLUMN")
        _redefine(reader, found, guarded=reader.accept("IF", "EXISTS"))
    elif reader.accept("CHANGE"):
        _change(reader, found)
    elif reader.accept("ALTER"):
        reader.accept("COLUMN")
        guarded = reader.accept("IF", "EXISTS")
        found.add(_default(reader, found.table), guarded=guarded)
    elif reader.accept("RENAME"):
        found.add(_rename(reader, found.table))
    elif reader.accept("COMMENT"):
        reader.accept_mark("=")
        reader.string()
        found.add(Comment(f"table {found.table}"))
    else:
        reader.lost("changeover has no rule for this action")


def _add(reader: Reader, found: _Altering) -> None:
    if any(reader.sees(w) for w in KEY_WORDS):
        key = table_key(reader, found.table)
        found.add(key, guarded=isinstance(key, CreateIndex) and key.if_not_exists)
        return
    reader.accept("COLUMN")
    guarded = reader.accept("IF", "NOT", "EXISTS")
    if not reader.accept_mark("("):
        column = column_definition(reader)
        found.add(AddColumn(found.table, column, guarded, moves=position(reader)), guarded=guarded)
        return
    while True:
        found.add(AddColumn(found.table, column_definition(reader), guarded), guarded=guarded)
        if not reader.accept_mark(","):
            break
    reader.need_mark(")")


def _drop(reader: Reader, found: _Altering) -> None:
    table = found.table
    if reader.accept("PRIMARY", "KEY"):
        found.add(DropConstraint(table, PRIMARY))
        return
    if reader.accept("INDEX") or reader.accept("KEY"):
        guarded = reader.accept("IF", "EXISTS")
        found.add(Drop("index", (reader.identifier(),), guarded, table=table), guarded=guarded)
        return
    if reader.accept("FOREIGN", "KEY") or reader.accept("CONSTRAINT") or reader.accept("CHECK"):
        guarded = reader.accept("IF", "EXISTS")
        found.add(DropConstraint(table, reader.identifier()), guarded=guarded)
        return
    reader.accept("COLUMN")
    guarded = reader.accept("IF", "EXISTS")
    column = reader.identifier()
    cascade = reader.accept("CASCADE")
    reader.accept("RESTRICT")
    found.add(DropColumn(table, column, cascade, guarded), guarded=guarded)


def _redefine(reader: Reader, found: _Altering, *, guarded: bool) -> None:
    begin = reader.at + 1  # behind the name
    column = column_definition(reader)
    sql = " ".join(reader.sql(reader.tokens[begin : reader.at]).split())
    found.add(Redefine(found.table, column, sql, moves=position(reader)), guarded=guarded)


def _change(reader: Reader, found: _Altering) -> None:
    reader.accept("COLUMN")
    guarded = reader.accept("IF", "EXISTS")
    old = reader.identifier()
    new = reader.peek()
    if new is not None and new.kind in (Kind.WORD, Kind.QUOTED) and reader.lexicon.column_key(new.value) == old.key[0]:
        _redefine(reader, found, guarded=guarded)
        return
    column = column_definition(reader)
    position(reader)
    found.add(RenameColumn(found.table, old, column.name), guarded=guarded)


def _default(reader: Reader, table: Name) -> Effect:
    column = reader.identifier()
    if reader.accept("DROP", "DEFAULT"):
        return DropDefault(table, column)
    reader.need("SET", "DEFAULT")
    value = reader.run(commas=True)
    return SetDefault(table, column, reader.sql(value), calls(value))


def _rename(reader: Reader, table: Name) -> Effect:
    if reader.accept("COLUMN"):
        old = reader.identifier()
        reader.need("TO")
        return RenameColumn(table, old, reader.identifier())
    if reader.accept("INDEX") or reader.accept("KEY"):
        old = reader.identifier()
        reader.need("TO")
        return RenameObject("index", old, reader.identifier(), table)
    if not reader.accept("TO"):
        reader.accept("AS")
    return renamed(table, reader.name())


def renamed(old: Name, new: Name) -> Effect:
    """A table gets another name, or keeps it and moves to another database (where it can be parked)."""
    if len(new.parts) > 1 and new.key[-1] == old.key[-1] and new.key[:-1] != old.key[:-1]:
        return MoveTable(old, Name(new.parts[:-1], new.key[:-1], new.sql.rpartition(".")[0]))
    return RenameObject("table", old, new)


def rename_table(reader: Reader) -> tuple[Effect, ...]:
    """The rest of RENAME TABLE a TO b, …"""
    if not reader.accept("TABLE"):
        reader.need("TABLES")
    found = []
    while True:
        old = reader.name()
        reader.need("TO")
        found.append(renamed(old, reader.name()))
        if not reader.accept_mark(","):
            return tuple(found)
