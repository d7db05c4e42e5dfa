"""SQL Server: what statements mean together, and how each is seen to be done."""

from __future__ import annotations

import pytest

from changeover.core.errors import ChangeoverError, StatementUnknown, WouldBreak
from changeover.core.model import ChangeSet, Lock, Phase, Probe, Verdict, Version
from changeover.schema.changes import read_changes


def changes(**files: str) -> ChangeSet:
    named = {Phase(p): (f"db/1.1.0.{p}.sql", text) for p, text in files.items()}
    return read_changes(Version("1.1.0"), named, "sqlserver")


def refused(kind: type[ChangeoverError], **files: str) -> ChangeoverError:
    with pytest.raises(kind) as caught:
        changes(**files)
    assert type(caught.value) is kind
    return caught.value


TRIGGER = """CREATE TRIGGER dbo.zz_sync_users ON dbo.users AFTER INSERT, UPDATE AS BEGIN
  SET NOCOUNT ON;
  IF TRIGGER_NESTLEVEL(OBJECT_ID('dbo.zz_sync_users')) > 1 RETURN;
  UPDATE u SET full_name = i.name FROM dbo.users u JOIN inserted i ON i.id = u.id;
END;
"""


def test_a_whole_change() -> None:
    found = changes(
        expand="ALTER TABLE dbo.users ADD full_name nvarchar(200) NULL;\n" + TRIGGER + "CREATE INDEX users_full_name_i "
        "ON dbo.users (full_name) WITH (ONLINE = ON);",
        backfill="-- changeover: key=user_id\nUPDATE dbo.users SET full_name = name WHERE full_name IS NULL;",
        contract="DROP TRIGGER dbo.zz_sync_users;\nALTER TABLE dbo.users DROP CONSTRAINT df_users_name, COLUMN name;",
    )
    assert [(s.title, s.line, s.lock, s.alone) for s in found.expand] == [
        ("+ column dbo.users.full_name nvarchar(200)", 1, Lock.BRIEF, False),
        ("+ trigger dbo.zz_sync_users on dbo.users", 2, Lock.BRIEF, False),
        ("+ index users_full_name_i", 7, Lock.BRIEF, False),
    ]
    assert [s.probe for s in found.expand] == [
        Probe("column", "full_name", "dbo.users", definition="nvarchar(200)"),
        Probe("trigger", "zz_sync_users", "dbo.users"),
        Probe("index", "users_full_name_i", "dbo.users"),
    ]
    assert found.backfill[0].sql.endswith("AND users.user_id > :lo AND users.user_id <= :hi")
    assert [s.verdict for s in found.contract] == [Verdict.OK, Verdict.OK]


def test_writes_with_output_fail_on_a_table_with_a_trigger() -> None:
    """N6."""
    assert "error 334" in changes(expand=TRIGGER).expand[0].reason
    assert "NOCOUNT" not in changes(expand=TRIGGER).expand[0].reason
    assert "NOCOUNT" in changes(expand=TRIGGER.replace("SET NOCOUNT ON;", "")).expand[0].reason
    made = changes(expand="CREATE TABLE dbo.users (id int, full_name int, name int);\n" + TRIGGER)
    assert made.expand[1].verdict is Verdict.OK


def test_a_default_for_new_rows_leaves_something_to_fill() -> None:
    fill = "UPDATE t SET c = b WHERE c IS NULL;"
    added = "ALTER TABLE t ADD c int NULL CONSTRAINT t_c_df DEFAULT 0"
    changes(expand=f"{added};", backfill=fill)
    assert "DEFAULT" in refused(WouldBreak, expand=f"{added} WITH VALUES;", backfill=fill).what


def test_a_synced_column_with_a_default_loses_writes() -> None:
    """N1, also where the default is for new rows only."""
    added = "ALTER TABLE dbo.users ADD full_name nvarchar(200) NULL CONSTRAINT d DEFAULT N'';\n"
    assert "has a DEFAULT" in changes(expand=added + TRIGGER).expand[1].reason
    assert "has a DEFAULT" in changes(expand=TRIGGER + added).expand[1].reason


def test_a_new_table_may_be_indexed_filled_and_bound() -> None:
    found = changes(
        expand="""CREATE TABLE dbo.currencies (code char(3) NOT NULL PRIMARY KEY);
        INSERT INTO dbo.currencies (code) VALUES ('EUR'), (upper('usd'));
        CREATE INDEX currencies_i ON dbo.currencies (code);
        ALTER TABLE dbo.currencies ADD rate decimal(10,4) NOT NULL, CONSTRAINT positive CHECK (rate > 0);
        ALTER TABLE dbo.currencies ALTER COLUMN rate float NOT NULL;"""
    )
    assert {s.verdict for s in found.expand} == {Verdict.OK}


def test_names_that_differ_in_case_are_not_taken_for_the_same() -> None:
    refused(WouldBreak, expand="CREATE TABLE Orders (id int);\nINSERT INTO orders (id) VALUES (1);")
    refused(WouldBreak, backfill="UPDATE t SET a = 1 WHERE A IS NULL;")


def test_probes() -> None:
    found = changes(
        expand="""ALTER TABLE [order items] ADD CONSTRAINT d DEFAULT 1 FOR a;
        ALTER TABLE t WITH NOCHECK ADD CONSTRAINT c CHECK (a > 0);
        CREATE PROCEDURE p AS BEGIN SELECT 1; END;
        CREATE SYNONYM s FOR t;""",
        contract="DROP TRIGGER dbo.zz;\nDROP INDEX i ON dbo.t;\nALTER SCHEMA grace TRANSFER dbo.t;\nDROP FUNCTION dbo.f;",
    )
    assert [s.probe for s in (*found.expand, *found.contract)] == [
        Probe("constraint", "d", "[order items]"),
        Probe("constraint", "c", "t"),
        Probe("function", "p", definition="procedure"),
        None,
        Probe("trigger", "dbo.zz", present=False),
        Probe("index", "i", "dbo.t", present=False),
        Probe("table", "dbo.t", present=False),
        Probe("function", "dbo.f", present=False, definition="function"),
    ]


@pytest.mark.parametrize(
    ("written", "catalogue"),
    [
        ("int", "int"),
        ("INTEGER", "int"),
        ("nvarchar(MAX)", "nvarchar(max)"),
        ("varchar", "varchar(1)"),
        ("national character varying(20)", "nvarchar(20)"),
        ("decimal(8)", "decimal(8,0)"),
        ("numeric", "numeric(18,0)"),
        ("datetime2(3)", "datetime2(3)"),
        ("time", "time(7)"),
        ("rowversion", "timestamp"),
        ("float(24)", ""),
        ("dbo.phone", ""),
    ],
)
def test_types_are_probed_as_the_catalogue_has_them(written: str, catalogue: str) -> None:
    found = changes(expand=f"ALTER TABLE t ADD a {written} NULL;")
    assert found.expand[0].probe == Probe("column", "a", "t", definition=catalogue)


def test_bodies_end_where_their_block_ends() -> None:
    refused(StatementUnknown, expand="CREATE PROCEDURE p AS SELECT 1; SELECT 2;")
    refused(StatementUnknown, expand="CREATE PROCEDURE p AS BEGIN SELECT 1; END DROP TABLE users;")
    error = refused(WouldBreak, expand="CREATE PROCEDURE p AS BEGIN SELECT 1; END;\nDROP TABLE users;")
    assert error.where[0].line == 2
