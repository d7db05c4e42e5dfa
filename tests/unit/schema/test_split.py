"""Where statements begin and end."""

from __future__ import annotations

import sqlite3

import pytest

from changeover.schema.dialects import dialect_of
from changeover.schema.problems import ProblemError
from changeover.schema.split import split


def pieces(text: str, dialect: str = "postgresql") -> list[tuple[int, str]]:
    return [(p.line, p.sql) for p in split(text, dialect_of(dialect))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b", [(1, "a"), (1, "b")]),
        ("\n a ;\n\n;; b\n;", [(2, "a"), (4, "b")]),
        ("a ';' b;", [(1, "a ';' b")]),
        ("a 'it''s;' b;", [(1, "a 'it''s;' b")]),
        ("E'\\';' ; b", [(1, "E'\\';'"), (1, "b")]),
        ('a ";" ; b', [(1, 'a ";"'), (1, "b")]),
        ('a "x"";" ; b', [(1, 'a "x"";"'), (1, "b")]),
        ("a /* ; /* ; */ ; */ b;", [(1, "a /* ; /* ; */ ; */ b")]),
        ("-- ;\na -- ;\n;", [(2, "a")]),
        ("a $$ ; $x$ $$ ; b", [(1, "a $$ ; $x$ $$"), (1, "b")]),
        ("a $x$ ; $$ ; $x$ ; b", [(1, "a $x$ ; $$ ; $x$"), (1, "b")]),
        ("a$b$c; d$b$", [(1, "a$b$c"), (1, "d$b$")]),  # a dollar within a name quotes nothing
        ("a (x; y); b", [(1, "a (x; y)"), (1, "b")]),
        ("a\n'x\ny'\n; b", [(1, "a\n'x\ny'"), (4, "b")]),
    ],
)
def test_postgresql(text: str, expected: list[tuple[int, str]]) -> None:
    assert pieces(text) == expected


TRIGGER = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN ';' END; DELETE FROM b; END"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TRIGGER}; b", [(1, TRIGGER), (1, "b")]),
        (f"{TRIGGER.replace('CREATE', 'CREATE TEMP')};", [(1, TRIGGER.replace("CREATE", "CREATE TEMP"))]),
        ("a /* ; /* ; */ b; c", [(1, "a /* ; /* ; */ b"), (1, "c")]),
        ("a [;] `;` ; b", [(1, "a [;] `;`"), (1, "b")]),
        ("a '\\'; b", [(1, "a '\\'"), (1, "b")]),
    ],
)
def test_sqlite(text: str, expected: list[tuple[int, str]]) -> None:
    assert pieces(text, "sqlite") == expected
    for _, sql in expected[:-1]:
        assert sqlite3.complete_statement(sql + ";")


BODY = "BEGIN DECLARE x int; IF x THEN BEGIN SET x = CASE x WHEN 1 THEN 2 END; END; END IF; SET NEW.end = 1; END"


@pytest.mark.parametrize(
    "head", ["TRIGGER t BEFORE UPDATE ON a FOR EACH ROW", "PROCEDURE p()", "FUNCTION f() RETURNS int"]
)
@pytest.mark.parametrize("before", ["", "OR REPLACE ", "DEFINER = `a`@'%' ", "OR REPLACE DEFINER=CURRENT_USER() "])
def test_mysql_bodies(head: str, before: str) -> None:
    sql = f"CREATE {before}{head} {BODY}"
    assert pieces(f"{sql};\nDROP TABLE a;", "mysql") == [(1, sql), (2, "DROP TABLE a")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a # ;\n; b", [(1, "a"), (2, "b")]),
        ("a -- ;\n; b", [(1, "a"), (2, "b")]),
        ("a /* ; /* ; */ b; c", [(1, "a /* ; /* ; */ b"), (1, "c")]),
        ("a `;` \";\" 'x'';'; b", [(1, "a `;` \";\" 'x'';'"), (1, "b")]),
        ("a '\\\\'; b", [(1, "a '\\\\'"), (1, "b")]),  # two backslashes: the text ends
        ("a '\\n'; b", [(1, "a '\\n'"), (1, "b")]),
        ("CREATE TABLE t (begin int, trigger_at int); b", [(1, "CREATE TABLE t (begin int, trigger_at int)"), (1, "b")]),
        ("CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW SET NEW.a = 1; b",
         [(1, "CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW SET NEW.a = 1"), (1, "b")]),
        ("CREATE TABLE t (\n  delimiter varchar(3),\n delimiter2 int)",
         [(1, "CREATE TABLE t (\n  delimiter varchar(3),\n delimiter2 int)")]),
    ],
)  # fmt: skip
def test_mysql(text: str, expected: list[tuple[int, str]]) -> None:
    assert pieces(text, "mysql") == expected


@pytest.mark.parametrize(
    "text",
    ["'", '"', "`", "/*", "/*! x */", "/*M! x */", "/*+ x */", "--x", "'\\'", '"\\"', "``", "delimiter //", "  DELIMITER $$ ", "DELIMITER ;;"],
)  # fmt: skip
def test_mysql_unreadable(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        pieces("ok;\n" + text, "mysql")
    assert caught.value.problem.line == 2


PROC = (
    "PROCEDURE p @a int = 5 AS BEGIN BEGIN TRY SET @a = CASE @a WHEN 1 THEN 2 END; END TRY "
    "BEGIN CATCH BEGIN TRAN; COMMIT; END CATCH; END"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"CREATE {PROC}; b", [(1, f"CREATE {PROC}"), (1, "b")]),
        (f"CREATE OR ALTER {PROC}; b", [(1, f"CREATE OR ALTER {PROC}"), (1, "b")]),
        (f"ALTER {PROC}; b", [(1, f"ALTER {PROC}"), (1, "b")]),
        ("a /* ; /* ; */ ; */ b;", [(1, "a /* ; /* ; */ ; */ b")]),
        ("a [;]]] \";\" N';' ; b", [(1, "a [;]]] \";\" N';'"), (1, "b")]),
        ("a '\\'; b", [(1, "a '\\'"), (1, "b")]),
        ("a --;\n; go to; b go\n; c", [(1, "a"), (2, "go to"), (2, "b go"), (3, "c")]),
    ],
)
def test_sqlserver(text: str, expected: list[tuple[int, str]]) -> None:
    assert pieces(text, "sqlserver") == expected


@pytest.mark.parametrize("text", ["'", '"', "[", "/*", "/* /* */", "[]", "GO", " go -- x", "go 3\nb", "GO\r\n;"])
def test_sqlserver_unreadable(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        pieces("ok;\n" + text, "sqlserver")
    assert caught.value.problem.line == 2


@pytest.mark.parametrize(
    "text", ["'", '"', "/*", "/* /* */", "$$", "$a$ $b$", '""', "\\d", "a\x00", "a\u202eb", "U&'x'", "1a"]
)
def test_unreadable(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        pieces("ok;\n" + text)
    assert caught.value.problem.line == 2
