"""Every specimen gets the verdict that stands beside it, and every rewrite that is offered would itself be let through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.each import each

from changeover.core.errors import ChangeoverError
from changeover.core.model import BackfillStatement, Phase, Version
from changeover.schema.changes import read_changes
from changeover.schema.classify import classify
from changeover.schema.dialects import KNOWN

SPECIMENS = Path(__file__).parents[2] / "specimens" / "sql"
CODES = {"CO-0104": "BROKEN", "CO-0103": "UNKNOWN", "CO-0101": "UNREADABLE"}


def cases(dialect: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SPECIMENS / f"{dialect}.json").read_text(encoding="utf-8"))["cases"]
    return found


@pytest.mark.parametrize("dialect", KNOWN)
def test_ids_are_unique(dialect: str) -> None:
    ids = [case["id"] for case in cases(dialect)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dialect", KNOWN)
def test_verdict(dialect: str) -> None:
    each(cases(dialect), lambda case: case["id"], lambda case: judge(dialect, case))


def judge(dialect: str, case: dict[str, Any]) -> None:
    try:
        found = classify(case["sql"], Phase(case["phase"]), dialect, "f.sql", 7)
    except ChangeoverError as error:
        assert CODES[error.code] == case["verdict"], error.what
        assert error.where[0].file == "f.sql"
        assert error.where[0].line == 7
        if "rewrite" in case:
            assert case["rewrite"] in error.next
    else:
        got = "OK" if isinstance(found, BackfillStatement) else found.verdict
        assert got == case["verdict"], found
        assert found.line == 7
        for field in ("lock", "alone", "title"):
            if field in case:
                assert getattr(found, field) == case[field]
        if got == "WARN":
            assert found.reason


@pytest.mark.parametrize("dialect", KNOWN)
def test_rewrites_are_let_through(dialect: str) -> None:
    broken = [case for case in cases(dialect) if case["verdict"] == "BROKEN"]
    each(broken, lambda case: case["id"], lambda case: read_rewrite(dialect, case))


def read_rewrite(dialect: str, case: dict[str, Any]) -> None:
    """The lines `phase: statement;` of a refusal form change files that are read without an error."""
    with pytest.raises(ChangeoverError) as caught:
        classify(case["sql"], Phase(case["phase"]), dialect)
    files: dict[Phase, tuple[str, str]] = {}
    for line in caught.value.next:
        phase, _, sql = line.partition(":")
        if phase in set(Phase) and sql.endswith(";") and "…" not in sql:
            name, text = files.get(Phase(phase), ("f", ""))
            files[Phase(phase)] = (name, text + sql.strip() + "\n")
    read_changes(Version("1.1.0"), files, dialect)
