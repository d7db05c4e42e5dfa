"""One environment, wired: ports, policy, changes and state store. The service works on this and knows no product."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from changeover.core.draft import basis_of
from changeover.core.errors import ChangeoverError
from changeover.core.model import ChangeSet, Policy, World
from changeover.core.ports import Ports
from changeover.core.steps import Basis
from changeover.engine import spool
from changeover.engine.journal import Journal
from changeover.schema.declared import Declared


@dataclass(frozen=True, slots=True)
class Site:
    """`changes` are all change sets that the source has, in order; those of operations (`declared`) are open until they are
    compiled. `configuration` is its digest.
    """

    app: str
    environment: str
    pools: tuple[str, str]
    policy: Policy
    ports: Ports
    changes: tuple[ChangeSet, ...]
    configuration: str
    store: Path
    config: Path
    assets: tuple[str, ...] = ()  # pages whose assets are looked after
    overlay: str | None = None  # the -e that was given
    declared: tuple[Declared, ...] = ()
    unreadable: ChangeoverError | None = None  # why there are no `changes`: only what plans forward needs them

    def journal(self, *, create: bool = True) -> Journal:
        """Open the state store, and record in it what was done while it was away. The caller closes it."""
        journal = Journal(self.store, self.ports.clock, create=create)
        spool.take_in(journal, self.store)
        return journal

    def basis(self, world: World) -> Basis:
        """What a plan made now is made of (rule R10)."""
        changes = hashlib.sha256("\n".join(f"{c.version} {c.digest}" for c in self.changes).encode()).hexdigest()
        return basis_of(world, changes=changes, configuration=self.configuration)
