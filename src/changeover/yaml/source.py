"""Text -> tree. Strict: one document, no duplicate keys, no anchors, aliases or tags, bounded in size and depth.

The tree is built from the parser's events, so that every value keeps its place and nothing is constructed on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from changeover.yaml.tree import Entry, List, Loc, Map, Node, Place, Problem, Scalar, Value, dotted

MOST_BYTES: Final = 256 * 1024
MOST_DEPTH: Final = 12
MOST_CHARACTERS: Final = 4096  # of one value

# YAML 1.2, core schema (chapter 10.3.2); infinities and not-a-numbers stay text
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INVISIBLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")  # escaped in double quotes: no argument or path may hold it
_UNQUOTED_REFERENCE: Final = re.compile(r"(?<![\"'])\$\{[^}]*\}?")
_UNQUOTED_BRACES: Final = re.compile(r"\{[a-z_]+\}")


@dataclass(frozen=True, slots=True)
class Text:
    """One file as read: its name as the user knows it, its lines, and 0 for the file or 1 for its overlay."""

    name: str
    order: int
    text: str

    def line(self, number: int) -> str:
        """The line with this number (from 1), without its end; "" past the end."""
        lines = re.split(r"\r\n|\n|\r", self.text)
        return lines[number - 1] if 0 < number <= len(lines) else ""


def decode(raw: bytes, name: str, order: int) -> tuple[Text, list[Problem]]:
    """Bytes -> text, with what is wrong about the characters."""
    text = Text(name, order, raw.decode("utf-8-sig", errors="replace"))
    if len(raw) > MOST_BYTES:
        most = f"{MOST_BYTES // 1024} KiB"
        return text, [Problem(Place(order, 1, 1), "", f"the file has {len(raw) // 1024} KiB; the most is {most}")]
    try:
        raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", errors="replace")
        return text, [Problem(_at(before, order), "", f"byte 0x{raw[error.start]:02x} is not UTF-8; save as UTF-8")]
    found = _INVISIBLE.search(text.text)
    if found is not None:
        message = f"an invisible character, U+{ord(found[0]):04X}, that YAML does not allow; delete it"
        return text, [Problem(_at(text.text[: found.start()], order), "", message)]
    return text, []


def parse(text: Text) -> tuple[Node | None, list[Problem]]:
    """The tree, None when there is none, and the problems. After a syntax error the rest of the file is not read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    builder = _Builder(text.order)
    node: Node | None = None
    try:
        node = builder.document(YAML(typ="safe", pure=True).parse(text.text))
    except MarkedYAMLError as error:
        return None, [*builder.problems, _syntax(error, text)]
    except (YAMLError, RecursionError, ValueError):
        return None, [*builder.problems, Problem(Place(text.order, 1, 1), "", "this is not YAML")]
    if node is None and not builder.problems:
        builder.problems.append(Problem(Place(text.order, 1, 1), "", "the file is empty"))
    elif node is not None and not isinstance(node, Map):
        kind = "a list" if isinstance(node, List) else "one value"
        builder.problems.append(Problem(node.place, "", f"the file holds {kind}; keys are wanted, such as `app: shop`"))
        node = None
    return node, builder.problems


class _TooDeep(Exception):
    """Nested deeper than any configuration is: stop reading before the stack ends."""


@dataclass(slots=True)
class _Builder:
    """Events -> nodes, problems collected on the way."""

    order: int
    problems: list[Problem] = field(default_factory=list)

    def document(self, events: Iterator[Any]) -> Node | None:
        root: Node | None = None
        documents = 0
        try:
            for event in events:
                kind = type(event).__name__
                if kind == "DocumentStartEvent":
                    documents += 1
                    if documents == 2:
                        self._problem(event, (), "a second document begins here; one file holds one configuration")
                        return None
                elif not kind.startswith(("Stream", "Document")):
                    root = self._node(event, events, ())
        except _TooDeep:
            return None
        return root

    def _node(self, event: Any, events: Iterator[Any], loc: Loc) -> Node:
        place = self._place(event)
        if len(loc) > MOST_DEPTH:
            self._problem(event, (), f"nested deeper than {MOST_DEPTH} levels")
            raise _TooDeep
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._problem(event, loc, f"*{event.anchor}: aliases are not supported; write the value out")
            return Scalar(None, f"*{event.anchor}", place)
        if event.anchor is not None:
            self._problem(
                event, loc, f"&{event.anchor}: anchors are not supported; write the value out where it is needed"
            )
        if event.tag is not None:
            self._problem(event, loc, "tags (!…) are not supported; quote the value if it is text")
        if kind == "MappingStartEvent":
            return self._map(events, loc, place)
        if kind == "SequenceStartEvent":
            return self._list(events, loc, place)
        if len(event.value) > MOST_CHARACTERS:
            self._problem(event, loc, f"longer than {MOST_CHARACTERS} characters")
            return Scalar(None, "…", place)
        if found := _NO_TEXT.search(event.value):
            self._problem(event, loc, f"holds U+{ord(found[0]):04X}, which cannot stand in text")
            return Scalar(None, "…", place)
        is_plain = event.style is None or event.style == ""
        return Scalar(_value(event.value) if is_plain else event.value, event.value, place)

    def _map(self, events: Iterator[Any], loc: Loc, place: Place) -> Map:
        entries: dict[str, Entry] = {}
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                break
            at = self._place(event)
            if type(event).__name__ != "ScalarEvent":
                self._problem(event, loc, "a key must be one word")
                self._node(event, events, (*loc, "?"))
                self._node(next(events), events, (*loc, "?"))
                continue
            key = _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", event.value)
            node = self._node(next(events), events, (*loc, key))
            if isinstance(node, Scalar) and node.value is None and not node.text:
                node = Scalar(None, "", at)  # the parser puts an empty value at the next key
            if key == "<<":
                self._problem(event, loc, "<<: merge keys are not supported; write the keys out")
            elif key in entries:
                first = entries[key].place.line
                self._problem(event, (*loc, key), f"is written twice, first on line {first}")
            else:
                entries[key] = Entry(at, node)
        return Map(place, entries)

    def _list(self, events: Iterator[Any], loc: Loc, place: Place) -> List:
        items: list[Node] = []
        for event in events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, events, (*loc, len(items))))
        return List(place, tuple(items))

    def _place(self, event: Any) -> Place:
        return Place(self.order, event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, event: Any, loc: Loc, message: str) -> None:
        self.problems.append(Problem(self._place(event), dotted(loc), message))


def _value(text: str) -> Value:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) <= 30 and _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if len(text) <= 30 and _FLOAT.fullmatch(text):
        return float(text)
    return text


def _at(before: str, order: int) -> Place:
    """The place just behind this text."""
    lines = re.split(r"\r\n|\n|\r", before)
    return Place(order, len(lines), len(lines[-1]) + 1)


def _syntax(error: Any, text: Text) -> Problem:
    """A syntax error in the words of somebody who wants to fix it."""
    mark = error.problem_mark or error.context_mark
    place = Place(text.order, mark.line + 1, mark.column + 1) if mark else Place(text.order, 1, 1)
    begun = error.context_mark
    what = str(error.problem or error.context or "this is not YAML")
    context = str(error.context or "")
    line = text.line(place.line)
    in_flow = "flow" in context
    if in_flow and (found := _found_near(_UNQUOTED_REFERENCE, line, place.column)):
        at = Place(text.order, place.line, found.start() + 1)
        return Problem(at, "", f'inside {{ }} and [ ] a reference must be quoted: "{found[0]}"')
    if in_flow and (found := _found_near(_UNQUOTED_BRACES, line, place.column)):
        return Problem(place, "", f'inside {{ }} and [ ] text with {found[0]} must be quoted: "…{found[0]}"')
    if "'\\t'" in what:
        return Problem(place, "", "a tab; YAML indents with spaces")
    if "cannot start any token" in what:
        return Problem(place, "", f"a value cannot begin with {line[place.column - 1 : place.column]}; quote it")
    if "mapping values are not allowed" in what:
        return Problem(place, "", "a second colon in one line, or wrong indentation; quote a value that has a colon")
    if in_flow and begun:
        mark_open = "{" if "mapping" in context else "["
        return Problem(
            place, "", f"the {mark_open} of line {begun.line + 1} is not closed, or a comma is missing before this"
        )
    if "quoted scalar" in context and begun:
        return Problem(Place(text.order, begun.line + 1, begun.column + 1), "", "this quote is not closed")
    if "block" in context or "document start" in what:
        return Problem(place, "", "the indentation does not fit the lines before")
    return Problem(place, "", f"this is not YAML: {what}")


def _found_near(pattern: re.Pattern[str], line: str, column: int) -> re.Match[str] | None:
    """The match that the parser stumbled over."""
    return next((m for m in pattern.finditer(line) if m.start() <= column <= m.end() + 1), None)
