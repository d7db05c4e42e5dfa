"""What a change file shows without its database, each refused at its line."""

from __future__ import annotations

import pytest
from tests.fixtures.each import each

from changeover.core.model import Version
from changeover.schema.declared import Declared
from changeover.schema.linting import lint
from changeover.schema.operations.reading import json_schema, read
from changeover.yaml.source import decode, parse

GOOD = [
    "- add_column: { table: t, column: a, type: text, not_null: true, from: lower(name) }",
    "- add_column: { table: t, column: a, type: text, default: \"'x'\", not_null: true }",
    "- rename_column: { table: t, column: a, to: b }",
    '- change_type: { table: t, column: a, type: bigint, to: b, up: "a::bigint", down: "b::int" }',
    '- sql: { expand: ["CREATE TABLE n (id integer PRIMARY KEY)"], undo: ["DROP TABLE n"] }',
    '- merge_columns: { table: t, columns: [a, b], into: c, type: text, up: "concat(a, b)", down: { a: c, b: c } }',
]
BAD = [
    ("- add_column: { table: t, column: a, type: text, not_null: true }", "would be required"),
    ("- add_column: { table: t, column: a, type: text, default: random() }", "is no constant"),
    ("- add_column: { table: t, column: a, type: text, from: x, default: 1 }", "cannot have a default as well"),
    ('- add_column: { table: t, column: a, type: text, from: "(SELECT 1)" }', "uses SELECT"),
    ('- add_column: { table: t, column: a, type: text, from: "lower(name" }', "parenthesis is not closed"),
    ('- add_check: { table: t, check: "a > 0; DROP TABLE t" }', "not one expression"),
    ('- sql: { expand: ["CREATE TABLE n (id int)"] }', "have no undo"),
    ('- sql: { expand: ["DROP TABLE n"], undo: ["CREATE TABLE n (id int)"] }', "is dropped"),
    ('- sql: { contract: ["DROP TABLE n"], verify: ["DELETE FROM n"] }', "verify is one SELECT"),
    ('- merge_columns: { table: t, columns: [a, b], into: c, type: text, up: "concat(a, b)", down: { a: c } }', "give"),
    ("- drop_table: { table: t }\n- set_not_null: { table: t, column: a }", "renamed or dropped by another"),
    (
        "- rename_column: { table: t, column: a, to: b }\n- add_column: { table: t, column: B, type: text }",
        "is added in line 2 already",
    ),
    ("- create_table: { table: n, columns: { id: { type: int, default: f() } } }", "is no constant"),
]


def declared(lines: str) -> Declared:
    text, problems = decode(f"changes:\n{lines}\n".encode(), "1.1.0.yml", 0)
    root, found = parse(text)
    assert not problems
    assert not found
    operations, names_columns, faults = read(root)
    assert not faults
    return Declared(Version("1.1.0"), "1.1.0.yml", operations, "d", names_columns)


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_what_is_well_written_passes(dialect):
    def judge(lines: str) -> None:
        assert lint(declared(lines), dialect) == ()

    each(GOOD, str, judge)


def test_what_is_not_is_refused_at_its_line():
    def judge(case: tuple[str, str]) -> None:
        problems = lint(declared(case[0]), "postgresql")
        assert any(case[1] in p.reason + " ".join(p.rewrite) for p in problems), problems
        assert all(p.line >= 2 and p.file == "1.1.0.yml" for p in problems)

    each(BAD, lambda case: case[0], judge)


def test_all_problems_come_at_once():
    lines = "\n".join(case[0] for case in BAD[:4])
    assert len(lint(declared(lines), "postgresql")) >= 4


def test_the_json_schema_closes_every_map():
    """An editor must complain where the program does: no map takes a key that is not named."""

    def open_maps(node: object, path: str) -> list[str]:
        found = []
        if isinstance(node, dict):
            if node.get("type") == "object" and "additionalProperties" not in node:
                found.append(path)
            for key, value in node.items():
                found += open_maps(value, f"{path}.{key}")
        elif isinstance(node, list):
            for n, value in enumerate(node):
                found += open_maps(value, f"{path}[{n}]")
        return found

    assert open_maps(json_schema(), "") == []
