"""What operations compile to on SQL Server, read by two parsers that are not ours: sqlfluff all of it, sqlglot what it has a grammar for.

Neither is SQL Server's own: they know no catalogue, and take some T-SQL that SQL Server would not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.fixtures.operations.case import Case
from tests.fixtures.operations.sqlserver import CASES
from tests.fixtures.operations.tsql_specimens import EDITIONS, batches, compiled_on
from tests.fixtures.tsql_parsers import sqlfluff_says, sqlglot_reads

UNREAD_BY_SQLGLOT = (  # it keeps these as they are, or raises; nothing else may be on this list
    r"CREATE TRIGGER .*",  # a body with DECLARE, IF and UPDATE()
    r"CREATE SYNONYM .*",
    r"DROP SYNONYM .*",
    r"CREATE (UNIQUE )?INDEX .* WHERE .* WITH \(ONLINE = ON\)",  # a filter and options
    r"ALTER TABLE \S+ WITH (NO)?CHECK ADD CONSTRAINT .*",
    r"ALTER TABLE \S+ WITH CHECK CHECK CONSTRAINT \S+",
    r"ALTER TABLE \S+ ADD CONSTRAINT \S+ DEFAULT .* FOR .*",
)


def texts(case: Case) -> set[str]:
    """Every batch of a case, in every edition."""
    return {batch for edition in EDITIONS for _, batch in batches(*compiled_on(case, edition))}


def listed(sql: str) -> bool:
    return any(re.fullmatch(pattern, sql, re.DOTALL) for pattern in UNREAD_BY_SQLGLOT)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.title)
def test_sqlfluff_reads_every_batch(case: Case) -> None:
    for batch in texts(case):
        assert sqlfluff_says(batch) == (), batch


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.title)
def test_sqlglot_reads_every_batch_that_is_not_listed(case: Case) -> None:
    for batch in texts(case):
        assert sqlglot_reads(batch) or listed(batch), batch


def test_nothing_is_listed_that_sqlglot_reads() -> None:
    """An entry that is not needed any more goes."""
    unread = {batch for case in CASES for batch in texts(case) if not sqlglot_reads(batch)}
    for pattern in UNREAD_BY_SQLGLOT:
        assert any(re.fullmatch(pattern, batch, re.DOTALL) for batch in unread), pattern


@pytest.mark.parametrize(
    "broken",
    (
        "ALTER TABLE dbo.users ADD full_name varchar(200) NULL NULL,;",
        "CREATE UNIQUE INDEX users_i ON dbo.users WHERE email IS NOT NULL (email);",
        "CREATE TRIGGER dbo.t ON dbo.users AFTER INSERT AS BEGIN UPDATE dbo.users SET a = ; END;",
    ),
)
def test_sqlfluff_does_not_read_everything(broken: str) -> None:
    """A parser that takes anything would show nothing."""
    assert sqlfluff_says(broken)


def test_the_bodies_of_triggers_are_read_by_sqlglot_part_by_part() -> None:
    """The UPDATE statements inside, which are what a trigger is for."""
    seen = 0
    for case in CASES:
        for batch in texts(case):
            if batch.startswith("CREATE TRIGGER"):
                for update in _updates(batch):
                    assert sqlglot_reads(update), update
                    seen += 1
    assert seen


def _updates(trigger: str) -> Iterator[str]:
    yield from re.findall(r"^  UPDATE NEW SET .*?;$", trigger, re.DOTALL | re.MULTILINE)
