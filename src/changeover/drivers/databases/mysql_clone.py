"""What the server would do, tried on empty tables of changeover's own: the lock of an ALTER, and when triggers fill.

Nobody waits for these tables. A copy made with LIKE is without foreign keys and triggers, and a refusal that depends on rows can
still come later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from changeover.drivers.databases.mysql_errors import number_of
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_session import Connection

_TRIED = "changeover_try_"
_MARIADB = (
    "ALGORITHM=INSTANT", "ALGORITHM=NOCOPY, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=NONE", "ALGORITHM=INPLACE, LOCK=SHARED",
    "ALGORITHM=COPY, LOCK=SHARED", "ALGORITHM=COPY, LOCK=EXCLUSIVE",
)  # fmt: skip
_MYSQL = tuple(way for way in _MARIADB if "NOCOPY" not in way)
_NOT_THIS_WAY = (1845, 1846)  # ALTER_OPERATION_NOT_SUPPORTED, with and without a reason
_NO_VALUE = 1364  # the column has no default, and no trigger is asked before that is said
_STRICT = "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES')"
_LEFT = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'changeover\\_try\\_%%' "
    "AND CAST(SUBSTR(table_name, %s) AS UNSIGNED) NOT IN (SELECT id FROM information_schema.processlist)"
)


def accepted(db: Connection, table: str, alter: str, given: Mapping[str, str], *, checked: bool = False) -> str:
    """The ALGORITHM and LOCK that the server accepts first for ALTER TABLE `table` `alter`, as ALTER TABLE wants them.

    `given`: name -> `COLUMN …` or `INDEX …` as it is by then, whatever it is now. `checked`: with foreign_key_checks on.
    Raises pymysql.err.Error for what is refused however it is asked.
    """
    with _tried(db, f"LIKE {quoted(table)}") as copy:
        db.execute(_STRICT)  # as it will be run: a NULL that becomes '' is no change in place
        changes = list(_changes(db, copy, given))
        if changes:
            db.execute(f"ALTER TABLE {copy} {', '.join(changes)}")
        db.execute(f"SET SESSION foreign_key_checks = {int(checked)}")
        return _first_accepted(db, f"ALTER TABLE {copy} {alter}")


def _changes(db: Connection, copy: str, given: Mapping[str, str]) -> Iterator[str]:
    """What makes the copy as the table is by then."""
    columns = {str(row[0]).lower() for row in db.execute(f"SHOW COLUMNS FROM {copy}")}
    indexes = {str(row[2]).lower() for row in db.execute(f"SHOW INDEX FROM {copy}")}
    for name, how in given.items():
        if how.startswith("COLUMN "):
            yield f"{'MODIFY' if name.lower() in columns else 'ADD'} {how}"
        elif name.lower() not in indexes:
            yield f"ADD {how}"


def _first_accepted(db: Connection, sql: str) -> str:
    """Each way in turn, the best first. Raises pymysql.err.Error."""
    ways = _MARIADB if db.product.mariadb else _MYSQL
    for way in ways:
        try:
            db.execute(f"{sql}, {way}")
        except pymysql.err.Error as error:
            if number_of(error) not in _NOT_THIS_WAY or way == ways[-1]:
                raise
        else:
            return way
    raise AssertionError("the last way returns or raises")


def fills_before(db: Connection) -> bool:
    """Whether a trigger fills a required column that an INSERT leaves out; servers differ in this."""
    with _tried(db, "(a int NOT NULL PRIMARY KEY, b int NOT NULL) ENGINE=InnoDB") as table:
        db.execute(_STRICT)
        trigger = quoted(f"{_TRIED}{db.id}")
        db.execute(f"CREATE TRIGGER {trigger} BEFORE INSERT ON {table} FOR EACH ROW SET NEW.b = 7")
        try:
            db.execute(f"INSERT INTO {table} (a) VALUES (1)")
        except pymysql.err.Error as error:
            if number_of(error) != _NO_VALUE:
                raise
            return False
        return bool(db.execute(f"SELECT b = 7 FROM {table}")[0][0])


@contextmanager
def _tried(db: Connection, made: str) -> Iterator[str]:
    """An empty table named after the session; those of sessions that are gone are swept. The session's settings stay changed."""
    for (left,) in db.execute(_LEFT, (len(_TRIED) + 1,)):
        db.execute(f"DROP TABLE IF EXISTS {quoted(str(left))}")
    name = quoted(f"{_TRIED}{db.id}")
    db.execute(f"DROP TABLE IF EXISTS {name}")
    db.execute(f"CREATE TABLE {name} {made}")
    try:
        yield name
    finally:
        if db.open:
            db.execute(f"DROP TABLE IF EXISTS {name}")
