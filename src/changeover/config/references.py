"""References to secrets (`${env:NAME}`, `${file:PATH}`, `${cmd:COMMAND}`) and how literal secrets are found and masked.

Nothing here resolves anything; see `secrets`. No heavy import: error paths everywhere may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DOTS: Final = "•••"  # what is shown instead of a secret
_BLANK: Final = "\0"  # stands for a character of a reference; no text of ours holds it
WRITE_A_REFERENCE: Final = "use ${env:NAME}, ${file:PATH} or ${cmd:COMMAND}"

_REFERENCE: Final = re.compile(r"\$\{(env|file|cmd):([^{}]*)\}")
_ANY: Final = re.compile(r"\$\{[^}]*\}?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# scheme://user:PASSWORD@host, up to the last @ before a blank or a quote: an unescaped / or @ in it is masked too
_IN_URL: Final = re.compile(r"://[^\s:@/\"']*:(?!\d+/)([^\s\"']*)@")
# the same with the slashes lost or the scheme torn off; only for showing, it may hide too much
_LOOSE: Final = re.compile(r"(?:^|//|[\s\"'=,{\[])[^\s:@/\"']*:\s?(?!//|\d+/)([^\s\"':]+)@")
_IN_PAIR: Final = re.compile(r"(?i)(?:\b|[_?&-])(?:password|passwd|pwd|passphrase)\s*=\s*[\"']?([^\s&\"',;}\]]+)")
_KEY: Final = re.compile(
    r"(?i)(?:^|[\s{,\"'])(?!preview_secret)[\w-]*"
    r"(?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|credentials?)[\"']?\s*:\s+([^#\s][^#]*?)(?=\s+#|\s*$)"
)
_SECRET_NAME: Final = re.compile(r"(?i)(passw(or)?d|passphrase|secret|token|api_?key|private_?key|credentials?)$")
_HARMLESS: Final = frozenset({"", "0", "1", "true", "false", "yes", "no", "on", "off", "none"})


class Source(StrEnum):
    """Where a reference points."""

    ENV = "env"
    FILE = "file"
    CMD = "cmd"


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference: it names a secret and is none itself, so it may be shown."""

    source: Source
    target: str

    def __str__(self) -> str:
        return f"${{{self.source}:{self.target}}}"


def parts_of(text: str) -> Iterator[str | Reference]:
    """The text cut at its references: `postgresql://shop:${env:PW}@db` -> text, Reference, text."""
    end = 0
    for found in _REFERENCE.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        yield Reference(Source(found[1]), found[2].strip())
        end = found.end()
    if end < len(text):
        yield text[end:]


def is_reference(text: str) -> bool:
    """The text is one reference and nothing else."""
    return _REFERENCE.fullmatch(text) is not None


def has_reference(text: str) -> bool:
    """Something that is, or wants to be, a reference."""
    return "${" in text


def problem_of(text: str) -> str:
    """What is wrong with the references of a text in words, "" if nothing is."""
    for found in _ANY.finditer(text):
        whole = _REFERENCE.match(text, found.start())
        if whole is None:
            bare = found[0].removeprefix("${").removesuffix("}")
            hint = f"; write ${{env:{bare}}}" if _NAME.fullmatch(bare) else f"; {WRITE_A_REFERENCE}"
            return f"{found[0]} is not a reference{hint}"
        source, target = whole[1], whole[2].strip()
        if not target:
            return f"{whole[0]} names nothing"
        if source == Source.ENV and not _NAME.fullmatch(target):
            return f"{shown(target)} is not the name of an environment variable"
    return ""


def literal_secret(text: str, name: str = "") -> bool:
    """A password is written in the text itself, or the text is the literal value of something called like a secret."""
    if name and _SECRET_NAME.search(name) and not has_reference(text) and text.lower() not in _HARMLESS:
        return True
    return any(_spans(pattern, text) for pattern in (_IN_URL, _IN_PAIR))


def mask(text: str) -> str:
    """The text with every literal password in it replaced by dots."""
    return mask_at(text, 0)[0]


def mask_at(text: str, column: int) -> tuple[str, int]:
    """`mask`, and where the character at `column` (from 0) has gone."""
    spans = sorted({span for pattern in (_IN_URL, _IN_PAIR, _KEY, _LOOSE) for span in _spans(pattern, text)})
    shown: list[str] = []
    end, moved = 0, column
    for start, stop in spans:
        if start < end:
            continue  # inside one that is masked already
        shown += [text[end:start], DOTS]
        if column >= stop:
            moved += len(DOTS) - (stop - start)
        elif column > start:
            moved -= column - start
        end = stop
    return "".join([*shown, text[end:]]), moved


def _spans(pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """Where literal secrets stand. References are blanked first: they may hold any character, and are none."""
    blanked = _REFERENCE.sub(lambda found: _BLANK * len(found[0]), text)
    return [found.span(1) for found in pattern.finditer(blanked) if found[1].strip(f"{_BLANK}\"' ")]


def shown(value: object) -> str:
    """A value as it is quoted in a message: masked, short, in double quotes if it is text."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            text = mask("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value))
            return f'"{text[:60]}{"…" if len(text) > 60 else ""}"'
        case dict():
            return "keys"
        case tuple() | list():
            return "a list"
        case _:
            return str(value)
