"""The kinds of values that keys take: durations, shares, argument lists, addresses, paths, references.

Each kind is an annotation that pydantic understands: it parses, gives its JSON Schema, and has `words` for the reference.
What it refuses, it refuses in words for people (`refuse`); `messages` passes them on as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from changeover.config import literals, references
from changeover.config.placeholders import problem_of as placeholder_problem
from changeover.config.references import shown

OURS: Final = "changeover"  # the type of errors whose message is already right
VARIANT: Final = "variant"  # the type of errors about a variant that is missing or not known
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
_HOST: Final = re.compile(r"\[[0-9a-fA-F:]+\]|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class Section(BaseModel):
    """A part of changeover.yml: frozen, strict, and with no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    def anchored(self, directory: Path) -> Self:
        """The same with every relative path, defaults included, starting in `directory`."""
        values = {name: anchored(getattr(self, name), directory) for name in type(self).model_fields}
        return self.model_copy(update=values)


def anchored(value: Any, directory: Path) -> Any:
    """A value of a section with its relative paths starting in `directory`."""
    match value:
        case Path():
            return directory / value
        case Section():
            return value.anchored(directory)
        case tuple():
            return tuple(anchored(item, directory) for item in value)
        case _:
            return value


def refuse(message: str) -> PydanticCustomError:
    """The error to raise for a value that does not fit, with its whole message."""
    return PydanticCustomError(OURS, "{message}", {"message": message})


def text_of(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    if not value:
        raise refuse("is empty")
    return value


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration between `low` and `high`, both inclusive and written as users write them. The value is seconds."""

    low: str
    high: str

    @property
    def words(self) -> str:
        return f"duration, {self.low} to {self.high}"

    def parse(self, value: object) -> float:
        try:
            seconds = literals.parse_duration(value)
        except ValueError as error:
            raise refuse(str(error)) from None
        if seconds < literals.parse_duration(self.low):
            raise refuse(f"{shown(value)} is too short; the least is {self.low}")
        if seconds > literals.parse_duration(self.high):
            raise refuse(f"{shown(value)} is too long; the most is {self.high}")
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": literals.DURATION_PATTERN, "examples": ["500ms", "30s", "5m", "24h"]}


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage over 0 %. The value is basis points."""

    words: str = "percentage"

    def parse(self, value: object) -> int:
        try:
            points = literals.parse_percent(value)
        except ValueError as error:
            raise refuse(str(error)) from None
        if points == 0:
            raise refuse(f"{shown(value)} is no share; the least is 0.01%")
        return points

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": literals.PERCENT_PATTERN, "examples": ["5%", "25%", "100%"]}


@dataclass(frozen=True, slots=True)
class Argv:
    """A command as a list of arguments, never a shell line, with the placeholders that may stand in it."""

    placeholders: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        known = " ".join(f"`{{{name}}}`" for name in self.placeholders)
        return f"list of arguments; placeholders {known}" if known else "list of arguments"

    def parse(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            raise refuse(
                f"is one text; write the arguments as a list: [{', '.join(references.mask(value).split()[:3])}, …]"
            )
        if not isinstance(value, tuple):
            raise PydanticKnownError("tuple_type")
        if not value or not value[0]:
            raise refuse("is empty; the program is missing")
        return value

    def check(self, argument: str) -> str:
        if problem := placeholder_problem(argument, self.placeholders):
            raise refuse(problem)
        return argument

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        argument = core_schema.no_info_after_validator_function(self.check, core_schema.str_schema(strict=True))
        items = core_schema.tuple_schema([argument], variadic_item_index=0, strict=True)
        return core_schema.no_info_before_validator_function(self.parse, items)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "minItems": 1}


@dataclass(frozen=True, slots=True)
class Words:
    """How the reference names a kind that has no class of its own."""

    words: str


def _path(value: object) -> Path:
    text = text_of(value)
    if "://" in text:
        raise refuse(f"{shown(text)} is not supported by this version; write a path")
    if text.startswith("~"):
        raise refuse(f"{shown(text)}: ~ depends on who runs changeover; write the whole path")
    return Path(text)


def _url_path(value: str) -> str:
    if not re.fullmatch(r"/[^\s#]*", value) or value.startswith("//"):
        raise refuse(f"{shown(value)} is not the path of a URL; write it from the first slash: /version")
    return value


def _http(value: str) -> str:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError:
        url, port = urlsplit(""), 0
    fits = url.scheme in ("http", "https") and url.hostname and port != 0 and _HOST.fullmatch(_bracketed(url.hostname))
    if not fits or url.path.strip("/") or url.query or url.fragment or url.username is not None:
        raise refuse(f"{shown(value)} is not the base URL of the application; write http://host:port")
    return value.rstrip("/")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def split_address(value: str) -> tuple[str, int]:
    """`10.0.0.11:8001` -> ("10.0.0.11", 8001). Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if not (colon and _HOST.fullmatch(host) and port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise ValueError(value)
    return host, int(port)


def _address(value: str) -> str:
    try:
        split_address(value)
    except ValueError:
        raise refuse(f"{shown(value)} is not an address; write host:port, such as 10.0.0.11:8001") from None
    return value


def _referring(value: object) -> str:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    if problem := references.problem_of(value):
        raise refuse(problem)
    return value


def _name(value: object) -> str:
    text = text_of(value)
    if not re.fullmatch(_NAME, text):
        raise refuse(f"{shown(text)} is not a name; letters, digits, - and _, at most 63")
    return text


class Variants(Discriminator):
    """Chooses the variant of a map. Hashable, because `X | None` hashes what X is annotated with."""

    __hash__ = object.__hash__


def variants(
    key: str,
    *known: str,
    later: Sequence[str] = (),
    instead: str = "",
    choose: Callable[[Any], str | None] | None = None,
) -> Variants:
    """The variant is named by `key`; each model carries `Tag("(name)")`.

    `later` are known names that this version does not support; `instead` is another way to write it; `choose` replaces
    looking at the key.
    """

    def by_key(value: Any) -> str | None:
        name = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
        return f"({name})" if name in known else None

    context: dict[str, str | int | float] = {
        "key": key,
        "known": " ".join(known),
        "later": " ".join(later),
        "instead": instead,
    }
    return Variants(
        choose or by_key, custom_error_type=VARIANT, custom_error_message=VARIANT, custom_error_context=context
    )


@dataclass(frozen=True, eq=False, slots=True)
class Or:
    """A second way to write a value: `turn` turns it into the first, and returns everything else as it is."""

    turn: Callable[[Any], Any]
    schema: Mapping[str, Any]
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.turn, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), dict(self.schema)]}


def one_or_more(value: Any) -> Any:
    """A single value for a list of one."""
    return value if isinstance(value, tuple | Mapping) else (value,)


def _parsed(function: Callable[..., Any], words: str, schema: Mapping[str, Any]) -> tuple[Any, ...]:
    """The annotations of a kind that one function parses."""
    return PlainValidator(function), WithJsonSchema(dict(schema)), Words(words)


def _of_text(function: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: function(text_of(value))


_TEXT: Final = {"type": "string"}
Name = Annotated[str, *_parsed(_name, "name", {"type": "string", "pattern": _NAME})]
"""Letters, digits, - and _, so that it can be typed, stand in a file name and in a balancer's map."""
PlainText = Annotated[str, *_parsed(text_of, "text", {"type": "string", "minLength": 1})]
HerePath = Annotated[Path, *_parsed(_path, "path", _TEXT)]
"""A path relative to the directory of the file; symbolic links and `..` are left as they are written."""
UrlPath = Annotated[str, *_parsed(_of_text(_url_path), "path of a URL", {"type": "string", "pattern": "^/"})]
BaseUrl = Annotated[str, *_parsed(_of_text(_http), "URL", {"type": "string", "pattern": "^https?://"})]
Address = Annotated[str, *_parsed(_of_text(_address), "host:port", {"type": "string", "pattern": "^.+:[0-9]+$"})]
Referring = Annotated[str, *_parsed(_referring, "text, with references", _TEXT)]
"""Text in which `${env:}`, `${file:}` and `${cmd:}` may stand; they are not resolved here."""
Port = Annotated[int, Field(ge=1, le=65_535), Words("port")]
