"""Every operation on every engine that runs here: walked through all its phases while two versions write, each step twice."""

from __future__ import annotations

import pytest
from tests.fixtures.operations import mysql, postgresql, sqlite
from tests.fixtures.operations.case import Case, Refused
from tests.fixtures.operations.walk import Walk, refused, undone_from_everywhere

from changeover.schema.operations import OPERATIONS

ENGINES = {"postgresql": postgresql, "mysql": mysql, "sqlite": sqlite}


CASES = [pytest.param(e, c, id=f"{e}-{c.title}") for e, m in ENGINES.items() for c in m.CASES]


@pytest.mark.parametrize(("engine", "case"), CASES)
def test_walk(engine: str, case: Case) -> None:
    """expand, undo, expand, sync, backfill, verify, finalize, contract, drop; 0 lost writes, 0 errors, 0 rows that do not fit."""
    places = ENGINES[engine].place
    with places() as here:
        Walk(case, here, places).run()


@pytest.mark.parametrize(("engine", "case"), CASES)
def test_undo(engine: str, case: Case) -> None:
    """A release that is given up after any of its statements leaves the schema as it was."""
    with ENGINES[engine].place() as here:
        undone_from_everywhere(here, case)


@pytest.mark.parametrize(
    ("engine", "case"), [pytest.param(e, c, id=f"{e}-{c.title}") for e, m in ENGINES.items() for c in m.REFUSED]
)
def test_refused(engine: str, case: Refused) -> None:
    """What cannot be done here is refused with its reason before anything is touched."""
    with ENGINES[engine].place() as here:
        refused(here, case)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_operation_is_walked_or_refused(engine: str) -> None:
    """A new operation cannot be added half-tested."""
    module = ENGINES[engine]
    judged = {c.kind for c in (*module.CASES, *module.REFUSED)}
    assert judged == set(OPERATIONS)
    titles = [c.title for c in (*module.CASES, *module.REFUSED)]
    assert len(titles) == len(set(titles))
