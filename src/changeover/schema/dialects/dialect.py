"""What a dialect is: how its text is read, and what its engine can do without keeping others out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from changeover.core.model import Lock, Phase
from changeover.schema.effects import Effect, Name, TypeName
from changeover.schema.grammar.reader import Reader
from changeover.schema.rules.ruling import Made, Ruling
from changeover.schema.tokens import Lexicon, Token


def _at_first_semicolon(_tokens: Sequence[Token], _begin: int, first: int) -> int:
    return first


def _as_everywhere(_effect: Effect, _made: Made, _phase: Phase) -> Ruling | None:
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine, as the rules see it.

    `builds_online`: CREATE and DROP INDEX CONCURRENTLY exist, and are demanded. `validates_later`: constraints can be NOT
    VALID first. `adds_stable_default`: ADD COLUMN … DEFAULT now() writes no rows. `drop_column`: the lock of DROP COLUMN.
    `triggers_fill`: a BEFORE trigger can fill a NOT NULL column that an INSERT leaves out; `optional`: what ALTER COLUMN
    does to such a column so that it may be left out without the trigger.
    `functions`: those that compute a value and do nothing else. `is_system`: the schema or table belongs to the engine.
    `spell` and `type_in_catalogue`: names and types as its catalogue is asked for them (a type is "" when not certain).
    `end_of(tokens, begin, first)`: the index of the semicolon that ends the statement that begins at `begin` and has its
    first semicolon at `first`; the number of tokens if it never ends.
    `special(effect, made, phase)`: the ruling where this engine differs from what rules/ says of all; None elsewhere.
    `transactional`: a statement and its marker are one transaction, so that a kill leaves both or none.
    `index_of_table`: two tables may have indexes of the same name. `one_routine_per_name`: functions are not overloaded.
    """

    name: str
    lexicon: Lexicon
    parse: Callable[[Reader], tuple[Effect, ...]]
    builds_online: bool
    validates_later: bool
    adds_stable_default: bool
    triggers_fill: bool
    drop_column: Lock
    functions: frozenset[str]
    is_system: Callable[[tuple[str, ...]], bool]
    spell: Callable[[Name], str]
    type_in_catalogue: Callable[[TypeName], str]
    end_of: Callable[[Sequence[Token], int, int], int] = _at_first_semicolon
    special: Callable[[Effect, Made, Phase], Ruling | None] = _as_everywhere
    optional: str = "DROP NOT NULL"
    transactional: bool = True
    index_of_table: bool = False
    one_routine_per_name: bool = False
