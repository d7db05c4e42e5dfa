# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""init, doctor, check: before the first release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from changeover.core.errors import ChangeoverError, Exit, UsageError
from changeover.ui.cli import planfile
from changeover.ui.cli.options import PLAIN, Common, Flag, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents, errors, lists, words

if TYPE_CHECKING:
    from changeover.service.wiring import CheckReport

HAPROXY_CFG = Path("/etc/haproxy/haproxy.cfg")


def init(
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    app: str | None = None,
    force: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Read an existing haproxy.cfg or AWS load balancer and write changeover.yml. What could not be found out is left to fill in.

    Parameters
    ----------
    from_
        The haproxy.cfg to read; /etc/haproxy/haproxy.cfg if that is there. Or the ARN of a load balancer of AWS.
    app
        The name of the application; that of this folder if it is left out.
    force
        Replace a changeover.yml that is there.
    """
    if common.config.exists() and not force:
        raise UsageError(f"{common.config} is there already", next=("changeover check", "replace it: --force"))
    source: Path | str | None = HAPROXY_CFG if HAPROXY_CFG.is_file() else None
    if from_ is not None:
        source = from_ if from_.startswith("arn:") else Path(from_)
    name = app or _name(Path.cwd().name)
    proposal = session.doors.propose(source, name, common.environment or "production")
    planfile.write(common.config, proposal.configuration)
    lines = [*proposal.found, f"{common.config} is written."]
    if proposal.additions:
        lines += ["", "haproxy.cfg lacks these lines; add them, then reload HAProxy:", "", *proposal.additions]
    lines += ["", f"Next:  fill in what {common.config} asks for, then  changeover check  and  changeover doctor"]
    document = {
        **documents.head("init", session.now()),
        "file": str(common.config),
        "found": list(proposal.found),
        "additions": list(proposal.additions),
    }
    session.answer("\n".join(lines), document)
    return Exit.DONE


def _name(folder: str) -> str:
    bare = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in folder).strip("-_")
    return bare or "app"


def doctor(
    *,
    grants: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Read-only: is everything reachable, and may changeover do what a release needs? Exit 1 if a release would fail.

    Parameters
    ----------
    grants
        Print the minimal GRANT statements for the database login and the minimal IAM policy for AWS, and nothing else.
    """
    door = session.door()
    if grants:
        statements = door.grants()
        document = {**documents.head("grants", session.now()), "grants": list(statements)}
        session.answer("\n".join(statements) or "-- this environment needs no GRANT", document)
        return Exit.DONE
    found = door.doctor()
    exit_ = Exit.FAILED if any(not f.ok and f.fatal for f in found) else Exit.DONE
    document = documents.doctor(found, session.now(), exit_=int(exit_))
    session.answer(lists.doctor(found, utf8=session.terminal.utf8), document)
    return exit_


def check(
    *,
    format: Literal["text", "json", "github"] = "text",
    online: Annotated[bool, Flag] = False,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """Lint the configuration and the change files, for CI. Touches no server, resolves no secret, unless it is told to.

    Parameters
    ----------
    format
        text; json (as --json); github: workflow commands that mark the lines.
    online
        Ask the database too: operations are compiled against its tables as they are. Nothing is changed.
    """
    json = common.json or format == "json"
    terminal = session.terminal
    try:
        report = session.doors.check(common.config, common.environment, online)
    except ChangeoverError as error:
        if format == "github":
            terminal.answer(errors.github(error))
        elif json:
            terminal.answer(documents.dump(errors.document(error, session.now()), utf8=terminal.utf8))
        else:
            raise
        return error.exit
    if json:
        terminal.answer(documents.dump(_document(session, report), utf8=terminal.utf8))
    elif format == "github":
        terminal.answer("".join(errors.github_warning(w) for w in report.warnings))
    else:
        terminal.answer(_checked(report))
    return Exit.DONE


def _document(session: Session, report: CheckReport) -> documents.Document:
    return {
        **documents.head("check", session.now()),
        "config": report.config,
        "app": report.app,
        "environment": report.environment,
        "versions": [c.version.text for c in report.changes],
        "operations": report.operations,
        "online": report.online,
        "warnings": list(report.warnings),
    }


def _checked(report: CheckReport) -> str:
    statements = sum(len(c.adds) + len(c.backfill) + len(c.contract) + len(c.drop) for c in report.changes)
    lines = [
        f"{report.config}: fine, for {report.app} {words.environment(report.environment)}",
        f"{words.many(len(report.changes), 'version')} with changes, {words.many(statements, 'statement')}, each one known",
    ]
    if report.operations:
        tried = "compiled against the tables as they are" if report.online else "read; --online compiles them"
        lines.append(f"{words.many(report.operations, 'operation')}, {tried}")
    lines += [f"  WARN {warning}" for warning in report.warnings]
    if report.warnings:
        lines.append("A WARN needs a named person's acknowledgement in the plan: --ack NAME")
    return words.clean("\n".join(lines))
