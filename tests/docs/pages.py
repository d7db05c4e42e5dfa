"""The pages of the documents, taken apart: fenced blocks, links, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
)
COMPLETE = "<!-- complete file -->"
PART = "<!-- part of a file -->"
CHANGE = "<!-- change file -->"
_FENCE = re.compile(
    r"^(?:(?P<mark><!-- [a-z -]+ -->)\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `mark` is the comment on the line before it."""

    page: Path
    language: str
    text: str
    mark: str = ""

    def commands(self) -> Iterator[str]:
        """What stands behind a `$ ` prompt."""
        yield from (line[2:].strip() for line in self.text.splitlines() if line.startswith("$ "))


def name(page: Path) -> str:
    """How a page is called in a test's name."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> tuple[Block, ...]:
    """Every fenced block of the page."""
    text = page.read_text(encoding="utf-8")
    return tuple(Block(page, f["language"], f["text"], f["mark"] or "") for f in _FENCE.finditer(text))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[str]:
    """The targets of the links in the page's prose."""
    yield from (f["target"] for f in _LINK.finditer(prose(page)))


def anchors(page: Path) -> frozenset[str]:
    """The anchors of the page's headings, as the usual renderers make them."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", head.replace("`", "")).strip().lower() for head in heads)
    return frozenset(head.replace(" ", "-") for head in plain)


def inline(page: Path) -> Iterator[str]:
    """What stands in backticks in the page's prose."""
    yield from _CODE.findall(prose(page))


def words(command: str) -> list[str]:
    """A command line as the shell splits it; comments behind it are dropped."""
    return shlex.split(command, comments=True)
