"""A migration in two parts: what becomes of each statement, and what is refused with its reason."""

from __future__ import annotations

import pytest
from tests.fixtures.each import each

from changeover.core.errors import ChangeoverError, ChangesUnreadable, WouldBreak
from changeover.core.model import Phase, Version
from changeover.schema.changes import read_changes
from changeover.schema.operations.reading import read
from changeover.schema.parting import part
from changeover.yaml.source import decode, parse

DECLARED = [
    ("postgresql", "ALTER TABLE t RENAME COLUMN a TO b", "rename_column: { table: t, column: a, to: b }"),
    ("postgresql", "ALTER TABLE public.t RENAME TO u", "rename_table: { table: t, to: u }"),
    ("postgresql", "ALTER TABLE t DROP COLUMN a", "drop_column: { table: t, column: a }"),
    ("postgresql", 'ALTER TABLE "T" DROP COLUMN "Ä"', 'drop_column: { table: "T", column: "Ä" }'),
    ("postgresql", "ALTER TABLE t ALTER a TYPE bigint", "change_type: { table: t, column: a, type: bigint, to: a_v2 }"),
    ("postgresql", "ALTER TABLE t ALTER a SET NOT NULL", "set_not_null: { table: t, column: a }"),
    ("postgresql", "ALTER TABLE t ALTER a SET DEFAULT 3", 'set_default: { table: t, column: a, default: "3" }'),
    ("postgresql", "ALTER TABLE t ADD UNIQUE (a, b)", "add_unique: { table: t, columns: [a, b] }"),
    (
        "postgresql",
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > (0))",
        'add_check: { table: t, check: "a > (0)", name: c }',
    ),
    (
        "postgresql",
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o (id) ON DELETE SET NULL",
        'add_foreign_key: { table: t, columns: [a], references: { table: o, columns: [id] }, name: f, on_delete: "SET NULL" }',
    ),
    ("postgresql", "ALTER TABLE t DROP CONSTRAINT c", "drop_constraint: { table: t, name: c }"),
    ("postgresql", "CREATE INDEX i ON t (a, b)", "add_index: { table: t, columns: [a, b], name: i }"),
    ("postgresql", "ALTER TABLE t ADD COLUMN a int UNIQUE", "add_unique: { table: t, columns: [a] }"),
    ("postgresql", "DROP TABLE t", "drop_table: { table: t }"),
    ("mysql", "RENAME TABLE a TO b", "rename_table: { table: a, to: b }"),
    ("sqlserver", "EXEC sp_rename 'dbo.t.a', 'b', 'COLUMN'", "rename_column: { table: t, column: a, to: b }"),
    ("sqlite", "ALTER TABLE t RENAME COLUMN a TO b", "rename_column: { table: t, column: a, to: b }"),
]
REFUSED = [
    ("TRUNCATE t", "every row"),
    ("UPDATE t SET a = 1", "overwrites"),
    ("ALTER TABLE t ADD COLUMN a int NOT NULL", "required and has no default"),
    ("ALTER TABLE t ALTER a TYPE bigint USING a::bigint", "nobody said"),
    ("ALTER TABLE s.t RENAME COLUMN a TO b", "schema of its own"),
    ("DROP TABLE t CASCADE", "CASCADE"),
    ("ALTER TABLE t ADD EXCLUDE USING gist (a WITH =)", "no form in two parts"),
    ("SELECT frobnicate()", ""),
    ("ALTER TABLE t RENAME COLUMN a TO b, ADD COLUMN", ""),
    ("", "no statement"),
    ("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES o", "which columns"),
]


def read_back(text: str) -> tuple[str, ...]:
    source, problems = decode(text.encode(), "1.1.0.yml", 0)
    root, found = parse(source)
    assert (problems, found) == ([], [])
    operations, _, faults = read(root)
    assert faults == ()
    return tuple(o.kind for o in operations)


def test_what_no_two_statements_say_becomes_an_operation():
    def judge(case: tuple[str, str, str]) -> None:
        dialect, sql, wanted = case
        files = part(f"{sql};", "m.sql", dialect, "1.1.0").files
        assert list(files) == ["1.1.0.yml"]
        assert f"  - {wanted}\n" in files["1.1.0.yml"], files["1.1.0.yml"]
        assert read_back(files["1.1.0.yml"])

    each(DECLARED, lambda c: c[1], judge)


def test_what_cannot_be_split_is_refused_with_the_reason():
    def judge(case: tuple[str, str]) -> None:
        with pytest.raises(ChangeoverError) as caught:
            part(f"{case[0]};" if case[0] else "", "m.sql", "postgresql", "1.1.0")
        assert case[1] in caught.value.what + " ".join(caught.value.next)
        assert caught.value.exit in (2, 5)

    each(REFUSED, lambda c: c[0], judge)


def test_plain_sql_stays_plain_and_is_let_through():
    sql = "BEGIN; CREATE TABLE n (id int); ALTER TABLE t ADD COLUMN a text; UPDATE t SET a = b WHERE a IS NULL; DROP VIEW v; COMMIT"
    found = part(sql, "m.sql", "postgresql", "1.1.0")
    assert list(found.files) == ["1.1.0.expand.sql", "1.1.0.backfill.sql", "1.1.0.contract.sql"]
    texts = {Phase(n.split(".")[-2]): (n, t) for n, t in found.files.items()}
    changes = read_changes(Version("1.1.0"), texts, "postgresql")
    assert (len(changes.expand), len(changes.backfill), len(changes.contract)) == (2, 1, 1)
    assert any("BEGIN is left out" in note for note in found.notes)


def test_one_operation_takes_the_whole_file_along_in_order():
    sql = "CREATE TABLE n (id int); ALTER TABLE t RENAME COLUMN a TO b; DROP VIEW v; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    found = part(sql, "m.sql", "postgresql", "1.1.0")
    text = found.files["1.1.0.yml"]
    assert read_back(text.replace("undo: []", 'undo: ["DROP FUNCTION f()"]')) == ("sql", "rename_column", "sql", "sql")
    assert 'undo: ["DROP TABLE n"]' in text
    assert any("write what takes it back" in note for note in found.notes)
    assert any("must ask for b and never for a" in note for note in found.notes)


def test_a_table_that_is_made_here_is_nobodys():
    sql = "CREATE TABLE n (id int, a text); ALTER TABLE n ADD CONSTRAINT c CHECK (id > 0); CREATE INDEX i ON n (a);"
    assert list(part(sql, "m.sql", "postgresql", "1.1.0").files) == ["1.1.0.expand.sql"]


def test_every_problem_comes_at_once():
    with pytest.raises(WouldBreak) as caught:
        part("TRUNCATE t;\nUPDATE t SET a = 1;\nALTER TABLE t RENAME COLUMN a TO b;", "m.sql", "postgresql", "1")
    assert [w.line for w in caught.value.where] == [1, 2]


def test_an_open_quote_is_refused_at_its_file():
    with pytest.raises(ChangesUnreadable) as caught:
        part("ALTER TABLE t ADD COLUMN a text DEFAULT 'x;", "m.sql", "postgresql", "1")
    assert caught.value.where[0].file == "m.sql"
