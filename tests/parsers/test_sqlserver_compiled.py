"""Operations on SQL Server, without one: every operation compiles to the T-SQL that was reviewed, or is refused with its reason."""

from __future__ import annotations

import re

import pytest
from tests.fixtures.operations.case import Case, Refused
from tests.fixtures.operations.sqlserver import CASES, REFUSED
from tests.fixtures.operations.tsql_catalogue import ENTERPRISE, STANDARD
from tests.fixtures.operations.tsql_specimens import EDITIONS, FOLDER, batches, compiled_on, specimens

from changeover.core.catalogue import Table
from changeover.core.errors import WouldBreak
from changeover.core.model import ChangeSet, Lock, Phase, Statement, Verdict
from changeover.drivers.databases import sqlserver_probes as probes
from changeover.schema.engines.sqlserver_editions import builds_online
from changeover.schema.engines.sqlserver_questions import outputs
from changeover.schema.operations import OPERATIONS

EACH = [pytest.param(c, e, id=f"{c.title}-{e}") for c in CASES for e in EDITIONS]
KNOWN = {"table", "synonym", "column", "not_null", "constraint", "trigger", "index", "valid"}
WITHOUT_PROBE = {"set_default-named", "sql"}
"""A default under the name that it has is set again and again to the same; plain SQL has the ledger only."""


def every(changes: ChangeSet) -> list[Statement]:
    return [s for phase in Phase if phase is not Phase.BACKFILL for s in changes.statements(phase)]


def test_every_operation_compiles_or_is_refused() -> None:
    assert {c.kind for c in (*CASES, *REFUSED)} == set(OPERATIONS)
    titles = [c.title for c in (*CASES, *REFUSED)]
    assert len(titles) == len(set(titles))


def test_the_tsql_is_what_was_reviewed() -> None:
    """Read what is different, then: python -m tests.fixtures.operations.tsql_specimens."""
    written = specimens()
    assert written.keys() == {f.name for f in FOLDER.glob("*.sql")}
    for name, text in written.items():
        assert text == (FOLDER / name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("case", REFUSED, ids=lambda r: r.title)
def test_refused(case: Refused) -> None:
    with pytest.raises(WouldBreak) as failed:
        compiled_on(case)
    told = "\n".join((failed.value.what, *failed.value.next))
    for words in case.says:
        assert words in told
    assert "Nothing was changed" in failed.value.now


@pytest.mark.parametrize(("case", "edition"), EACH)
def test_what_holds_for_every_statement(case: Case, edition: int) -> None:
    made, catalogue = compiled_on(case, edition)
    for _, batch in batches(made, catalogue):
        assert not re.search(r"(?im)^\s*GO\s*$", batch)
        assert "ONLINE" not in batch or edition == ENTERPRISE
        if re.search(r"\bCREATE\s+TRIGGER\b", batch):  # the only statement of its batch
            assert batch.startswith("CREATE TRIGGER")
    for statement in every(made.changes):
        assert statement.probe is not None or case.title in WITHOUT_PROBE
        assert statement.probe is None or statement.probe.what in KNOWN
        assert statement.verdict is Verdict.WARN or not statement.reason or statement.phase is Phase.UNDO
        grows = statement.lock in (Lock.SCAN, Lock.REWRITE) and statement.phase is not Phase.UNDO
        assert statement.verdict is Verdict.WARN or not grows, "what grows with the rows and blocks is warned of"


@pytest.mark.parametrize(("case", "edition"), EACH)
def test_the_driver_can_see_every_probe(case: Case, edition: int) -> None:
    """Each probe asks the catalogue something, of a table that it names where it has to."""
    asked: list[str] = []

    class Nothing:
        def number(self, sql: str, values: object = None) -> int:
            asked.append(sql)
            return 0

        def one(self, sql: str, values: object = None) -> None:
            asked.append(sql)

    for statement in every(compiled_on(case, edition)[0].changes):
        if statement.probe is not None:
            asked.clear()
            probes.done(Nothing(), statement.probe)  # type: ignore[arg-type]
            assert asked


@pytest.mark.parametrize(("case", "edition"), EACH)
def test_a_trigger_is_asked_for_before_it_is_made_and_before_it_goes(case: Case, edition: int) -> None:
    made, _ = compiled_on(case, edition)
    changes = made.changes
    for sync in changes.sync:
        (outputs, *grants) = sync.guards
        assert "OUTPUT" in outputs.sql
        assert all("sys.database_permissions" in g.sql for g in grants)
        assert {g.sql for g in sync.guards} <= {q.sql for q in made.questions}, "asked before anything is touched, too"
        assert "SET NOCOUNT ON" in sync.sql
        assert "TRIGGER_NESTLEVEL(@@PROCID) > 1" in sync.sql
        assert "UPDATE OF" not in sync.sql
        assert sync.verdict is Verdict.WARN
    dropping = [s for s in changes.contract if any(p.startswith("DROP TRIGGER") for p in s.parts)]
    assert len(dropping) == len(changes.sync)
    for contract in dropping:
        assert "TABLOCKX, HOLDLOCK" in contract.lock_first
        assert ["is_disabled = 0" in g.sql for g in contract.guards] == [True]


@pytest.mark.parametrize(("case", "edition"), EACH)
def test_no_synced_column_has_a_default_before_the_contract(case: Case, edition: int) -> None:
    made, _ = compiled_on(case, edition)
    changes = made.changes
    lines = (line for s in changes.sync for line in s.sql.splitlines() if "SET @changeover_news" in line)
    synced = {column for line in lines for column in re.findall(r"UPDATE\(([^)]+)\)", line)}
    assert bool(synced) is bool(changes.sync)
    for statement in (*changes.expand, *changes.sync, *changes.finalize):
        for part in statement.parts:
            added = re.match(r"ALTER TABLE \S+ ADD (\S+) .*DEFAULT", part)
            assert not (added and added[1] in synced), part


def test_editions() -> None:
    assert builds_online((16, ENTERPRISE))
    assert not builds_online((16, STANDARD))
    assert not builds_online(())


OUTPUTS = (
    "INSERT INTO [users] ([name])\r\nOUTPUT INSERTED.[id]\r\nVALUES (@p0)",
    "(@p0 nvarchar(4000),@p1 int)UPDATE [users] SET [name] = @p0\nOUTPUT 1\nWHERE [id] = @p1",
    "delete from dbo.users output deleted.id where id = 7",
    "MERGE INTO users AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) OUTPUT INSERTED.id;",
    'UPDATE u SET name = 1 OUTPUT inserted.name FROM "users" AS u',
)
OTHERS = (
    "INSERT INTO users (name) OUTPUT INSERTED.id INTO @ids VALUES (1)",
    "INSERT INTO orders (name) OUTPUT INSERTED.id VALUES (1)",
    "INSERT INTO users_old (name) OUTPUT INSERTED.id VALUES (1)",
    "UPDATE users SET output_no = 1",
    "SELECT name FROM users",
)


def found(name: str, statement: str) -> bool:
    """Whether the question meets the statement: its LIKE patterns, as regular expressions."""
    question = outputs(Table(name, ()))
    patterns = re.findall(r"(NOT )?LIKE N'((?:[^']|'')*)'", question.sql)
    assert len(patterns) == 3
    return all(
        bool(re.fullmatch(_regex(p), f" {statement} ", re.DOTALL | re.IGNORECASE)) is not bool(no) for no, p in patterns
    )


def _regex(pattern: str) -> str:
    """T-SQL's LIKE: `%`, `[set]`, `[^set]`; a bracket in a set stands for itself."""
    parts = re.findall(r"\[\^?[^\]]+\]|%|.", pattern, re.DOTALL)
    return "".join(".*" if p == "%" else p.replace("[[]", r"\[") if p.startswith("[") else re.escape(p) for p in parts)


@pytest.mark.parametrize("statement", OUTPUTS)
def test_a_statement_with_output_is_found(statement: str) -> None:
    assert found("users", statement)


@pytest.mark.parametrize("statement", OTHERS)
def test_another_statement_is_not_found(statement: str) -> None:
    assert not found("users", statement)


def test_names_are_no_patterns() -> None:
    assert found("a_b[c%", "INSERT INTO [a_b[c%] (x) OUTPUT INSERTED.x VALUES (1)")
    assert not found("a_b", "INSERT INTO axb (x) OUTPUT INSERTED.x VALUES (1)")
    assert "N'%[^0-9A-Za-z_@#$]o''clock[^" in outputs(Table("o'clock", ())).sql
