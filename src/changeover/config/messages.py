"""What pydantic found, in our words and at its place in the file; and how a list of problems looks."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from changeover.config.keys import LATER, LATER_VALUES, fields_of, homes_of, model_at
from changeover.config.kinds import OURS, VARIANT
from changeover.config.references import mask_at, shown
from changeover.core.errors import ConfigurationError, Where
from changeover.yaml.source import Text
from changeover.yaml.tree import Found, List, Loc, Map, Node, Problem, Scalar, dotted, find, is_tag

_MOST_PROBLEMS: Final = 50
_LONGEST_LINE: Final = 4096
_WIDEST: Final = 140
_BARE_PLACEHOLDER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Error = Mapping[str, Any]  # one of pydantic's ErrorDetails


def problems_of(errors: Sequence[Error], root: Node) -> list[Problem]:
    """One problem per error. A missing key is folded into the unknown key that it was misspelt as."""
    missing = {error["loc"] for error in errors if error["type"] == "missing"}
    folded: set[Loc] = set()
    problems: list[Problem] = []
    for error in errors:
        if error["type"] == "extra_forbidden":
            message, meant = _unknown(error["loc"], root, missing)
            folded.add(meant)
            found = find(root, error["loc"])
            problems.append(Problem(found.key, dotted(found.path), message))
    for error in errors:
        if error["loc"] not in folded and error["type"] != "extra_forbidden":
            problems += _problem(error, root)
    return problems


def _problem(error: Error, root: Node) -> list[Problem]:
    found = find(root, error["loc"])
    if error["type"] == "missing" or (error["type"] == VARIANT and isinstance(found.node, Map)):
        return [_variant(error, found) if error["type"] == VARIANT else _missing(found)]
    if error["type"] == "too_short" and isinstance(found.node, List) and found.node.items:
        return []  # its items have problems of their own
    at_key = "[key]" in error["loc"] or not found.whole
    place = found.key if at_key else found.node.place
    return [Problem(place, dotted(found.path), _words(error, found.node))]


def _missing(found: Found) -> Problem:
    return Problem(found.key, dotted(found.path), "is missing")


def _variant(error: Error, found: Found) -> Problem:
    """A map whose variant is not named, or not known."""
    context = error["ctx"]
    key, known, later = context["key"], context["known"].split(), context["later"].split()
    choice = " or ".join(f"{key}: {name}" for name in known)
    choice += f", or {context['instead']}" if context["instead"] else ""
    path = dotted((*found.path, key))
    assert isinstance(found.node, Map)
    entry = found.node.entries.get(key)
    if entry is None:
        return Problem(found.key, path, f"is missing; write {choice}")
    value = entry.node.value if isinstance(entry.node, Scalar) else None
    if value in later:
        message = f"{shown(value)} is not supported by this version; write {choice}"
    else:
        near = difflib.get_close_matches(str(value), known, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"write {choice}"
        message = f"{shown(value)} is not known here; {hint}" if not near else f"{shown(value)} is not known, {hint}"
    return Problem(entry.node.place, path, message)


def _unknown(loc: Loc, root: Node, missing: set[Loc]) -> tuple[str, Loc]:
    """The message for a key that is not known, and the loc of the missing key that was meant, or ()."""
    key, parent = str(loc[-1]), loc[:-1]
    path = re.sub(r"\[\d+\]", "[]", dotted(tuple(part for part in parent if not is_tag(part))))
    if key in LATER.get(path, ()):
        return "not supported by this version; it is refused because it would be ignored", ()
    model = model_at(parent)
    keys = list(fields_of(model)) if model else []
    node = find(root, parent).node
    free = [k for k in keys if not (isinstance(node, Map) and k in node.entries)]
    wanted = [k for k in free if (*parent, k) in missing]
    for choice in (wanted, free, keys):
        near = difflib.get_close_matches(key.lower(), choice, 1, cutoff=0.6)
        if near:
            return f'unknown key, did you mean "{near[0]}"?', (*parent, near[0])
    homes = homes_of(key) if not parent else []
    if homes:
        return f"unknown key here; it belongs under {' or '.join(homes)}", ()
    return f"unknown key; known here: {', '.join(keys)}" if keys else "unknown key", ()


def _words(error: Error, node: Node) -> str:
    """The message of one error about a value that is there."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == OURS:
        return str(context["message"])
    if kind == VARIANT:
        return f"wants keys, such as {context['key']}: {context['known'].split()[0]}; not {_shown(node)}"
    match kind:
        case "string_type":
            return _not_text(node)
        case "int_type" | "int_from_float" | "int_parsing" | "int_parsing_size":
            return _not_a_number(node)
        case "tuple_type":
            return f"wants a list, [ … ]; not {_shown(node)}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"wants keys; not {_shown(node)}"
        case "literal_error" if isinstance(node, Scalar) and node.value in LATER_VALUES:
            return f"{_shown(node)} is not supported by this version; write {context['expected'].replace(chr(39), '')}"
        case "literal_error":
            return f"{_shown(node)} is not known here; write {context['expected'].replace(chr(39), '')}"
        case "too_short":
            return "is empty"
        case "greater_than_equal":
            return f"{_shown(node)} is too small; the least is {context['ge']}"
        case "less_than_equal":
            return f"{_shown(node)} is too large; the most is {context['le']}"
        case _:
            return f"{_shown(node)} does not fit here"


def _shown(node: Node) -> str:
    match node:
        case Scalar(value=str() | None as value):
            return shown(value)
        case Scalar(text=text):
            return shown(text).strip('"')
        case List():
            return "a list"
        case Map():
            return "keys"


def _not_text(node: Node) -> str:
    match node:
        case Scalar(value=None):
            return "has no value"
        case Scalar(value=bool(), text=text):
            return f'{text} is read as yes or no; quote it if it is text: "{text}"'
        case Scalar(text=text):
            return f'{text} is read as a number; quote it: "{text}"'
        case Map(entries=entries) if len(entries) == 1 and _BARE_PLACEHOLDER.fullmatch(next(iter(entries))):
            word = next(iter(entries))
            return f'{{{word}}} is read as a map; quote the placeholder: "{{{word}}}"'
        case _:
            return f"wants text; not {_shown(node)}"


def _not_a_number(node: Node) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, str) and node.value.isdigit():
        return f"{shown(node.value)} is text; write the number without quotes: {node.value}"
    return f"wants a whole number; not {_shown(node)}"


def error_of(
    problems: Iterable[Problem], texts: Sequence[Text], checked: str = "changeover check"
) -> ConfigurationError:
    """All problems as one error: a head line, then `file:line:col  path: message`, the line and a caret for each."""
    ordered = sorted(set(problems), key=lambda p: (p.place, p.path))
    names = {text.order: text for text in texts}
    count = f"{len(ordered)} problem{'s' if len(ordered) != 1 else ''}"
    listed = ordered[:_MOST_PROBLEMS]
    places = [f"{names[p.place.order].name}:{p.place.line}:{p.place.column}" for p in listed]
    width = max(map(len, places), default=0)
    lines = [f"{' + '.join(text.name for text in texts)}: {count}"]
    where: list[Where] = []
    for problem, place in zip(listed, places, strict=True):
        text, column = _line(names[problem.place.order], problem.place.line, problem.place.column)
        about = f"{problem.path}: " if problem.path else ""
        lines.append(f"{place.ljust(width)}  {about}{problem.message}")
        if text.strip():
            lines += [f"    {text}", f"    {_blanks(text[:column])}^"]
        where.append(Where(names[problem.place.order].name, problem.place.line, problem.place.column, text))
    if len(ordered) > len(listed):
        lines.append(f"and {len(ordered) - len(listed)} more")
    return ConfigurationError("\n".join(lines), next=(f"correct the file, then: {checked}",), where=tuple(where))


def _line(text: Text, number: int, column: int) -> tuple[str, int]:
    """The line as it may be shown, and the caret's column from 0: masked, printable, not too wide."""
    line = text.line(number)
    if len(line) > _LONGEST_LINE:
        return f"(a line of {len(line)} characters)", 0
    line = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
    line, at = mask_at(line, min(column - 1, len(line)))
    if len(line) <= _WIDEST:
        return line, at
    start = max(0, min(at - _WIDEST // 2, len(line) - _WIDEST))
    end = start + _WIDEST
    clipped = ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")
    return clipped, at - start + (1 if start else 0)


def _blanks(before: str) -> str:
    """As many blanks as the text is wide on a terminal."""
    return "".join(
        "" if unicodedata.combining(c) else "  " if unicodedata.east_asian_width(c) in "WF" else " " for c in before
    )
