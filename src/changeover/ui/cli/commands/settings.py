# ruff: noqa: ARG001, D413, D417 - every command declares the common options; cyclopts reads the docstrings
"""config show, config schema, completion."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from changeover.core.errors import Exit
from changeover.ui.cli.options import PLAIN, Common, Injected
from changeover.ui.cli.session import Session
from changeover.ui.render import documents


def show(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """The configuration that counts: overlay merged, defaults filled in. References stand unresolved; no secret is shown."""
    text = session.doors.settings(common.config, common.environment)
    session.answer(text, {**documents.head("config", session.now()), "text": text})
    return Exit.DONE


def schema(*, session: Annotated[Session, Injected], common: Common = PLAIN) -> Exit:
    """JSON Schema of changeover.yml, for editors."""
    session.terminal.answer(json.dumps(session.doors.schema(), indent=1, ensure_ascii=not session.terminal.utf8))
    return Exit.DONE


def completion(
    shell: Literal["bash", "zsh", "fish"],
    /,
    *,
    session: Annotated[Session, Injected],
    common: Common = PLAIN,
) -> Exit:
    """The completion script of a shell: source <(changeover completion bash).

    Parameters
    ----------
    shell
        Which shell.
    """
    from changeover.ui.cli.app import build

    session.terminal.answer(build().generate_completion(prog_name="changeover", shell=shell))
    return Exit.DONE
