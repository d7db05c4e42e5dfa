"""One invocation: tokens in, exit code out. Everything that can go wrong ends here, in words and a code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from cyclopts.exceptions import CycloptsError

from changeover.core.errors import ChangeoverError, Exit, UsageError
from changeover.ui.cli import failures
from changeover.ui.cli.app import build
from changeover.ui.cli.open import Doors
from changeover.ui.cli.options import Common, leading_globals
from changeover.ui.cli.session import Session
from changeover.ui.cli.signals import AtOnce
from changeover.ui.cli.table import COMMANDS, Command, find
from changeover.ui.cli.terminal import Terminal


def run(argv: list[str], terminal: Terminal, doors: Doors) -> int:
    """Run one command line. Raises only AtOnce: the second interrupt, after which nothing more is to be done."""
    words = tuple(w for c in COMMANDS for w in (c.words, *c.aliases))
    tokens = leading_globals(argv, words)
    command = _command(tokens)
    common = _guessed(tokens)
    _fit(terminal, common)
    session = Session(common, terminal, doors)
    try:
        function, bound, ignored = build().parse_args(tokens)
    except CycloptsError as error:
        return int(failures.report(session, None, _usage(error, command)))
    session.common = bound.arguments.get("common", common)
    _fit(terminal, session.common)
    return int(_guarded(session, command, function, bound, ignored))


def _guarded(
    session: Session, command: Command | None, function: Callable[..., Any], bound: inspect.BoundArguments, ignored: Any
) -> Exit | int:
    injected = {name: session for name in ignored if name == "session"}
    try:
        session.timeout  # noqa: B018 - a wrong duration is told before anything is done
        answer = function(*bound.args, **bound.kwargs, **injected)
    except ChangeoverError as error:
        return failures.report(session, command, error)
    except AtOnce:
        session.terminal.tell(
            "Stopped at once. The journal has every step; changeover resume looks before it acts.", "failed"
        )
        raise
    except KeyboardInterrupt:
        session.terminal.tell("Interrupted.", "warn")
        return Exit.INTERRUPTED
    except Exception as error:  # what nobody foresaw is told, and never looks like success
        return failures.unexpected(session, command, error)
    return answer if isinstance(answer, int) else Exit.DONE


def _command(tokens: list[str]) -> Command | None:
    for count in (2, 1):
        found = find(" ".join(tokens[:count]))
        if found is not None:
            return found
    return None


def _guessed(tokens: list[str]) -> Common:
    """What of the common options can be seen before they are parsed: how to tell a usage error."""
    return Common(json="--json" in tokens, no_color="--no-color" in tokens, no_input="--no-input" in tokens)


def _fit(terminal: Terminal, common: Common) -> None:
    terminal.fit(no_color=common.no_color, no_input=common.no_input, quiet=common.quiet)


def _usage(error: CycloptsError, command: Command | None) -> UsageError:
    text = " ".join(str(error).split()).partition(" Available commands:")[0].replace("Unused Tokens", "not understood")
    text = text.rstrip(".")
    help_ = f"changeover {command.words} --help" if command is not None else "changeover --help"
    return UsageError(text[:1].lower() + text[1:] if text else "wrong usage", next=(help_,))
