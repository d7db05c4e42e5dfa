"""The last look at a text of an unexpected error before anybody sees it: values of secrets and passwords become dots.

Drivers redact what they say themselves. This is for what nobody foresaw: tracebacks and messages of libraries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

DOTS = "•••"
SHORTEST = 4  # characters; a shorter value would blot out everything and hides nothing
_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s@'\"]+@", re.IGNORECASE)
_NAMED = re.compile(r"\b(password|passwd|pwd|secret|token)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;)]+)", re.IGNORECASE)


def redact(text: str, config: Path) -> str:
    """The text without passwords of URLs, without `password=…`, without any value that the configuration refers to."""
    for value in sorted(set(_values(config)), key=len, reverse=True):
        text = text.replace(value, DOTS)
    text = _URL_PASSWORD.sub(rf"\1{DOTS}@", text)
    return _NAMED.sub(rf"\1\2{DOTS}", text)


def _values(config: Path) -> Iterator[str]:
    for file in sorted(config.parent.glob(f"{config.stem}*{config.suffix}")):
        try:
            references = _REFERENCE.findall(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for kind, name in references:
            yield from _forms(os.environ.get(name, "") if kind == "env" else _read(config.parent / name))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _forms(value: str) -> Iterator[str]:
    parts = {value.strip(), *(p.strip() for p in value.splitlines())}
    inner = re.match(r"[a-z][a-z0-9+.-]*://[^/?#@:]*:(.*)@", value.strip(), re.IGNORECASE)
    if inner is not None:
        parts |= {inner[1], unquote(inner[1])}
    for part in parts:
        for form in (part, quote(part, safe=""), quote_plus(part), repr(part)[1:-1]):
            if len(form) >= SHORTEST:
                yield form
