"""What one invocation works with: its options, its terminal, its doors. Passed by hand to every command."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from changeover.core.model import World
from changeover.core.steps import Plan, known_part
from changeover.ui.cli.open import Doors
from changeover.ui.cli.options import Common, seconds
from changeover.ui.cli.terminal import Terminal
from changeover.ui.render import documents, words
from changeover.ui.render.status import Asked

if TYPE_CHECKING:
    from changeover.service.door import Changeover


@dataclass(slots=True)
class Session:
    """`began` is epoch seconds of the environment's clock; `opened` is the door once it was opened."""

    common: Common
    terminal: Terminal
    doors: Doors
    began: float = field(default_factory=time.time)
    opened: Changeover | None = None

    def door(self) -> Changeover:
        """Open the environment. Raises what opening raises: configuration, changes."""
        if self.opened is None:
            self.opened = self.doors.door(self.common.config, self.common.environment)
            self.began = self.opened.site.ports.clock.now()
        return self.opened

    def now(self) -> float:
        """Epoch seconds, by the environment's clock once it is open."""
        return time.time() if self.opened is None else self.opened.site.ports.clock.now()

    @property
    def timeout(self) -> float | None:
        """Seconds that this command may take."""
        return seconds(self.common.timeout, "--timeout")

    @property
    def production(self) -> bool:
        """Whether a confirmation is due."""
        return self.door().site.environment == "production"

    @property
    def name(self) -> str:
        """`shop PRODUCTION`."""
        site = self.door().site
        return f"{site.app} {words.environment(site.environment)}"

    def answer(self, text: str, document: Mapping[str, Any]) -> None:
        """The answer: the document with --json, the text otherwise."""
        if self.common.json:
            self.terminal.answer(documents.dump(document, utf8=self.terminal.utf8))
        else:
            self.terminal.answer(text)

    def confirm(self, question: str, *, yes: bool, default: bool = False) -> bool:
        """One yes where production is at stake; elsewhere what can be taken back is not asked."""
        if yes or not self.production:
            return True
        self.terminal.must_be_interactive("--yes is required when not interactive", next_=("repeat it with --yes",))
        return self.terminal.ask(question, default=default)


def plan_of(door: Changeover, run: str) -> Plan:
    """The plan of a run, to speak of it: steps of a newer changeover are left out, never a reason to say nothing."""
    return known_part(json.loads(door.run_of(run).plan))


def asked(door: Changeover, world: World) -> Asked | None:
    """The route that changeover asked for last, over the newest runs; None if it never asked."""
    if not door.site.store.exists():
        return None
    for run in door.history(limit=6):
        events = door.events(run.id)
        found = next((e for e in reversed(events) if e.kind == "asked"), None)
        if found is None:
            continue
        route = found.data["route"]
        shares = dict.fromkeys(world.pools, 0)
        shares[route["live"]] = 10_000 - int(route["share"])
        if route["share"]:
            shares[route["candidate"]] = int(route["share"])
        bake = next(
            (e for e in reversed(events) if e.seq > found.seq and e.kind == "done" and "measured" in e.data), None
        )
        measured = None if bake is None else bake.data["measured"]
        return Asked(shares, run.id, found.at, measured, 0 if bake is None else int(bake.data["requests"]))
    return None
