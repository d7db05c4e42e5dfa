"""The command line as cyclopts knows it: every command by the name of the function, imported when it is called."""

from __future__ import annotations

from cyclopts import App, Parameter

import changeover
from changeover.ui.cli.table import COMMANDS


def build() -> App:
    """The application with all commands. Nothing of them is imported yet."""
    root = _app(
        "changeover",
        "Releases an application and its schema behind a load balancer; takes the old version back in one step.",
    )
    groups: dict[str, App] = {}
    for command in COMMANDS:
        *path, name = command.words.split()
        parent = root
        for word in path:
            if word not in groups:
                groups[word] = _app(word, f"{word}: see its commands.")
                root.command(groups[word])
            parent = groups[word]
        parent.command(command.path, name=name, help=command.summary, show=not command.hidden)
        for alias in command.aliases:
            parent.command(command.path, name=alias, help=command.summary, show=False)
    return root


def _app(name: str, help_: str) -> App:
    return App(
        name=name,
        help=help_,
        version=changeover.__version__,
        help_format="plaintext",
        help_formatter="plain",
        default_parameter=Parameter(show_default=False),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
