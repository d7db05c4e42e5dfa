"""The text of a table in its parts, and after changes: SQLite itself, in memory, says whether it is so."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from changeover.core.model import Edit, Rewrite
from changeover.schema.engines.sqlite_foresight import objects
from changeover.schema.engines.sqlite_rebuild import rebuilt
from changeover.schema.engines.sqlite_text import Unreadable, alike, edited, labels_of, parsed

PLAIN = "CREATE TABLE t (id integer PRIMARY KEY, name varchar(200) NOT NULL DEFAULT 'x', n int)"
TEXTS = (
    PLAIN,
    "CREATE TABLE t(a,b, c INT DEFAULT (1 + (2)), PRIMARY KEY (a, b DESC)) WITHOUT ROWID",
    'CREATE TABLE "t" (\n  "a b" text COLLATE NOCASE UNIQUE ON CONFLICT IGNORE, -- one, two\n  [c] real NULL,\n  `d` blob /* ) */\n)',
    (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, k TEXT CONSTRAINT k_nn NOT NULL CONSTRAINT k_c CHECK (k <> ',)'), "
        "CONSTRAINT u UNIQUE (k, id), FOREIGN KEY (k) REFERENCES o (k) ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED) STRICT"
    ),
    (
        "CREATE TABLE t (a decimal(10, 2) DEFAULT -1.5, b int REFERENCES o ON DELETE NO ACTION MATCH FULL NOT DEFERRABLE, "
        "c text GENERATED ALWAYS AS (a || b) STORED, d AS (a + 1) VIRTUAL NOT NULL, CHECK (a > 0) CHECK (b > 0))"
    ),
    "CREATE TABLE t (größe double precision, \"check\" text, 'q' text DEFAULT CURRENT_TIMESTAMP)",
)


def made(sql: str) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(sql)
    return db


@pytest.mark.parametrize("sql", [t for t in TEXTS if "'q'" not in t])
def test_the_parts_are_those_that_sqlite_sees(sql: str) -> None:
    table = parsed(sql)
    with closing(made(sql)) as db:
        seen = db.execute(
            'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', ("t",)
        ).fetchall()
        assert [c.name for c in table.columns] == [r[0] for r in seen]
        assert [sql[slice(*c.type_at)].lower() for c in table.columns] == [r[1].lower() for r in seen]
        keyed = {c.lower() for c in table.primary_key}
        for column, row in zip(table.columns, seen, strict=True):
            if not (table.without_rowid and row[4]):
                assert (column.rule("not null") is not None) is bool(row[2]), column
            default = column.rule("default")
            assert (None if default is None else default.body.strip("()")) == (row[3] and row[3].strip("()"))
            assert (column.name.lower() in keyed) is bool(row[4])
            assert (column.rule("generated") is not None) is (row[5] in (2, 3))
        keys = db.execute("SELECT count(DISTINCT id) FROM pragma_foreign_key_list('t')").fetchone()[0]
        assert sum(r.what == "foreign key" for r in table.rules) == keys
        uniques = db.execute("SELECT count(*) FROM pragma_index_list('t') WHERE origin = 'u'").fetchone()[0]
        assert sum(r.what == "unique" for r in table.rules) == uniques


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t AS SELECT 1",
        "CREATE TABLE t (a int",
        "CREATE VIEW t (a) AS SELECT 1",
        "CREATE TABLE t (a int DEFAULT)",
    ],
)
def test_what_is_not_understood_is_refused(sql: str) -> None:
    with pytest.raises(Unreadable):
        parsed(sql)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (Edit("not_null", "n"), Edit("nullable", "n")),
        (Edit("default", "n", "7"), Edit("no_default", "n")),
        (Edit("constraint", "", "CONSTRAINT c CHECK (n > 0)"), Edit("no_constraint", "c")),
    ],
)
@pytest.mark.parametrize("sql", [PLAIN, PLAIN.replace(", n int)", ",\n  n int -- last\n)")])
def test_there_and_back_is_the_same_text(sql: str, there: Edit, back: Edit) -> None:
    after = edited(sql, "t", [there])
    assert after != sql
    assert edited(after, "t", [there] if there.what != "constraint" else []) == after, "done twice it is the same"
    assert edited(after, "t", [back]) == sql


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        (Edit("nullable", "name"), "name varchar(200) DEFAULT 'x'"),
        (Edit("no_default", "NAME"), "name varchar(200) NOT NULL,"),
        (Edit("default", "name", "'y'"), "name varchar(200) NOT NULL DEFAULT 'y'"),
        (Edit("type", "name", "text"), "name text NOT NULL DEFAULT 'x'"),
        (Edit("column", "n", "n bigint"), ", n bigint)"),
        (Edit("no_column", "n"), "DEFAULT 'x')"),
        (Edit("no_column", "id"), "(name varchar"),
    ],
)
def test_an_edit_touches_nothing_else(edit: Edit, wanted: str) -> None:
    after = edited(PLAIN, "t", [edit])
    assert wanted in after
    made(after).close()


def test_constraints_by_name_and_without_one() -> None:
    sql = TEXTS[3]
    names = [name for name, _ in parsed(sql).named("t")]
    assert names == ["k_c", "u", "fk_t_k"]
    assert "REFERENCES" not in edited(sql, "t", [Edit("no_constraint", "fk_t_k")])
    assert "CONSTRAINT other FOREIGN KEY" in edited(sql, "t", [Edit("constraint_name", "fk_t_k", "other")])
    assert "CONSTRAINT u" not in edited(sql, "t", [Edit("constraint_name", "u", "")])
    assert edited(TEXTS[4], "t", [Edit("no_constraint", "ck_t_0")]).endswith("CHECK (b > 0))")
    assert edited(TEXTS[4], "t", [Edit("no_constraint", "ck_t_1")]).endswith("CHECK (a > 0))")


def test_a_column_takes_its_constraints_along() -> None:
    after = edited(
        "CREATE TABLE t (a int, b int, c int, UNIQUE (a, b), CHECK (c > 0 AND b > 0), CHECK (c > 1))",
        "t",
        [Edit("no_column", "b")],
    )
    assert after == "CREATE TABLE t (a int, c int, CHECK (c > 1))"


def test_labels() -> None:
    def of(check: str) -> tuple[str, ...]:
        return labels_of(parsed(f"CREATE TABLE t (mood text CHECK ({check}))").rules[0], "mood")

    assert of("mood IN ('sad', 'it''s ok')") == ("sad", "it's ok")
    assert of("\"mood\" in ('sad')") == ("sad",)
    for other in (
        "mood IN ('a') OR 1",
        "mood IN ()",
        "mood IN ('a', 1)",
        "mood NOT IN ('a')",
        "lower(mood) IN ('a')",
        "mood IN (SELECT 'a')",
    ):
        assert of(other) == (), other


def test_alike() -> None:
    assert alike("CREATE TABLE t (a int)", "CREATE TABLE t (\n a  int -- x\n)")
    assert not alike("CREATE TABLE t (a int)", "CREATE TABLE t (a integer)")


def test_a_rebuild_keeps_what_belongs_to_the_table() -> None:
    """Rows with their rowids, indexes, triggers, the counter of AUTOINCREMENT, views, and what refers to it."""
    with closing(made(TEXTS[3])) as db:
        for sql in (
            "CREATE INDEX i ON t (k COLLATE NOCASE DESC) WHERE k > 'a'",
            "CREATE INDEX k ON t (id)",
            "CREATE VIEW v AS SELECT k FROM t",
            "CREATE TABLE child (t_id integer REFERENCES t (id))",
            "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1; END",
            "CREATE TRIGGER other AFTER INSERT ON child BEGIN UPDATE t SET k = 'z' WHERE id = NEW.t_id; END",
            "INSERT INTO t (id, k) VALUES (5, 'b'), (9, 'c')",
            "DELETE FROM t WHERE id = 9",
        ):
            db.execute(sql)
        before = {o.name: o.sql for o in objects(db)}
        for sql in rebuilt(Rewrite("t", (Edit("default", "k", "'n'"),)), objects(db)):
            db.execute(sql)
        after = {o.name: o.sql for o in objects(db)}
        assert after == {**before, "t": after["t"]}
        assert "DEFAULT 'n'" in after["t"]
        assert db.execute("SELECT rowid, k FROM t").fetchall() == [(5, "b")]
        db.execute("INSERT INTO t DEFAULT VALUES")
        assert db.execute("SELECT max(id) FROM t").fetchone() == (10,), "9 is not given a second time"
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_rows_keep_their_rowid_without_a_key() -> None:
    with closing(made("CREATE TABLE t (a text, b int)")) as db:
        db.execute("INSERT INTO t (rowid, a) VALUES (7, 'x'), (3, 'y')")
        for sql in rebuilt(Rewrite("t", (Edit("not_null", "a"),)), objects(db)):
            db.execute(sql)
        assert db.execute("SELECT rowid, a FROM t ORDER BY a").fetchall() == [(7, "x"), (3, "y")]
