"""MariaDB and MySQL: what cleanup takes from a table.

What the leaving columns are in goes first and online. Then, under one lock, the triggers go, and the columns get a name out of
reach. Each part commits by itself, so the order is one in which a kill harms nobody: before the triggers go, an INSERT
may leave the columns out without them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from changeover.core.catalogue import Column, Index, Rule, Table
from changeover.core.model import Probe
from changeover.schema.ddl import Ddl, Leaving
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.engines.mysql_checks import triggers_missing
from changeover.schema.engines.mysql_online import INSTANT, Online
from changeover.schema.engines.mysql_sync import gone, trigger_names
from changeover.schema.engines.mysql_types import filler
from changeover.schema.engines.mysql_words import default, is_ordinary, quote
from changeover.schema.engines.words import listed, table_words

if TYPE_CHECKING:
    from changeover.schema.engines.mysql import MysqlEngine

Part = tuple[str, Probe | None]
UNLOCK = "UNLOCK TABLES"
AT_ONCE = (
    "a type that no constant can be written of cannot wait out of reach: it goes at once, only a restore brings it back"
)


def contract(engine: MysqlEngine, table: Table, sync: str, leaving: Leaving) -> Acts:
    acts: list[Ddl] = []
    for name in leaving.not_null:
        acts += engine.set_not_null(table, _known(table, name))
    acts += _let_go(engine, table, leaving)
    triggers = tuple(reversed(trigger_names(sync, engine.longest))) if sync else ()
    parts = [
        *_optional(engine, table, leaving),
        *((f"DROP TRIGGER {quote(t)}", gone(engine, table, t)) for t in triggers),
    ]
    last = _last(engine, table, leaving, locked=bool(sync))
    parts += [(last.sql, _probe(engine, table, leaving))] if last is not None else []
    parts += [(sql, None) for sql in leaving.more]
    if parts:
        acts.append(_block(engine, table, sync, leaving, parts))
    return tuple(acts)


def _block(engine: MysqlEngine, table: Table, sync: str, leaving: Leaving, parts: list[Part]) -> Ddl:
    """Without triggers there is nothing that a writer could meet half done, and no lock is needed."""
    triggers = trigger_names(sync, engine.longest) if sync else ()
    locked = [*parts, (UNLOCK, None)] if sync else parts
    seen = [probe for _, probe in parts if probe is not None]
    return Ddl(
        table_words(table, sync, leaving),
        probe=seen[-1] if seen else None,
        reason=AT_ONCE if leaving.dropped else "",
        block=tuple(sql for sql, _ in locked),
        probes=tuple(probe for _, probe in locked),
        lock_first=f"LOCK TABLES {engine.named(table)} WRITE" if sync else "",
        guards=(triggers_missing(table, triggers),) if sync else (),
    )


def _let_go(engine: MysqlEngine, table: Table, leaving: Leaving) -> Iterator[Ddl]:
    """Foreign keys and indexes on what leaves: rows that leave the column out must break none of them."""
    away = {*leaving.parked, *leaving.dropped}
    keys = [c for c in table.constraints if c.rule is Rule.FOREIGN_KEY and away & set(c.columns)]
    for key in keys:
        yield from engine.drop_constraint(table, key)
    free = replace(table, constraints=tuple(c for c in table.constraints if c not in keys))
    for index in table.indexes:
        if away & set(index.columns):
            yield from _without(engine, free, index, leaving)


def _without(engine: MysqlEngine, table: Table, index: Index, leaving: Leaving) -> Acts:
    """The index goes, or shrinks to the columns that stay, as DROP COLUMN would do it, with nobody waiting."""
    stay = tuple(c for c in index.columns if c not in leaving.parked and c not in leaving.dropped)
    if index.name in leaving.copied:
        return engine.drop_index(replace(table, constraints=()), index)  # whoever needs it has the copy
    if not stay or not is_ordinary(index):
        return engine.drop_index(table, index)
    if index.unique:
        raise Cannot(
            f"the unique {index.name} on {table.name} ({listed(index.columns)}) would have to hold without what leaves",
            f"drop it first, in an earlier release: drop_constraint: {{ table: {table.name}, name: {index.name} }}",
        )
    return engine.shrink_index(table, index, stay)


def _optional(engine: MysqlEngine, table: Table, leaving: Leaving) -> Iterator[Part]:
    """An INSERT may leave a parked column out."""
    for name in leaving.parked:
        column = _known(table, name)
        if not column.nullable and column.default is None:
            change = engine.online(table, f"ALTER COLUMN {quote(name)} SET DEFAULT {filler(column)}")
            yield change.sql, Probe("default", name, engine.named(table))


def _last(engine: MysqlEngine, table: Table, leaving: Leaving, *, locked: bool) -> Online | None:
    """Everything that the columns get, in one change."""
    what = [f"RENAME COLUMN {quote(old)} TO {quote(parked)}" for old, parked in leaving.parked.items()]
    what += [f"DROP COLUMN {quote(name)}" for name in leaving.dropped]
    what += [f"ALTER COLUMN {quote(name)} SET DEFAULT {default(value)}" for name, value in leaving.defaults.items()]
    if not what:
        return None
    found = engine.online(table, ", ".join(what))
    if locked and found.how != INSTANT:
        raise Cannot(
            f"{found.what} on {table.name} is not instant ({found.how}), and everybody would wait for it under the lock of cleanup",
            "see why: a compressed row format, a full-text index?",
        )
    return found


def _probe(engine: MysqlEngine, table: Table, leaving: Leaving) -> Probe | None:
    away = next(iter((*leaving.parked, *leaving.dropped)), "")
    return Probe("column", away, engine.named(table), present=False) if away else None


def _known(table: Table, name: str) -> Column:
    found = table.column(name)
    assert found is not None, f"{table.name} has no column {name}"
    return found
