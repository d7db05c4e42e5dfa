"""Who calls `advance`: this process, in a loop, while it holds the environment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from changeover.core.errors import StoreUnusable
from changeover.core.states import ENDED, State
from changeover.engine.executor import Engine
from changeover.engine.lease import LEASE, Hold
from changeover.engine.owner import Owner

STORE_BACKOFF = (
    2.0  # seconds between two tries when the journal is away: the lease decides, the run is never marked failed
)
NAP = 0.25  # seconds: no sleep is longer, so that signals are seen soon

Stop = Callable[[State], bool]
"""Given the state after a step, whether this process stops driving (the run goes on or waits without it)."""


def until_it_ends(_: State) -> bool:
    """Drive to the end."""
    return False


@dataclass(frozen=True, slots=True)
class Drive:
    """Drive one run: take the environment, enter, advance until it has ended or `stop` says so, let go.

    `interrupt` is set by a signal handler: the loop ends at the next safe point. `heartbeat` False is for tests with
    a fake clock.
    """

    engine: Engine
    owner: Owner
    lease: float = LEASE
    heartbeat: bool = True

    def run(
        self, run_id: str, *, stop: Stop = until_it_ends, interrupt: threading.Event | None = None, force: bool = False
    ) -> State:
        """Returns the state in which this process left the run. Raises EnvironmentHeld, ForeignStore, FencedOut."""
        journal, clock = self.engine.journal, self.engine.ports.clock
        record = journal.run(run_id)
        if record.state in ENDED:
            return record.state
        hold = Hold.take(journal, record.environment, run_id, self.owner, lease=self.lease, force=force)
        if self.heartbeat:
            hold.start()
        try:
            record = journal.run(run_id)
            if record.state in ENDED:  # by somebody who was faster
                return record.state
            self.engine.enter(record, hold)
            while True:
                try:
                    progress = self.engine.advance(run_id, hold)
                except StoreUnusable:
                    hold.check()
                    clock.sleep(STORE_BACKOFF)
                    continue
                if progress.state in ENDED or stop(progress.state) or (interrupt is not None and interrupt.is_set()):
                    return progress.state
                if progress.after > 0:
                    clock.sleep(min(progress.after, NAP))
        finally:
            hold.let_go()
