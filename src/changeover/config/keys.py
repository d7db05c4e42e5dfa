"""Which keys there are: for did-you-mean, for what is known but not supported yet, and for the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import Tag
from pydantic.fields import FieldInfo

from changeover.config.kinds import Section
from changeover.config.settings import Settings
from changeover.yaml.tree import Loc, is_tag

# keys of the design that this version does not support, by the path of their map
LATER: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"aws", "cleanup", "hosts", "notify"}),
    "instances": frozenset({"count", "install", "service", "version_from"}),
    "balancers[]": frozenset({"listen"}),
    "database.backup": frozenset({"instance", "prove", "type"}),
    "release": frozenset({"on_inconclusive", "on_silence", "window"}),
    "release.go_back_when[]": frozenset({"for"}),
}

LATER_VALUES: Final = frozenset({"alembic", "django", "flyway", "liquibase"})  # sources of changes


def fields_of(model: type[Section]) -> Mapping[str, FieldInfo]:
    """The fields by the name that stands in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def models_in(annotation: Any, tag: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every model that a value of this annotation may be, with the tag of its variant or ""."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tags = [m.tag for m in metadata if isinstance(m, Tag)]
        yield from models_in(inner, tags[0] if tags else tag)
    elif isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Section):
        yield tag, annotation
    else:
        for argument in get_args(annotation):
            yield from models_in(argument, tag)


def model_at(loc: Loc) -> type[Section] | None:
    """The model whose keys are at `loc` (as pydantic tells it, with tags), None if none are."""
    model: type[Section] | None = Settings
    candidates: Mapping[str, type[Section]] = {}
    for part in loc:
        if isinstance(part, int):
            continue
        if is_tag(part):
            model = candidates.get(part)
        else:
            field = fields_of(model).get(part) if model else None
            candidates = dict(models_in(field.annotation)) if field else {}
            model = next(iter(candidates.values())) if len(candidates) == 1 else None
    return model


def homes_of(key: str) -> list[str]:
    """The top-level keys under which this key belongs, for one that stands at the top by mistake."""
    return [
        name
        for name, field in fields_of(Settings).items()
        if any(key in fields_of(model) for _, model in models_in(field.annotation))
    ]
