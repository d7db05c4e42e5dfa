"""Takes resolved secrets out of every text that leaves the program: output, SQL errors, tracebacks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from changeover.config.references import DOTS, mask

SHORTEST: Final = 4  # characters; a shorter value ("1", "no") would blot out everything and hides nothing
_PASSWORD: Final = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#@:]*:(.*)@[^@]*$", re.IGNORECASE)
_QUERY_PASSWORD: Final = re.compile(r"[?&](?:password|passwd|pwd|sslpassword)=([^&#]+)", re.IGNORECASE)


class Redactor:
    """Knows the values that were resolved in this process and replaces them by dots.

    Only adding changes it, and that by replacing one tuple, so that threads may share it.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        """From now on hide this value, its lines, the password in it if it is a URL, and their encoded forms."""
        forms = {form for part in _parts(value) for form in _forms(part) if len(form) >= SHORTEST}
        self._values = tuple(sorted({*self._values, *forms}, key=lambda v: (-len(v), v)))

    def redact(self, text: str) -> str:
        """The text without any value that was added, and without the password of any URL in it."""
        for value in self._values:
            text = text.replace(value, DOTS)
        return mask(text)

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} values)"


def _parts(value: str) -> Iterator[str]:
    """What is secret in a value: all of it, each line of it, and the password if it is a URL."""
    yield value
    yield value.strip()
    if "\n" in value:
        yield from (line.strip() for line in value.splitlines() if len(line.strip()) >= 2 * SHORTEST)
    for found in (_PASSWORD.match(value), *_QUERY_PASSWORD.finditer(value)):
        if found is not None:
            yield found[1]
            yield unquote(found[1])


def _forms(part: str) -> Iterator[str]:
    """How a value may be written: plain, in a URL, in JSON, in a Python repr."""
    yield part
    yield quote(part, safe="")
    yield quote(part)
    yield quote_plus(part)
    yield json.dumps(part)[1:-1]
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield repr(part)[1:-1]
    yield part.replace("'", "''")  # as a literal of SQL
