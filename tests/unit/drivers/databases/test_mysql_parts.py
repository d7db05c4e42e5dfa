"""The parts of the MariaDB and MySQL driver that need no server."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pymysql
import pytest

from changeover.core.errors import (
    DatabaseDenied,
    DatabaseUnreachable,
    ExtraMissing,
    StatementFailed,
    ToolMissing,
    Where,
)
from changeover.core.model import BackfillStatement, Phase, Statement
from changeover.drivers.databases.compare import Sum
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.mysql_address import address_of, other
from changeover.drivers.databases.mysql_apply import is_about_rows
from changeover.drivers.databases.mysql_blocker import described
from changeover.drivers.databases.mysql_by_hand import backfill
from changeover.drivers.databases.mysql_dump import dump_command, has_begun, restorable, restore_command
from changeover.drivers.databases.mysql_errors import Doing, is_busy, is_lost, lost_reply, translate
from changeover.drivers.databases.mysql_lock import NamedLock
from changeover.drivers.databases.mysql_privileges import Needs, Privileges
from changeover.drivers.databases.mysql_probe import parts_of
from changeover.drivers.databases.mysql_session import Product, Sessions, whole_seconds
from changeover.drivers.databases.mysql_shell import delimited, there
from changeover.drivers.databases.mysql_snapshot import Seen
from changeover.drivers.databases.mysql_tools import DUMPS, Tools, address_words, product_in, secret
from changeover.drivers.databases.mysql_types import same_type

URL = "mysql://shop:s3cr%40t@db.example:3307/shop?ssl_ca=/etc/ca.pem&ssl_verify_identity=true"
SESSIONS = Sessions(lambda: URL, "production")
DOING = Doing("+ column orders.a", (Where("1.1.0.expand.sql", 3),))
MARIADB, MYSQL = Product(mariadb=True, version=(10, 11, 19)), Product(mariadb=False, version=(8, 0, 36))


def test_without_the_library_its_extra_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("pymysql", "changeover.drivers.databases.mysql"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ExtraMissing, match="PyMySQL") as missing:
        importlib.import_module("changeover.drivers.databases.mysql")
    assert "changeover[mysql]" in missing.value.next[0]


# addresses ---------------------------------------------------------------------------------------------------


def test_the_parts_of_a_url():
    found = address_of("mariadb+pymysql://sh%2Fop:a%3Ab%40@[::1]/sh%20op?charset=utf8mb4&unix_socket=/run/s%20x")
    assert (found.user, found.password, found.host, found.port) == ("sh/op", "a:b@", "::1", 3306)
    assert (found.database, found.socket) == ("sh op", "/run/s x")
    assert address_of("mysql:///shop").host == "127.0.0.1"


@pytest.mark.parametrize("said", ["0", "false", "no", "off"])
def test_a_flag_can_be_off(said):
    assert address_of(f"mysql://h/d?ssl_verify_cert={said}").flag("ssl_verify_cert") is False
    assert address_of("mysql://h/d").flag("ssl_verify_cert") is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@h/d",
        "mysql://u:hunter2@h",
        "mysql://u:hunter2@h/a/b",
        "mysql://u:hunter2@h:port/d",
        "mysql://u:hunter2@h/d?hunter2=1&odd=2",
        "hunter2",
    ],
)
def test_a_url_that_cannot_be_used_is_not_shown(url):
    with pytest.raises(DatabaseUnreachable) as failed:
        address_of(url)
    assert "hunter2" not in str(failed.value)
    assert failed.value.__context__ is None or failed.value.__suppress_context__


def test_another_database_on_the_same_server():
    assert other(URL, "scr/atch") == URL.replace("/shop?", "/scr%2Fatch?")
    assert address_of(other(URL, "scr/atch")).database == "scr/atch"


def test_the_password_is_not_in_the_arguments():
    address = address_of(URL)
    for mariadb in (True, False):
        words = [
            *dump_command("mariadb-dump", address, "x.sql", mariadb=mariadb),
            *restore_command("mariadb", address, mariadb=mariadb, unlogged=True),
        ]
        assert "s3cr" not in " ".join(words)
        assert "--single-transaction" in words
        assert words[1] == "--no-defaults"
        assert words[-1] == "shop"
    assert secret(address) == {"MYSQL_PWD": "s3cr@t"}
    assert secret(address_of("mysql://h/d")) == {}


def test_a_server_as_arguments():
    assert "--ssl-verify-server-cert" in address_words(address_of(URL), mariadb=True)
    assert "--ssl-mode=VERIFY_IDENTITY" in address_words(address_of(URL), mariadb=False)
    assert "--protocol=tcp" in address_words(address_of("mysql://localhost/d"), mariadb=True)
    assert "--socket=/run/s" in address_words(address_of("mysql:///d?unix_socket=/run/s"), mariadb=True)


def test_passwords_are_redacted_as_written_and_as_encoded():
    assert SESSIONS.redact("s3cr@t and s3cr%40t") == "*** and ***"
    assert Sessions(lambda: "mysql://h/d", "x").redact("nothing") == "nothing"


# names -------------------------------------------------------------------------------------------------------


def test_sessions_are_named_after_environment_and_fence():
    assert SESSIONS.name(7) == "changeover/production/7"
    assert SESSIONS.name(None) == "changeover/production"
    assert Sessions(lambda: URL, "größe").name(1).isascii()


def test_locks_differ_by_database_environment_store_and_fence():
    one, owner = NamedLock("shop", "production"), Owner("production", "store-a", 7)
    names = {one.name, one.first_come, NamedLock("shop", "staging").name, NamedLock("other", "production").name}
    names |= {one.of(owner), one.of(Owner("production", "store-b", 7)), one.of(Owner("production", "store-a", 8))}
    assert len(names) == 7
    assert all(len(n) <= 64 for n in (*names, one.of(Owner("production", "x", 10**18))))
    assert NamedLock("shop", "staging").first_come == one.first_come


@pytest.mark.parametrize(
    ("said", "product"),
    [
        ("10.11.19-MariaDB-0+deb12u1", MARIADB),
        ("5.5.5-10.11.19-MariaDB-log", MARIADB),
        ("8.0.36-0ubuntu0.22.04.1", MYSQL),
        ("8.0.36", MYSQL),
        ("odd", Product(mariadb=False, version=())),
    ],
)
def test_products_from_their_version(said, product):
    assert Product.of(said) == product


@pytest.mark.parametrize(
    ("told", "product"),
    [
        ("mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)", MARIADB),
        ("mariadb-dump from 10.11.19-MariaDB, client 10.19 for Linux (x86_64)", MARIADB),
        ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", MYSQL),
        ("nothing", Product(mariadb=False, version=())),
    ],
)
def test_products_from_their_programs(told, product):
    assert product_in(told) == product


@pytest.mark.parametrize(("seconds", "whole"), [(0.1, 1), (0, 1), (1, 1), (1.2, 2), (5, 5)])
def test_a_timeout_is_whole_seconds_and_never_none(seconds, whole):
    assert whole_seconds(seconds) == whole


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("orders", ("orders",)),
        ("shop.orders", ("shop", "orders")),
        ("`odd.name`", ("odd.name",)),
        ("`sh``op`.orders", ("sh`op", "orders")),
        ("", ()),
    ],
)
def test_names_have_parts(name, parts):
    assert parts_of(name) == parts


# types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("integer", "int(11)"),
        ("int", "int(11)"),
        ("bigint unsigned", "bigint(20) unsigned"),
        ("boolean", "tinyint(1)"),
        ("numeric(10)", "decimal(10,0)"),
        ("decimal(10, 2) unsigned", "decimal(10,2) unsigned"),
        ("dec", "decimal(10,0)"),
        ("double precision", "double"),
        ("character varying(20)", "varchar(20)"),
        ("VARCHAR ( 20 )", "varchar(20)"),
        ("char", "char(1)"),
        ("datetime(0)", "datetime"),
        ("json", "longtext"),
        ("enum('a b', 'C')", "enum('a b','C')"),
        ("enum('it''s',',')", "enum('it''s',',')"),
        ("int zerofill", "int(10) unsigned zerofill"),
        ("year", "year(4)"),
    ],
)
def test_the_same_type(one, other):
    assert same_type(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int", "bigint(20)"),
        ("int", "int(10) unsigned"),
        ("varchar(20)", "varchar(30)"),
        ("decimal(10,2)", "decimal(10,3)"),
        ("datetime(6)", "datetime"),
        ("enum('a')", "enum('A')"),
        ("enum('a b')", "enum('a  b')"),
        ("text", "varchar(20)"),
        ("binary", "binary(2)"),
    ],
)
def test_another_type(one, other):
    assert not same_type(one, other)


# errors ------------------------------------------------------------------------------------------------------


def error(number, text="x", kind=pymysql.err.OperationalError):
    return kind(number, text)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1142, DatabaseDenied),
        (1227, DatabaseDenied),
        (1419, DatabaseDenied),
        (1290, DatabaseUnreachable),
        (1045, DatabaseUnreachable),
        (1049, DatabaseUnreachable),
        (2003, DatabaseUnreachable),
        (2013, DatabaseUnreachable),
        (1927, DatabaseUnreachable),
        (4151, DatabaseUnreachable),
        (1060, StatementFailed),
        (1969, StatementFailed),
        (0, StatementFailed),
    ],
)
def test_errors_have_their_class(number, kind):
    found = translate(error(number), SESSIONS, DOING)
    assert type(found) is kind
    assert DOING.title in found.what
    assert found.now
    assert found.next
    if kind is StatementFailed:
        assert str(number) in found.what
        assert found.where == DOING.where


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Duplicate entry 'ann@geheim' for key 'people_email'", "Duplicate entry '…' for key 'people_email'"),
        ("Duplicate entry 'geheim' for key 'x' for key 'e'", "Duplicate entry '…' for key 'e'"),
        (
            "Incorrect integer value: 'geheim' for column `s`.`t`.`c` at row 3",
            "Incorrect integer value: '…' for column `s`.`t`.`c` at row 3",
        ),
        ("Truncated incorrect INTEGER value: 'it's geheim'", "Truncated incorrect INTEGER value: '…'"),
        ("Data too long for column 'name' at row 1", "Data too long for column 'name' at row 1"),
        ("no s3cr@t\n   here", "no *** here"),
    ],
)
def test_messages_are_one_line_without_values_and_secrets(text, told):
    assert translate(error(1062, text), SESSIONS, DOING).what == f"{DOING.title}: {told} (error 1062)"


def test_an_unknown_fate_is_told_as_one():
    assert "not known" in translate(error(2013), SESSIONS, lost_reply(DOING)).now
    assert translate(error(2013), SESSIONS, DOING).now == "Nothing was changed."


def test_which_errors_may_be_tried_again():
    for number in (1205, 1213, 3058, 3572):
        assert is_busy(error(number))
        assert not is_lost(error(number))
    for lost in (error(2006), error(2013), error(1927), error(1053), pymysql.err.InterfaceError(0, "")):
        assert is_lost(lost)
        assert not is_busy(lost)
    for number in (1062, 1969, 1317):
        assert not is_lost(error(number))
        assert not is_busy(error(number))


# blockers ----------------------------------------------------------------------------------------------------


def test_a_blocker_in_words():
    row = (7, "shop", "10.0.0.5:4711", "Sleep", 1, 300, None)
    assert described(row) == "session 7 (shop, from 10.0.0.5), idle in transaction for 5 min"
    row = (7, "shop", "localhost", "Query", 0, None, "SELECT *\n FROM orders")
    assert described(row) == "session 7 (shop, from localhost), query: SELECT * FROM orders"
    assert described((7, None, "", None, None, None, None)) == "session 7 (unknown user), state unknown"


@pytest.mark.parametrize(
    "query", ["UPDATE u SET p = 'geheim'", "SELECT 'geheim", 'SELECT "geheim"', "SELECT 'it''s geheim'"]
)
def test_values_of_a_blockers_query_are_masked(query):
    assert "geheim" not in described((7, "u", "", "Query", 1, 1, query))


# statements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("INSERT INTO t VALUES (1)", True),
        ("  update t SET a = 1", True),
        ("DELETE FROM t", True),
        ("REPLACE INTO t VALUES (1)", True),
        ("INSERTED", False),
        ("CREATE TABLE t AS SELECT 1", False),
        ("/* odd */ DELETE FROM t", False),
        ("TRUNCATE TABLE t", False),
    ],
)
def test_what_a_transaction_can_hold(sql, rows):
    assert is_about_rows(Statement(sql, "f", 1, Phase.EXPAND, "t")) is rows


# privileges --------------------------------------------------------------------------------------------------

GRANTS = (
    "GRANT PROCESS, RELOAD ON *.* TO `co`@`%` IDENTIFIED BY PASSWORD '*1'",
    "GRANT ALL PRIVILEGES ON `changeover\\_scratch\\_%`.* TO `co`@`%`",
    "GRANT SELECT, CREATE VIEW ON `sho_`.* TO `co`@`%`",
    "GRANT SELECT (user) ON `mysql`.`user` TO `co`@`%`",
    "GRANT SELECT ON `mysql`.`proc` TO `co`@`%`",
    "GRANT `role` TO `co`@`%`",
)


def test_what_a_login_may():
    may = Privileges.of("co@%", GRANTS)
    assert may.may("PROCESS")
    assert may.may("PROCESS", "shop")
    assert may.may("SELECT", "shop")
    assert may.may("CREATE VIEW", "shop")
    assert may.may("DROP", "changeover_scratch_1")
    assert may.may("SELECT", "mysql", "proc")
    for privilege, database in (
        ("DROP", "shop"),
        ("SELECT", "store"),
        ("DROP", "changeoverXscratch_1"),
        ("SELECT", ""),
    ):
        assert not may.may(privilege, database)
    assert not may.may("SELECT", "mysql", "user")
    assert Privileges.of("root@h", ["GRANT ALL PRIVILEGES ON *.* TO `root`@`h` WITH GRANT OPTION"]).may("CREATE USER")
    assert Privileges.of("s@h", ["GRANT SUPER ON *.* TO `s`@`h`"]).may("CONNECTION ADMIN")


@pytest.mark.parametrize("product", [MARIADB, MYSQL])
def test_the_grants_that_are_printed_are_what_is_looked_for(product):
    needs = Needs("my_shop", scratch=True, dumps=True, logins=True)
    lines = list(needs.grants(Privileges("c'o@10.%", ()), product))
    assert all(line.endswith("TO 'c''o'@'10.%';") for line in lines)
    may = Privileges.of("c'o@10.%", (line.replace(" TO ", " TO ", 1) for line in lines))
    assert may.may("TRIGGER", "my_shop")
    assert not may.may("TRIGGER", "myxshop")
    assert may.may("CREATE", "changeover_scratch_1")
    assert all(may.may(p) for p in needs.everywhere(product))


# dumps -------------------------------------------------------------------------------------------------------


def test_definers_are_left_out_and_rows_are_not_touched(tmp_path):
    dump = tmp_path / "x.sql"
    dump.write_bytes(
        b"/*!50003 CREATE*/ /*!50017 DEFINER=`r``t`@`%`*/ /*!50003 TRIGGER zz BEFORE INSERT */\n"
        b"/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */\n"
        b"CREATE DEFINER=`role` FUNCTION f() RETURNS int RETURN 1 ;;\n"
        b"INSERT INTO t VALUES ('CREATE DEFINER=`a`@`b` '),\n"
        b"('\xff /*!50017 DEFINER=`a`@`b`*/');\n"
    )
    assert b"".join(restorable(dump)) == (
        b"/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER zz BEFORE INSERT */\n"
        b"/*!50013  SQL SECURITY DEFINER */\n"
        b"CREATE  FUNCTION f() RETURNS int RETURN 1 ;;\n"
        b"INSERT INTO t VALUES ('CREATE DEFINER=`a`@`b` '),\n"
        b"('\xff /*!50017 DEFINER=`a`@`b`*/');\n"
    )


def test_a_dump_has_begun_with_its_first_object(tmp_path):
    part = tmp_path / "x.sql.part"
    assert not has_begun(part)
    part.write_text("-- MariaDB dump 10.19\n--\n-- Host: localhost\n/*!40101 SET NAMES utf8mb4 */;\n")
    assert not has_begun(part)
    part.write_text("-- MariaDB dump 10.19\n\n--\n-- Table structure for table `orders`\n--\n")
    assert has_begun(part)


A, B, C = Sum(1, 1), Sum(2, 2), Sum(3, 3)


@pytest.mark.parametrize(
    ("seen", "restored", "proved", "wrong"),
    [
        (Seen({"t": A}), {"t": A}, True, 0),
        (Seen({"t": A}), {"t": B}, False, 1),
        (Seen({"t": A}), {}, False, 1),
        (Seen({"t": A}, {"t": A}), {"t": A}, True, 0),
        (Seen({"t": A, "u": A}, {"t": B, "u": A}), {"t": A, "u": A}, True, 0),  # the state before
        (Seen({"t": A, "u": A}, {"t": B, "u": A}), {"t": B, "u": A}, True, 0),  # the state after
        (Seen({"t": A, "u": A}, {"t": B, "u": A}), {"t": C, "u": A}, False, 0),  # one in between: not compared
        (Seen({"t": A, "u": A}, {"t": B, "u": A}), {"t": C, "u": B}, False, 1),  # u did not move, and is wrong
        (Seen({"t": A, "u": A}, {"t": B, "u": B}), {"t": A, "u": B}, False, 0),  # each was so, but when?
        (Seen({"t": A}, moving=frozenset("t")), {"t": B}, False, 0),  # no snapshot holds it still
        (Seen({"t": A}, {"t": A}), {"t": A, "u": A}, False, 1),
    ],
)
def test_what_is_proved_and_what_is_wrong(seen, restored, proved, wrong):
    found, differences = seen.judge(restored)
    assert (found, len(differences)) == (proved, wrong)


UNREADABLE = Path("/" + "x" * 300)  # to look into it is an error, as in another user's folder on the PATH


def test_a_program_that_is_nowhere_is_named(tmp_path):
    (tmp_path / "mysqldump").write_text("not executable")
    with pytest.raises(ToolMissing, match="none was found") as missing:
        Tools((tmp_path, tmp_path / "nowhere", UNREADABLE)).find(DUMPS, MYSQL)
    assert "MySQL 8" in missing.value.next[0]


# by hand -----------------------------------------------------------------------------------------------------


def test_a_statement_with_semicolons_gets_a_delimiter_that_is_not_in_it():
    assert delimited("SELECT 1;") == ("SELECT 1\n;",)
    body = "CREATE TRIGGER t BEFORE INSERT ON o FOR EACH ROW BEGIN SET @a = '//'; END"
    assert delimited(f"{body};") == ("DELIMITER ///", body, "///", "DELIMITER ;")


def test_an_address_that_is_a_reference_must_not_be_empty():
    assert any("is empty" in line for line in there('"${SHOP_URL:?}"'))
    assert not any("is empty" in line for line in there("mysql://h/d"))


def test_the_markers_of_a_backfill_become_the_shells_own():
    sql = "UPDATE `od'd` SET a = ':lo' WHERE (a IS NULL) AND id > :lo AND id <= :hi"
    text = backfill(BackfillStatement(sql, "f", 1, "`od'd`", "id", "~ x"))
    assert "SET a = ':lo' WHERE (a IS NULL) AND id > \n" in text
    assert text.count("printf '%s\\n' \"$lo\"") == 2
