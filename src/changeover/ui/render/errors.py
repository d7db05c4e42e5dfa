"""A failure in the three things it must say: what happened, what the system is now, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from changeover.core.errors import ChangeoverError, ConfigurationError, Exit, Where
from changeover.ui.render import words

WIDTH = 80  # columns: where the code of an error ends
FORMAT = "changeover.error/1"

_LEADS = {Exit.REFUSED: "Refused: ", Exit.FAILED: "Failed: ", Exit.UNKNOWN: "A person must look: "}


def text(error: ChangeoverError, exit_: Exit | None = None) -> str:
    """The error for people. `exit_` is the command's exit code if it differs from the error's own."""
    return "\n".join(_lines(error, exit_ or error.exit)) + "\n"


def _lines(error: ChangeoverError, exit_: Exit) -> Iterator[str]:
    first, _, rest = words.clean(error.what).partition("\n")
    lead = "" if isinstance(error, ConfigurationError) else _LEADS.get(exit_, "")
    yield (
        f"{lead}{first}".ljust(WIDTH - len(error.code))
        + (" " if len(lead + first) < WIDTH - len(error.code) else "  ")
        + error.code
    )
    if rest:
        yield rest
    if not isinstance(error, ConfigurationError):  # its words carry the places already
        for where in error.where:
            yield from place(where)
    if error.now:
        yield words.clean(error.now)
    for index, line in enumerate(error.next):
        yield f"{'Next:' if index == 0 else '     '}  {words.clean(line)}"


def place(where: Where) -> Iterator[str]:
    """`file:line:column   the line`, with a caret below the column."""
    spot = ":".join(str(part) for part in (where.file, where.line, where.column) if part)
    line = words.clean(where.text.expandtabs())
    if not where.column or not line:
        yield f"  {words.clean(spot)}   {line}".rstrip()
        return
    yield f"  {words.clean(spot)}"
    yield f"      {line}"
    yield f"      {' ' * (where.column - 1)}^"


def document(error: ChangeoverError, at: float, exit_: Exit | None = None) -> dict[str, Any]:
    """The error for machines: `changeover.error/1`."""
    return {
        "format": FORMAT,
        "at": words.iso(at),
        "code": error.code,
        "exit": int(exit_ or error.exit),
        "title": error.title,
        "what": error.what,
        "now": error.now,
        "next": list(error.next),
        "where": [{"file": w.file, "line": w.line, "col": w.column} for w in error.where],
    }


def github(error: ChangeoverError) -> str:
    """Workflow commands that put the error beside the lines it is about."""
    places = error.where or (Where(""),)
    return "".join(f"::error {_properties(w, error)}::{_escaped(_message(error, w))}\n" for w in places)


def _message(error: ChangeoverError, where: Where) -> str:
    if isinstance(error, ConfigurationError):
        spot = f"{where.file}:{where.line}:{where.column} "
        found = next((li for li in error.what.splitlines() if li.startswith(spot)), error.what)
        return found.removeprefix(spot).strip()
    return "\n".join((error.what, *error.next))


def _properties(where: Where, error: ChangeoverError) -> str:
    parts = [f"file={_property(where.file)}"] if where.file else []
    parts += [f"line={where.line}"] if where.line else []
    parts += [f"col={where.column}"] if where.column else []
    return ",".join([*parts, f"title={_property(f'{error.code} {error.title}')}"])


def _escaped(text_: str) -> str:
    return text_.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text_: str) -> str:
    return _escaped(text_).replace(":", "%3A").replace(",", "%2C")


def github_warning(warning: str) -> str:
    """A workflow command for one `file:line  words`."""
    spot, _, said = warning.partition("  ")
    file, _, line = spot.rpartition(":")
    place_ = f"file={_property(file)},line={line}," if line.isdigit() else ""
    return f"::warning {place_}title=acknowledgement needed::{_escaped(said or warning)}\n"
