"""One statement -> what it does, whether the versions in play survive it, and in which words the plan says so.

Unknown is refused, never "ok". The grammar behind it (dialects/) is our own and reads every token: see
dialects/postgresql.py for why no general SQL parser is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from changeover.core.model import BackfillStatement, Lock, Phase, Probe, Statement, Verdict
from changeover.schema.dialects import dialect_of
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import Delete, Effect, Insert, Name, Update
from changeover.schema.grammar.reader import Reader
from changeover.schema.problems import Defect, Problem, ProblemError, refusal
from changeover.schema.rules import backfill, contract, expand
from changeover.schema.rules.ruling import Allowed, Made, Refused
from changeover.schema.split import Piece, split
from changeover.schema.tokens import lower, tokenize
from changeover.schema.words import probe, title

DEFAULT_KEY = "id"
OWN_TABLES = ("changeover_claim", "changeover_applied", "changeover_state", "changeover_change")
_ROWS = (Insert, Delete)  # in a transaction with their marker on every engine
_LEDGER_ONLY = (
    "the catalogue does not show whether it was done, so after a kill in the middle of it a person is asked (CO-0115)"
)
_HEAVIEST = (Lock.NONE, Lock.BRIEF, Lock.SCAN, Lock.REWRITE)


@dataclass(frozen=True, slots=True)
class Classified:
    """A statement that may run, and what is made after it."""

    statement: Statement | BackfillStatement
    made: Made


def classify(sql: str, phase: Phase, dialect: str, file: str = "", line: int = 1) -> Statement | BackfillStatement:
    """Classify one statement on its own: a BackfillStatement in the phase backfill, a Statement in the others.

    `line` is the line of `file` at which `sql` begins. Raises WouldBreak (CO-0104), StatementUnknown (CO-0103) or
    ChangesUnreadable (CO-0101); each says what the statement does and how to write it instead.
    """
    found = dialect_of(dialect)
    try:
        classified = judge_piece(_only(split(sql, found)), phase, found, Made())
    except ProblemError as error:
        problem = error.problem
        shifted = replace(problem, line=problem.line + line - 1) if problem.line else problem
        raise refusal([shifted.at(file, line, sql)]) from None
    statement = classified.statement
    return replace(statement, file=file, line=statement.line + line - 1)


def _only(pieces: Sequence[Piece]) -> Piece:
    if len(pieces) != 1:
        raise _unreadable(f"there are {len(pieces)} statements where one is expected")
    return pieces[0]


def _unreadable(reason: str, *rewrite: str) -> ProblemError:
    return ProblemError(Problem(Defect.UNREADABLE, reason, rewrite))


def judge_piece(piece: Piece, phase: Phase, dialect: Dialect, made: Made) -> Classified:
    """Classify one statement; the caller fills in its file. Raises ProblemError, with line and text."""
    try:
        effects = parse_piece(piece, dialect)
        if phase is Phase.BACKFILL:
            return _backfill(piece, effects, made, dialect)
        return Classified(_statement(piece, phase, _Known(effects, made, dialect)), made.after(effects))
    except ProblemError as error:
        raise ProblemError(error.problem.at("", piece.line, piece.sql)) from None


def parse_piece(piece: Piece, dialect: Dialect) -> tuple[Effect, ...]:
    """What one statement does. Raises ProblemError."""
    effects = dialect.parse(Reader(piece.source, piece.tokens, dialect.lexicon))
    for name in (n for e in effects for n in _objects(e)):
        own = lower(name.last) in OWN_TABLES
        if own or dialect.is_system(name.parts):
            whose = "changeover's own record of what has been applied" if own else f"{dialect.name}'s own"
            raise ProblemError(
                Problem(Defect.UNKNOWN, f"{name} is {whose}; a change file must not touch it", ("take it out",))
            )
    return effects


def _objects(effect: Effect) -> Iterator[Name]:
    """The names of tables and other objects of a schema in the effect; not of columns."""
    for field in fields(effect):
        if field.name in ("column", "columns", "sets", "nulled"):
            continue
        value = getattr(effect, field.name)
        if isinstance(value, Name):
            yield value
        elif isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, Name))


# expand and contract -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    effects: Sequence[Effect]
    made: Made
    dialect: Dialect


def _statement(piece: Piece, phase: Phase, known: _Known) -> Statement:
    if piece.directives:
        raise _unreadable("the directive key=… belongs to a backfill", "take it out")
    judge = contract.judge if phase is Phase.CONTRACT else expand.judge
    special = known.dialect.special
    rulings = [special(e, known.made, phase) or judge(e, known.made, known.dialect) for e in known.effects]
    refused = [r for r in rulings if isinstance(r, Refused)]
    if refused:
        raise ProblemError(_merged(refused))
    allowed = [r for r in rulings if isinstance(r, Allowed)]
    warned = any(a.verdict is Verdict.WARN for a in allowed)
    found = _probe(known.effects, known.dialect)
    reasons = [a.reason for a in allowed if a.reason]
    if found is None and not known.dialect.transactional and not all(isinstance(e, _ROWS) for e in known.effects):
        reasons.append(_LEDGER_ONLY)
    return Statement(
        piece.sql,
        "",
        piece.line,
        phase,
        ", ".join(title(e) for e in known.effects),
        lock=max((a.lock for a in allowed), key=_HEAVIEST.index),
        alone=any(a.alone for a in allowed),
        probe=found,
        verdict=Verdict.WARN if warned else Verdict.OK,
        reason="; ".join(dict.fromkeys(reasons)),
    )


def _merged(refused: Sequence[Refused]) -> Problem:
    """All that is wrong with the actions of one statement, as one problem."""
    return Problem(
        max(r.defect for r in refused),
        "; ".join(dict.fromkeys(r.reason for r in refused)),
        tuple(dict.fromkeys(line for r in refused for line in r.rewrite)),
    )


def _probe(effects: Sequence[Effect], dialect: Dialect) -> Probe | None:
    """One effect, one probe. Of several effects one may be there from before (IF NOT EXISTS): then only the marker tells.

    Where the marker is no part of the statement's transaction, the first effect that the catalogue can show speaks for all:
    the statement is atomic, and would have failed if one of them had been there before.
    """
    if len(effects) == 1:
        return probe(effects[0], dialect)
    if dialect.transactional or any(
        getattr(e, "if_not_exists", False) or getattr(e, "if_exists", False) for e in effects
    ):
        return None
    return next((p for p in (probe(e, dialect) for e in effects) if p is not None), None)


# backfill ----------------------------------------------------------------------------------------------------


def _backfill(piece: Piece, effects: Sequence[Effect], made: Made, dialect: Dialect) -> Classified:
    key = _key(piece, dialect)
    effect = effects[0]
    refused = backfill.judge(effect, key, made, dialect)
    if refused is not None:
        raise ProblemError(Problem(refused.defect, refused.reason, refused.rewrite))
    assert isinstance(effect, Update)
    table = tuple(lower(part) for part in effect.table.key)
    if table in made.filled:
        raise _unreadable(
            f"a second backfill of {effect.table}: its checkpoint would be that of the first",
            f"write one UPDATE {effect.table.sql} that sets all new columns",
        )
    column = f"{effect.alias}.{key.sql}"
    sql = f"{effect.head} WHERE ({effect.where}) AND {column} > :lo AND {column} <= :hi"
    columns = ", ".join(f"{effect.table}.{c}" for c in effect.sets)
    statement = BackfillStatement(sql, "", piece.line, effect.table.sql, key.sql, f"~ backfill {columns}")
    return Classified(statement, replace(made, filled=made.filled | {table}))


def _key(piece: Piece, dialect: Dialect) -> Name:
    given = piece.directives.get("key", DEFAULT_KEY)
    try:
        reader = Reader(given, tokenize(given, dialect.lexicon)[0], dialect.lexicon)
        key = reader.identifier()
        reader.end()
    except ProblemError:
        raise _unreadable(
            f"the key of a backfill is the name of one column, not {given!r}", "-- changeover: key=order_id"
        ) from None
    return key
