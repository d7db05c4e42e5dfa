"""Follow what somebody else drives: a live view on a terminal that can be left with q, lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from changeover.core.errors import Exit
from changeover.core.states import ENDED, EXITS, State
from changeover.ui.cli.looker import Looker
from changeover.ui.cli.outcome import events_of, look
from changeover.ui.cli.session import Session, asked, plan_of
from changeover.ui.cli.signals import Signals
from changeover.ui.cli.teller import Teller
from changeover.ui.render import documents, ending, live
from changeover.ui.render import status as _status

if TYPE_CHECKING:
    from changeover.service.door import Changeover

POLL = 0.2  # seconds
KEYS = "q leaves this view; the run goes on"
STUCK = frozenset({State.HELD, State.UNKNOWN, State.BLOCKED})


def watch(session: Session) -> Exit:
    """Follow the run under way to its end. Without one: show where it stands."""
    door = session.door()
    found = door.status()
    if found.run is None and not session.terminal.live:
        session.answer(
            _status.text(found, asked(door, found.world), alive=False),
            documents.status(found, asked(door, found.world), alive=False, exit_=int(Exit.DONE)),
        )
        return Exit.DONE
    return follow(session, door, found.run, tell=not session.terminal.live)


def follow(session: Session, door: Changeover, run: str | None, *, tell: bool = True, after: int = 0) -> Exit:
    """Follow until the run has ended, a person must look, the time limit, q, or a signal."""
    teller = Teller(session, door, lambda: run, after={} if run is None else {run: after})
    looker = Looker(door) if session.terminal.live else None
    limit = session.timeout
    deadline = None if limit is None else time.monotonic() + limit
    state = None
    try:
        with Signals() as signals, _keys(session) as pressed:
            while True:
                if tell:
                    teller.poll()
                if looker is not None:
                    _draw(session, looker)
                state = None if run is None else door.run_of(run).state
                if state in ENDED or (state in STUCK and not _alive(door)):
                    break
                if signals.stops:
                    return Exit.INTERRUPTED
                if signals.hung_up or pressed() or (deadline is not None and time.monotonic() > deadline):
                    return Exit.DONE if state is None else Exit.WAITING
                door.site.ports.clock.sleep(POLL) if looker is None else time.sleep(POLL)
    finally:
        if looker is not None:
            looker.close()
        session.terminal.erase()
    assert run is not None
    teller.poll()
    return close(session, door, run)


def close(session: Session, door: Changeover, run: str) -> Exit:
    """The last words about a run that somebody else drove."""
    record = door.run_of(run)
    exit_ = EXITS[record.state]
    status = look(door)
    seconds = None if record.ended is None else record.ended - record.at
    end = ending.Ending(run, plan_of(door, run), record.state, status, events_of(door, run), seconds, elsewhere=True)
    session.answer(ending.text(end), ending.document(end, int(exit_), session.now()))
    return exit_


def _alive(door: Changeover) -> bool:
    holder = door.holder()
    return holder is not None and holder.alive


def _draw(session: Session, looker: Looker) -> None:
    if looker.seen is None:
        return
    status, plan, _ = looker.seen
    terminal = session.terminal
    height = terminal.height()
    terminal.draw(live.rows(status, plan, now=session.now(), height=height, keys=KEYS, utf8=terminal.utf8_told))


class _Pressed:
    """Whether q was pressed."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self) -> bool:
        if self._descriptor is None:
            return False
        ready, _, _ = select.select([self._descriptor], [], [], 0)
        return bool(ready) and b"q" in os.read(self._descriptor, 64)


@contextlib.contextmanager
def _keys(session: Session) -> Iterator[_Pressed]:
    """Keys without Enter while the view is shown; the terminal is left as it was."""
    if not (session.terminal.live and session.terminal.interactive):
        yield _Pressed(None)
        return
    import termios
    import tty

    descriptor = session.terminal.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Pressed(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
