"""Pages of the reference that code writes: commands, exit codes, errors. A test keeps them up to date."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changeover.core.errors import Exit, catalogue
from changeover.ui.cli.table import COMMANDS, Command

if TYPE_CHECKING:
    from cyclopts.argument import Argument

AREAS = {
    "00": "Configuration and tool",
    "01": "Schema and compatibility",
    "02": "Traffic and instances",
    "03": "Way back and cleanup",
    "04": "Runs and plans",
    "08": "AWS",
}

EXITS: Mapping[Exit, tuple[str, str]] = {
    Exit.DONE: ("done, proved", "go on"),
    Exit.FAILED: ("failed; nothing changed, or fully undone; or a question was answered with no", "fail"),
    Exit.USAGE: ("wrong usage or configuration; an answer is needed and nobody is there to give it", "fail"),
    Exit.DIFFERENT: ("`plan --check`: there is something to do", "branch"),
    Exit.WAITING: (
        "under way, or waiting for a person: gate, pause, `--detach`, `--until`, `--timeout`",
        "wait, poll `status`",
    ),
    Exit.REFUSED: ("refused by a safety rule", "fail; fix what it names"),
    Exit.WENT_BACK: ("went back by itself; the old version serves everything", "fail; page nobody"),
    Exit.UNKNOWN: ("partial or unknown: a person must look", "page"),
    Exit.INTERRUPTED: ("interrupted by SIGINT or SIGTERM; saved, `changeover resume` goes on", "look"),
}


def write(folder: Path) -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


def commands() -> str:
    """Every command with its options."""
    return "\n".join(_commands()) + "\n"


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "This page is written from the program; a test keeps it up to date. `changeover COMMAND --help` tells the same."
    yield "What each exit code means: [exit codes](exit-codes.md). What `--json` prints: [JSON](json.md)."
    yield ""
    yield "## Everywhere"
    yield ""
    yield "Before or behind the command:"
    yield ""
    shown = [c for c in COMMANDS if not c.hidden]
    yield from _options([a for a in _arguments(shown[0]) if _everywhere(a)])
    for command in shown:
        yield from _command(command)
    yield ""
    yield "`apply` is `release`, `promote` is `approve`."


def _command(command: Command) -> Iterator[str]:
    mine = [a for a in _arguments(command) if not _everywhere(a)]
    given = [a for a in mine if _positional(a)]
    names = " ".join(_name(a) if a.required else f"[{_name(a)}]" for a in given)
    yield ""
    yield f"## changeover {command.words}"
    yield ""
    usage = f"changeover {command.words} {names}".strip()
    yield f"`{usage}`"
    yield ""
    yield _about(command)
    yield ""
    if mine:
        yield from _options(mine)
        yield ""
    yield f"Exit: {', '.join(str(e) for e in command.exits)}."


def _function(command: Command) -> Any:
    from importlib import import_module

    module, _, name = command.path.partition(":")
    return getattr(import_module(module), name)


def _about(command: Command) -> str:
    text = inspect.cleandoc(_function(command).__doc__ or "")
    return text.partition("\nParameters\n")[0].strip()


def _arguments(command: Command) -> list[Argument]:
    from changeover.ui.cli.app import build

    app = build()
    for word in command.words.split():
        app = app[word]
    return [a for a in app.assemble_argument_collection(parse_docstring=True) if a.parse and "*" not in a.names]


def _everywhere(argument: Argument) -> bool:
    from changeover.ui.cli.options import EVERYWHERE

    group = argument.parameter.group
    return isinstance(group, tuple) and EVERYWHERE in group


def _positional(argument: Argument) -> bool:
    return not argument.names[0].startswith("-")


def _name(argument: Argument) -> str:
    return str(argument.names[0]).lstrip("-").upper()


def _options(arguments: list[Argument]) -> Iterator[str]:
    yield "| option | meaning |"
    yield "| --- | --- |"
    for argument in arguments:
        text = " ".join((argument.parameter.help or "").split()).replace("|", "\\|")
        yield f"| {_written(argument)} | {text} |"


def _written(argument: Argument) -> str:
    if _positional(argument):
        return f"`{_name(argument)}`"
    names = ", ".join(sorted(argument.names, key=len, reverse=True))
    return f"`{names}`" if argument.is_flag() else f"`{names} {_value(argument)}`"


def _value(argument: Argument) -> str:
    choices = argument.get_choices()
    return "\\|".join(choices) if choices else "VALUE"


def exit_codes() -> str:
    """The contract with pipelines."""
    lines = [
        "# Exit codes",
        "",
        "A contract; this page is written from the program. An error that nobody foresaw ends 1 before the first change and 7 after it,",
        "never 0. The first SIGINT or SIGTERM stops at the next safe point, the second at once; both keep the journal.",
        "",
        "| code | means | a pipeline should |",
        "| --- | --- | --- |",
        *(f"| {int(code)} | {means} | {then} |" for code, (means, then) in EXITS.items()),
        "",
        "| command | ends with |",
        "| --- | --- |",
        *(f"| `{c.words}` | {' '.join(str(e) for e in c.exits)} |" for c in COMMANDS if not c.hidden),
    ]
    return "\n".join(lines) + "\n"


def errors() -> str:
    """Every error with its page."""
    return "\n".join(_errors()) + "\n"


def _errors() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "Every failure says what happened, what the system is now, and what to do next, with an id. `changeover explain CO-0104` prints"
    yield "the same text. This page is written from the program."
    area = ""
    for code, kind in catalogue().items():
        if code[3:5] != area:
            area = code[3:5]
            yield ""
            yield f"## {AREAS[area]}"
        yield ""
        yield f"### {code}"
        yield ""
        yield f"**{kind.title}** (exit {int(kind.exit)})"
        yield ""
        yield inspect.cleandoc(kind.__doc__ or "")


def operations() -> str:
    """Every operation, its keys, and what each engine can do."""
    from changeover.service.settings import operations_page

    return operations_page()


def change_schema() -> str:
    """The JSON Schema of a change file with operations."""
    from changeover.service.settings import change_schema as schema

    return json.dumps(schema(), indent=1) + "\n"


def balancer_contract() -> str:
    """What a driver for another balancer must do."""
    from changeover.ui.contract import balancer_contract as page

    return page()


PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": commands,
    "exit-codes.md": exit_codes,
    "errors.md": errors,
    "balancer-contract.md": balancer_contract,
    "operations.md": operations,
    "change.schema.json": change_schema,
}


if __name__ == "__main__":
    write(Path(sys.argv[1]))
