"""Placeholders in the user's commands: `{version}`, `{port}`, …

Only `{word}` is one; other braces (JSON in an argument, a shell pattern) are left alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final

START: Final = ("version", "build", "pool", "number", "host", "port")
MANAGE: Final = ("pool", "number", "host", "port")  # stop and status: what runs there need not be known
PROBE: Final = ("version", "build")

_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def names_in(texts: Sequence[str]) -> frozenset[str]:
    """The placeholders that stand in any of the texts."""
    return frozenset(name for text in texts for name in _PLACEHOLDER.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with each known placeholder replaced, once: a value that looks like one stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def problem_of(text: str, known: Sequence[str]) -> str:
    """What is wrong with the placeholders of a text in words, "" if nothing is."""
    for name in _PLACEHOLDER.findall(text):
        if name in known or f"${{{name}}}" in text:  # the latter is a reference, and told as one
            continue
        if name == "database_url":
            return "{database_url} is not a placeholder: every user of the machine can read arguments; the URL is given as environment variable CHANGEOVER_DATABASE_URL"
        if not known:
            return f"{{{name}}}: no placeholder can stand here"
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {{{near[0]}}}?" if near else "known here: " + " ".join(f"{{{n}}}" for n in known)
        return f"{{{name}}} is not a placeholder that can stand here; {hint}"
    return ""
