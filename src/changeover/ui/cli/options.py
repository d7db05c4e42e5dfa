"""The options that every command takes, and the values that options are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from changeover.core.errors import UsageError

EVERYWHERE = Group("Everywhere", sort_key=99)
Flag = Parameter(negative=())
Injected = Parameter(parse=False)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every command takes."""

    config: Annotated[Path, Parameter(name=("--config", "-c"), group=EVERYWHERE)] = Path("changeover.yml")
    """The configuration file."""
    environment: Annotated[str | None, Parameter(name=("--environment", "-e"), group=EVERYWHERE)] = None
    """The environment; lays changeover.ENVIRONMENT.yml over the file."""
    json: Annotated[bool, Parameter(negative=(), group=EVERYWHERE)] = False
    """Answer in JSON on stdout, errors too."""
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), negative=(), group=EVERYWHERE)] = False
    """No narration."""
    verbose: Annotated[int, Parameter(name=("--verbose", "-v"), count=True, negative=(), group=EVERYWHERE)] = 0
    """More narration; tracebacks of unexpected errors."""
    no_input: Annotated[bool, Parameter(negative=(), group=EVERYWHERE)] = False
    """Never ask; a missing answer is exit 2."""
    no_color: Annotated[bool, Parameter(negative=(), group=EVERYWHERE)] = False
    """No colour (NO_COLOR does the same)."""
    timeout: Annotated[str | None, Parameter(group=EVERYWHERE)] = None
    """How long this command may take, as 90s, 5m or 1h; a release then holds, and exit is 4."""


PLAIN = Common()
"""No common option was given."""

_DURATION = re.compile(r"(?P<n>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str | None, option: str) -> float | None:
    """`5m` -> 300.0. Raises UsageError."""
    if text is None:
        return None
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{option}: {text!r} is not a duration; write 30s, 5m or 1h")
    return float(found["n"]) * _UNITS[found["unit"]]


def share(text: str, option: str) -> int:
    """`25%` -> 2500 basis points. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,2})?)\s*%", text.strip())
    points = round(float(found[1]) * 100) if found else -1
    if not 0 < points <= 10_000:
        raise UsageError(f"{option}: {text!r} is not a share; write 25%")
    return points


def leading_globals(tokens: list[str], words: tuple[str, ...]) -> list[str]:
    """Move the options that stand before the command behind it: `-c FILE status` means `status -c FILE`.

    `words` are all commands. What is no known option stays where it is and is refused there.
    """
    taking, flags = (
        {"-c", "--config", "-e", "--environment", "--timeout"},
        {"--json", "--no-input", "--no-color", "--quiet", "--verbose"},
    )
    head: list[str] = []
    rest = list(tokens)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, _ = rest[0].partition("=")
        if name in taking:
            take = 1 if equals else 2
        elif rest[0] in flags or re.fullmatch(r"-[qv]+", rest[0]):
            take = 1
        else:
            break
        head, rest = head + rest[:take], rest[take:]
    command = next(
        (w.split() for w in sorted(words, key=len, reverse=True) if rest[: len(w.split())] == w.split()), rest[:1]
    )
    return [*command, *head, *rest[len(command) :]]


Json = dict[str, Any]
