"""Tells a run while it happens: polls its journal, and that of its way back, and says what is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError
from changeover.ui.cli.session import Session, plan_of
from changeover.ui.render.events import Event
from changeover.ui.render.narrate import Narrator

if TYPE_CHECKING:
    from changeover.service.door import Changeover

Find = Callable[[], str | None]

STUCK = frozenset({"held", "lost", "blocked"})
FREED = frozenset({"resumed", "aborted", "preempted", "go-back"})


class Teller:
    """`events` are all that were seen, in order of telling; `stuck` says that a person must look."""

    def __init__(self, session: Session, door: Changeover, find: Find, *, after: dict[str, int] | None = None) -> None:
        self._session, self._door, self._find = session, door, find
        self._after = dict(after or {})
        self._narrators: dict[str, Narrator] = {}
        self.runs: list[str] = []
        self.events: list[Event] = []
        self.stuck = False

    def poll(self) -> None:
        """Say what is new. A journal that is away for a moment is asked again later: the run goes on."""
        try:
            if not self.runs:
                found = self._find()
                if found is None:
                    return
                self.runs.append(found)
            for run in list(self.runs):
                self._tell(run)
        except ChangeoverError:
            return

    def _tell(self, run: str) -> None:
        if run not in self._narrators:
            self._narrators[run] = Narrator(plan_of(self._door, run), verbose=bool(self._session.common.verbose))
        for event in self._door.events(run, after=self._after.get(run, 0)):
            self._after[run] = event.seq
            self.events.append(event)
            if event.kind in STUCK:
                self.stuck = True
            elif event.kind in FREED:
                self.stuck = False
            for line in self._narrators[run].tell(event):
                self._session.terminal.say(line.text(utf8=self._session.terminal.utf8_told), line.mark)
            if event.kind == "way-back":
                child = str(event.data["run"])
                if child not in self.runs:
                    self.runs.append(child)
                self._tell(child)
