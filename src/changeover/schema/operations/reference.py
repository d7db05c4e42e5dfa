"""docs/reference/operations.md, written from the code: the keys from the table that reads them, what each engine can do from
compiling the page's own examples on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.errors import ChangeoverError
from changeover.core.model import ChangeSet, Lock, Phase, Verdict, Version
from changeover.schema.compile import compiled
from changeover.schema.declared import Declared
from changeover.schema.engines import engine_of
from changeover.schema.operations import OPERATIONS
from changeover.schema.operations.reading import KEYS, Key, read
from changeover.yaml.source import decode, parse
from changeover.yaml.tree import Map

ENGINES: Final = {"postgresql": "PostgreSQL", "mysql": "MariaDB, MySQL", "sqlserver": "SQL Server", "sqlite": "SQLite"}
_WORD: Final = {
    "postgresql": "split_part(name, ' ', 1)",
    "mysql": "substring_index(name, ' ', 1)",
    "sqlserver": "left(name, charindex(' ', name + ' ') - 1)",
    "sqlite": "substr(name, 1, instr(name || ' ', ' ') - 1)",
}
_REST: Final = {
    "postgresql": "nullif(substr(name, length(split_part(name, ' ', 1)) + 2), '')",
    "mysql": "nullif(substr(name, char_length(substring_index(name, ' ', 1)) + 2), '')",
    "sqlserver": "nullif(substring(name, charindex(' ', name + ' ') + 1, 200), '')",
    "sqlite": "nullif(substr(name, instr(name || ' ', ' ') + 1), '')",
}
_BOTH: Final = {
    "postgresql": "concat_ws(' ', first_name, last_name)",
    "mysql": "concat_ws(' ', first_name, last_name)",
    "sqlserver": "concat(first_name, ' ', last_name)",
    "sqlite": "first_name || coalesce(' ' || last_name, '')",
}
EXAMPLES: Final[Mapping[str, str]] = {
    "create_table": """table: notes
      columns:
        id: { type: NUMBER, identity: true }
        order_id: { type: bigint, not_null: true }
        note: varchar(200)
      primary_key: id
      foreign_keys: [{ name: notes_order, columns: order_id, references: { table: orders, columns: id } }]
      indexes: [{ name: notes_order_i, columns: order_id }]""",
    "rename_table": "{ table: orders, to: sales }",
    "drop_table": "{ table: audit }",
    "add_column": "{ table: users, column: name_lc, type: varchar(200), not_null: true, from: lower(name) }",
    "drop_column": "{ table: users, column: legacy, default: \"''\" }",
    "rename_column": "{ table: users, column: name, to: full_name }",
    "change_type": "{ table: users, column: amount, type: bigint, to: amount_big }",
    "split_column": """table: users
      column: name
      into:
        first_name: { type: varchar(200), not_null: true, up: "WORD" }
        last_name: { type: varchar(200), up: "REST" }
      down: "BOTH\"""",
    "merge_columns": """table: users
      columns: [first, last]
      into: full_name
      type: varchar(200)
      up: "concat(first, ' ', last)"
      down: { first: "FULL", last: "TAIL" }""",
    "set_not_null": "{ table: users, column: email }",
    "drop_not_null": "{ table: users, column: name }",
    "set_default": "{ table: users, column: amount, default: 1 }",
    "add_unique": "{ table: users, columns: email, name: users_email_u }",
    "add_check": '{ table: users, check: "amount >= 0", name: amount_positive }',
    "add_foreign_key": "{ table: orders, columns: user_id, references: { table: users, columns: id }, name: orders_user }",
    "drop_constraint": "{ table: orders, name: orders_ref }",
    "add_index": "{ table: orders, columns: [user_id, ref] }",
    "drop_index": "{ table: orders, name: orders_ref_i }",
    "add_enum_value": "ENUM",
    "sql": """expand: ["CREATE TABLE seen (id bigint PRIMARY KEY)"]
      undo: ["DROP TABLE seen"]""",
}
_ENUM: Final = {
    "postgresql": "{ type: mood, value: calm }",
    "mysql": "{ table: users, column: mood, value: calm }",
    "sqlserver": "{ type: mood, value: calm }",
    "sqlite": "{ type: mood, value: calm }",
}
_HEAD: Final = """\
# Operations

What `db/changes/VERSION.yml` may say. How to write one: [write a change as operations](../howto/operations.md). This page is written
from the program: the keys from the table that reads the file, what each engine can do from compiling the examples below on it.
For editors: `changeover schema format > change.schema.json`, published as [change.schema.json](change.schema.json), and as first
line of the file `# yaml-language-server: $schema=./change.schema.json`.

## The file

| key | value | meaning |
| --- | --- | --- |
| `changes` | list of operations, each a map of one key | **required**; done in this order, each on what those before it have added |
| `names_columns` | true, false | every statement of the versions in play names its columns: no `SELECT *` that stays prepared (PostgreSQL), no `INSERT` without a column list (MariaDB, MySQL, SQLite). Left out, each added column needs an acknowledgement |

Names are written as the catalogue has them, without quotes: case, reserved words and letters beyond ASCII are quoted where they must be. Tables are those of the first
schema of the login. Types, constants and expressions are SQL of the engine. An expression reads columns of its own row and nothing
else, and gives the same value each time.

## What each engine can do

yes: without anybody's leave. acknowledge: it is done once a named person accepts what the plan warns of. no: refused before anything
is touched, with the reason and what to write instead. It is the examples below that were compiled; other types, keys or tables may get another answer, and the plan gives it.
"""
_FOOT: Final = """\

## Refused everywhere

Before anything is touched, with names and rows: a table without primary key whose rows must be filled; a table or column that is
not there, or is there already; a name that the engine would cut; a partitioned table; a column that a view, a computed column, a
check or another table's foreign key is built on; a foreign key that changes the column by itself (`ON UPDATE CASCADE`, `SET NULL`);
triggers of the application on a table that is kept in step; row-level security; NULLs, duplicates, orphans and values that do not fit, counted and shown.
"""


def render() -> str:
    """The page as Markdown."""
    found = {kind: {d: support(kind, d) for d in ENGINES} for kind in KEYS}
    lines = [_HEAD, f"| operation | {' | '.join(ENGINES.values())} |", f"| --- {'| --- ' * len(ENGINES)}|"]
    lines += [f"| [`{k}`](#{k}) | {' | '.join(found[k][d][0] for d in ENGINES)} |" for k in KEYS]
    for kind, keys in KEYS.items():
        lines += ["", *_section(kind, keys, found[kind])]
    lines.append(_FOOT)
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _section(kind: str, keys: tuple[Key, ...], found: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    yield f"## {kind}"
    yield ""
    yield _about(kind)
    yield ""
    yield "<!-- change file -->"
    yield "```yaml"
    yield from ("changes:\n  - " + example(kind, "postgresql")).splitlines()
    yield "```"
    yield ""
    yield "| key | value | meaning |"
    yield "| --- | --- | --- |"
    for key in keys:
        need = "**required**; " if key.required else ""
        words = key.words.replace("|", "\\|")
        yield f"| `{key.name}` | {_value(key)} | {need}{words} |"
    said: dict[str, list[str]] = {}
    for dialect, (_, note) in found.items():
        for one in filter(None, note.split("; ")):
            said.setdefault(one, []).append(ENGINES[dialect])
    if said:
        yield ""
        for note, who in said.items():
            yield f"- {'everywhere' if len(who) == len(ENGINES) else ' · '.join(who)}: {note}"


def _about(kind: str) -> str:
    text = (OPERATIONS[kind].__doc__ or "").strip()
    return " ".join(text.split("\n\n")[0].split())


def _value(key: Key) -> str:
    schema = dict(key.schema)
    if "anyOf" in schema:
        return "text, or list of text"
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return "SQL"
    return {"string": "text", "boolean": "true, false", "array": "list", "object": "map"}[str(kinds)]


# what an engine makes of an example --------------------------------------------------------------------------------


def example(kind: str, dialect: str) -> str:
    """The example of an operation, in the SQL of an engine: `rename_column: { … }`."""
    text = EXAMPLES[kind]
    fill: dict[str, Mapping[str, str]] = {"WORD": _WORD, "REST": _REST, "BOTH": _BOTH, "ENUM": _ENUM}
    full = {d: _WORD[d].replace("name", "full_name") for d in ENGINES}
    tail = {d: _REST[d].replace("name", "full_name") for d in ENGINES}
    fill["NUMBER"] = {**dict.fromkeys(ENGINES, "bigint"), "sqlite": "integer"}
    for word, texts in {**fill, "FULL": full, "TAIL": tail}.items():
        text = text.replace(word, texts[dialect])
    return f"{kind}: {text}" if text.startswith("{") else f"{kind}:\n      {text}"


def support(kind: str, dialect: str) -> tuple[str, str]:
    """(yes, acknowledge or no; why). Found by compiling the example against tables as an application has them."""
    source, _ = decode(f"changes:\n  - {example(kind, dialect)}\n".encode(), "example.yml", 0)
    root, _ = parse(source)
    assert isinstance(root, Map), f"the example of {kind} is no YAML"
    operations, _, faults = read(root)
    assert not faults, f"the example of {kind}: {faults}"
    declared = Declared(Version("2.0.0"), "2.0.0.yml", operations, "", names_columns=True)
    try:
        engine = engine_of(dialect, catalogue(dialect), names_columns=True, ask=_online)
        changes = compiled(declared, catalogue(dialect), engine).changes
    except ChangeoverError as error:
        return "no", error.what
    warned = [s.reason for s in (*changes.adds, *changes.contract, *changes.drop) if s.verdict is Verdict.WARN]
    notes = [*warned, *_heavy(changes)]
    return ("acknowledge" if warned else "yes"), "; ".join(dict.fromkeys(n for note in notes for n in note.split("; ")))


def _heavy(changes: ChangeSet) -> Iterator[str]:
    """What keeps others waiting, though nobody is asked."""
    phases: dict[str, dict[Phase, None]] = {}
    for phase in (p for p in Phase if p is not Phase.UNDO):
        for statement in changes.statements(phase):
            if statement.rewrite is not None:
                phases.setdefault("the table is written anew in one transaction", {})[phase] = None
            elif statement.lock in _HEAVY and statement.verdict is Verdict.OK:
                phases.setdefault(_HEAVY[statement.lock], {})[phase] = None
    for what, found in phases.items():
        yield f"{what} ({', '.join(found)})"


_HEAVY: Final = {
    Lock.SCAN: "every row is read while nobody may write",
    Lock.REWRITE: "every row is written while nobody may use the table",
}


def _online(*asked: object) -> str:
    """What MariaDB 10.11 accepts first, by kind of change; the server is asked itself when a plan is made."""
    alter = str(asked[1]).upper()
    if "CHECK" in alter:
        return "ALGORITHM=COPY, LOCK=SHARED"
    if "MODIFY" in alter:
        return "ALGORITHM=INSTANT" if "ENUM" in alter else "ALGORITHM=INPLACE, LOCK=NONE"
    return "ALGORITHM=NOCOPY, LOCK=NONE" if any(w in alter for w in ("INDEX", "KEY", "UNIQUE")) else "ALGORITHM=INSTANT"


def catalogue(dialect: str) -> Catalogue:
    """The tables of the examples, in the types of an engine."""
    text = {"postgresql": "character varying(200)", "sqlserver": "nvarchar(200)"}.get(dialect, "varchar(200)")
    big, small = "bigint", {"postgresql": "integer", "mysql": "int(11)"}.get(dialect, "int")
    mood = Column("mood", "enum('good','bad')" if dialect == "mysql" else text)
    users = Table(
        "users",
        (
            Column("id", big, nullable=False),
            Column("name", text, nullable=False),
            Column("first", text, nullable=False),
            Column("last", text),
            Column("amount", small, nullable=False, default="0"),
            Column("email", text),
            Column("legacy", text, nullable=False),
            mood,
        ),
        primary_key=("id",),
        sql="CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name varchar(200) NOT NULL, first varchar(200) NOT NULL, "
        "last varchar(200), amount int NOT NULL DEFAULT 0, email varchar(200), legacy varchar(200) NOT NULL, mood varchar(200))",
    )
    plain = "NONCLUSTERED" if dialect == "sqlserver" else "CREATE INDEX orders_ref_i ON orders (ref)"
    ref = Constraint("orders_ref", Rule.UNIQUE, ("ref",), "UNIQUE (ref)")
    orders = Table(
        "orders",
        (Column("id", big, nullable=False), Column("user_id", big), Column("ref", text)),
        primary_key=("id",),
        indexes=(
            Index(
                "orders_ref",
                ("ref",),
                unique=True,
                constraint=True,
                definition="CREATE UNIQUE INDEX orders_ref ON orders (ref)",
            ),
            Index("orders_ref_i", ("ref",), definition=plain),
        ),
        constraints=(ref,),
        sql="CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, user_id bigint, ref varchar(200), CONSTRAINT orders_ref UNIQUE (ref))",
    )
    audit = Table(
        "audit",
        (Column("id", big, nullable=False),),
        primary_key=("id",),
        sql="CREATE TABLE audit (id bigint NOT NULL PRIMARY KEY)",
    )
    tables = {t.name: t for t in (users, orders, audit)}
    texts = (
        (*(t.sql for t in tables.values()), "CREATE INDEX orders_ref_i ON orders (ref)") if dialect == "sqlite" else ()
    )
    return Catalogue(
        tables,
        frozenset([*tables, "orders_ref", "orders_ref_i"]),
        {"mood": ("good", "bad")} if dialect == "postgresql" else {},
        {"postgresql": (15, 0), "sqlserver": (16, 3), "mysql": (10, 11, 19), "sqlite": (3, 40, 1)}[dialect],
        texts,
    )
