"""The configuration as people and editors read it: merged, defaults filled in, no secret resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel


def schema() -> Mapping[str, Any]:
    """JSON Schema of changeover.yml."""
    from changeover.config import json_schema

    return json_schema()


def change_schema() -> Mapping[str, Any]:
    """JSON Schema of a change file with operations, `VERSION.yml`."""
    from changeover.schema.operations.reading import json_schema

    return json_schema()


def operations_page() -> str:
    """The reference of the operations as Markdown."""
    from changeover.schema.operations.reference import render

    return render()


def shown(config: Path, environment: str | None = None) -> str:
    """The effective configuration as YAML, its overlay merged; references stand as they are written.

    Raises ConfigurationMissing, ConfigurationError.
    """
    from changeover.config import Redactor, load

    settings = load(config, environment)
    overlay = settings.origin.overlay
    head = f"# {settings.origin.file}" + (f" with {overlay} laid over it" if overlay else "")
    text = "\n".join([head, *_map(_plain(settings), "")]) + "\n"
    return Redactor().redact(text)


def _plain(section: BaseModel) -> dict[str, Any]:
    found = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is not None:
            found[field.alias or name] = _written(value, field.annotation, field.metadata)
    return found


def _written(value: Any, annotation: Any, metadata: list[Any]) -> Any:
    """A value in the units in which it is written in the file."""
    from pydantic import BaseModel

    from changeover.config.kinds import Seconds, Share
    from changeover.config.literals import format_duration, format_percent

    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _written(value, inner, [*metadata, *more])
    match value:
        case BaseModel():
            return _plain(value)
        case list() | tuple():
            inner = next((a for a in get_args(annotation) if a is not Ellipsis), Any)
            return [_written(item, inner, []) for item in value]
        case Mapping():
            return {str(key): _written(item, Any, []) for key, item in value.items()}
        case float() | int() if any(isinstance(m, Seconds) for m in metadata):
            return format_duration(value)
        case int() if any(isinstance(m, Share) for m in metadata):
            return format_percent(value)
        case bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _map(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _map(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{key}:"
            for item in value:
                lines = list(_map(item, indent + "    "))
                yield f"{indent}  - {lines[0].lstrip()}"
                yield from lines[1:]
        else:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"
