"""The trigger that keeps pairs of columns equal: one for a table, once for each statement, for any number of rows.

It fires after the rows are written, so it writes them once more. Each pair is one UPDATE that sees what the ones before it have
written. Which side of a row follows the other is told by what the statement changed, never by who it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from changeover.core.catalogue import Table
from changeover.schema.ddl import Pair
from changeover.schema.engines.sqlserver_text import quote, stored
from changeover.schema.engines.words import Marks

_HEAD = """CREATE TRIGGER {trigger} ON {table} AFTER INSERT, UPDATE AS
-- made by changeover for release {release}; cleanup drops it
BEGIN
  SET NOCOUNT ON;
  SET ROWCOUNT 0;
  IF TRIGGER_NESTLEVEL(@@PROCID) > 1 OR NOT EXISTS (SELECT 1 FROM inserted) RETURN;
  DECLARE @changeover_insert bit = 1;
  IF EXISTS (SELECT 1 FROM deleted) SET @changeover_insert = 0;
"""


def trigger(name: str, table: str, release: str, updates: Sequence[str]) -> str:
    """The whole CREATE TRIGGER. It must be the only statement of its batch."""
    return _HEAD.format(trigger=name, table=table, release=release) + "".join(updates) + "END"


@dataclass(frozen=True, slots=True)
class Step:
    """What the trigger does for one pair; `number` tells its variables from those of the others."""

    marks: Marks
    named: str  # the table as SQL
    number: int

    @property
    def _pair(self) -> Pair:
        return self.marks.pair

    @property
    def _table(self) -> Table:
        return self.marks.table

    def text(self) -> str:
        return self._declared() + self.update()

    def _declared(self) -> str:
        """Whether the statement names columns of either side: for rows whose key it changed, nothing else can tell."""
        n = self.number
        news, olds = (_any(f"UPDATE({quote(c)})" for c in side) for side in (self._pair.news, self._pair.olds))
        return (
            f"  DECLARE @changeover_news_{n} bit = 0, @changeover_olds_{n} bit = 0;\n"
            f"  IF {news} SET @changeover_news_{n} = 1;\n  IF {olds} SET @changeover_olds_{n} = 1;\n"
        )

    def update(self) -> str:
        """NEW is the row as it is now, OLD as it was before the statement."""
        pair, m = self._pair, self.marks
        sets = [f"{quote(c)} = {self._if('old', m.downed(c), c)}" for c in pair.down]
        sets += [f"{quote(c)} = {self._if('new', m.upped(c), c)}" for c in pair.news]
        return (
            f"  UPDATE NEW SET {', '.join(sets)}\n"
            f"  FROM {self.named} AS NEW INNER JOIN inserted AS written ON {self._same('written')}\n"
            f"  LEFT JOIN deleted AS OLD ON {self._same('OLD')}\n"
            f"  CROSS APPLY (SELECT {self._side()} AS follows) AS side\n"
            "  WHERE side.follows IS NOT NULL;\n"
        )

    def _if(self, side: str, value: str, column: str) -> str:
        """Both branches of a CASE get one type and collation: those of the column, or the other branch might not survive it."""
        known = self._table.column(column)
        assert known is not None, "a pair is made of columns of the table"
        same = (c for c in self._table.columns if (c.type, c.collation) == (known.type, known.collation))
        value = value if value in {f"NEW.{quote(c.name)}" for c in same} else stored(value, known)
        return f"CASE side.follows WHEN '{side}' THEN {value} ELSE NEW.{quote(column)} END"

    def _same(self, other: str) -> str:
        return " AND ".join(f"{other}.{quote(k)} = NEW.{quote(k)}" for k in self._table.primary_key)

    def _side(self) -> str:
        """Which side follows: 'old', 'new' or NULL. One WHEN for each question: what follows is asked only if it matters."""
        m, pair, n = self.marks, self._pair, self.number
        rekeyed = f"OLD.{quote(self._table.primary_key[0])} IS NULL"
        if not pair.down:
            return (
                f"CASE WHEN {m.unfilled('NEW')} THEN 'new'\n"
                f"    WHEN {rekeyed} THEN CASE WHEN @changeover_insert = 0 AND @changeover_olds_{n} = 1 "
                f"AND @changeover_news_{n} = 0 THEN 'new' END\n"
                f"    WHEN {m.changed(pair.news)} THEN NULL\n"
                f"    WHEN {m.changed(pair.olds)} THEN 'new' END"
            )
        return (
            f"CASE WHEN {rekeyed} THEN CASE WHEN {m.unfilled('NEW')} THEN 'new' "
            f"WHEN @changeover_insert = 1 OR @changeover_news_{n} = 1 THEN 'old' WHEN @changeover_olds_{n} = 1 THEN 'new' END\n"
            f"    WHEN {m.changed(pair.news)} THEN CASE WHEN NOT {m.unfilled('OLD')} THEN 'old' "
            f"WHEN {m.changed(pair.olds)} THEN 'old' WHEN {m.not_up()} THEN 'old' END\n"
            f"    WHEN {m.changed(pair.olds)} THEN 'new'\n"
            f"    WHEN {m.unfilled('NEW')} THEN 'new' END"
        )


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(conditions)
