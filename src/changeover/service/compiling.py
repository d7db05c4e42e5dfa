"""Change sets as they are now: what was begun is what was kept in the target; what was not is compiled of the tables as they are."""

from __future__ import annotations

from dataclasses import replace

from changeover.core.errors import ChangesEdited, RowsInTheWay
from changeover.core.model import ChangeSet, Phase, SchemaReading, Version
from changeover.core.ports import Database
from changeover.schema.declared import Declared
from changeover.service.site import Site


def known(site: Site, schema: SchemaReading | None) -> tuple[ChangeSet, ...]:
    """Every change set: of files, and what was kept of operations that were begun, also when their file is gone."""
    if schema is None:
        return site.changes
    kept = {c.version: c for c in schema.kept}
    found = {c.version: _begun(c, kept, schema) for c in site.changes}
    return tuple(sorted({**kept, **found}.values(), key=lambda c: c.version))


def recorded(site: Site, schema: SchemaReading | None) -> tuple[ChangeSet, ...]:
    """As `known`, but what was begun is what was kept, whatever its file says by now: nothing forward is made of it."""
    if schema is None:
        return site.changes
    found = {c.version: c for c in site.changes} | {c.version: c for c in schema.kept}
    return tuple(found[v] for v in sorted(found))


def _begun(change: ChangeSet, kept: dict[Version, ChangeSet], schema: SchemaReading) -> ChangeSet:
    """What was kept, under the digest that the file has now: an edited file is seen by its digest."""
    then = kept.get(change.version)
    if then is None or not change.declared:
        return change
    if then.digest != change.digest and not schema.completed(change.version, Phase.EXPAND):
        raise ChangesEdited(
            f"the change file of v{change.version} was edited after a part of it had been applied",
            now="What was added stays.",
            next=(
                "put the file back as it was",
                f"or take back what was added: changeover schema undo {change.version}",
            ),
        )
    return replace(then, digest=change.digest)


def upto(site: Site, schema: SchemaReading | None, version: Version) -> tuple[ChangeSet, ...]:
    """The change sets up to a version, all of them compiled.

    Raises WouldBreak with every operation that cannot be done, RowsInTheWay with every row that forbids one.
    """
    found = {c.version: c for c in known(site, schema) if c.version <= version}
    todo = [d for d in site.declared if d.version in found and not found[d.version].compiled]
    database = site.ports.database
    if todo and database is not None:
        found |= {c.version: c for c in _compiled(todo, database)}
    return tuple(found[v] for v in sorted(found))


def _compiled(todo: list[Declared], database: Database) -> list[ChangeSet]:
    from changeover.schema.compile import compiled  # who compiles nothing loads no engine
    from changeover.schema.engines import engine_of

    catalogue = database.tables(tuple(dict.fromkeys(name for d in todo for name in d.tables)))
    sets, rows, asks = [], [], []
    for declared in todo:
        engine = engine_of(database.dialect, catalogue, names_columns=declared.names_columns, ask=database.algorithm)
        made = compiled(declared, catalogue, engine)
        catalogue = made.catalogue
        sets.append(made.changes)
        for question in made.questions:
            answer = database.count(question)
            if answer.rows:
                rows.append(
                    f"{answer.rows} {question.title}" + (f": {'; '.join(answer.shown)}" if answer.shown else "")
                )
                asks.append(f"they are found by: {question.sql}")
    if rows:
        raise RowsInTheWay(
            "rows stand in the way of this change: " + "; ".join(rows),
            next=("mend these rows, then plan again", *asks),
        )
    return sets
