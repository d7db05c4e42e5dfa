"""What goes wrong, by seed: throttling in bursts, server errors, replies that are lost, answers that are stale, late nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random


class Fate(Enum):
    """What happens to one call."""

    FINE = "fine"
    THROTTLED = "throttled"  # not applied
    BROKEN = "broken"  # a 5xx, not applied
    BROKEN_AFTER = "broken after"  # a 5xx, applied all the same
    LOST = "lost"  # applied, and the connection is cut before the answer


@dataclass(slots=True)
class Weather:
    """Chances for each call between 0 and 1; times in seconds of the stand-in's clock, as (least, most).

    `stale`: chance that a change is followed by a time in which half of the describes still show what was before; several of them
    in that time, and any of what was before may be shown. `lag`: how
    late a node of the data plane hears of a change. `burst`: how many calls in a row are throttled once it begins.
    """

    seed: int = 0
    throttle: float = 0.0
    broken: float = 0.0
    lost: float = 0.0
    stale: float = 0.0
    stale_for: tuple[float, float] = (1.0, 8.0)
    lag: tuple[float, float] = (0.0, 0.0)
    burst: tuple[int, int] = (1, 6)
    random: Random = field(init=False, repr=False)
    _burst: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def fate(self) -> Fate:
        """That of the next call."""
        if self._burst:
            self._burst -= 1
            return Fate.THROTTLED
        drawn = self.random.random()
        if drawn < self.throttle:
            self._burst = self.random.randint(*self.burst) - 1
            return Fate.THROTTLED
        if drawn < self.throttle + self.broken:
            return Fate.BROKEN if self.random.random() < 0.5 else Fate.BROKEN_AFTER
        return Fate.LOST if drawn < self.throttle + self.broken + self.lost else Fate.FINE

    def goes_stale(self) -> float:
        """For how long describes are stale after the change that was just made; 0: not at all."""
        return self.random.uniform(*self.stale_for) if self.random.random() < self.stale else 0.0

    def is_stale(self) -> bool:
        """Whether this describe is one of the stale half."""
        return self.random.random() < 0.5

    def late(self) -> float:
        """When a node hears of a change."""
        return self.random.uniform(*self.lag)

    def clear(self) -> None:
        """Nothing goes wrong from now on."""
        self.throttle = self.broken = self.lost = self.stale = 0.0
        self.lag, self._burst = (0.0, 0.0), 0
