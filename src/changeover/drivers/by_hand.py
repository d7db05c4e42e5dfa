"""Shell for people: each command ends 0 only if what it says is so, waits a bounded time, and may be run again.

The commands are written for `bash -e`, and are right, too, in a shell that goes on after a failure.
"""

from __future__ import annotations

from math import ceil
from shlex import quote

from changeover.core.model import Version


def wait_until(check: str, seconds: float, otherwise: str) -> str:
    """`check` once a second until it ends 0; at the end the words `otherwise` on stderr, and status 1.

    `seconds` bounds the number of checks, each of which must end by itself.
    """
    tries = max(1, ceil(seconds))
    return (
        f"(for try in $(seq {tries}); do {check} && exit; sleep 1; done; "
        f"echo {quote(f'STOP: {otherwise}')} >&2; exit 1)"
    )


def demand(test: str, otherwise: str) -> str:
    """A test that must hold before anything that follows is done."""
    return f"{test} || {{ echo {quote(f'STOP: {otherwise}')} >&2; false; }}"


def pattern(text: str) -> str:
    """The text as an extended regular expression (`grep -E`) that matches just it."""
    return "".join(f"\\{c}" if c in r".[]{}()*+?^$|\\" else c for c in text)


def is_identity(version_key: str, build_key: str, version: Version, build: str) -> str:
    """A filter for the JSON of an identity that ends 0 only for this version and, if asked for, this build."""
    said = f'"{pattern(version_key)}" *: *"v?{pattern(version.text)}"'
    lines = ["tr -d '\\n'", f"grep -E {quote(said)}"]
    if build:
        of = f'"{pattern(build_key)}" *: *"?{pattern(build)}"? *[,}}]'
        lines.append(f"grep -E {quote(of)}")
    return " | ".join(lines)


def comment(text: str) -> str:
    """A comment of one line, whatever the text holds."""
    return f"# {' '.join(text.split())}"
