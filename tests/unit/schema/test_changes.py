"""What statements mean together: context, errors with all problems, digest."""

from __future__ import annotations

import hashlib

import pytest

from changeover.core.errors import ChangeoverError, ChangesUnreadable, StatementUnknown, WouldBreak
from changeover.core.model import BackfillStatement, ChangeSet, Lock, Phase, Probe, Statement, Verdict, Version
from changeover.schema.changes import read_changes

V = Version("1.1.0")


def changes(dialect: str = "postgresql", **files: str) -> ChangeSet:
    return read_changes(V, {Phase(p): (f"db/1.1.0.{p}.sql", text) for p, text in files.items()}, dialect)


def refused(kind: type[ChangeoverError], dialect: str = "postgresql", **files: str) -> ChangeoverError:
    with pytest.raises(kind) as caught:
        changes(dialect, **files)
    assert type(caught.value) is kind
    return caught.value


SYNCED = """
-- 1.1.0 keeps prices in cents
ALTER TABLE orders ADD COLUMN price_cents integer;
CREATE FUNCTION sync_orders() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.price_cents := NEW.price * 100; RETURN NEW; -- a semicolon; or two;
END $$;
CREATE TRIGGER sync_price BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION sync_orders();
CREATE INDEX CONCURRENTLY orders_price_cents_i ON orders (price_cents);
"""


def test_a_whole_change() -> None:
    found = changes(
        expand=SYNCED,
        backfill="UPDATE orders SET price_cents = price * 100 WHERE price_cents IS NULL;\n",
        contract="ALTER TABLE orders ALTER COLUMN price DROP NOT NULL;\nDROP TRIGGER sync_price ON orders;\n"
        "DROP FUNCTION sync_orders();\nALTER TABLE orders DROP COLUMN price;",
    )
    assert [s.title for s in found.expand] == [
        "+ column orders.price_cents integer",
        "+ function sync_orders",
        "+ trigger sync_price on orders",
        "+ index orders_price_cents_i",
    ]
    assert [s.line for s in found.expand] == [3, 4, 7, 8]
    assert [s.alone for s in found.expand] == [False, False, False, True]
    assert [s.lock for s in found.expand] == [Lock.BRIEF, Lock.BRIEF, Lock.BRIEF, Lock.NONE]
    assert found.expand[0] == Statement(
        "ALTER TABLE orders ADD COLUMN price_cents integer",
        "db/1.1.0.expand.sql",
        3,
        Phase.EXPAND,
        "+ column orders.price_cents integer",
        probe=Probe("column", "price_cents", "orders", definition="integer"),
    )
    assert found.backfill == (
        BackfillStatement(
            "UPDATE orders SET price_cents = price * 100 WHERE (price_cents IS NULL) AND orders.id > :lo AND orders.id <= :hi",
            "db/1.1.0.backfill.sql",
            1,
            "orders",
            "id",
            "~ backfill orders.price_cents",
        ),
    )
    assert [s.verdict for s in found.contract] == [Verdict.OK] * 4
    assert found.contract[3].probe == Probe("column", "price", "orders", present=False)


def test_all_problems_of_all_files_in_one_error() -> None:
    error = refused(
        WouldBreak,
        expand="ALTER TABLE orders DROP COLUMN price;\n\nSELECT setval('s', 1);\nALTER TABLE orders ADD COLUMN x int;\n",
        backfill="UPDATE orders SET x = 1;",
        contract="DROP TABLE old CASCADE;",
    )
    assert [(w.file, w.line) for w in error.where] == [
        ("db/1.1.0.expand.sql", 1),
        ("db/1.1.0.expand.sql", 3),
        ("db/1.1.0.backfill.sql", 1),
        ("db/1.1.0.contract.sql", 1),
    ]
    assert error.where[0].text == "ALTER TABLE orders DROP COLUMN price"
    assert "contract: ALTER TABLE orders DROP COLUMN price;" in error.next
    assert any(line.startswith("db/1.1.0.expand.sql:3: SELECT is refused") for line in error.next)
    assert error.exit == 5


def test_unknown_is_named_when_nothing_breaks() -> None:
    assert refused(StatementUnknown, expand="DO $$ BEGIN END $$;\nALTER TABLE t ADD COLUMN x int").exit == 5


@pytest.mark.parametrize("text", ["", " \n", "-- nothing yet\n", ";;;"])
def test_an_empty_file_is_no_change(text: str) -> None:
    assert "no statement" in refused(ChangesUnreadable, expand=text).what


def test_a_file_that_was_cut_off() -> None:
    error = refused(ChangesUnreadable, contract="DROP TABLE a;\nDELETE FROM orders")
    assert "no semicolon" in error.what
    assert error.where[0].line == 2


def test_unknown_dialect() -> None:
    refused(ChangesUnreadable, "oracle", expand="DROP TABLE a;")


# what a new table allows ---------------------------------------------------------------------------------


def test_a_new_table_may_be_indexed_filled_and_bound() -> None:
    found = changes(
        expand="""CREATE TABLE currencies (code text PRIMARY KEY);
        INSERT INTO currencies (code) VALUES ('EUR'), (upper('usd')) ON CONFLICT (code) DO NOTHING;
        CREATE INDEX currencies_i ON currencies (code);
        ALTER TABLE currencies ADD COLUMN rate numeric NOT NULL, ADD CONSTRAINT positive CHECK (rate > 0);
        ALTER TABLE currencies ALTER COLUMN rate TYPE float;"""
    )
    assert {s.verdict for s in found.expand} == {Verdict.OK}
    assert not any(s.alone for s in found.expand)


def test_a_foreign_key_of_a_new_table_binds_the_old_one() -> None:
    for late in ("ADD CONSTRAINT f FOREIGN KEY (u) REFERENCES users (id)", "ADD COLUMN v int REFERENCES users"):
        found = changes(
            expand=f"CREATE TABLE notes (u int);\nALTER TABLE notes {late};\nALTER TABLE notes {late} ON DELETE CASCADE;"
        )
        assert [s.verdict for s in found.expand] == [Verdict.OK, Verdict.WARN, Verdict.OK]


def test_if_not_exists_may_find_the_table_in_use() -> None:
    refused(WouldBreak, expand="CREATE TABLE IF NOT EXISTS orders (id int);\nINSERT INTO orders VALUES (1);")
    refused(WouldBreak, expand="CREATE TABLE IF NOT EXISTS orders (id int);\nCREATE INDEX i ON orders (id);")


def test_another_schema_is_another_table() -> None:
    refused(WouldBreak, expand="CREATE TABLE shop.orders (id int);\nINSERT INTO orders VALUES (1);")
    refused(WouldBreak, expand='CREATE TABLE "Orders" (id int);\nINSERT INTO orders VALUES (1);')


def test_by_contract_a_new_table_is_in_use() -> None:
    refused(WouldBreak, expand="CREATE TABLE notes (id int);", contract="CREATE INDEX notes_i ON notes (id);")


def test_rows_of_a_query_or_an_unseen_function_are_not_inserted() -> None:
    refused(WouldBreak, expand="CREATE TABLE a (id int);\nINSERT INTO a SELECT id FROM users;")
    refused(StatementUnknown, expand="CREATE TABLE a (id int);\nINSERT INTO a VALUES (setval('s', 1));")


def test_dropping_a_table_first_does_not_make_it_new() -> None:
    error = refused(WouldBreak, expand="DROP TABLE users;\nCREATE TABLE users (id int);\n")
    assert len(error.where) == 1


# columns, defaults, triggers ------------------------------------------------------------------------------


def test_the_default_of_a_new_column_is_free() -> None:
    found = changes(
        expand="ALTER TABLE t ADD COLUMN c uuid;\nALTER TABLE t ALTER COLUMN c SET DEFAULT gen_random_uuid();"
    )
    assert found.expand[1].verdict is Verdict.OK


def test_a_default_that_draws_from_a_sequence_needs_a_privilege() -> None:
    found = changes(expand="ALTER TABLE t ADD COLUMN c int;\nALTER TABLE t ALTER COLUMN c SET DEFAULT nextval('s');")
    assert "login" in found.expand[1].reason


def test_a_synced_column_with_a_default_loses_writes() -> None:
    text = SYNCED.replace("price_cents integer", "price_cents integer DEFAULT 0")
    trigger = changes(expand=text).expand[2]
    assert trigger.verdict is Verdict.WARN
    assert "has a DEFAULT" in trigger.reason
    assert "has a DEFAULT" not in changes(expand=SYNCED).expand[2].reason


def test_a_type_made_here_is_no_domain() -> None:
    found = changes(
        expand="CREATE TYPE mood AS ENUM ('good', 'bad');\nALTER TABLE t ADD COLUMN m mood NOT NULL DEFAULT 'good';"
    )
    assert {s.verdict for s in found.expand} == {Verdict.OK}


def test_not_null_after_a_validated_check_reads_nothing() -> None:
    found = changes(
        contract="""ALTER TABLE t ADD CONSTRAINT c_nn CHECK (c IS NOT NULL) NOT VALID;
        ALTER TABLE t VALIDATE CONSTRAINT c_nn;
        ALTER TABLE t ALTER COLUMN c SET NOT NULL;
        ALTER TABLE t DROP CONSTRAINT c_nn;"""
    )
    assert (found.contract[2].verdict, found.contract[2].lock) == (Verdict.OK, Lock.BRIEF)
    half = changes(
        contract="ALTER TABLE t ADD CONSTRAINT c_nn CHECK (c IS NOT NULL) NOT VALID;\nALTER TABLE t ALTER c SET NOT NULL;"
    )
    assert (half.contract[1].verdict, half.contract[1].lock) == (Verdict.WARN, Lock.SCAN)


def test_dropping_the_trigger_before_a_required_column() -> None:
    drops = "DROP TRIGGER sync ON t;\nALTER TABLE t DROP COLUMN old;"
    assert changes(contract=drops).contract[1].verdict is Verdict.WARN
    safe = changes(contract="ALTER TABLE t ALTER COLUMN old DROP NOT NULL;\n" + drops)
    assert [s.verdict for s in safe.contract] == [Verdict.OK] * 3
    late = "DROP TRIGGER sync ON t;\nALTER TABLE t ALTER COLUMN old DROP NOT NULL;\nALTER TABLE t DROP COLUMN old;"
    assert changes(contract=late).contract[2].verdict is Verdict.WARN


# backfill --------------------------------------------------------------------------------------------------


def test_columns_of_this_version_may_be_filled_together() -> None:
    found = changes(
        expand="ALTER TABLE users ADD COLUMN first text, ADD COLUMN last text;",
        backfill="-- changeover: key=user_id\nUPDATE users SET first = upper(name), last = lower(name) WHERE first IS NULL;",
    )
    assert found.backfill[0].key == "user_id"
    assert found.backfill[0].line == 2
    refused(
        WouldBreak,
        expand="ALTER TABLE users ADD COLUMN IF NOT EXISTS first text, ADD COLUMN IF NOT EXISTS last text;",
        backfill="UPDATE users SET first = upper(name), last = lower(name) WHERE first IS NULL;",
    )


def test_a_column_with_a_default_has_nothing_to_fill() -> None:
    fill = "UPDATE t SET c = b WHERE c IS NULL;"
    assert "DEFAULT" in refused(WouldBreak, expand="ALTER TABLE t ADD COLUMN c int DEFAULT 0;", backfill=fill).what
    changes(expand="ALTER TABLE t ADD COLUMN c int;\nALTER TABLE t ALTER COLUMN c SET DEFAULT 0;", backfill=fill)


def test_one_backfill_per_table() -> None:
    text = "UPDATE t SET a = 1 WHERE a IS NULL;\nUPDATE t SET b = 1 WHERE b IS NULL;"
    assert "second backfill" in refused(ChangesUnreadable, backfill=text).what
    refused(ChangesUnreadable, "sqlite", backfill=text.replace("UPDATE t SET b", "UPDATE T SET b"))


def test_a_function_of_this_version_may_be_called() -> None:
    changes(
        expand="CREATE FUNCTION tidy(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower(t)';",
        backfill="UPDATE t SET a = tidy(b) WHERE a IS NULL;",
    )
    refused(StatementUnknown, backfill="UPDATE t SET a = tidy(b) WHERE a IS NULL;")


@pytest.mark.parametrize(
    "comment",
    [
        "-- changeover: key=a,b",
        "-- changeover: key=",
        "-- changeover: kye=a",
        "/* changeover: key=a; */",
        "-- changeover: key=1",
    ],
)
def test_a_directive_that_is_not_understood(comment: str) -> None:
    refused(ChangesUnreadable, backfill=f"{comment}\nUPDATE t SET a = 1 WHERE a IS NULL;")


def test_a_directive_belongs_before_a_backfill() -> None:
    refused(ChangesUnreadable, expand="-- changeover: key=a\nCREATE TABLE t (a int);")
    refused(ChangesUnreadable, backfill="UPDATE t SET a = 1 WHERE a IS NULL;\n-- changeover: key=b")


def test_a_comment_does_not_swallow_the_range() -> None:
    found = changes(backfill="UPDATE t SET a = 1 WHERE a IS NULL -- never filled\n;")
    assert found.backfill[0].sql == "UPDATE t SET a = 1 WHERE (a IS NULL) AND t.id > :lo AND t.id <= :hi"


# names, secrets, digest -------------------------------------------------------------------------------------


def test_names_are_kept_as_written_and_probed_as_the_catalogue_has_them() -> None:
    found = changes(
        expand='ALTER TABLE Shop."Order Items" ADD COLUMN "Price €" VARCHAR(20);\n'
        'CREATE INDEX CONCURRENTLY Items_I ON Shop."Order Items" ("Price €");'
    )
    assert found.expand[0].title == "+ column shop.Order Items.Price € VARCHAR(20)"
    assert found.expand[0].probe == Probe("column", "Price €", 'shop."Order Items"', definition="character varying(20)")
    assert found.expand[1].probe == Probe("index", "shop.items_i", 'shop."Order Items"')


def test_only_what_the_catalogue_can_tell_apart_has_a_probe() -> None:
    found = changes(
        expand="CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1';\nCREATE OR REPLACE VIEW v AS SELECT 1;\n"
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 1;\nALTER TABLE t ADD a int, ADD b int;\nCREATE TABLE n (a int);"
    )
    assert [s.probe for s in found.expand] == [None, None, None, None, Probe("table", "n")]


def test_a_password_is_not_repeated() -> None:
    error = refused(StatementUnknown, expand="CREATE USER app PASSWORD 'hunter2';")
    assert "hunter2" not in repr((error.what, error.next, error.where, error.now))


def test_digest() -> None:
    one = changes(expand="CREATE TABLE a (id int);", contract="DROP TABLE b;")
    expected = hashlib.sha256(b"expand 24\nCREATE TABLE a (id int);contract 13\nDROP TABLE b;").hexdigest()
    assert one.digest == expected
    assert changes(contract="DROP TABLE b;", expand="CREATE TABLE a (id int);").digest == expected
    assert changes(expand="CREATE TABLE a (id  int);", contract="DROP TABLE b;").digest != expected
