"""Which ALTER lets everybody go on, as the server itself says on an empty copy: the matrix that operations rely on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pymysql
import pytest
from tests.fixtures.mysql import Server, shared

from changeover.core.errors import StatementFailed
from changeover.drivers.databases.mysql import MysqlDatabase, MysqlSettings
from changeover.drivers.databases.mysql_clone import accepted, fills_before
from changeover.drivers.databases.mysql_session import Sessions

TABLE = (
    "CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, name varchar(50) NOT NULL, email varchar(200), amount int NOT NULL DEFAULT 0, "
    "mood enum('a','b'), other bigint, short varchar(30), middle varchar(50), KEY t_name_i (name)) CHARACTER SET utf8mb4"
)
INSTANT = "ALGORITHM=INSTANT"
NOCOPY = "ALGORITHM=NOCOPY, LOCK=NONE"
INPLACE = "ALGORITHM=INPLACE, LOCK=NONE"
SHARED = "ALGORITHM=INPLACE, LOCK=SHARED"
COPY = "ALGORITHM=COPY, LOCK=SHARED"

FOREIGN_KEY = "ADD CONSTRAINT t_fk FOREIGN KEY (other) REFERENCES o (id)"
MATRIX = {
    "add column": ("ADD COLUMN c int NULL", INSTANT),
    "add column, not null with a constant": ("ADD COLUMN c int NOT NULL DEFAULT 7", INSTANT),
    "add column with now()": ("ADD COLUMN c datetime NOT NULL DEFAULT now()", INSTANT),
    "add column, virtual": ("ADD COLUMN c int AS (amount + 1) VIRTUAL", INSTANT),
    "add column, first": ("ADD COLUMN c int NULL FIRST", INSTANT),
    "drop column": ("DROP COLUMN email", INSTANT),
    "rename column": ("RENAME COLUMN email TO mail", INSTANT),
    "varchar grows": ("MODIFY COLUMN name varchar(60) NOT NULL", INSTANT),
    "varchar of up to 127 bytes grows past 255": ("MODIFY COLUMN short varchar(300)", INSTANT),
    "varchar of up to 255 bytes grows past 255": ("MODIFY COLUMN middle varchar(300)", COPY),
    "varchar of more than 255 bytes grows": ("MODIFY COLUMN email varchar(300)", INSTANT),
    "set default": ("ALTER COLUMN email SET DEFAULT 'x'", INSTANT),
    "enum appended to": ("MODIFY COLUMN mood enum('a','b','c')", INSTANT),
    "rename table": ("RENAME TO changeover_try_renamed", INSTANT),
    "rename index": ("RENAME INDEX t_name_i TO t_other_i", INSTANT),
    "add index": ("ADD INDEX t_email_i (email)", NOCOPY),
    "drop index": ("DROP INDEX t_name_i", NOCOPY),
    "add unique": ("ADD UNIQUE INDEX t_email_u (email)", NOCOPY),
    "add foreign key, not checked": (FOREIGN_KEY, NOCOPY),
    "set not null": ("MODIFY COLUMN email varchar(200) NOT NULL", INPLACE),
    "drop not null": ("MODIFY COLUMN name varchar(50) NULL", INPLACE),
    "change primary key": ("DROP PRIMARY KEY, ADD PRIMARY KEY (id, name)", INPLACE),
    "add fulltext": ("ADD FULLTEXT INDEX t_text_i (email)", SHARED),
    "add column with uuid()": ("ADD COLUMN c varchar(36) NOT NULL DEFAULT uuid()", COPY),
    "add column, stored generated": ("ADD COLUMN c int AS (amount + 1) STORED", COPY),
    "varchar shrinks": ("MODIFY COLUMN name varchar(20) NOT NULL", COPY),
    "int becomes bigint": ("MODIFY COLUMN amount bigint NOT NULL DEFAULT 0", COPY),
    "int becomes varchar": ("MODIFY COLUMN amount varchar(20) NOT NULL DEFAULT '0'", COPY),
    "enum inserted into": ("MODIFY COLUMN mood enum('a','x','b')", COPY),
    "enum taken from": ("MODIFY COLUMN mood enum('a')", COPY),
    "add check": ("ADD CONSTRAINT t_c CHECK (amount >= 0)", COPY),
    "convert charset": ("CONVERT TO CHARACTER SET latin1", COPY),
}


class Here(NamedTuple):
    server: Server
    name: str

    @property
    def sessions(self) -> Sessions:
        return Sessions(lambda: self.server.url(self.name), "test")

    @property
    def driver(self) -> MysqlDatabase:
        return MysqlDatabase(MysqlSettings(lambda: self.server.url(self.name), "test"))

    def tables(self) -> list[str]:
        return [row[0] for row in self.server.run("SHOW TABLES", self.name)]


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    server = shared()
    with server.database() as name:
        server.run("CREATE TABLE o (id bigint NOT NULL PRIMARY KEY)", name)
        server.run(TABLE, name)
        server.run("INSERT INTO t (id, name) VALUES (1, 'Ann')", name)
        yield Here(server, name)
        assert here_is_as_before(server, name)


def here_is_as_before(server: Server, name: str) -> bool:
    """No question has changed a table or left one behind."""
    tables = [row[0] for row in server.run("SHOW TABLES", name)]
    return tables == ["o", "t"] and server.run("SELECT id, name FROM t", name) == [(1, "Ann")]


@pytest.mark.parametrize("change", MATRIX)
def test_the_server_says_how_it_would_do_it(here: Here, change: str) -> None:
    alter, wanted = MATRIX[change]
    assert here.driver.algorithm("t", alter, {}) == wanted


def test_a_foreign_key_that_the_server_checks_is_a_copy(here: Here) -> None:
    with here.sessions.connect() as db:
        assert accepted(db, "t", FOREIGN_KEY, {}, checked=True) == COPY


def test_what_will_be_there_is_there_in_the_copy(here: Here) -> None:
    """A column of the same release, a column that is required by then, an index that is not there yet."""
    given = {
        "c": "COLUMN c int NULL",
        "email": "COLUMN email varchar(200) NOT NULL",
        "t_c_i": "INDEX t_c_i (c)",
    }
    ask = here.driver.algorithm
    assert ask("t", "MODIFY COLUMN c int NOT NULL", given) == INPLACE
    assert ask("t", "MODIFY COLUMN email varchar(200) NULL", given) == INPLACE
    assert ask("t", "DROP INDEX t_c_i", given) == NOCOPY


def test_nobody_waits_for_the_question(here: Here) -> None:
    """A transaction that holds the table is not in its way."""
    with here.server.connect(here.name) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM t FOR UPDATE")
        assert here.driver.algorithm("t", "ADD COLUMN c int NULL", {}) == INSTANT
        assert here.driver.tables(["t"]).fills_before is True


def test_what_is_refused_however_it_is_asked(here: Here) -> None:
    with pytest.raises(StatementFailed, match="check that it exists"):
        here.driver.algorithm("t", "DROP COLUMN nothing", {})
    assert here_is_as_before(here.server, here.name)


def test_tables_that_a_kill_has_left_are_swept(here: Here) -> None:
    here.server.run("CREATE TABLE changeover_try_4000000000 (a int)", here.name)
    before = here.driver.read().catalogue
    here.driver.algorithm("t", "ADD COLUMN c int NULL", {})
    assert here_is_as_before(here.server, here.name)
    assert here.driver.read().catalogue == before


def test_whether_a_trigger_fills_what_an_insert_leaves_out_is_tried(here: Here) -> None:
    """The same on this server as on a table of one's own."""
    here.server.run("CREATE TABLE tried (a int PRIMARY KEY, b int NOT NULL)", here.name)
    try:
        here.server.run("CREATE TRIGGER tried_i BEFORE INSERT ON tried FOR EACH ROW SET NEW.b = 1", here.name)
        try:
            here.server.run("INSERT INTO tried (a) VALUES (1)", here.name)
            wanted = True
        except pymysql.err.OperationalError:
            wanted = False
        with here.sessions.connect() as db:
            assert fills_before(db) is wanted
    finally:
        here.server.run("DROP TABLE tried", here.name)
