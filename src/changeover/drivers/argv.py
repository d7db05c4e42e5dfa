"""Commands as values: placeholders filled into argument lists, and the same commands as words of a shell line.

Nothing here runs anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from changeover.core.errors import ConfigurationError
from changeover.core.model import Slot, Version

NAMES: Final = frozenset({"version", "build", "pool", "number", "host", "port"})

_PLACEHOLDER: Final = re.compile(r"\{([a-z]+)\}")
_REFERENCE: Final = re.compile(r"\$\{(env|file|cmd):([^{}]*)\}")


def values_of(slot: Slot, version: Version | None = None, build: str = "") -> dict[str, str]:
    """What the placeholders of a slot stand for; without a version, `{version}` and `{build}` cannot be filled."""
    values = {"pool": slot.pool, "number": str(slot.number), "host": slot.host, "port": str(slot.port)}
    return values if version is None else {**values, "version": version.text, "build": build}


def fill(template: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Each `{word}` that is a placeholder replaced, once; other braces stay as they are (JSON, shell patterns).

    Raises ConfigurationError for a placeholder that has no value here, such as `{version}` in a stop command, and
    for an empty command.
    """
    if not template:
        raise ConfigurationError("a command is empty", next=("write it as a list of arguments",))

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in values:
            return values[name]
        if name in NAMES:
            raise ConfigurationError(
                f"{{{name}}} cannot stand in the command {shlex.join(template)}",
                next=("known here: " + " ".join(f"{{{n}}}" for n in sorted(values)),),
            )
        return found[0]

    return tuple(_PLACEHOLDER.sub(value, word) for word in template)


def shell_value(text: str) -> str:
    """One word of a shell line. References become what a shell resolves itself, so no secret is written.

    `a${env:NAME}` -> `a"${NAME:?}"`, which stops the shell if it is not set, `${file:PATH}` -> `"$(cat PATH)"`, `${cmd:COMMAND}` -> `"$(COMMAND)"`.
    """
    words: list[str] = []
    end = 0
    for found in _REFERENCE.finditer(text):
        words += [text[end : found.start()], _reference(found[1], found[2].strip())]
        end = found.end()
    words.append(text[end:])
    literal_and_reference = [shlex.quote(w) if n % 2 == 0 and w else w for n, w in enumerate(words)]
    return "".join(literal_and_reference) or "''"


def _reference(source: str, target: str) -> str:
    match source:
        case "env":
            return f'"${{{target}:?}}"' if re.fullmatch(r"\w+", target) else shlex.quote(f"${{env:{target}}}")
        case "file":
            return f'"$(cat {shlex.quote(target)})"'
        case _:
            return f'"$({target})"'
