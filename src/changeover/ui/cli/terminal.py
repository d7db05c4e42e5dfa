"""The three streams and what they can do. stdout is the answer; stderr is narration, progress, warnings, prompts.

A stream that goes away never stops a run: nothing that is shown is needed to keep traffic flowing.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from changeover.core.errors import UsageError
from changeover.ui.render import words

_STYLES: Mapping[str, str] = {
    "failed": "31",
    "back": "1;33",
    "waiting": "33",
    "warn": "33",
    "now": "36",
    "note": "2",
    "bold": "1",
    "done": "",
    "next": "2",
}
WIDEST = 400  # columns


@dataclass(slots=True)
class Terminal:
    """`colour`, `live`: what stderr may get. `interactive`: somebody can answer a question."""

    stdin: TextIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    colour: bool = False
    live: bool = False
    interactive: bool = False
    quiet: bool = False
    _drawn: int = 0  # rows of the live view that stand on the screen
    _gone: set[int] = field(default_factory=set)  # streams that nobody reads any more

    @classmethod
    def here(cls) -> Terminal:
        """The streams of this process."""
        return cls(sys.stdin, sys.stdout, sys.stderr)

    def fit(self, *, no_color: bool, no_input: bool, quiet: bool) -> None:
        """Decide once what may be used: a terminal, NO_COLOR, TERM=dumb and the flags have their say."""
        tty = _tty(self.stderr)
        dumb = self.environ.get("TERM", "") in {"dumb", ""}
        self.live = tty and not dumb and not quiet
        self.colour = tty and not dumb and not no_color and not self.environ.get("NO_COLOR")
        self.interactive = tty and _tty(self.stdin) and not no_input
        self.quiet = quiet

    # writing ------------------------------------------------------------------------------------------

    def answer(self, text: str) -> None:
        """The answer of the command, to stdout."""
        self._write(self.stdout, text if text.endswith("\n") else text + "\n")

    def say(self, text: str, style: str = "") -> None:
        """A line of narration, to stderr; nothing with -q."""
        if not self.quiet:
            self.tell(text, style)

    def tell(self, text: str, style: str = "") -> None:
        """What must be said, to stderr, even with -q."""
        self.erase()
        text = text.rstrip("\n")
        self._write(self.stderr, self.paint(text, style) + "\n")

    def paint(self, text: str, style: str) -> str:
        """The text in the colour of a style, where colour is allowed. Words carry the meaning, never the colour alone."""
        code = _STYLES.get(style, "") if self.colour else ""
        return f"\x1b[{code}m{text}\x1b[0m" if code else text

    def draw(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show (text, style) rows in the place of those drawn before; each is cut at the width."""
        if not self.live:
            return
        width = self.width()
        painted = [self.paint(words.short(words.clean(text), width - 1), style) for text, style in rows]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self._drawn = len(painted)
        self._write(self.stderr, f"{up}\r\x1b[J" + "".join(line + "\n" for line in painted))

    def erase(self) -> None:
        """Take the live view off the screen; what was said above it stays."""
        if self._drawn:
            self._write(self.stderr, f"\x1b[{self._drawn}A\r\x1b[J")
            self._drawn = 0

    def _write(self, stream: TextIO, text: str) -> None:
        if id(stream) in self._gone:
            return
        try:
            stream.write(text if is_utf8(stream) else _encodable(words.fold(text), stream))
            stream.flush()
        except (OSError, ValueError):  # nobody reads any more: `| head`, or the terminal is gone
            self._gone.add(id(stream))

    @property
    def utf8(self) -> bool:
        """Whether stdout takes every sign."""
        return is_utf8(self.stdout)

    @property
    def utf8_told(self) -> bool:
        """Whether stderr takes every sign."""
        return is_utf8(self.stderr)

    def width(self) -> int:
        """Columns of the screen."""
        return min(WIDEST, shutil.get_terminal_size((80, 24)).columns)

    def height(self) -> int:
        """Rows of the screen."""
        return shutil.get_terminal_size((80, 24)).lines

    def silence(self) -> None:
        """Before the process ends: what cannot be flushed must not fail."""
        for stream in (self.stdout, self.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()

    # asking ----------------------------------------------------------------------------------------------

    def ask(self, question: str, *, default: bool) -> bool:
        """A yes or no. Raises UsageError where nobody can answer."""
        self.must_be_interactive("--yes is required when not interactive")
        while True:
            said = self._line(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
            if not said:
                return default
            if said in {"y", "yes"}:
                return True
            if said in {"n", "no"}:
                return False

    def ask_typed(self, question: str) -> str:
        """A line that a person types. Raises UsageError where nobody can answer."""
        self.must_be_interactive("this is confirmed by typing, and nobody is there to type")
        return self._line(question).strip()

    def must_be_interactive(self, otherwise: str, *, next_: tuple[str, ...] = ()) -> None:
        """Raises UsageError with these words where nobody can answer; nothing ever hangs on a question."""
        if not self.interactive:
            raise UsageError(otherwise, next=next_)

    def _line(self, question: str) -> str:
        self.erase()
        self._write(self.stderr, question)
        said = self.stdin.readline()
        if not said:  # the end of the input is no answer
            raise UsageError("the question was not answered")
        return said


def is_utf8(stream: TextIO) -> bool:
    """Whether the stream takes every sign; a stream without an encoding (in memory) does."""
    encoding = getattr(stream, "encoding", None)
    if not encoding:
        return True
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def _encodable(text: str, stream: TextIO) -> str:
    return text.encode(stream.encoding, "replace").decode(stream.encoding)


def _tty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
