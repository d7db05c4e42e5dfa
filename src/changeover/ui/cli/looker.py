"""Looks at the environment again and again in a thread of its own: what hangs there must not hang the command."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError
from changeover.core.steps import Plan
from changeover.ui.cli.session import plan_of

if TYPE_CHECKING:
    from changeover.service.door import Changeover
    from changeover.service.status import Status

EVERY = 1.0  # seconds between two looks


class Looker:
    """The newest status and the plan of its run, None before the first answer. `close` ends the thread soon."""

    def __init__(self, door: Changeover) -> None:
        self._door = door
        self._end = threading.Event()
        self._first = threading.Event()
        self._seen: tuple[Status, Plan | None, bool] | None = None
        self.problem: ChangeoverError | None = None
        self._thread = threading.Thread(target=self._run, name="changeover-looker", daemon=True)
        self._thread.start()

    @property
    def seen(self) -> tuple[Status, Plan | None, bool] | None:
        """(status, plan of the run shown, whether somebody advances it)."""
        return self._seen

    def first(self, timeout: float) -> bool:
        """Wait for the first answer or failure."""
        return self._first.wait(timeout)

    def close(self) -> None:
        """Stop looking; a look that hangs is left behind."""
        self._end.set()
        self._thread.join(0.5)

    def _run(self) -> None:
        plans: dict[str, Plan] = {}
        while True:
            try:
                status = self._door.status()
                plan = None
                if status.run is not None:
                    shown = _shown(self._door, status.run)
                    if shown not in plans:
                        plans[shown] = plan_of(self._door, shown)
                    plan = plans[shown]
                holder = self._door.holder() if status.run is not None else None
                self._seen, self.problem = (status, plan, holder is not None and holder.alive), None
            except ChangeoverError as error:
                self.problem = error
            self._first.set()
            if self._end.wait(EVERY):
                return


def _shown(door: Changeover, run: str) -> str:
    """The run whose steps `status` shows: the way back while a release goes back."""
    if door.run_of(run).state.value != "going-back":
        return run
    back = next((e for e in reversed(door.events(run)) if e.kind == "way-back"), None)
    return run if back is None else str(back.data["run"])
