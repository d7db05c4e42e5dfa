"""PostgreSQL: functions, procedures and triggers."""

from __future__ import annotations

from changeover.schema.effects import CreateFunction, CreateTrigger
from changeover.schema.grammar.columns import postgresql_type
from changeover.schema.grammar.expressions import words
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.tokens import Kind

_FLAGS = (
    ("IMMUTABLE",), ("STABLE",), ("VOLATILE",), ("STRICT",), ("LEAKPROOF",), ("WINDOW",), ("NOT", "LEAKPROOF"),
    ("CALLED", "ON", "NULL", "INPUT"), ("RETURNS", "NULL", "ON", "NULL", "INPUT"), ("SECURITY", "INVOKER"),
    ("SECURITY", "DEFINER"), ("EXTERNAL", "SECURITY", "INVOKER"), ("EXTERNAL", "SECURITY", "DEFINER"), ("PARALLEL", "SAFE"),
    ("PARALLEL", "UNSAFE"), ("PARALLEL", "RESTRICTED"),
)  # fmt: skip


def create_function(reader: Reader, kind: str, replaced: bool) -> CreateFunction:
    name = reader.name()
    reader.group()
    language, body = "", frozenset[str]()
    while not reader.done:
        if any(reader.accept(*flag) for flag in _FLAGS):
            continue
        if reader.accept("RETURNS"):
            _returns(reader)
        elif reader.accept("LANGUAGE"):
            language = reader.identifier().last.lower() if not _is_string(reader) else reader.string().value.lower()
        elif reader.accept("AS"):
            body |= _body_words(reader.string().value)
        elif reader.accept("COST") or reader.accept("ROWS"):
            reader.run(*_FUNCTION_WORDS)
        elif reader.accept("SET"):
            reader.name()
            if not (reader.accept_mark("=") or reader.accept("TO") or reader.accept("FROM")):
                reader.lost("expected a value")
            reader.run(*_FUNCTION_WORDS)
        elif reader.accept("BEGIN", "ATOMIC"):
            reader.lost("where a body in BEGIN ATOMIC … END ends is not certain; write it in $$ … $$")
        elif reader.accept("RETURN"):
            language, body = language or "sql", words(reader.run())
        else:
            reader.lost("expected an option of a function")
    if language not in ("sql", "plpgsql"):
        raise unknown(f"functions in the language {language or '(none)'} are not known", "write it in sql or plpgsql")
    return CreateFunction(name, kind, replaced, body)


_FUNCTION_WORDS = (
    "LANGUAGE", "AS", "IMMUTABLE", "STABLE", "VOLATILE", "STRICT", "SECURITY", "PARALLEL", "COST", "ROWS", "SET", "RETURNS",
    "CALLED", "LEAKPROOF", "NOT", "BEGIN", "RETURN",
)  # fmt: skip


def _is_string(reader: Reader) -> bool:
    token = reader.peek()
    return token is not None and token.kind is Kind.STRING


def _returns(reader: Reader) -> None:
    if reader.accept("TABLE"):
        reader.group()
    else:
        reader.accept("SETOF")
        postgresql_type(reader)


def _body_words(body: str) -> frozenset[str]:
    return frozenset("".join(c if c.isalnum() or c == "_" else " " for c in body.lower()).split())


def create_trigger(reader: Reader, replaced: bool) -> CreateTrigger:
    name = reader.identifier()
    timing = reader.one_of("BEFORE", "AFTER") or ("INSTEAD OF" if reader.accept("INSTEAD", "OF") else "")
    if not timing:
        reader.lost("expected BEFORE, AFTER or INSTEAD OF")
    update_of = False
    while True:
        if not reader.one_of("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            reader.lost("expected INSERT, UPDATE or DELETE")
        if reader.accept("OF"):
            update_of = True
            reader.names()
        if not reader.accept("OR"):
            break
    reader.need("ON")
    table = reader.name()
    if not reader.sees("EXECUTE"):
        reader.run("EXECUTE")
    reader.need("EXECUTE")
    if not reader.one_of("FUNCTION", "PROCEDURE"):
        reader.lost("expected FUNCTION")
    function = reader.name()
    reader.group()
    return CreateTrigger(name, table, timing, replaced, update_of=update_of, function=function)
