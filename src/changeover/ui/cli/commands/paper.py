# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""runbook, process, explain: what is read on paper."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal

from changeover.core.errors import Exit, UsageError, catalogue
from changeover.ui.cli import planfile
from changeover.ui.cli.options import PLAIN, Common, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents, lists


def runbook(
    plan: Path,
    /,
    *,
    format: Literal["md", "html"] = "md",
    out: Path | None = None,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """A saved plan as the written process: order, way back, approvals, and every step by hand. Needs no configuration.

    Parameters
    ----------
    plan
        The plan file.
    format
        Markdown, or one HTML page with a style for print.
    out
        Write it to this file.
    """
    made = planfile.read(plan)
    match format:
        case "md":
            from changeover.ui.render.runbook_markdown import markdown

            text = markdown(made)
        case "html":
            from changeover.ui.render.runbook_html import page

            text = page(made)
    document = {**documents.head("runbook", session.now()), "plan": made.hash, "format_of_text": format, "text": text}
    _paper(session, text, out, document)
    return Exit.DONE


def process(
    *,
    out: Path | None = None,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """The written process of this environment, without a version: the order of tasks, the way back, the backups.

    Parameters
    ----------
    out
        Write it to this file.
    """
    from changeover.ui.render.process import process as written

    site = session.door().site
    text = written(site.app, site.environment, site.policy, database=site.ports.database is not None)
    _paper(
        session, text, out, {**documents.head("process", session.now()), "environment": site.environment, "text": text}
    )
    return Exit.DONE


def _paper(session: Session, text: str, out: Path | None, document: documents.Document) -> None:
    if out is None:
        session.answer(text, document)
        return
    planfile.write(out, text)
    session.terminal.say(f"Written to {out}.")
    if session.common.json:
        session.answer("", {**document, "text": None, "file": str(out)})


def explain(
    code: str,
    /,
    *,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """What an error means, and why the rule behind it is there.

    Parameters
    ----------
    code
        Its id, such as CO-0104; 0104 and 104 will do.
    """
    known = catalogue()
    bare = code.strip().upper().removeprefix("CO-").removeprefix("CO")
    wanted = f"CO-{bare.zfill(4)}"
    kind = known.get(wanted)
    if kind is None:
        near = difflib.get_close_matches(wanted, known, n=3)
        raise UsageError(f"there is no error {code}", next=tuple(f"changeover explain {n}" for n in near))
    document = {
        **documents.head("explain", session.now()),
        "code": kind.code,
        "title": kind.title,
        "exit_code": int(kind.exit),
        "text": lists.explain(kind),
    }
    session.answer(lists.explain(kind), document)
    return Exit.DONE
