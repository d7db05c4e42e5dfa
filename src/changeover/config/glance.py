"""A first look at changeover.yml without YAML and pydantic: for `status`, which must start fast and must work on release
night even if somebody has just broken another part of the file.

Only the plain form is understood: a key at the start of a line with one plain or quoted word after it. Whatever could mean
something else gives None, and the caller loads the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KEYS: Final = ("app", "environment", "state")
_LINE: Final = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?")
_PLAIN: Final = re.compile(r"(?P<q>[\"']?)(?P<word>[A-Za-z0-9./][A-Za-z0-9._/-]*)(?P=q)")
_NUMBER: Final = re.compile(r"[-+.]?[0-9][0-9._eExXoO+-]*")
_NOT_TEXT: Final = frozenset({"true", "false", "null", "True", "False", "Null", "TRUE", "FALSE", "NULL"})
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Peek:
    """What `status` needs to find the journal. It is no proof that the file is right."""

    app: str
    environment: str
    state: Path


def peek(path: Path | str, environment: str | None = None) -> Peek | None:
    """App, environment and state store as `load` would give them, or None if only `load` can tell. Never raises."""
    file = Path(path)
    values = _values(file)
    name = environment or (values or {}).get("environment")
    if values is None or name is None or not _NAME.fullmatch(name):
        return None
    over = file.with_name(f"{file.stem}.{name}{file.suffix}")
    if over.exists():
        more = _values(over)
        if more is None or more.get("environment", name) != name:
            return None
        values = {**values, **more}
    elif values.get("environment", name) != name:
        return None
    app = values.get("app", "")
    if not _NAME.fullmatch(app):
        return None
    return Peek(app, name, file.absolute().parent / values.get("state", ".changeover/state.db"))


def _values(file: Path) -> dict[str, str] | None:
    """The plain values at the top of a file, or None if a line could be read in another way."""
    try:
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return None
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    values: dict[str, str] = {}
    depth = 0
    for line in text.splitlines():
        bare = _COMMENT.sub("", line).rstrip()
        if bare.count('"') % 2 or bare.count("'") % 2 or bare.startswith(("%", "---", "...")):
            return None
        if bare and not bare[0].isspace() and not _top(bare, depth, values):
            return None
        depth += sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")
    return values if depth == 0 else None


def _top(line: str, depth: int, values: dict[str, str]) -> bool:
    """Take in a line that begins at the margin. False if it is not surely a key of the top level."""
    if line.startswith("- ") or line == "-":
        return True  # an item of a list whose key stands above it
    found = _LINE.fullmatch(line)
    if found is None or depth:
        return False
    key, value = found[1], found[2] or ""
    if key not in _KEYS:
        return True
    word = _PLAIN.fullmatch(value.strip())
    if word is None or key in values:
        return False
    if not word["q"] and (_NUMBER.fullmatch(word["word"]) or word["word"] in _NOT_TEXT):
        return False
    values[key] = word["word"]
    return True
