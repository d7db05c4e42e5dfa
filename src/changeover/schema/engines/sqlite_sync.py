"""The triggers that keep columns equal in SQLite: after the row is written, for a trigger there cannot change what comes.

Each UPDATE in them asks the row as it is by then, so that pairs that build on each other follow in their order, and does
nothing where both sides fit already: then it makes no difference whether a connection has recursive_triggers on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changeover.core.catalogue import Table
from changeover.core.model import Check, Probe
from changeover.schema.ddl import Ddl, Pair
from changeover.schema.engines.sqlite_checks import differs
from changeover.schema.engines.sqlite_rebuild import quoted, text
from changeover.schema.engines.words import Marks, pair_words

if TYPE_CHECKING:
    from changeover.schema.engines.engine import Engine


def names(sync: str) -> tuple[str, str]:
    """The trigger of updates, and that of inserts."""
    return f"{sync}_u", f"{sync}_i"


def create(engine: Engine, table: Table, row: str, sync: str, pairs: Sequence[Pair], *, release: str) -> Ddl:
    """Both triggers. `row` is the condition that finds the row that was written."""
    sides = [_Side(Marks(engine, table, pair, differs), table, row) for pair in pairs]
    update, insert = names(sync)
    note = f"/* made by changeover for release {release}; cleanup drops it */"

    def trigger(name: str, event: str, when: Sequence[str], body: Iterator[str]) -> str:
        statements = "\n".join(f"  {statement};" for statement in body)
        head = f"CREATE TRIGGER {quoted(name)} AFTER {event} ON {quoted(table.name)} FOR EACH ROW"
        return f"{head}\nWHEN {' OR '.join(when)}\nBEGIN {note}\n{statements}\nEND"

    block = (
        trigger(update, "UPDATE", [s.updated() for s in sides], (u for s in sides for u in s.on_update())),
        trigger(insert, "INSERT", [s.inserted() for s in sides], (u for s in sides for u in s.on_insert())),
    )
    shown = f"+ triggers {update} and {insert} on {table.name}: {'; '.join(pair_words(p) for p in pairs)}"
    return Ddl(shown, probe=Probe("trigger", insert, table.name), block=block)


def drops(sync: str) -> tuple[str, ...]:
    """What takes both away."""
    return tuple(f"DROP TRIGGER {quoted(name)}" for name in reversed(names(sync)))


def there(table: Table, sync: str) -> Check:
    """0 when both are there; a trigger of SQLite cannot be switched off."""
    known = ", ".join(text(name) for name in names(sync))
    return Check(
        f"a trigger of {' and '.join(names(sync))} on {table.name} is missing",
        f"SELECT 2 - count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = {text(table.name)} COLLATE NOCASE "
        f"AND name IN ({known})",
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One pair of columns. `NEW` is the row as it was written; "" the row as it is by then."""

    marks: Marks
    table: Table
    row: str

    def _apart(self, row: str) -> str:
        """Neither side follows from the other."""
        return f"{self.marks.not_down(row)} AND {self.marks.not_up(row)}"

    def _fillable(self, row: str) -> str:
        m = self.marks
        return f"{m.unfilled(row)} AND ({m.upped(m.pair.first, row)}) IS NOT NULL"

    def updated(self) -> str:
        """Whether anything is to be done after an UPDATE."""
        m, pair = self.marks, self.marks.pair
        if not pair.down:
            return f"({self._stale('NEW')})"
        either = m.changed((*pair.news, *pair.olds))
        return f"({either} AND {self._apart('NEW')}) OR (NOT ({m.changed(pair.news)}) AND {self._fillable('NEW')})"

    def _stale(self, row: str) -> str:
        """A computed column that was never filled, or whose sources have changed while it has not."""
        m, pair = self.marks, self.marks.pair
        moved = f"{m.changed(pair.olds, row)} AND NOT ({m.changed(pair.news, row)})"
        return f"{m.not_up(row)} AND ({m.unfilled(row)} OR ({moved}))"

    def on_update(self) -> Iterator[str]:
        m, pair = self.marks, self.marks.pair
        if not pair.down:
            yield self._up(self._stale(""))
            return
        yield self._down(f"{m.changed(pair.news, '')} AND {self._apart('')}")
        moved = f"({m.changed(pair.olds, '')} AND {self._apart('')}) OR ({self._fillable('')})"
        yield self._up(f"NOT ({m.changed(pair.news, '')}) AND ({moved})")

    def inserted(self) -> str:
        """Whether anything is to be done after an INSERT: who gives the new side wins, the old one may be a default."""
        m = self.marks
        old = f"({m.unfilled('NEW')} AND {m.not_up('NEW')})"
        return f"(NOT {m.unfilled('NEW')} AND {m.not_down('NEW')}) OR {old}" if m.pair.down else old

    def on_insert(self) -> Iterator[str]:
        m = self.marks
        if m.pair.down:
            yield self._down(f"NOT {m.unfilled('')} AND {m.not_down('')}")
        yield self._up(f"{m.unfilled('')} AND {m.not_up('')}")

    def _up(self, where: str) -> str:
        return self._update({n: self.marks.upped(n, "") for n in self.marks.pair.news}, where)

    def _down(self, where: str) -> str:
        return self._update({o: self.marks.downed(o, "") for o in self.marks.pair.down}, where)

    def _update(self, values: dict[str, str], where: str) -> str:
        sets = ", ".join(f"{quoted(c)} = {value}" for c, value in values.items())
        return f"UPDATE {quoted(self.table.name)} SET {sets} WHERE {self.row} AND {where}"
