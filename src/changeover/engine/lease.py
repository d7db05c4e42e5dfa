"""The right to act: a lease on the environment, kept by a heartbeat thread, and its fence."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field

from changeover.core.errors import FencedOut, StoreUnusable
from changeover.engine.journal import Journal
from changeover.engine.owner import Owner

LEASE = 60.0  # seconds
HEARTBEAT = 15.0  # seconds


@dataclass(slots=True)
class Hold:
    """A held environment; implements `core.ports.Fence`.

    `check` looks at the lease on a clock that also counts while the machine or the process sleeps, and then at the store: a
    process that was stopped and continued finds its lease over before it can act. When the store cannot be read, the
    lease alone decides; it ends by itself because it cannot be renewed either.
    """

    journal: Journal
    environment: str
    run: str
    token: int
    until: float  # boottime
    lease: float = LEASE
    _lost: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    def take(
        cls, journal: Journal, environment: str, run: str, owner: Owner, *, lease: float = LEASE, force: bool = False
    ) -> Hold:
        """Take the environment. Raises EnvironmentHeld when a living process holds it, unless `force`."""
        began = journal.clock.boottime()
        token = journal.take(environment, run, owner, lease, force=force)
        return cls(journal, environment, run, token, began + lease, lease)

    def check(self) -> None:
        if self._lost.is_set() or self.journal.clock.boottime() >= self.until:
            self._lost.set()
            raise self._out()
        try:
            newest = self.journal.fence_of(self.environment)
        except StoreUnusable:
            return  # the lease decides
        if newest != self.token:
            self._lost.set()
            raise self._out()

    def _out(self) -> FencedOut:
        return FencedOut(
            f"this process no longer holds {self.environment}: its lease ended or somebody took over",
            now="It changed nothing after that. The new owner looks before it acts.",
            next=("changeover status",),
        )

    def beat(self) -> None:
        """Prolong the lease once. Raises FencedOut; a store that is away is tried again at the next beat."""
        try:
            self.until = self.journal.renew(self.environment, self.token, self.lease)
        except FencedOut:
            self._lost.set()
            raise
        except StoreUnusable:
            return  # the lease runs on until it ends

    def start(self) -> None:
        """Beat in a thread of its own, so that a long step does not lose the lease of a living process."""
        self._thread = threading.Thread(target=self._run, name="changeover-heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(min(HEARTBEAT, self.lease / 4)):
            try:
                self.beat()
            except FencedOut:
                return

    def let_go(self) -> None:
        """Stop beating and give the environment back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if not self._lost.is_set():
            with suppress(StoreUnusable):  # then the lease ends by itself
                self.journal.let_go(self.environment, self.token)
