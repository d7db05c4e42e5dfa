"""docs/reference/sql.md says what the classifier does, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.fixtures.each import each

from changeover.core.errors import ChangeoverError
from changeover.core.model import Phase, Statement
from changeover.schema.classify import classify
from changeover.schema.dialects import KNOWN

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "sql.md"
ROW = re.compile(r"\| `([^`]+)` \| (\w+) \| (\w+) \| ([\w, –]+) \|")
HEADS = {
    "## PostgreSQL": "postgresql",
    "## SQLite": "sqlite",
    "## MariaDB and MySQL": "mysql",
    "## SQL Server": "sqlserver",
}
WORDS = {"CO-0104": "refused", "CO-0103": "unknown", "OK": "allowed", "WARN": "acknowledge"}


def rows() -> list[tuple[str, str, str, str, str]]:
    found = []
    dialect = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            dialect = HEADS.get(line, "")
        elif dialect and (row := ROW.match(line)):
            found.append((dialect, *row.groups()))
    return found


def word(sql: str, phase: Phase, dialect: str) -> tuple[str, str]:
    try:
        found = classify(sql, phase, dialect)
    except ChangeoverError as error:
        return WORDS[error.code], ""
    assert isinstance(found, Statement)
    return WORDS[found.verdict], found.lock + (", alone" if found.alone else "")


def test_there_are_rows() -> None:
    assert {r[0] for r in rows()} == set(KNOWN)
    assert len(rows()) > 160


@pytest.mark.parametrize("dialect", KNOWN)
def test_rows(dialect: str) -> None:
    each((r for r in rows() if r[0] == dialect), lambda row: row[1], judge)


def judge(row: tuple[str, str, str, str, str]) -> None:
    dialect, sql, expand, contract, lock = row
    first, second = word(sql, Phase.EXPAND, dialect), word(sql, Phase.CONTRACT, dialect)
    assert (first[0], second[0]) == (expand, contract)
    assert (first[1] or second[1] or "–") == lock
