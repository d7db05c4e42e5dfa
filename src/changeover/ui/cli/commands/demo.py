# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""demo: the whole path on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from changeover.core.errors import Exit
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents


def demo(
    *,
    scenario: str = "release",
    balancer: Literal["envoy", "haproxy", "haproxy-servers", "alb", "elb"] = "envoy",
    balancers: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=8))] = 1,
    database: Literal["sqlite", "postgresql", "mariadb"] = "sqlite",
    changes: Literal["operations", "sql"] = "operations",
    keep: Annotated[bool, Flag] = False,
    folder: Path | None = None,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Two versions, a balancer, a database and live traffic on 127.0.0.1; every request is judged. Needs no root.

    Parameters
    ----------
    scenario
        What is played; an unknown name lists all of them.
    balancer
        Which load balancer; alb and elb are a stand-in for AWS on this machine.
    balancers
        How many of them at once, in front of the same instances.
    database
        Which database.
    changes
        How the schema changes are written: as operations, or as plain SQL.
    keep
        Keep the files.
    folder
        Where the files go; a temporary folder if it is left out.
    """
    say = session.terminal.say
    answer = dict(
        session.doors.demo(
            scenario, balancer, database, folder=folder, keep=keep, say=say, changes=changes, balancers=balancers
        )
    )
    words = "" if session.common.json else session.doors.demo_words(answer)
    session.answer(words, {**documents.head("demo", session.now()), **answer})
    return Exit.DONE if answer.get("verdict") == "ok" else Exit.FAILED
