"""The command line."""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """The program. Never returns; the exit code is a contract (docs/reference/exit-codes.md)."""
    sys.exit(_main(sys.argv[1:]))


def _main(argv: list[str]) -> int:
    if argv in ([], ["--help"], ["-h"], ["help"]):
        from changeover.ui.cli.table import help_text

        sys.stdout.write(help_text())
        return 0 if argv else 2
    if argv == ["--version"]:
        from changeover import __version__

        sys.stdout.write(f"changeover {__version__}\n")
        return 0
    from changeover.ui.cli.open import real
    from changeover.ui.cli.run import run
    from changeover.ui.cli.signals import AtOnce
    from changeover.ui.cli.terminal import Terminal

    terminal = Terminal.here()
    try:
        code = run(argv, terminal, real())
    except AtOnce:
        terminal.silence()
        os._exit(130)  # threads that still work are left where they are: the journal was written first
    terminal.silence()
    if threading.active_count() > 1:
        os._exit(code)  # a look that hangs must not hold the process
    return code
