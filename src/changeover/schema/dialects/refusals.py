"""Statements that never belong into a change file, by their first words, each with the reason and the way out."""

from __future__ import annotations

from changeover.schema.grammar.reader import Reader, unknown

_RUNNER = "changeover runs each statement in a transaction of its own, so that a kill leaves nothing half done"
_OPAQUE = "what it does is not visible in the text, so nobody knows whether the running version survives it"
_NO_CHANGE = "it is no change of the schema, or hides one in a function that it calls"

_REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "BEGIN",
            "START",
            "COMMIT",
            "END",
            "ROLLBACK",
            "ABORT",
            "SAVEPOINT",
            "RELEASE",
            "LOCK",
            "UNLOCK",
            "PREPARE",
            "XA",
            "SAVE",
        ),
        (_RUNNER, "take it out"),
    ),
    **dict.fromkeys(
        ("SET", "RESET", "PRAGMA", "DISCARD", "SHOW", "USE", "FLUSH", "KILL", "PURGE"),
        (
            "settings of the session belong to changeover: it sets lock and statement timeouts itself",
            "take it out; qualify names with their schema instead of setting search_path",
        ),
    ),
    **dict.fromkeys(
        (
            "DO",
            "CALL",
            "EXECUTE",
            "EXEC",
            "MERGE",
            "REPLACE",
            "COPY",
            "LOAD",
            "IMPORT",
            "SECURITY",
            "REFRESH",
            "HANDLER",
            "BULK",
        ),
        (_OPAQUE, "write the statements themselves"),
    ),
    **dict.fromkeys(
        (
            "SELECT",
            "VALUES",
            "TABLE",
            "EXPLAIN",
            "ANALYZE",
            "CHECKPOINT",
            "LISTEN",
            "NOTIFY",
            "UNLISTEN",
            "DECLARE",
            "FETCH",
        ),
        (_NO_CHANGE, "take it out, or write the change as a statement"),
    ),
    "WITH": (
        "a statement that begins with WITH may change rows in each of its parts",
        "write one statement per change",
    ),
    **dict.fromkeys(
        ("ATTACH", "DETACH"), ("another database file is out of changeover's sight", "release each database on its own")
    ),
}


def refuse_by_name(reader: Reader) -> None:
    """Raise ProblemError (CO-0103) for a statement of this list."""
    token = reader.peek()
    if token is not None and token.word in _REFUSED:
        reason, rewrite = _REFUSED[token.word]
        raise unknown(f"{token.word} is refused: {reason}", rewrite)
