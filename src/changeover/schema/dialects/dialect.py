"""What a dialect is: how its text is read, and what its engine can do without keeping others out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from changeover.core.model import Lock
from changeover.schema.effects import Effect
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Lexicon, Token


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine, as the rules see it.

    `builds_online`: CREATE and DROP INDEX CONCURRENTLY exist, and are demanded. `validates_later`: constraints can be NOT
    VALID first. `adds_stable_default`: ADD COLUMN … DEFAULT now() writes no rows. `drop_column`: the lock of DROP COLUMN.
    `triggers_fill`: a BEFORE trigger can fill a NOT NULL column that an INSERT leaves out.
    `functions`: those that compute a value and do nothing else. `is_system`: the schema or table belongs to the engine.
    `has_body`: the statement that these tokens begin has a body BEGIN … END with semicolons in it.
    """

    name: str
    lexicon: Lexicon
    parse: Callable[[Reader], tuple[Effect, ...]]
    has_body: Callable[[Sequence[Token]], bool]
    builds_online: bool
    validates_later: bool
    adds_stable_default: bool
    triggers_fill: bool
    drop_column: Lock
    functions: frozenset[str]
    is_system: Callable[[tuple[str, ...]], bool]
