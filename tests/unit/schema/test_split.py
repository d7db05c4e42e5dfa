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


@pytest.mark.parametrize(
    "text", ["'", '"', "/*", "/* /* */", "$$", "$a$ $b$", '""', "\\d", "a\x00", "a\u202eb", "U&'x'", "1a"]
)
def test_unreadable(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        pieces("ok;\n" + text)
    assert caught.value.problem.line == 2
