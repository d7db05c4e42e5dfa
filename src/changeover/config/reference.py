"""docs/reference/configuration.md, written from the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from changeover.config.keys import LATER, fields_of, models_in
from changeover.config.kinds import Or, Seconds, Section, Share
from changeover.config.literals import format_duration, format_percent
from changeover.config.settings import Settings

_HEAD: Final = """\
# Configuration: `changeover.yml`

This page is written from the models that read the file; a test keeps it up to date. For editors:
`changeover config schema > changeover.schema.json`, and as first line of the file
`# yaml-language-server: $schema=./changeover.schema.json`.

- YAML 1.2, one document, UTF-8, at most 256 KiB. No anchors, aliases, merge keys or tags.
- A key that is not listed here is refused, never ignored. All problems are told at once, each with file, line and column.
- Durations are written `500ms`, `30s`, `5m`, `24h`, `7d`; percentages `25%`. A bare number is refused where a unit is
  missing. Text that looks like a number is quoted: `"1.10"`.
- Relative paths start in the directory of the file.
- The overlay `changeover.ENVIRONMENT.yml` is laid over the file whenever it exists, whether the environment is named by
  `-e` or by `environment:`. Maps merge; lists and single values replace.
- Secrets are written as references: `${env:NAME}`, `${file:PATH}` or `${cmd:COMMAND}` (no shell, 10 seconds). They are
  resolved when they are used, never by `check`, `plan` or `runbook`, and stand in `instances.env`, `database.url`,
  `database.read` and `database.backup.restore_into` only. A password that is written in the file is refused. Inside `{ }` a reference is quoted:
  `{ x: "${env:S}" }`.
- Commands are lists of arguments, never a shell line. A placeholder is quoted where it begins a value: `"{port}"`.
"""

_FOOT: Final = """\

## Known, but not in this version

These keys are refused as *not supported*, because a key that is ignored is a safety rule that silently does not apply:
"""


def render_reference() -> str:
    """The page as Markdown."""
    lines = [_HEAD]
    for title, model in _sections():
        lines += [
            "",
            f"## {title}",
            "",
            _prose(model),
            "",
            "| key | value | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_row(key, field) for key, field in fields_of(model).items()]
    lines.append(_FOOT)
    lines += [f"- {'at the top' if not path else f'`{path}`'}: {_coded(sorted(keys))}" for path, keys in LATER.items()]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()) + "\n"


def _sections() -> Iterator[tuple[str, type[Section]]]:
    """Every model once, in the order of the file, below the key that holds it."""
    yield "The whole file", Settings
    yield from _below("", Settings, set())


def _below(path: str, model: type[Section], seen: set[type[Section]]) -> Iterator[tuple[str, type[Section]]]:
    for key, field in fields_of(model).items():
        for tag, inner in models_in(field.annotation):
            if inner in seen:
                continue
            seen.add(inner)
            here = f"{path}.{key}" if path else key
            yield f"`{here}`{f', {tag[1:-1]}' if tag else ''}", inner
            yield from _below(here, inner, seen)


def _prose(model: type[Section]) -> str:
    return " ".join((model.__doc__ or "").split())


def _row(key: str, field: FieldInfo) -> str:
    cells = [f"`{key}`", _value(field.annotation, field.metadata), _default(field), str(field.description)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(annotation: Any, metadata: list[Any]) -> str:
    """What may be written, in words."""
    words = [m.words for m in metadata if isinstance(getattr(m, "words", None), str)]
    if words:
        return str(next((m.words for m in metadata if isinstance(m, Or)), words[0]))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _value(arguments[0], list(arguments[1:]))
    if origin is Literal:
        return _coded(arguments)
    if origin is tuple:
        return f"list of {_value(arguments[0], [])}"
    if origin is dict:
        return f"{_value(arguments[0], [])}: {_value(arguments[1], [])}"
    if arguments:
        return " or ".join(dict.fromkeys(_value(a, metadata) for a in arguments if a is not NoneType))
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "keys"
    return "number" + _bounds(metadata) if annotation is int else "text"


def _bounds(metadata: list[Any]) -> str:
    low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
    high = next((m.le for m in metadata if hasattr(m, "le")), None)
    return f", {low} to {high}" if low is not None and high is not None else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    match value:
        case None:
            return "none"
        case Section():
            return "its defaults"
        case () | {}:
            return "empty"
        case tuple() if all(isinstance(item, Section) for item in value):
            return "<br>".join(f"`{_flow(item)}`" for item in value)
        case _:
            return f"`{_written(value, field.annotation, field.metadata)}`"


def _flow(section: Section) -> str:
    """A section in one line, as somebody would write it."""
    model = type(section)
    parts = [
        f"{field.alias or name}: {_written(getattr(section, name), field.annotation, field.metadata)}"
        for name, field in model.model_fields.items()
    ]
    return "{ " + ", ".join(parts) + " }"


def _written(value: Any, annotation: Any, metadata: list[Any]) -> str:
    """A value as it stands in a file."""
    if isinstance(value, tuple):
        inner = get_args(annotation)[0]
        return f"[{', '.join(_written(item, inner, []) for item in value)}]"
    if get_origin(annotation) is Annotated:
        return _written(value, get_args(annotation)[0], list(get_args(annotation)[1:]))
    if any(isinstance(m, Seconds) for m in metadata):
        return format_duration(value)
    if any(isinstance(m, Share) for m in metadata):
        return format_percent(value)
    return value.as_posix() if isinstance(value, Path) else str(value)


def _coded(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)
