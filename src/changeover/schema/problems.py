"""What is wrong with change files, and how all of it becomes one error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from changeover.core.errors import ChangeoverError, ChangesUnreadable, StatementUnknown, Where, WouldBreak

LONGEST_EXCERPT = 160  # characters


class Defect(IntEnum):
    """Why a statement or a file is refused; the greatest one of a change set names the error."""

    UNREADABLE = 1  # CO-0101
    UNKNOWN = 2  # CO-0103
    BREAKS = 3  # CO-0104


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason to refuse. `rewrite`: what to write instead, one line each; `line` 0 means the whole file."""

    defect: Defect
    reason: str
    rewrite: tuple[str, ...] = ()
    file: str = ""
    line: int = 0
    text: str = ""

    def at(self, file: str, line: int, text: str) -> Problem:
        """The same problem with a place, where it has none yet."""
        return replace(self, file=self.file or file, line=self.line or line, text=self.text or text)

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class ProblemError(Exception):
    """Carries a Problem from where it is found to where problems are collected; never leaves this package."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


_SECRET = re.compile(r"\b(password|identified|secret|token)\b", re.IGNORECASE)
_TEXTS = re.compile(r"""'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$([A-Za-z_]*)\$.*""", re.DOTALL)


def excerpt(text: str) -> str:
    """The first line of a statement for people; what is in quotes is masked where a password may be."""
    first = text.strip().split("\n", 1)[0].strip()
    if _SECRET.search(text):
        first = _TEXTS.sub("'…'", first)
    return first if len(first) <= LONGEST_EXCERPT else first[: LONGEST_EXCERPT - 1] + "…"


_KINDS: dict[Defect, type[ChangeoverError]] = {
    Defect.UNREADABLE: ChangesUnreadable,
    Defect.UNKNOWN: StatementUnknown,
    Defect.BREAKS: WouldBreak,
}
_WHAT = {
    Defect.UNREADABLE: "{} cannot be read",
    Defect.UNKNOWN: "{} is not known to be safe",
    Defect.BREAKS: "{} would break the version before",
}


def refusal(problems: Iterable[Problem]) -> ChangeoverError:
    """One error for all problems, each with its place, its reason and its rewrite.

    WouldBreak if any of them would break the version before, else StatementUnknown if any is unknown, else
    ChangesUnreadable.
    """
    found = tuple(problems)
    worst = max(p.defect for p in found)
    subject = found[0].reason if len(found) == 1 else f"the change files have {len(found)} problems; at least one"
    what = subject if len(found) == 1 else _WHAT[worst].format(subject)
    return _KINDS[worst](
        what,
        next=tuple(line for p in found for line in _advice(p, alone=len(found) == 1)),
        where=tuple(Where(p.file, p.line, 0, excerpt(p.text)) for p in found),
    )


def _advice(problem: Problem, *, alone: bool) -> Iterable[str]:
    if not alone:
        yield f"{problem.place}: {problem.reason}"
    yield from problem.rewrite
