"""Drive a run in this process while it is told: events as they come, signals, the time limit, the hand-over to a worker."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError, FencedOut, RunUnknown
from changeover.core.states import ENDED, State
from changeover.ui.cli.looker import Looker
from changeover.ui.cli.session import Session
from changeover.ui.cli.signals import AtOnce, Signals
from changeover.ui.cli.teller import Teller
from changeover.ui.render import live

if TYPE_CHECKING:
    from changeover.service.door import Changeover

POLL = 0.2  # seconds between two looks at journal and signals
REDRAW = 0.5  # seconds
RELEASE_KEYS = (
    "Ctrl-C stops at the next safe point, changeover resume goes on; changeover rollback takes the old version back"
)

Act = Callable[[threading.Event], "Left"]


@dataclass(frozen=True, slots=True)
class Left:
    """Where this process left a run. `handed`: a worker goes on; `elsewhere`: another process does."""

    run: str | None
    state: State
    words: str = ""
    stopped: bool = False
    timed_out: bool = False
    handed: bool = False
    elsewhere: bool = False


@dataclass(slots=True)
class _Work:
    """The thread that drives: its result, or what it raised."""

    act: Act
    interrupt: threading.Event = field(default_factory=threading.Event)
    left: Left | None = None
    error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self.left = self.act(self.interrupt)
        except BaseException as error:
            self.error = error


def travel(
    session: Session, door: Changeover, act: Act, teller: Teller, *, holds: bool = False, patient: bool = False
) -> Left:
    """Run `act` to its end. `holds`: at the time limit the run is paused; otherwise it is handed over as it is.

    `patient`: a run at which a person must look is not left by itself (workers). Raises what `act` raises, and AtOnce at
    the second SIGINT or SIGTERM.
    """
    work = _Work(act)
    thread = threading.Thread(target=work, name="changeover-drive", daemon=True)
    limit = session.timeout
    deadline = None if limit is None else time.monotonic() + limit
    timed_out = False
    looker = Looker(door) if session.terminal.live else None
    with Signals() as signals:
        thread.start()
        drawn = 0.0
        while thread.is_alive():
            thread.join(POLL)
            teller.poll()
            if signals.stops > 1:
                raise AtOnce
            if (signals.stops or signals.hung_up or (teller.stuck and not patient)) and not work.interrupt.is_set():
                work.interrupt.set()
                if signals.stops:
                    session.terminal.tell("Stopping at the next safe point; once more stops at once.", "warn")
                elif signals.hung_up:
                    session.terminal.tell("The terminal is gone.", "warn")
            if deadline is not None and not timed_out and time.monotonic() > deadline:
                timed_out = True
                _time_out(session, door, work, holds=holds)
            if looker is not None and time.monotonic() - drawn > REDRAW:
                drawn = time.monotonic()
                _draw(session, looker)
        if looker is not None:
            looker.close()
        session.terminal.erase()
        teller.poll()
        left = _result(door, work, teller)
        return _hand_over(session, door, replace(left, timed_out=timed_out), signals)


def _time_out(session: Session, door: Changeover, work: _Work, *, holds: bool) -> None:
    session.terminal.say(f"--timeout {session.common.timeout} is reached.", "warn")
    if holds:
        with contextlib.suppress(RunUnknown):
            door.pause(f"--timeout {session.common.timeout} reached")
    else:
        work.interrupt.set()


def _draw(session: Session, looker: Looker) -> None:
    if looker.seen is None:
        return
    status, plan, _ = looker.seen
    terminal = session.terminal
    terminal.draw(
        live.rows(
            status,
            plan,
            now=session.now(),
            height=terminal.height(),
            keys=RELEASE_KEYS,
            utf8=terminal.utf8_told,
        )
    )


def _result(door: Changeover, work: _Work, teller: Teller) -> Left:
    if work.left is not None:
        return work.left
    assert work.error is not None
    if isinstance(work.error, FencedOut) and teller.runs:
        record = door.run_of(teller.runs[0])
        if record.state in ENDED:
            return Left(record.id, record.state)
    raise work.error


def _hand_over(session: Session, door: Changeover, left: Left, signals: Signals) -> Left:
    """A run that nobody advances any more is handed to a worker, unless a person stopped this process or must look."""
    if left.run is None or left.state in ENDED or left.elsewhere:
        return left
    if signals.stops:
        return replace(left, stopped=True)
    if left.state in (State.HELD, State.UNKNOWN, State.BLOCKED):
        return left
    pid = session.doors.spawn(door.site, left.run)
    session.terminal.say(f"A background worker (process {pid}) watches {left.run} and goes on with it.", "note")
    return replace(left, handed=True)


def newest(door: Changeover, known: frozenset[str]) -> str | None:
    """The outermost run that began since `known` was looked at."""
    try:
        found = [r.id for r in door.history(limit=5) if r.id not in known and r.parent is None]
    except ChangeoverError:
        return None
    return found[0] if found else None


def known_runs(door: Changeover) -> frozenset[str]:
    """The runs that are there already; empty when the journal is away."""
    try:
        return frozenset(r.id for r in door.history(limit=50)) if door.site.store.exists() else frozenset()
    except ChangeoverError:
        return frozenset()
