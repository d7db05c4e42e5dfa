"""Any text at all is classified or refused, never crashed on; and what is let through has no second statement in it."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from changeover.core.errors import ChangeoverError
from changeover.core.model import Phase, Version
from changeover.schema.changes import read_changes
from changeover.schema.classify import classify
from changeover.schema.dialects import KNOWN, dialect_of
from changeover.schema.tokens import tokenize

WORDS = (
    "ALTER TABLE ADD COLUMN DROP CREATE INDEX CONCURRENTLY UNIQUE ON orders price int text DEFAULT NOT NULL NOW ( ) , ; ' '' \" $$ "
    "$a$ /* */ -- \n :: : := = 5 1.5 -1 'x' E'\\' CHECK REFERENCES PRIMARY KEY CONSTRAINT VALIDATE VALID TRIGGER BEFORE AFTER INSERT "
    "UPDATE DELETE FROM WHERE IS AND OR SET BEGIN END CASE WHEN FOR EACH ROW EXECUTE FUNCTION RETURNS LANGUAGE sql AS TYPE ENUM VALUE "
    "INTO VALUES SELECT WITH IF EXISTS CASCADE VIEW RENAME TO USING GENERATED ALWAYS IDENTITY STORED [ ] ` \\ \x00 \u202e ſ . * % ? $1 "
    "# -- /*! */ ALGORITHM=INSTANT LOCK=NONE MODIFY CHANGE KEY PROCEDURE DEFINER ENUM('a') IF THEN ELSE LOOP IDENTITY(1,1) WITH NOCHECK "
    "ONLINE=ON \nGO\n DELIMITER // @x @@x #t N'é' NVARCHAR(20) EXEC sp_rename SYNONYM OUTPUT inserted JOIN || XOR"
).split(" ")
sql = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
dialects = st.sampled_from(KNOWN)

SPECIMENS = Path(__file__).parents[1] / "specimens" / "sql"
STATEMENTS = [
    (dialect, case["sql"])
    for dialect in KNOWN
    for case in json.loads((SPECIMENS / f"{dialect}.json").read_text(encoding="utf-8"))["cases"]
]


@st.composite
def garbled(draw: st.DrawFn) -> tuple[str, str]:
    """A specimen whose words have been dropped, doubled, exchanged, or mixed with those of another."""
    dialect, text = draw(st.sampled_from(STATEMENTS))
    words = text.split(" ")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(words) - 1)))
        other = draw(st.sampled_from(WORDS) | st.sampled_from(STATEMENTS).map(lambda s: s[1]) | st.just(""))
        words[at : at + draw(st.integers(0, 2))] = [other] if other else []
    return dialect, " ".join(words)


@settings(max_examples=400, deadline=None)
@given(sql, st.sampled_from(list(Phase)), dialects)
def test_classify(text: str, phase: Phase, dialect: str) -> None:
    try:
        found = classify(text, phase, dialect, "f.sql", 3)
    except ChangeoverError as error:
        assert error.where
        assert error.what
        return
    tokens, _ = tokenize(found.sql, dialect_of(dialect).lexicon)
    assert tokens
    assert found.title
    outside = [t for t in tokens if t.text == ";"]
    assert not outside or {"TRIGGER", "FUNCTION", "PROCEDURE", "PROC"} & {t.word for t in tokens[:16]}


@settings(max_examples=600, deadline=None)
@given(garbled(), st.sampled_from(list(Phase)))
def test_garbled_statements(statement: tuple[str, str], phase: Phase) -> None:
    dialect, text = statement
    try:
        found = classify(text, phase, dialect, "f.sql", 3)
    except ChangeoverError as error:
        assert error.where
        return
    assert found.title


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(list(Phase)), st.tuples(st.just("f.sql"), sql)), dialects)
def test_read_changes(files: dict[Phase, tuple[str, str]], dialect: str) -> None:
    try:
        read_changes(Version("1.0"), files, dialect)
    except ChangeoverError as error:
        assert len(error.where) >= 1


def test_deep_nesting_is_read_without_recursion() -> None:
    deep = "(" * 20_000 + "1" + ")" * 20_000
    classify(f"CREATE VIEW v AS SELECT {deep}", Phase.EXPAND, "postgresql")
    try:
        classify(f"ALTER TABLE t ADD COLUMN a int CHECK {deep}", Phase.EXPAND, "sqlite")
        classify("/*" * 50_000, Phase.EXPAND, "postgresql")
    except ChangeoverError:
        return
    raise AssertionError("an open comment was read")
