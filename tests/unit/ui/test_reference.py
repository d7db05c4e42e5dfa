"""The pages that code writes tell everything; that they are up to date is a test of the documents."""

from __future__ import annotations

from changeover.core.errors import Exit, catalogue
from changeover.ui import reference
from changeover.ui.cli import table


def test_everything_is_told():
    pages = {name: page() for name, page in reference.PAGES.items()}
    assert all(f"### {code}\n" in pages["errors.md"] for code in catalogue())
    assert all(f"| {int(code)} | " in pages["exit-codes.md"] for code in Exit)
    assert all(f"## changeover {c.words}\n" in pages["commands.md"] for c in table.COMMANDS if not c.hidden)


def test_every_option_has_words():
    rows = [line for line in reference.commands().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert not [row for row in rows if row.endswith("|  |")]


def test_every_command_is_there_and_has_a_page():
    for command in table.COMMANDS:
        function = reference._function(command)
        assert function.__doc__
        assert set(command.exits) <= {int(e) for e in Exit}


def test_help_fits_a_screen():
    lines = table.help_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert all(c.summary in table.help_text() for c in table.COMMANDS if not c.hidden)
    assert "worker" not in table.help_text()
