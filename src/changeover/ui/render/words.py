"""Small words: times, durations, shares, counts, marks. What is not UTF-8 falls back to ASCII."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime

MARKS: Mapping[str, str] = {
    "done": "✔",
    "failed": "✖",
    "now": "⟳",
    "waiting": "◷",
    "next": "○",
    "back": "↩",
    "warn": "!",
    "note": "·",
    "arrow": "→",
    "line": "┄",
}
PLAIN: Mapping[str, str] = {
    "done": "ok",
    "failed": "FAIL",
    "now": "..",
    "waiting": "wait",
    "next": "-",
    "back": "<-",
    "warn": "!",
    "note": "-",
    "arrow": "->",
    "line": "-",
}

_FOLD = str.maketrans(
    {
        **{MARKS[name]: PLAIN[name] for name in MARKS if len(MARKS[name]) == 1},
        "…": "...",
        "•": "*",
        "–": "-",
        "—": "-",
        "┄": "-",
        "☐": "[ ]",
        "■": "#",
        "□": "o",
        "├": "|",
        "└": "|",
        "─": "-",
        "│": "|",
        "“": '"',
        "”": '"',
        "’": "'",
    }
)


def marks(*, utf8: bool) -> Mapping[str, str]:
    """The marks for this output; never colour alone, never a mark alone."""
    return MARKS if utf8 else PLAIN


def fold(text: str) -> str:
    """The text for an output that is not UTF-8: marks become words, typographic signs their ASCII."""
    return text.translate(_FOLD)


def clean(text: str) -> str:
    """The text without control characters: what people and other programs wrote must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        _REPLACEMENT if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c not in "\n\t" else c for c in text
    )


_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def duration(seconds: float) -> str:
    """`4 s`, `2 min`, `1 h 10 min`: rounded for people."""
    if seconds < 10:
        rounded = round(seconds, 1)
        return f"{rounded:.1f} s" if rounded % 1 else f"{rounded:.0f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(hours / 24)} days"


def ago(at: float, now: float) -> str:
    """`38 s ago`; a clock that went back makes it `just now`."""
    return f"{duration(round(now - at))} ago" if now - at >= 1 else "just now"


def clock(at: float) -> str:
    """The local time of day, 24 hours."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")


def zone(at: float) -> str:
    """The zone that `clock` speaks in: shown once."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Z")


def moment(at: float) -> str:
    """Local date and time."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def iso(at: float) -> str:
    """ISO 8601 in UTC, for machines."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def share(points: float) -> str:
    """`25 %` from basis points, with one decimal at the most."""
    return f"{round(points / 100, 1):g} %"


def count(number: int) -> str:
    """`1 204 331`."""
    return f"{number:,}".replace(",", " ")


def many(number: int, one: str, more: str = "") -> str:
    """`1 retry`, `2 retries`."""
    return f"{count(number)} {one if number == 1 else more or one + 's'}"


def size(bytes_: int) -> str:
    """`18.2 MB`."""
    value = float(bytes_)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def environment(name: str) -> str:
    """An environment in words: production shouts."""
    return name.upper() if name == "production" else name


def short(text: str, width: int) -> str:
    """At most `width` characters, the end cut off visibly."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
