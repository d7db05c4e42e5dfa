"""The live view on a pseudo-terminal, and what keys and signals do there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHIN = 40.0  # seconds


class Pseudo:
    """A process on a terminal of 24 rows and 80 columns."""

    def __init__(self, *argv: str, term: str = "xterm-256color", **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        variables = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.terminal_child", *argv],
            cwd=ROOT,
            env={**variables, "TERM": term, "TZ": "UTC", "CHANGEOVER_BY": "dana", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread runs in this test
        )
        self.slave = slave
        self.seen = ""

    def until(self, pattern: str) -> str:
        deadline = time.monotonic() + WITHIN
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, f"never saw {pattern!r}:\n{self.seen[-3000:]}"
            self.read(0.1)
        return self.seen

    def read(self, timeout: float) -> None:
        ready, _, _ = select.select([self.master], [], [], timeout)
        if ready:
            with contextlib.suppress(OSError):
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ends(self) -> int:
        deadline = time.monotonic() + WITHIN
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen[-3000:]
            self.read(0.1)
        for _ in range(3):
            self.read(0.05)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def on_a_terminal():
    made = []

    def start(*argv, **options):
        made.append(Pseudo(*argv, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


def frames(text: str) -> list[list[str]]:
    """What was drawn: the rows after each clearing of the screen below the cursor."""
    plain = re.sub(r"\x1b\[\d*m|\x1b\[\d+;\d+m", "", text)
    return [part.replace("\r", "").split("\n") for part in plain.split("\x1b[J")[1:]]


def test_a_release_shows_the_view_waits_at_its_gate_and_stops_at_ctrl_c(on_a_terminal):
    screen = on_a_terminal("release", "1.1.0")
    screen.until(r"◷ approval of 100%[\s\S]*Ctrl-C stops at the next safe")
    drawn = [f for f in frames(screen.seen) if any("# green" in row for row in f)]
    assert drawn
    for rows in drawn:
        assert len([r for r in rows if r]) <= 24
        assert max(map(len, rows)) < 80
    screen.press("\x03")
    assert screen.ends() == 130
    assert "Stopping at the next safe point" in screen.seen
    assert "Interrupted. r-0001 is saved" in screen.seen
    assert screen.seen.rstrip().endswith("changeover status")


def test_q_leaves_the_view_and_the_terminal_is_as_it_was(on_a_terminal):
    screen = on_a_terminal("watch")
    screen.until("q leaves this view")
    screen.press("q")
    assert screen.ends() == 4
    assert termios.tcgetattr(screen.slave) == screen.before


def test_a_dumb_terminal_gets_lines(on_a_terminal):
    screen = on_a_terminal("release", "1.1.0", term="dumb")
    screen.until("approval of 100%")
    screen.press("\x03")
    assert screen.ends() == 130
    assert "\x1b" not in screen.seen


def test_no_color_keeps_the_view_and_loses_the_colour(on_a_terminal):
    screen = on_a_terminal("release", "1.1.0", NO_COLOR="1")
    screen.until("Ctrl-C stops")
    screen.press("\x03")
    assert screen.ends() == 130
    assert not re.search(r"\x1b\[[\d;]*m", screen.seen)


def test_a_terminal_that_is_closed_leaves_the_run_to_a_worker(on_a_terminal):
    screen = on_a_terminal("release", "1.1.0")
    screen.until("Ctrl-C stops")
    os.close(screen.slave)
    os.close(screen.master)
    assert screen.process.wait(WITHIN) == 4


def test_sigterm_of_a_watcher(on_a_terminal):
    screen = on_a_terminal("watch")
    screen.until("q leaves this view")
    screen.process.send_signal(signal.SIGTERM)
    assert screen.ends() == 130
