"""MariaDB and MySQL: the triggers that keep columns equal, and the conditions in them.

Texts are compared as bytes: under a collation an edit of case or of trailing spaces alone would not be seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from changeover.core.catalogue import Column, Table
from changeover.core.model import Lock, Probe
from changeover.schema.ddl import Ddl, Pair
from changeover.schema.engines.engine import Acts, Engine
from changeover.schema.engines.mysql_types import Type
from changeover.schema.engines.mysql_words import quote
from changeover.schema.engines.words import Marks, pair_words

STRICT = "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')"
"""What does not fit is an error, whatever the server's mode; a trigger keeps the mode that it was made in."""

_ASSIGN = "SET NEW.{column} = {value};"
_BARE = re.compile(r"\(?((?:NEW|OLD)\.)?(`(?:[^`]|``)+`|[A-Za-z_][A-Za-z0-9_]*)\)?")
_HASH = 8  # hexadecimal digits at the end of a name of changeover's


def marks(engine: Engine, table: Table, pair: Pair) -> Marks:
    return Marks(engine, table, pair, lambda one, two, column: differs(table, one, two, column))


def differs(table: Table, one: str, two: str, column: str) -> str:
    """The condition that two values differ; the first is of that column. NULL equals NULL."""
    known = table.column(column)
    if known is None or not Type.of(known.type).is_text:
        return f"NOT ({one} <=> {two})"
    if _same_characters(table, known, two):
        return f"NOT (BINARY {one} <=> BINARY {two})"
    return f"NOT (BINARY CONVERT({one} USING utf8mb4) <=> BINARY CONVERT({two} USING utf8mb4))"


def _same_characters(table: Table, column: Column, value: str) -> bool:
    """The value is a column of the same character set, so that its bytes can be compared."""
    found = _BARE.fullmatch(value)
    other = None if found is None else table.column(found[2].strip("`").replace("``", "`"))
    return other is not None and Type.of(other.type).is_text and _characters(other) == _characters(column)


def _characters(column: Column) -> tuple[str, bool]:
    return column.collation, column.type == "json"


def trigger_names(name: str, longest: int) -> tuple[str, str]:
    """The triggers of one synchronisation: (on UPDATE, on INSERT). There is one name for both everywhere else."""
    stem, _, digest = name.rpartition("_")
    stem = stem[: longest - _HASH - 3].rstrip("_")
    return f"{stem}_{digest}_u", f"{stem}_{digest}_i"


def create(engine: Engine, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
    """The one on UPDATE first: a row that is inserted in between would otherwise be filled and then never be looked at again."""
    on_update, on_insert = trigger_names(name, engine.longest)
    words = f"on {table.name}: {'; '.join(pair_words(p) for p in pairs)}"
    on = engine.named(table)
    bodies = (
        (on_update, "UPDATE", [_on_update(marks(engine, table, p)) for p in pairs]),
        (on_insert, "INSERT", [_on_insert(marks(engine, table, p)) for p in pairs]),
    )
    acts = []
    for trigger, event, body in bodies:
        lines, there = "\n".join(body), Probe("trigger", trigger, on)
        sql = f"CREATE TRIGGER {quote(trigger)} BEFORE {event} ON {on} FOR EACH ROW BEGIN\n{lines}\nEND"
        acts.append(Ddl(f"+ trigger {trigger} {words}", probe=there, block=(STRICT, sql), probes=(None, there)))
    return tuple(acts)


def _on_update(m: Marks) -> str:
    if not m.pair.down:
        return (
            f"  IF {m.unfilled('NEW')} OR (({m.changed(m.pair.olds)}) AND NOT ({m.changed(m.pair.news)})) THEN\n"
            f"    {m.up(_ASSIGN)}\n  END IF;"
        )
    return (
        f"  IF {m.changed(m.pair.news)} THEN\n"
        f"    IF NOT {m.unfilled('OLD')} OR {m.changed(m.pair.olds)} OR {m.not_up()} THEN {m.down(_ASSIGN)} END IF;\n"
        f"  ELSEIF {m.changed(m.pair.olds)} OR {m.unfilled('NEW')} THEN {m.up(_ASSIGN)}\n"
        f"  END IF;"
    )


def _on_insert(m: Marks) -> str:
    if not m.pair.down:
        return f"  IF {m.unfilled('NEW')} THEN {m.up(_ASSIGN)} END IF;"
    return f"  IF NOT {m.unfilled('NEW')} THEN {m.down(_ASSIGN)} ELSE {m.up(_ASSIGN)} END IF;"


def dropped(engine: Engine, table: Table, name: str, first: Sequence[Ddl]) -> Ddl:
    """The triggers go in the reverse order, after what must go `first`; without the last of them nothing of it is left."""
    parts = [pair for act in first for pair in zip(act.block, act.probes, strict=True)]
    parts += [
        (f"DROP TRIGGER {quote(one)}", gone(engine, table, one))
        for one in reversed(trigger_names(name, engine.longest))
    ]
    return Ddl(
        f"- trigger {name} on {table.name}",
        probe=parts[-1][1],
        lock=Lock.NONE if first else Lock.BRIEF,
        block=tuple(sql for sql, _ in parts),
        probes=tuple(probe for _, probe in parts),
    )


def gone(engine: Engine, table: Table, name: str) -> Probe:
    return Probe("trigger", name, engine.named(table), present=False)
