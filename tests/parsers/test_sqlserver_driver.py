"""The T-SQL of the SQL Server driver, word by word, and read by two parsers that are not ours.

The specimen is what a reviewer who knows SQL Server reads. After a change: `python -m tests.fixtures.tsql_statements`.
"""

from __future__ import annotations

import pytest
from tests.fixtures.sqlserver_database import STATEMENTS
from tests.fixtures.tsql_parsers import sqlfluff_says, sqlglot_reads
from tests.fixtures.tsql_statements import SPECIMEN, statements, written

ALL = statements()
NOT_READ = {  # what sqlglot has no grammar for; nothing else may be on this list
    "session/settings",
    "claim/end one",
    "logins/end one",
    "logins/DISABLE",
    "logins/ENABLE",
    "logins/DISABLE, contained",
    "logins/ENABLE, contained",
    "backup/in snapshot",
    "backup/take",
    "backup/verify",
    "scratch/restore",
    "scratch/alone",
    "doctor/grants",
    "by hand/apply",
    "by hand/complete",
    "by hand/apply, a trigger",
    "by hand/apply, a block",
    "by hand/backfill, by keys",
    "by hand/unkeep",
    "by hand/backup",
}


NOT_READ_BY_SQLFLUFF = {  # KILL, BACKUP, RESTORE VERIFYONLY, RESTORE with options, ALTER LOGIN, a column called definition, `]]` in a name
    *("claim/end one", "logins/end one", "logins/DISABLE", "logins/ENABLE"),
    *("backup/take", "backup/verify", "by hand/backup", "scratch/restore", "sums/table"),
    *("catalogue/check", "catalogue/computed column", "catalogue/default", "catalogue/module"),
    *("catalogue/trigger", "catalogue/trigger of the database", "tables/checks", "tables/columns", "tables/defaults"),
}


def test_every_statement_is_as_it_was_reviewed() -> None:
    assert written() == SPECIMEN.read_text(), "read what changed, then: python -m tests.fixtures.tsql_statements"


@pytest.mark.parametrize("name", sorted(ALL.keys() - NOT_READ))
def test_another_parser_reads_it(name: str) -> None:
    assert sqlglot_reads(ALL[name])


@pytest.mark.parametrize("name", sorted(NOT_READ & ALL.keys()))
def test_what_the_parser_does_not_read_is_named(name: str) -> None:
    kinds = (
        "SET ",
        "KILL",
        "ALTER LOGIN",
        "DENY",
        "REVOKE",
        "BACKUP",
        "RESTORE",
        "SINGLE_USER",
        "GRANT",
        "BEGIN TRY",
        "UPDATE TOP",
    )
    assert any(kind in ALL[name] for kind in kinds)
    assert sqlglot_reads(ALL[name]) is (name in ("claim/end one", "logins/end one"))  # KILL it takes for a column


@pytest.mark.parametrize("name", sorted(ALL.keys() - NOT_READ_BY_SQLFLUFF))
def test_a_third_parser_reads_it(name: str) -> None:
    assert sqlfluff_says(ALL[name]) == ()


@pytest.mark.parametrize("name", sorted(NOT_READ_BY_SQLFLUFF))
def test_what_the_third_parser_does_not_read_is_named(name: str) -> None:
    assert sqlfluff_says(ALL[name])


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_the_statements_of_the_tests_are_tsql(name: str) -> None:
    assert sqlglot_reads(STATEMENTS[name].sql)


def test_nothing_is_made_outside_dbo() -> None:
    for name, sql in ALL.items():
        if "changeover_" in sql and not name.startswith(("scratch/", "backup/", "catalogue/", "backfill/")):
            for table in ("changeover_claim", "changeover_applied", "changeover_state"):
                assert sql.count(table) == sql.count(f"dbo.{table}"), name
