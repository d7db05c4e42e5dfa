"""Another parser (sqlglot) reads what is let through for MySQL and SQL Server: one statement each, which takes nothing away."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

SPECIMENS = Path(__file__).parents[1] / "specimens" / "sql"
PARSED_AS = {"mysql": "mysql", "sqlserver": "tsql"}

# Valid by the servers' grammars (those of MySQL were run on MariaDB 10.11), but not known to that parser.
NOT_READ = {
    "mysql-two_columns_in_parentheses",  # ADD COLUMN (a …, b …)
    "mysql-new_table_partitioned",  # LESS THAN MAXVALUE
    "mysql-trigger_nested_blocks",
    "mysql-procedure",  # IN before a parameter
    "sqlserver-constant_default",  # WITH VALUES
    "sqlserver-default_with_values",
    "sqlserver-index_low_priority",
    "sqlserver-new_table",  # PRIMARY KEY CLUSTERED behind a column
}
BODY = re.compile(r"(CREATE|ALTER)\b.*?\b(TRIGGER|FUNCTION|PROC|PROCEDURE)\b", re.DOTALL)
TAKES = (exp.Drop, exp.Delete, exp.TruncateTable, exp.Update, exp.Merge)


def let_through() -> list[Any]:
    return [
        pytest.param(dialect, case, id=f"{dialect}-{case['id']}")
        for dialect in PARSED_AS
        for case in json.loads((SPECIMENS / f"{dialect}.json").read_text(encoding="utf-8"))["cases"]
        if case["verdict"] in ("OK", "WARN")
    ]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """It logs what it keeps as an opaque command."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def read(dialect: str, sql: str) -> list[exp.Expression | None]:
    return sqlglot.parse(sql, dialect=PARSED_AS[dialect])


@pytest.mark.parametrize(("dialect", "case"), [p for p in let_through() if p.id not in NOT_READ])
def test_one_statement(dialect: str, case: dict[str, Any]) -> None:
    found = read(dialect, case["sql"])
    assert found[0] is not None
    if BODY.match(case["sql"]):
        return  # that parser ends it at the first semicolon of its body
    assert len(found) == 1
    if case["phase"] == "expand" and not isinstance(found[0], exp.Create | exp.Command):
        assert not list(found[0].find_all(*TAKES))


@pytest.mark.parametrize(("dialect", "case"), [p for p in let_through() if p.id in NOT_READ])
def test_the_exceptions_are_still_needed(dialect: str, case: dict[str, Any]) -> None:
    with pytest.raises(SqlglotError):
        read(dialect, case["sql"])
