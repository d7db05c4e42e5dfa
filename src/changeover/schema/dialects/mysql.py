"""MariaDB and MySQL: only how their text is split into words; which statements are let through is not decided here yet."""

from __future__ import annotations

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import Effect
from changeover.schema.grammar import functions
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Lexicon

LEXICON = Lexicon(
    "mysql", dollar_quotes=False, nested_comments=False, escape_strings=False, brackets=True, longest=0, folds=False
)


def parse(reader: Reader) -> tuple[Effect, ...]:
    """Raises ProblemError (CO-0103) for every statement."""
    reader.lost("changeover has no rule for it")


MYSQL = Dialect(
    "mysql",
    LEXICON,
    parse,
    has_body=lambda _: False,
    builds_online=False,
    validates_later=False,
    adds_stable_default=True,
    triggers_fill=True,
    drop_column=Lock.BRIEF,
    functions=functions.SQLITE,
    is_system=lambda _: False,
)
