"""MariaDB and MySQL: what statements mean together, and how each is seen to be done."""

from __future__ import annotations

import pytest

from changeover.core.errors import ChangeoverError, ChangesUnreadable, StatementUnknown, WouldBreak
from changeover.core.model import ChangeSet, Lock, Phase, Probe, Verdict, Version
from changeover.schema.changes import read_changes


def changes(**files: str) -> ChangeSet:
    named = {Phase(p): (f"db/1.1.0.{p}.sql", text) for p, text in files.items()}
    return read_changes(Version("1.1.0"), named, "mysql")


def refused(kind: type[ChangeoverError], **files: str) -> ChangeoverError:
    with pytest.raises(kind) as caught:
        changes(**files)
    assert type(caught.value) is kind
    return caught.value


ADD = "ALTER TABLE users ADD COLUMN name_lc varchar(200) NULL, ALGORITHM=INSTANT;\n"
UPDATE = """CREATE TRIGGER zz_users_u BEFORE UPDATE ON users FOR EACH ROW BEGIN
  IF NEW.name_lc IS NULL OR (NOT (BINARY NEW.name <=> BINARY OLD.name) AND BINARY NEW.name_lc <=> BINARY OLD.name_lc)
  THEN SET NEW.name_lc = lower(NEW.name); END IF; END;
"""
INSERT = """CREATE TRIGGER zz_users_i BEFORE INSERT ON users FOR EACH ROW BEGIN
  IF NEW.name_lc IS NULL THEN SET NEW.name_lc = lower(NEW.name); END IF; END;
"""


def test_a_whole_change() -> None:
    found = changes(
        expand=f"# 1.1.0 searches without case\n{ADD}{UPDATE}{INSERT}"
        "ALTER TABLE users ADD INDEX users_name_lc_i (name_lc), ALGORITHM=INPLACE, LOCK=NONE;",
        backfill="# changeover: key=user_id\nUPDATE users SET name_lc = lower(name) WHERE name_lc IS NULL;",
        contract="ALTER TABLE users ALTER COLUMN name SET DEFAULT '';\nDROP TRIGGER zz_users_i;\nDROP TRIGGER zz_users_u;\n"
        "ALTER TABLE users DROP COLUMN name, ALGORITHM=INSTANT;",
    )
    assert [(s.title, s.line, s.lock) for s in found.expand] == [
        ("+ column users.name_lc varchar(200)", 2, Lock.BRIEF),
        ("+ trigger zz_users_u on users", 3, Lock.BRIEF),
        ("+ trigger zz_users_i on users", 6, Lock.BRIEF),
        ("+ index users_name_lc_i", 8, Lock.BRIEF),
    ]
    assert [s.probe for s in found.expand] == [
        Probe("column", "name_lc", "users", definition="varchar(200)"),
        Probe("trigger", "zz_users_u", "users"),
        Probe("trigger", "zz_users_i", "users"),
        Probe("index", "users_name_lc_i", "users"),
    ]
    assert found.backfill[0].key == "user_id"
    assert [s.verdict for s in found.contract] == [Verdict.WARN, Verdict.OK, Verdict.OK, Verdict.OK]


def test_the_insert_trigger_comes_second() -> None:
    """N2: in the other order rows are filled once and stay wrong."""
    error = refused(WouldBreak, expand=ADD + INSERT + UPDATE)
    assert error.where[0].line == 4
    assert "zz_users_u" in error.what
    after = (INSERT + UPDATE).replace("BEFORE", "AFTER")
    changes(expand=ADD + after)


def test_the_order_of_triggers_on_a_new_table_is_free() -> None:
    changes(expand="CREATE TABLE users (name varchar(9), name_lc varchar(9));\n" + INSERT + UPDATE)


def test_a_synced_column_with_a_default_loses_writes() -> None:
    """N1."""
    found = changes(expand=ADD.replace("NULL", "DEFAULT ''") + UPDATE)
    assert "has a DEFAULT" in found.expand[1].reason
    assert "has a DEFAULT" not in changes(expand=ADD + UPDATE).expand[1].reason
    late = changes(expand=ADD + UPDATE + "ALTER TABLE users ALTER COLUMN name_lc SET DEFAULT '';")
    assert "has a DEFAULT" in late.expand[2].reason


def test_what_a_foreign_key_does_fires_no_trigger() -> None:
    """N5."""
    table = "CREATE TABLE notes (id int PRIMARY KEY, code int, code2 int, FOREIGN KEY (code) REFERENCES c (code) {});\n"
    trigger = "CREATE TRIGGER s BEFORE UPDATE ON notes FOR EACH ROW SET NEW.code2 = NEW.code;"
    for action in ("ON UPDATE CASCADE ON DELETE CASCADE", "ON DELETE SET NULL"):
        assert "fires no trigger" in refused(WouldBreak, expand=table.format(action) + trigger).what
    changes(expand=table.format("ON DELETE CASCADE") + trigger)


def test_dropping_the_trigger_before_a_required_column() -> None:
    """T8: a DROP TRIGGER does not name its table; one that is not known may be of any."""
    drops = "DROP TRIGGER zz_users_i;\nALTER TABLE users DROP COLUMN name;"
    assert changes(contract=drops).contract[1].verdict is Verdict.WARN
    assert "SET DEFAULT" in changes(contract=drops).contract[1].reason
    assert changes(expand=ADD + INSERT, contract=drops).contract[1].verdict is Verdict.WARN
    other = INSERT.replace("ON users", "ON orders")
    assert changes(expand=ADD + other, contract=drops).contract[1].verdict is Verdict.OK
    late = (
        "DROP TRIGGER zz_users_i;\nALTER TABLE users ALTER name SET DEFAULT 'x';\nALTER TABLE users DROP COLUMN name;"
    )
    assert changes(contract=late).contract[2].verdict is Verdict.WARN
    null = "ALTER TABLE users MODIFY name varchar(9) NULL, ALGORITHM=INPLACE, LOCK=NONE;\n" + drops
    assert changes(contract=null).contract[2].verdict is Verdict.OK


def test_a_new_table_may_be_indexed_filled_and_bound() -> None:
    found = changes(
        expand="""CREATE TABLE currencies (code char(3) PRIMARY KEY) ENGINE = InnoDB;
        INSERT IGNORE INTO currencies (code) VALUES ('EUR'), (upper('usd'));
        CREATE INDEX currencies_i ON currencies (code);
        ALTER TABLE currencies ADD COLUMN rate decimal(10,4) NOT NULL, ADD CONSTRAINT positive CHECK (rate > 0);
        ALTER TABLE currencies MODIFY rate double NOT NULL;"""
    )
    assert {s.verdict for s in found.expand} == {Verdict.OK}


def test_whether_tables_have_a_case_is_a_setting_so_nothing_is_taken_for_the_same() -> None:
    refused(WouldBreak, expand="CREATE TABLE Orders (id int);\nINSERT INTO orders (id) VALUES (1);")
    refused(ChangesUnreadable, backfill="UPDATE t SET a = 1 WHERE a IS NULL;\nUPDATE T SET b = 1 WHERE b IS NULL;")
    changes(
        expand="ALTER TABLE t ADD COLUMN First int, ADD COLUMN last int;",
        backfill="UPDATE t SET first = 1, Last = 2 WHERE FIRST IS NULL;",
    )


def test_ddl_commits_so_it_must_be_seen_or_do_no_harm_when_done_again() -> None:
    found = changes(
        expand="""ALTER TABLE t ADD COLUMN a int, ADD INDEX t_a (a), ALGORITHM=INPLACE, LOCK=NONE;
        CREATE FUNCTION f() RETURNS int NO SQL RETURN 1;
        CREATE PROCEDURE f() BEGIN SELECT 1; END;
        CREATE OR REPLACE VIEW v AS SELECT 1;
        ALTER TABLE t ALTER COLUMN b SET DEFAULT 1;
        ALTER TABLE t MODIFY c varchar(20), ALGORITHM=INSTANT;
        ALTER TABLE t ADD COLUMN IF NOT EXISTS d int, ADD COLUMN IF NOT EXISTS e int;
        CREATE TABLE n (a int);
        INSERT INTO n (a) VALUES (1);
        GRANT SELECT ON n TO app;"""
    )
    assert [s.probe for s in found.expand[:3]] == [
        Probe("column", "a", "t", definition="int"),
        Probe("function", "f", definition="function"),
        Probe("function", "f", definition="procedure"),
    ]
    told = [s.probe is None and "a person is asked" in s.reason for s in found.expand]
    assert told == [False, False, False, True, True, True, True, False, False, True]
    assert found.expand[6].verdict is Verdict.OK


def test_what_could_be_left_half_done_is_refused() -> None:
    for text in ("DROP TABLE a, b;", "ALTER TABLE t DROP COLUMN IF EXISTS a, DROP COLUMN b;"):
        refused(StatementUnknown, contract=text)


def test_probes_in_contract() -> None:
    found = changes(
        contract="""DROP TRIGGER zz_i;
        DROP TRIGGER shop.zz_u;
        DROP INDEX i ON shop.t;
        ALTER TABLE t DROP FOREIGN KEY f;
        ALTER TABLE t RENAME INDEX i TO j;
        RENAME TABLE `Old Table` TO grace.`Old Table`;
        DROP PROCEDURE IF EXISTS p;
        ALTER TABLE t DROP COLUMN a, DROP COLUMN b;"""
    )
    assert [s.probe for s in found.contract] == [
        Probe("trigger", "zz_i", present=False),
        Probe("trigger", "shop.zz_u", present=False),
        Probe("index", "i", "shop.t", present=False),
        Probe("constraint", "f", "t", present=False),
        Probe("index", "j", "t"),
        Probe("table", "`Old Table`", present=False),
        Probe("function", "p", present=False, definition="procedure"),
        Probe("column", "a", "t", present=False),
    ]


@pytest.mark.parametrize(
    ("written", "catalogue"),
    [
        ("int", "int"),
        ("INTEGER(11) UNSIGNED", "int unsigned"),
        ("bool", "tinyint"),
        ("Char", "char(1)"),
        ("national varchar(20)", "varchar(20)"),
        ("character varying (20) CHARACTER SET ascii", "varchar(20)"),
        ("numeric", "decimal(10,0)"),
        ("dec(8)", "decimal(8,0)"),
        ("decimal(8, 2) unsigned", "decimal(8,2) unsigned"),
        ("double precision", "double"),
        ("enum('a', 'it''s')", "enum('a','it''s')"),
        ("datetime(6)", "datetime(6)"),
        ("bit", "bit(1)"),
        ("json", ""),
        ("text(100)", ""),
        ("int zerofill", ""),
        ("year", ""),
    ],
)
def test_types_are_probed_as_the_catalogue_has_them(written: str, catalogue: str) -> None:
    found = changes(expand=f"ALTER TABLE t ADD COLUMN a {written} NULL;")
    assert found.expand[0].probe == Probe("column", "a", "t", definition=catalogue)


def test_a_password_is_not_repeated() -> None:
    error = refused(StatementUnknown, expand='CREATE USER app IDENTIFIED BY "hunter2";')
    assert "hunter2" not in repr((error.what, error.next, error.where, error.now))
