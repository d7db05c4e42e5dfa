"""What can be said of a change file without its database: expressions, constants, plain SQL, operations that get in each other's way.

Everything here is also found when the file is compiled against the tables as they are; this is for CI, where no database answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from changeover.schema.declared import Declared
from changeover.schema.engines.engine import Cannot
from changeover.schema.expressions import check_closed
from changeover.schema.operations import Operation
from changeover.schema.operations.columns import AddColumn, DropColumn, SetDefault, constant
from changeover.schema.operations.derived import ChangeType, MergeColumns, RenameColumn, SplitColumn
from changeover.schema.operations.rules import AddCheck
from changeover.schema.operations.sql import Sql
from changeover.schema.operations.tables import CreateTable, DropTable, RenameTable
from changeover.schema.problems import Defect, Problem

WHOLE = (RenameTable, DropTable)  # they leave the table to nobody else in the same release


def lint(declared: Declared, dialect: str) -> tuple[Problem, ...]:
    """Every problem that the text alone shows, by line."""
    problems: list[Problem] = []

    def judge(operation: Operation, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Cannot as error:
            shown = operation.describe()
            problems.append(Problem(Defect.BREAKS, error.reason, error.rewrite, declared.file, operation.line, shown))

    for operation in declared.operations:
        if isinstance(operation, Sql):
            judge(operation, lambda o=operation: o.judged(dialect, declared.version))  # type: ignore[misc]
            continue
        for where, expression in _expressions(operation):
            judge(operation, lambda e=expression, w=where: check_closed(e, dialect, w))  # type: ignore[misc]
        for where, default in _constants(operation):
            judge(operation, lambda d=default, w=where: _constant(d, w))  # type: ignore[misc]
        judge(operation, lambda o=operation: _stated(o))  # type: ignore[misc]
    for operation, reason in _together(declared):
        judge(operation, lambda r=reason: _refuse(r))  # type: ignore[misc]
    return tuple(sorted(problems, key=lambda p: p.line))


def _expressions(operation: Operation) -> Iterator[tuple[str, str]]:
    match operation:
        case AddColumn() if operation.source:
            yield f"`from` of {operation.table}.{operation.column}", operation.source
        case ChangeType():
            yield from (
                (f"`{n}` of {operation.column}", x) for n, x in (("up", operation.up), ("down", operation.down)) if x
            )
        case SplitColumn():
            yield from ((f"`up` of {p.name}", p.up) for p in operation.into)
            yield f"`down` of {operation.column}", operation.down
        case MergeColumns():
            yield f"`up` of {operation.into}", operation.up
            yield from ((f"`down` of {name}", x) for name, x in operation.down.items())
        case AddCheck():
            yield f"the check on {operation.table}", operation.check_
        case CreateTable():
            yield from ((f"the check {c.name}", c.definition) for c in operation.constraints if c.definition)
        case _:
            return


def _constants(operation: Operation) -> Iterator[tuple[str, str]]:
    match operation:
        case AddColumn() | DropColumn() | SetDefault() | ChangeType() if operation.default is not None:
            yield f"{operation.table}.{operation.column}", operation.default
        case CreateTable():
            yield from ((f"{operation.table}.{c.name}", c.default) for c in operation.columns if c.default is not None)
        case _:
            return


def _constant(default: str, where: str) -> None:
    constant(default, where)


def _stated(operation: Operation) -> None:
    """What the keys of one operation demand of each other."""
    match operation:
        case AddColumn(source=source, default=default) if source and default is not None:
            raise Cannot(
                "a column that is computed cannot have a default as well: it would hide which rows were never filled",
                "leave one of them out",
            )
        case AddColumn(not_null=True, source="", default=None):
            raise Cannot(
                f"{operation.table}.{operation.column} would be required, and the versions before do not fill it",
                "give it a `default:`, or compute it with `from:`",
            )
        case MergeColumns(columns=columns, down=down) if set(down) != set(columns):
            raise Cannot(
                f"`down` gives {', '.join(down)}, the old columns are {', '.join(columns)}", "give each of them"
            )
        case _:
            return


def _together(declared: Declared) -> Iterator[tuple[Operation, str]]:
    """Operations of one release that get in each other's way."""
    added: dict[tuple[str, str], int] = {}
    made: dict[str, int] = {}
    taken = {n: o.line for o in declared.operations if isinstance(o, WHOLE) for n in o.names()}
    for operation in declared.operations:
        others = [n for n in operation.names() if taken.get(n, operation.line) != operation.line]
        if others:
            yield (
                operation,
                f"{others[0]} is renamed or dropped by another operation of this release (line {taken[others[0]]})",
            )
        for key in _adds(operation):
            first = added.setdefault(key, operation.line)
            if first != operation.line:
                yield operation, f"{key[0]}.{key[1]} is added in line {first} already"
        if isinstance(operation, CreateTable):
            first = made.setdefault(operation.table.lower(), operation.line)
            if first != operation.line:
                yield operation, f"{operation.table} is made in line {first} already"


def _adds(operation: Operation) -> tuple[tuple[str, str], ...]:
    match operation:
        case AddColumn():
            return ((operation.table, operation.column.lower()),)
        case RenameColumn():
            return ((operation.table, operation.to.lower()),)
        case ChangeType() if operation.to:
            return ((operation.table, operation.to.lower()),)
        case SplitColumn():
            return tuple((operation.table, p.name.lower()) for p in operation.into)
        case MergeColumns():
            return ((operation.table, operation.into.lower()),)
        case _:
            return ()


def _refuse(reason: str) -> None:
    raise Cannot(reason, "do the two in two releases, or say both in one operation")
