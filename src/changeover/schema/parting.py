"""A migration as other tools write it -> a change in two parts: what adds, and what waits until nobody needs the old shape.

Pure, and offline: the text alone is judged. What becomes one part of plain SQL stays plain SQL; what no two statements can say
(a rename, a type, a rule that the running version breaks) becomes an operation, and then the whole file does, because a version is
written either way. What cannot be split is refused, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.core.model import Phase
from changeover.schema import effects as e
from changeover.schema.classify import judge_piece, parse_piece
from changeover.schema.dialects import dialect_of
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.problems import Defect, Problem, ProblemError, refusal
from changeover.schema.rules.ruling import Made
from changeover.schema.split import Piece, split
from changeover.schema.tokens import lower

HOME = {"postgresql": "public", "sqlserver": "dbo", "sqlite": "main"}  # the schema that may be left out
_NAMES = re.compile(r"ON\s+\S+\s*\(\s*(\w+(?:\s*,\s*\w+)*)\s*\)", re.IGNORECASE)
_REFERENCES = re.compile(
    r"REFERENCES\s+\S+?\s*\(\s*(\w+(?:\s*,\s*\w+)*)\s*\)\s*(?:ON\s+DELETE\s+(CASCADE|SET\s+NULL|RESTRICT|NO\s+ACTION)\s*)?",
    re.IGNORECASE,
)
_CHECK = re.compile(r"CHECK\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Parted:
    """The files of the change, by name, and what a person must know or decide before using them."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


def part(text: str, file: str, dialect: str, version: str) -> Parted:
    """Split the migration `text`. `version` begins the names of the new files.

    Raises WouldBreak (CO-0104), StatementUnknown (CO-0103) or ChangesUnreadable (CO-0101) with every statement that cannot be split.
    """
    return _Parting(dialect_of(dialect), file).run(text, version)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A statement that stays as it is, in this phase; `undo` takes it back, "" if that is not known."""

    phase: Phase
    sql: str
    undo: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class _Declared:
    kind: str
    values: Values


_Part = _Plain | _Declared


@dataclass(slots=True)
class _Parting:
    dialect: Dialect
    file: str
    made: Made = field(default_factory=Made)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, text: str, version: str) -> Parted:
        parts: list[_Part] = []
        try:
            pieces = split(text, self.dialect)
        except ProblemError as error:
            raise refusal([error.problem.at(self.file, 0, "")]) from None
        for piece in pieces:
            try:
                parts += self._piece(piece)
            except ProblemError as error:
                self.problems.append(error.problem.at(self.file, piece.line, piece.sql))
        if not pieces:
            self.problems.append(Problem(Defect.UNREADABLE, "there is no statement", (), self.file))
        if self.problems:
            raise refusal(self.problems)
        if not any(isinstance(p, _Declared) for p in parts):
            return Parted(_plain(parts, version), tuple(dict.fromkeys(self.notes)))
        for one in parts:
            if isinstance(one, _Plain) and one.phase is Phase.EXPAND and not one.undo:
                self.notes.append(f"line {one.line}: write what takes it back: undo: [ … ]")
        files = _operations(parts, version)
        return Parted(files, tuple(dict.fromkeys(self.notes)))

    def _piece(self, piece: Piece) -> list[_Part]:
        if _is_frame(piece):
            self.notes.append(f"line {piece.line}: {piece.sql} is left out: each statement is a transaction of its own")
            return []
        piece = replace(piece, ended=True)
        effects = parse_piece(piece, self.dialect)
        declared = [d for effect in effects for d in self._declared(effect, piece)]
        if declared:
            if any(not _covered(effect, declared) for effect in effects):
                raise _wrong(
                    "one statement does several things, of which only some can be declared", "write one for each"
                )
            self.made = self.made.after(effects)
            return list(declared)
        return [self._plain(piece, effects)]

    # plain SQL -----------------------------------------------------------------------------------------------------

    def _plain(self, piece: Piece, effects: Sequence[e.Effect]) -> _Plain:
        """The first phase in which the statement may stand; else why it may stand in none."""
        update = any(isinstance(x, e.Update) for x in effects)
        refused: ProblemError | None = None
        for phase in (Phase.BACKFILL,) if update else (Phase.EXPAND, Phase.CONTRACT):
            made = self.made.at_contract() if phase is Phase.CONTRACT else self.made
            try:
                found = judge_piece(piece, phase, self.dialect, made)
            except ProblemError as error:
                refused = error
                continue
            self.made = found.made
            self._warned(piece, found.statement)
            return _Plain(phase, piece.sql, _undo(effects), piece.line)
        assert refused is not None
        raise refused

    def _warned(self, piece: Piece, statement: object) -> None:
        reason = getattr(statement, "reason", "")
        if reason:
            self.notes.append(f"line {piece.line}: {reason}")

    # operations ----------------------------------------------------------------------------------------------------

    def _declared(self, effect: e.Effect, piece: Piece) -> Iterator[_Declared]:
        """The operations that say what the effect does; none where plain SQL says it, or nothing does."""
        table = getattr(effect, "table", None)
        if isinstance(table, e.Name) and self.made.has(table):
            return
        match effect:
            case e.RenameColumn():
                yield self._of(effect.table, "rename_column", column=effect.old.last, to=effect.new.last)
                self.notes.append(
                    f"line {piece.line}: the version must ask for {effect.new} and never for {effect.old}; both stay equal until cleanup"
                )
            case e.RenameObject(kind="table"):
                yield self._of(effect.old, "rename_table", to=effect.new.last)
            case e.ChangeType():
                yield self._type(effect, piece)
            case e.SetNotNull():
                yield self._of(effect.table, "set_not_null", column=effect.column.last)
            case e.DropNotNull():
                yield self._of(effect.table, "drop_not_null", column=effect.column.last)
            case e.SetDefault():
                yield self._of(effect.table, "set_default", column=effect.column.last, default=effect.sql)
            case e.DropColumn(cascade=False):
                yield self._of(effect.table, "drop_column", column=effect.column.last)
            case e.Drop(kind="table", cascade=False):
                for name in effect.names:
                    yield self._of(name, "drop_table")
            case e.DropConstraint(cascade=False):
                yield self._of(effect.table, "drop_constraint", name=effect.name.last)
            case e.AddColumn() if _required(effect.column):
                raise _wrong(
                    f"{effect.table}.{effect.column.name} is required and has no default: what do the rows of the version before get?",
                    "write it as an operation, with what computes it:",
                    f"- add_column: {{ table: {effect.table.last}, column: {effect.column.name.last}, "
                    f'type: {effect.column.type.sql}, not_null: true, from: "…" }}',
                )
            case e.AddColumn() if effect.column.unique or effect.column.check or effect.column.reference:
                yield from self._column(effect)
            case e.AddConstraint(index=None) if not effect.not_valid:
                yield self._constraint(effect)
            case e.CreateIndex(concurrently=False, unique=False, kind="") if effect.name is not None:
                columns = _NAMES.fullmatch(effect.rest.strip())
                if columns is not None:
                    yield self._of(effect.table, "add_index", columns=_list(columns[1]), name=effect.name.last)
            case _:
                return

    def _of(self, table: e.Name, kind: str, **values: object) -> _Declared:
        """An operation on a table. Operations name tables without their schema."""
        if len(table.parts) > 1 and lower(table.parts[-2]) != HOME.get(self.dialect.name, ""):
            raise _wrong(
                f"{table} lies in a schema of its own: operations name tables of the first schema of the login",
                "write this change as plain SQL, in two parts, by hand",
            )
        return _Declared(kind, {"table": table.last, **values})

    def _type(self, effect: e.ChangeType, piece: Piece) -> _Declared:
        new = f"{effect.column.last}_v2"
        values: dict[str, object] = {"column": effect.column.last, "type": effect.type.sql, "to": new}
        if effect.using:
            using = re.search(r"\bUSING\b(.*)$", piece.sql, re.IGNORECASE | re.DOTALL)
            if using is None or len(re.findall(r"\bUSING\b", piece.sql, re.IGNORECASE)) > 1:
                raise _wrong(
                    f"the USING of {effect.table}.{effect.column} cannot be told apart",
                    "write one ALTER COLUMN a statement",
                )
            values["up"] = " ".join(using[1].split())
            values["down"] = f"CAST({new} AS …)"
            raise _wrong(
                f"{effect.table}.{effect.column} is computed by USING; how the old value is computed from the new one, nobody said",
                "write it as an operation, with both directions:",
                f"- change_type: {_flow({'table': effect.table.last, **values})}",
            )
        self.notes.append(
            f"line {piece.line}: the version must ask for {new} and never for {effect.column}; both stay equal until cleanup. "
            "The name is yours to choose"
        )
        return self._of(effect.table, "change_type", **values)

    def _column(self, effect: e.AddColumn) -> Iterator[_Declared]:
        column = effect.column
        if (
            column.default in (e.Default.VOLATILE, e.Default.STABLE)
            or column.generated is not e.Generated.NO
            or column.primary
        ):
            raise _wrong(
                f"{effect.table}.{column.name} is filled by the database row by row, and has a rule of its own",
                "add the column without the rule first, and the rule in a statement of its own",
            )
        values: dict[str, object] = {"column": column.name.last, "type": column.type.sql}
        values |= {"not_null": True} if column.not_null else {}
        values |= {"default": column.default_sql} if column.default is e.Default.CONSTANT else {}
        yield self._of(effect.table, "add_column", **values)
        if column.unique:
            yield self._of(effect.table, "add_unique", columns=[column.name.last])
        if column.check:
            yield self._of(effect.table, "add_check", check=column.check)
        if column.reference is not None:
            yield self._foreign(effect.table, (column.name.last,), column.reference, {})

    def _constraint(self, effect: e.AddConstraint) -> _Declared:
        named: Values = {"name": effect.name.last} if effect.name is not None else {}
        match effect.rule:
            case e.Rule.UNIQUE:
                return self._of(effect.table, "add_unique", columns=list(effect.columns), **named)
            case e.Rule.CHECK:
                found = _CHECK.search(effect.body)
                if found is not None:
                    return self._of(effect.table, "add_check", check=found[1].strip(), **named)
            case e.Rule.FOREIGN_KEY if effect.reference is not None:
                return self._foreign(effect.table, effect.columns, effect.reference, named)
            case _:
                pass
        raise _wrong(
            f"a {effect.rule} constraint on a table that is in use has no form in two parts",
            "give the new version a table of its own, with the constraint",
        )

    def _foreign(self, table: e.Name, columns: Sequence[str], to: e.Reference, named: Values) -> _Declared:
        found = _REFERENCES.match(to.sql)
        if found is None or found.end() != len(to.sql.strip()):
            raise _wrong(
                f"the foreign key {to.sql} does not say which columns, or more than an operation can",
                f"REFERENCES {to.table.sql} (…)",
            )
        deletes = (found[2] or "").upper()
        values: dict[str, object] = {
            "columns": list(columns),
            "references": {"table": to.table.last, "columns": _list(found[1])},
            **named,
        }
        values |= {"on_delete": " ".join(deletes.split())} if deletes and not deletes.startswith("NO") else {}
        return self._of(table, "add_foreign_key", **values)


def _is_frame(piece: Piece) -> bool:
    """BEGIN, COMMIT and the like, which other tools write around a migration."""
    return bool(
        re.fullmatch(r"(begin|commit|start\s+transaction)(\s+(work|transaction))?", piece.sql.strip(), re.IGNORECASE)
    )


def _wrong(reason: str, *rewrite: str) -> ProblemError:
    return ProblemError(Problem(Defect.BREAKS, reason, rewrite))


def _required(column: e.Column) -> bool:
    return column.not_null and column.default in (e.Default.NONE, e.Default.NULL) and column.generated is e.Generated.NO


def _covered(effect: e.Effect, declared: Sequence[_Declared]) -> bool:
    """Whether an operation speaks of the effect: its table, and its column or name where it has one."""
    names = {str(v) for d in declared for v in _leaves(d.values)}
    table = next((n for n in (getattr(effect, "table", None), getattr(effect, "old", None)) if n is not None), None)
    if isinstance(effect, e.Drop):
        return all(n.last in names for n in effect.names)
    column = getattr(effect, "column", None)
    column = column.name if isinstance(column, e.Column) else column
    return table is not None and table.last in names and (column is None or column.last in names)


def _leaves(value: object) -> Iterator[object]:
    match value:
        case Mapping():
            for inner in value.values():
                yield from _leaves(inner)
        case list() | tuple():
            for inner in value:
                yield from _leaves(inner)
        case _:
            yield value


def _list(names: str) -> list[str]:
    return [n.strip() for n in names.split(",")]


def _undo(effects: Sequence[e.Effect]) -> str:
    """What takes one thing that was added back; "" where the text does not tell."""
    if len(effects) != 1:
        return ""
    match effects[0]:
        case e.CreateTable(if_not_exists=False) as made:
            return f"DROP TABLE {made.table.sql}"
        case e.CreateTableAs(if_not_exists=False) as made:
            return f"DROP TABLE {made.table.sql}"
        case e.AddColumn(if_not_exists=False) as made:
            return f"ALTER TABLE {made.table.sql} DROP COLUMN {made.column.name.sql}"
        case e.CreateIndex(if_not_exists=False) as made if made.name is not None:
            return f"DROP INDEX {'CONCURRENTLY ' if made.concurrently else ''}{made.name.sql}"
        case e.CreateView(replace=False, if_not_exists=False) as made:
            return f"DROP VIEW {made.name.sql}"
        case e.Create(if_not_exists=False, kind="sequence" | "type" | "schema" | "domain" as kind) as made:
            return f"DROP {kind.upper()} {made.name.sql}"
        case _:
            return ""


# files -------------------------------------------------------------------------------------------------------------


def _plain(parts: Sequence[_Part], version: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for phase in (Phase.EXPAND, Phase.BACKFILL, Phase.CONTRACT):
        mine = [p.sql.rstrip().rstrip(";") + ";\n" for p in parts if isinstance(p, _Plain) and p.phase is phase]
        if mine:
            files[f"{version}.{phase}.sql"] = "".join(mine)
    return files


def _operations(parts: Sequence[_Part], version: str) -> dict[str, str]:
    lines = ["changes:"]
    for one in parts:
        if isinstance(one, _Declared):
            lines.append(f"  - {one.kind}: {_flow(one.values)}")
            continue
        values: dict[str, object] = {one.phase.value: [one.sql]}
        if one.phase is Phase.EXPAND:
            values["undo"] = [one.undo] if one.undo else []
        lines.append(f"  - sql: {_flow(values)}")
    return {f"{version}.yml": "\n".join(lines) + "\n"}


def _flow(values: Values) -> str:
    """`{ table: users, column: "Name" }`: bare words where they are safe, JSON elsewhere, which is YAML too."""
    return "{ " + ", ".join(f"{key}: {_value(value)}" for key, value in values.items()) + " }"


_BARE = re.compile(r"[a-z][a-z0-9_]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _value(value: object) -> str:
    match value:
        case str() if _BARE.fullmatch(value) and value not in _WORDS:
            return value
        case list():
            return "[" + ", ".join(_value(v) for v in value) + "]"
        case Mapping():
            return _flow(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
