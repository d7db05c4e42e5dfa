"""What is let through for SQLite, SQLite takes; and the probe's names are those that its catalogue has."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from changeover.core.model import Phase, Statement
from changeover.schema.classify import classify

SPECIMENS = Path(__file__).parents[2] / "specimens" / "sql" / "sqlite.json"
SCHEMA = """
CREATE TABLE users (id integer PRIMARY KEY, name text, a text, b text, age integer, name_lc text, "full name" text);
CREATE TABLE cities (id integer PRIMARY KEY); CREATE TABLE log (id integer); CREATE TABLE legacy_audit (id integer);
CREATE INDEX users_name_i ON users (name);
CREATE TRIGGER zz_u AFTER UPDATE ON users BEGIN SELECT 1; END;
INSERT INTO users (id, name) VALUES (1, 'Ann'), (2, 'Bob');
"""


def let_through() -> list[Any]:
    cases = json.loads(SPECIMENS.read_text(encoding="utf-8"))["cases"]
    return [pytest.param(c, id=c["id"]) for c in cases if c["verdict"] in ("OK", "WARN") and c["phase"] != "backfill"]


@pytest.mark.parametrize("case", let_through())
def test_runs(case: dict[str, Any]) -> None:
    found = classify(case["sql"], Phase(case["phase"]), "sqlite")
    assert isinstance(found, Statement)
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    db.execute(found.sql)
    probe = found.probe
    if probe is not None and probe.what == "column":
        columns = {row[1]: row[2] for row in db.execute(f'PRAGMA table_xinfo("{probe.table}")')}
        assert (probe.name in columns) is probe.present
        assert not probe.present or columns[probe.name].removesuffix(" GENERATED ALWAYS") == probe.definition
    elif probe is not None:
        row = db.execute("SELECT 1 FROM sqlite_master WHERE type = ? AND name = ?", (probe.what, probe.name)).fetchone()
        assert (row is not None) is probe.present
    db.close()
