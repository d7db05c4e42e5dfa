"""changeover: release a new version and its database change behind a load balancer, without losing a request.

What a Python program uses: `changeover.open("changeover.yml")` gives the door to one environment, a `Changeover`. Everything is
imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from changeover.core.errors import ChangeoverError, Exit
    from changeover.core.model import Version
    from changeover.core.states import State
    from changeover.core.steps import Plan
    from changeover.schema.parting import Parted
    from changeover.service.door import Changeover, Outcome
    from changeover.service.drift import Drift
    from changeover.service.owed import Owed
    from changeover.service.status import Status, WayBack

__version__ = "0.1.0"

_HOMES = {
    "Changeover": "changeover.service.door",
    "Outcome": "changeover.service.door",
    "Status": "changeover.service.status",
    "WayBack": "changeover.service.status",
    "Owed": "changeover.service.owed",
    "Drift": "changeover.service.drift",
    "Parted": "changeover.schema.parting",
    "Plan": "changeover.core.steps",
    "State": "changeover.core.states",
    "Version": "changeover.core.model",
    "ChangeoverError": "changeover.core.errors",
    "Exit": "changeover.core.errors",
}

__all__ = [
    "Changeover",
    "ChangeoverError",
    "Drift",
    "Exit",
    "Outcome",
    "Owed",
    "Parted",
    "Plan",
    "State",
    "Status",
    "Version",
    "WayBack",
    "__version__",
    "open",
]


def open(config: str | Path = "changeover.yml", environment: str | None = None) -> Changeover:  # noqa: A001 - read as changeover.open
    """The door to an environment. Nothing is contacted and no secret is resolved yet.

    Raises ConfigurationMissing, ConfigurationError, ChangesUnreadable, WouldBreak, StatementUnknown: all of them
    ChangeoverError.
    """
    from changeover.service.door import Changeover
    from changeover.service.wiring import open_site

    return Changeover(open_site(Path(config), environment))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
