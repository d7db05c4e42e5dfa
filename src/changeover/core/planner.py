"""(release, world, ledger, policy) -> Plan | refusal: forward, back, cleanup, undo. Pure: no I/O, no clock, no randomness.

The one door of planning. A refusal is a ChangeoverError that names the rule, the version that would break, and what to
do instead. Equal arguments give an equal plan, with an equal hash.
"""

from __future__ import annotations

from changeover.core.back import plan_abort, plan_rollback
from changeover.core.cleanup import plan_cleanup
from changeover.core.draft import Context, basis_of
from changeover.core.forward import plan_release
from changeover.core.inplay import Part, Player, in_play, owed, owed_words
from changeover.core.undo import plan_undo

__all__ = [
    "Context",
    "Part",
    "Player",
    "basis_of",
    "in_play",
    "owed",
    "owed_words",
    "plan_abort",
    "plan_cleanup",
    "plan_release",
    "plan_rollback",
    "plan_undo",
]
