"""The sync trigger of SQL Server, decided on SQLite: two versions write at random, and each row is what the specification says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.fixtures.operations.sqlserver import CASES
from tests.fixtures.operations.tsql_specimens import compiled_on
from tests.fixtures.operations.tsql_trigger import TriggeredTable

from changeover.core.model import RANGE

Values = dict[str, Any]
TEXTS = ("Ann Lee", "Ann-Lee", "ann lee", "Ann", "", "Bob  Moo", "BobxMoo", "Ann Lee ")


@dataclass(frozen=True)
class Kind:
    """A change: what either side is, and what the one makes of the other, said once more in Python."""

    title: str
    olds: tuple[str, ...]
    news: tuple[str, ...]
    up: Callable[[Values], Values]
    down: Callable[[Values], Values] | None
    old: Callable[[random.Random], Values]
    new: Callable[[random.Random], Values]


def _text(r: random.Random) -> str:
    return r.choice(TEXTS)


KINDS = (
    Kind("rename_column", ("name",), ("full_name",), lambda o: {"full_name": o["name"]}, lambda n: {"name": n["full_name"]},
         lambda r: {"name": _text(r)}, lambda r: {"full_name": _text(r)}),
    Kind("split_column", ("name",), ("first", "rest"), lambda o: {"first": o["name"][:3], "rest": o["name"][4:]},
         lambda n: {"name": f"{n['first']} {n['rest']}"},
         lambda r: {"name": _text(r)}, lambda r: {"first": _text(r)[:3], "rest": _text(r)[4:]}),
    Kind("change_type", ("amount",), ("amount_v2",), lambda o: {"amount_v2": o["amount"]}, lambda n: {"amount": n["amount_v2"]},
         lambda r: {"amount": r.randrange(3)}, lambda r: {"amount_v2": r.randrange(3)}),
    Kind("add_column-computed", ("name",), ("name_lc",), lambda o: {"name_lc": o["name"].lower()}, None,
         lambda r: {"name": _text(r)}, lambda r: {"name_lc": _text(r)}),
)  # fmt: skip


@dataclass
class World:
    """A table under the trigger, and what each of its rows must be."""

    kind: Kind
    random: random.Random
    table: TriggeredTable = field(init=False)
    wanted: dict[int, Values] = field(default_factory=dict)
    backfill: str = ""
    last: int = 0

    def __post_init__(self) -> None:
        changes = compiled_on(next(c for c in CASES if c.title == self.kind.title))[0].changes
        (fill,) = changes.backfill
        self.backfill = fill.sql
        defaults = dict.fromkeys(("name", "amount", "email", *self.kind.news))
        self.table = TriggeredTable("users", {**defaults, "name": "''", "amount": "0"}, changes.sync[0].sql)
        for _ in range(8):  # they are there before the trigger
            values = {"name": "", "amount": 0, **self.kind.old(self.random)}
            columns = ", ".join(values)
            self.table.db.execute(f"INSERT INTO users (id, {columns}) VALUES (?, ?, ?)", [self._id(), *values.values()])
        self.wanted = self.table.rows()

    def _id(self) -> int:
        self.last += 1
        return self.last

    def unfilled(self, row: Values) -> bool:
        return row[self.kind.news[0]] is None

    # what the specification says ---------------------------------------------------------------------------------

    def after(self, before: Values, sets: Mapping[str, Any]) -> Values:
        """The row after a statement that sets these columns, and after the trigger."""
        k, row = self.kind, {**before, **sets}
        if any(row[c] != before[c] for c in k.news):
            filled_as_wanted = self.unfilled(before) and all(row[c] == k.up(row)[c] for c in k.news)
            same_old = all(row[c] == before[c] for c in k.olds)
            return row if k.down is None or (filled_as_wanted and same_old) else {**row, **k.down(row)}
        if any(row[c] != before[c] for c in k.olds) or self.unfilled(row):
            return {**row, **k.up(row)}
        return row

    def born(self, values: Values, *, new: bool) -> Values:
        k, row = self.kind, {**dict.fromkeys(self.table.columns), "name": "", "amount": 0, **values}
        if not new:
            return {**row, **k.up(row)}
        return row if k.down is None else {**row, **k.down(row)}

    # what two versions do ----------------------------------------------------------------------------------------

    def act(self) -> None:
        act = self.random.choice(
            (self.insert, self.update, self.update, self.touch, self.rekey, self.fill, self.delete)
        )
        act()
        rows = self.table.rows()
        assert rows == self.wanted, act.__name__

    def _written(self) -> tuple[bool, Values]:
        new = self.random.random() < 0.5
        return new, (self.kind.new if new else self.kind.old)(self.random)

    def insert(self) -> None:
        new, _ = self._written()
        make = self.kind.new if new else self.kind.old
        rows = [{"id": self._id(), **make(self.random)} for _ in range(self.random.randrange(1, 4))]
        self.table.insert(rows)
        for row in rows:
            self.wanted[row["id"]] = self.born(row, new=new)

    def _some(self) -> list[int]:
        return self.random.sample(sorted(self.wanted), min(len(self.wanted), self.random.randrange(1, 5)))

    def _update(self, sets: Values, ids: list[int]) -> None:
        texts = ", ".join(f"{c} = {v!r}" for c, v in sets.items())
        self.table.update(texts, f"id IN ({', '.join(map(str, ids))})", set(sets))
        for i in ids:
            self.wanted[i] = self.after(self.wanted[i], sets)

    def update(self) -> None:
        self._update(self._written()[1], self._some())

    def touch(self) -> None:
        """Another column, or every column as it is: an ORM that writes all of them."""
        self._update({"email": _text(self.random)}, self._some())

    def rekey(self) -> None:
        """The key changes, alone or with columns of one side: OLD and NEW of a row do not find each other."""
        with_ = self._written()[1] if self.random.random() < 0.6 else {}
        for i in self._some()[:1]:
            to, before = self._id(), self.wanted.pop(i)
            sets = {"id": to, **with_}
            self.table.update(", ".join(f"{c} = {v!r}" for c, v in sets.items()), f"id = {i}", set(sets))
            row, k = {**before, **sets}, self.kind
            if self.unfilled(row) or (set(with_) & set(k.olds)):
                row = {**row, **k.up(row)}
            elif set(with_) & set(k.news) and k.down is not None:
                row = {**row, **k.down(row)}
            self.wanted[to] = row

    def fill(self) -> None:
        """A batch of the backfill, as it was compiled."""
        low = self.random.randrange(self.last + 1)
        sets, _, where = self.backfill.partition(" SET ")[2].partition(" WHERE ")
        where = where.replace(RANGE, f"id > {low} AND id <= {low + 3}").replace("AS bigint", "AS integer")
        self.table.update(sets.replace("AS bigint", "AS integer"), where, set(self.kind.news))
        for i, row in self.wanted.items():
            if low < i <= low + 3 and self.unfilled(row):
                self.wanted[i] = {**row, **self.kind.up(row)}

    def delete(self) -> None:
        if len(self.wanted) > 6:
            for i in self._some()[:1]:
                self.table.db.execute("DELETE FROM users WHERE id = ?", (i,))
                del self.wanted[i]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.title)
def test_every_row_is_what_was_written_last(kind: Kind, seed: int) -> None:
    world = World(kind, random.Random(seed))
    for _ in range(60):
        world.act()


@pytest.mark.parametrize(
    ("kind", "broken", "by"),
    [
        pytest.param(
            0, "WHEN NOT OLD.full_name IS NULL THEN 'old'", "WHEN NOT OLD.full_name IS NULL THEN NULL", id="edits lost"
        ),
        pytest.param(0, "WHEN NEW.full_name IS NULL THEN 'new' END AS", "END AS", id="not filled on touch"),
        pytest.param(0, "@changeover_news_1 = 1 THEN 'old'", "@changeover_news_1 = 1 THEN 'new'", id="inserts lost"),
        pytest.param(
            0, "@changeover_olds_1 = 1 THEN 'new'", "@changeover_olds_1 = 1 THEN 'old'", id="rekeyed rows lost"
        ),
        pytest.param(1, "CASE WHEN NOT OLD.first IS NULL THEN", "CASE WHEN 1 = 1 THEN", id="backfill writes back"),
    ],
)
def test_a_broken_trigger_is_found_out(kind: int, broken: str, by: str) -> None:
    """The judge can fail."""
    assert any(not _holds(World(KINDS[kind], random.Random(seed)), broken, by) for seed in range(6))


def _holds(world: World, broken: str, by: str) -> bool:
    assert broken in world.table.trigger
    world.table = TriggeredTable("users", world.table.columns, world.table.trigger.replace(broken, by))
    for row in world.wanted.values():
        world.table.db.execute(f"INSERT INTO users VALUES ({', '.join('?' for _ in row)})", list(row.values()))
    try:
        for _ in range(60):
            world.act()
    except AssertionError:
        return False
    return True
