"""A YAML document as a tree in which everything knows where it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Loc: TypeAlias = tuple[str | int, ...]
Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file; line and column count from 1. `order` is the file's: 0 the file, 1 its overlay."""

    order: int
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the user has to change: where, the dotted path of the key ("" for the file), and what."""

    place: Place
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. `text` is how it was written, so that `1.10` can be quoted as 1.10 and not as 1.1."""

    value: Value
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map with the place of the key."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Map:
    """Keys in order."""

    place: Place
    entries: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class List:
    """Items in order."""

    place: Place
    items: Sequence[Node] = ()


Node = Scalar | Map | List


def plain(node: Node) -> object:
    """The tree as dicts, tuples and values."""
    match node:
        case Scalar(value=value):
            return value
        case List(items=items):
            return tuple(plain(item) for item in items)
        case Map(entries=entries):
            return {key: plain(entry.node) for key, entry in entries.items()}


def merge(base: Node, over: Node) -> Node:
    """The overlay's rule: maps merge key by key, everything else is replaced. Places stay those of the winner."""
    if not isinstance(base, Map) or not isinstance(over, Map):
        return over
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        old = entries.get(key)
        entries[key] = entry if old is None else _merged(old, entry)
    return Map(base.place, entries)


def _merged(old: Entry, new: Entry) -> Entry:
    node = merge(old.node, new.node)
    return Entry(old.place if isinstance(node, Map) and node is not new.node else new.place, node)


def scalars(node: Node, loc: Loc = ()) -> Iterator[tuple[Loc, Scalar]]:
    """Every value with its path."""
    match node:
        case Scalar():
            yield loc, node
        case List(items=items):
            for index, item in enumerate(items):
                yield from scalars(item, (*loc, index))
        case Map(entries=entries):
            for key, entry in entries.items():
                yield from scalars(entry.node, (*loc, key))


@dataclass(frozen=True, slots=True)
class Found:
    """What `find` found: the deepest node that is there, the place of its key, its path, and whether it is all of it."""

    node: Node
    key: Place
    path: Loc
    whole: bool


def find(root: Node, loc: Loc) -> Found:
    """The node at `loc`. Parts that only a validator knows (tags of unions, the index of a single value) are left out."""
    node: Node = root
    key = root.place
    path: Loc = ()
    for part in loc:
        match node, part:
            case Map(entries=entries), str() if part in entries:
                node, key = entries[part].node, entries[part].place
            case List(items=items), int() if part < len(items):
                node = items[part]
                key = node.place
            case Scalar(), int():
                continue
            case _ if is_tag(part):
                continue
            case _:
                return Found(node, key, (*path, part), whole=False)
        path = (*path, part)
    return Found(node, key, path, whole=True)


def dotted(loc: Loc) -> str:
    """`("balancers", 0, "socket")` -> `balancers[0].socket`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def is_tag(part: str | int) -> bool:
    """A part of a loc that names a variant of a union, or the key itself, and no key of the file."""
    return isinstance(part, str) and ((part.startswith("(") and part.endswith(")")) or part == "[key]")
