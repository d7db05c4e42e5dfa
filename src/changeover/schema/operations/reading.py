"""A change file with operations, as a tree -> operations, or every problem at its place. One table says which keys there are.

names_columns: true
changes:
- rename_column: { table: users, column: name, to: full_name }
- add_column: { table: orders, column: price_cents, type: integer, not_null: true, from: "round(price * 100)" }
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from changeover.core.catalogue import Column, Constraint, Index, Rule
from changeover.schema.operations import OPERATIONS, Operation
from changeover.schema.operations.derived import Part
from changeover.yaml.tree import List, Map, Node, Place, Scalar


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where (line and column from 1)."""

    place: Place
    message: str


class _Wrong(Exception):
    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(place, message)


Read = Callable[[Node], Any]
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an operation: the field that it fills, how it is read, its JSON Schema, what it means."""

    name: str
    read: Read
    schema: Schema
    words: str
    field: str = ""
    required: bool = False

    @property
    def fills(self) -> str:
        return self.field or self.name


# kinds of values -----------------------------------------------------------------------------------------------


def _text(node: Node) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
        raise _Wrong(
            node.place, "wants text" + (f'; quote it: "{node.text}"' if isinstance(node, Scalar) and node.text else "")
        )
    return node.value


def _sql(node: Node) -> str:
    """An SQL text; a bare number is one."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return "true" if node.value else "false"
    if isinstance(node, Scalar) and isinstance(node.value, int | float):
        return node.text
    return _text(node)


def _flag(node: Node) -> bool:
    if not isinstance(node, Scalar) or not isinstance(node.value, bool):
        raise _Wrong(node.place, "is true or false")
    return node.value


def _texts(node: Node) -> tuple[str, ...]:
    if isinstance(node, List):
        if not node.items:
            raise _Wrong(node.place, "is empty")
        return tuple(_text(item) for item in node.items)
    return (_text(node),)


def _map(node: Node) -> Map:
    if not isinstance(node, Map) or not node.entries:
        raise _Wrong(node.place, "wants keys")
    return node


def _fields(node: Node, keys: tuple[Key, ...]) -> dict[str, Any]:
    """The values of a map by field. Raises _Wrong for the first fault."""
    entries = _map(node).entries
    known = {k.name: k for k in keys}
    for name, entry in entries.items():
        if name not in known:
            near = difflib.get_close_matches(name, list(known), 1)
            tail = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}"
            raise _Wrong(entry.place, f"{name}: unknown key, {tail}")
    missing = [k.name for k in keys if k.required and k.name not in entries]
    if missing:
        raise _Wrong(node.place, f"{missing[0]} is missing")
    return {known[name].fills: known[name].read(entry.node) for name, entry in entries.items()}


def _columns(node: Node) -> tuple[Column, ...]:
    found = []
    for name, entry in _map(node).entries.items():
        if isinstance(entry.node, Scalar):
            found.append(Column(name, _text(entry.node)))
            continue
        values = _fields(entry.node, _COLUMN)
        not_null = values.pop("not_null", False)
        found.append(Column(name, nullable=not not_null, **values))
    return tuple(found)


def _parts(node: Node) -> tuple[Part, ...]:
    return tuple(Part(name, **_fields(entry.node, _PART)) for name, entry in _map(node).entries.items())


def _by_column(node: Node) -> dict[str, str]:
    return {name: _sql(entry.node) for name, entry in _map(node).entries.items()}


def _references(node: Node) -> dict[str, Any]:
    return _fields(node, _TARGET)


def _each(keys: tuple[Key, ...]) -> Callable[[Node], tuple[dict[str, Any], ...]]:
    def read(node: Node) -> tuple[dict[str, Any], ...]:
        if not isinstance(node, List) or not node.items:
            raise _Wrong(node.place, "wants a list, [ … ]")
        return tuple(_fields(item, keys) for item in node.items)

    return read


TEXT: Schema = {"type": "string", "minLength": 1}
SQL: Schema = {"type": ["string", "number", "boolean"]}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]}
BY_COLUMN: Schema = {"type": "object", "additionalProperties": SQL, "minProperties": 1}


def _schema_of(keys: tuple[Key, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {k.name: {**k.schema, "description": k.words} for k in keys},
        "required": [k.name for k in keys if k.required],
        "additionalProperties": False,
    }


def text(name: str, words: str, *, field: str = "", required: bool = True) -> Key:
    return Key(name, _text, TEXT, words, field, required)


def sql(name: str, words: str, *, field: str = "", required: bool = False) -> Key:
    return Key(name, _sql, SQL, words, field, required)


def flag(name: str, words: str) -> Key:
    return Key(name, _flag, FLAG, words)


def texts(name: str, words: str, *, field: str = "", required: bool = True) -> Key:
    return Key(name, _texts, TEXTS, words, field, required)


_COLUMN = (
    text("type", "SQL type"),
    flag("not_null", "every row has a value"),
    sql("default", "SQL constant"),
    flag("identity", "numbered by the database"),
)
_PART = (
    text("type", "SQL type"),
    sql("up", "SQL over the old column", required=True),
    flag("not_null", "every row has a value"),
)
_TARGET = (text("table", "the other table", field="references"), texts("columns", "its columns", field="referred"))
_TABLE = text("table", "the table")
_COLUMN_KEY = text("column", "the column")
_NAME = text("name", "its name; chosen if left out", required=False)
_UNIQUES = (texts("columns", "the columns"), text("name", "its name"))
_CHECKS = (sql("check", "SQL condition", field="definition", required=True), text("name", "its name"))
_INDEXES = (texts("columns", "the columns"), text("name", "its name"))
_FOREIGN = (
    texts("columns", "the columns"),
    Key("references", _references, _schema_of(_TARGET), "table and columns", required=True),
    text("name", "its name"),
    text("on_delete", "CASCADE, SET NULL or RESTRICT", required=False),
)

KEYS: Mapping[str, tuple[Key, ...]] = {
    "create_table": (
        _TABLE,
        Key("columns", _columns, {"type": "object", "additionalProperties": {"anyOf": [TEXT, _schema_of(_COLUMN)]}}, "name: type, or name: { type, … }", required=True),
        texts("primary_key", "its columns", required=False),
        Key("unique", _each(_UNIQUES), {"type": "array", "items": _schema_of(_UNIQUES)}, "list of { name, columns }"),
        Key("checks", _each(_CHECKS), {"type": "array", "items": _schema_of(_CHECKS)}, "list of { name, check }"),
        Key("foreign_keys", _each(_FOREIGN), {"type": "array", "items": _schema_of(_FOREIGN)}, "list of { name, columns, references }"),
        Key("indexes", _each(_INDEXES), {"type": "array", "items": _schema_of(_INDEXES)}, "list of { name, columns }"),
    ),
    "rename_table": (_TABLE, text("to", "the new name")),
    "drop_table": (_TABLE,),
    "add_column": (
        _TABLE,
        _COLUMN_KEY,
        text("type", "SQL type"),
        flag("not_null", "every row has a value"),
        sql("default", "SQL constant"),
        sql("from", "SQL over other columns of the row, which computes it while old versions write", field="source"),
    ),
    "drop_column": (_TABLE, _COLUMN_KEY, sql("default", "SQL constant that rows get until cleanup, if the column is required")),
    "rename_column": (_TABLE, _COLUMN_KEY, text("to", "the new name")),
    "change_type": (
        _TABLE,
        _COLUMN_KEY,
        text("type", "the new SQL type"),
        text("to", "the name of the new column; left out: in place, where that writes no row", required=False),
        sql("up", "SQL over the old column; a cast if left out"),
        sql("down", "SQL over the new column; a cast if left out"),
        sql("default", "SQL constant that the new column gets in cleanup; the old one's, cast, if left out without `up` and `down`"),
    ),
    "split_column": (
        _TABLE,
        _COLUMN_KEY,
        Key("into", _parts, {"type": "object", "additionalProperties": _schema_of(_PART), "minProperties": 2}, "name: { type, up, not_null }", required=True),
        sql("down", "SQL over the new columns that gives the old one", required=True),
    ),
    "merge_columns": (
        _TABLE,
        texts("columns", "the old columns"),
        text("into", "the new column"),
        text("type", "its SQL type"),
        sql("up", "SQL over the old columns", required=True),
        Key("down", _by_column, BY_COLUMN, "old column: SQL over the new one", required=True),
        flag("not_null", "every row has a value"),
    ),
    "set_not_null": (_TABLE, _COLUMN_KEY),
    "drop_not_null": (_TABLE, _COLUMN_KEY),
    "set_default": (_TABLE, _COLUMN_KEY, sql("default", "SQL constant", required=True)),
    "add_unique": (_TABLE, texts("columns", "the columns"), _NAME),
    "add_check": (_TABLE, sql("check", "SQL condition over the row", field="check_", required=True), _NAME),
    "add_foreign_key": (
        _TABLE,
        texts("columns", "the columns"),
        Key("references", _references, _schema_of(_TARGET), "{ table, columns }", required=True),
        _NAME,
        text("on_delete", "CASCADE, SET NULL or RESTRICT", required=False),
    ),
    "drop_constraint": (_TABLE, text("name", "its name")),
    "add_index": (_TABLE, texts("columns", "the columns"), _NAME),
    "drop_index": (_TABLE, text("name", "its name")),
    "add_enum_value": (
        text("value", "the new label"),
        text("type", "the enum type (PostgreSQL)", required=False),
        text("table", "the table of the enum column (MariaDB, MySQL)", required=False),
        text("column", "the enum column (MariaDB, MySQL)", required=False),
    ),
    "sql": (
        texts("expand", "statements that only add", field="expand_", required=False),
        texts("backfill", "one UPDATE for each table", required=False),
        texts("verify", "queries that count what is wrong", required=False),
        texts("contract", "statements for cleanup", field="contract_", required=False),
        texts("undo", "statements that take expand back", field="undo_", required=False),
    ),
}  # fmt: skip
_TOP = ("changes", "names_columns")


def read(root: Map) -> tuple[tuple[Operation, ...], bool, tuple[Fault, ...]]:
    """(the operations, names_columns, every fault). With a fault the operations are those that could be read."""
    faults: list[Fault] = []
    for name, entry in root.entries.items():
        if name not in _TOP:
            near = difflib.get_close_matches(name, (*_TOP, *KEYS), 1)
            hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(_TOP)}"
            faults.append(Fault(entry.place, f"{name}: unknown key, {hint}"))
    names_columns = False
    if "names_columns" in root.entries:
        try:
            names_columns = _flag(root.entries["names_columns"].node)
        except _Wrong as error:
            faults.append(error.fault)
    changes = root.entries.get("changes")
    if changes is None:
        faults.append(Fault(root.place, "changes is missing: the list of operations"))
        return (), names_columns, tuple(faults)
    if not isinstance(changes.node, List) or not changes.node.items:
        faults.append(Fault(changes.node.place, "changes wants a list of operations"))
        return (), names_columns, tuple(faults)
    found: list[Operation] = []
    for item in changes.node.items:
        try:
            found.append(_operation(item))
        except _Wrong as error:
            faults.append(error.fault)
    return tuple(found), names_columns, tuple(faults)


def _operation(node: Node) -> Operation:
    entries = _map(node).entries
    if len(entries) != 1:
        raise _Wrong(node.place, f"one operation wants one key, such as add_column; here are {', '.join(entries)}")
    ((kind, entry),) = entries.items()
    if kind not in KEYS:
        near = difflib.get_close_matches(kind, list(KEYS), 1)
        hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(KEYS)}"
        raise _Wrong(entry.place, f"{kind}: unknown operation, {hint}")
    values = _fields(entry.node, KEYS[kind])
    if kind == "create_table":
        values = _whole_table(values)
    if kind == "add_foreign_key":
        values |= values.pop("references")
    if kind == "add_enum_value" and bool(values.get("type")) == bool(values.get("table") and values.get("column")):
        raise _Wrong(entry.place, "add_enum_value wants either type, or table and column")
    return OPERATIONS[kind](line=entry.place.line, **values)


def _whole_table(values: dict[str, Any]) -> dict[str, Any]:
    constraints = [Constraint(u["name"], Rule.UNIQUE, u["columns"]) for u in values.pop("unique", ())]
    constraints += [Constraint(c["name"], Rule.CHECK, (), c["definition"]) for c in values.pop("checks", ())]
    constraints += [
        Constraint(f["name"], Rule.FOREIGN_KEY, f["columns"], on_delete=f.get("on_delete", ""), **f["references"])
        for f in values.pop("foreign_keys", ())
    ]
    indexes = tuple(Index(i["name"], i["columns"]) for i in values.pop("indexes", ()))
    keyed = set(values.get("primary_key", ()))
    columns = tuple(replace(c, nullable=c.nullable and c.name not in keyed) for c in values["columns"])
    return {**values, "columns": columns, "constraints": tuple(constraints), "indexes": indexes}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a change file, for editors."""
    operations = [
        {"type": "object", "properties": {kind: _schema_of(keys)}, "required": [kind], "additionalProperties": False}
        for kind, keys in KEYS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "changeover: the schema changes of one version",
        "type": "object",
        "properties": {
            "names_columns": {**FLAG, "description": "no version in play prepares SELECT * (PostgreSQL)"},
            "changes": {"type": "array", "items": {"anyOf": operations}, "minItems": 1},
        },
        "required": ["changes"],
        "additionalProperties": False,
    }
