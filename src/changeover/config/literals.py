"""How durations and percentages are written: `500ms 30s 5m 24h 7d` and `25%`, never a bare number.

A bare number has no unit, and the reader guesses another one than the writer meant; it is refused.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, TypeGuard

_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
_NUMBER: Final = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
DURATION_PATTERN: Final = rf"^{_NUMBER}(ms|s|m|h|d)$"
PERCENT_PATTERN: Final = rf"^{_NUMBER}%$"
_DURATION: Final = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_PERCENT: Final = re.compile(rf"({_NUMBER})%")


def is_number(value: object) -> TypeGuard[int | float]:
    """A number of YAML; `true` is not one, though Python thinks so."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_duration(value: object) -> float:
    """`5m` -> 300.0 seconds. Raises ValueError with words for people."""
    if is_number(value):
        raise ValueError(f"{value} what? write {value}s")
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{_shown(value)} is not a duration; write 30s, 5m or 1h")
    return float(Decimal(found[1]) * _SECONDS[found[2]])


def format_duration(seconds: float) -> str:
    """300.0 -> `5m`: the largest unit that divides it, so that it reads back as the same number."""
    exact = Decimal(str(seconds))
    unit = next((u for u in ("d", "h", "m", "s") if exact and exact % _SECONDS[u] == 0), "")
    if not unit:
        unit = "s" if not exact else "ms"
    return f"{(exact / _SECONDS[unit]).normalize():f}{unit}"


def parse_percent(value: object) -> int:
    """`25%` -> 2500 basis points. Raises ValueError with words for people."""
    if is_number(value):
        other = f"{value * 100:g}%, or " if 0 < value < 1 else ""
        raise ValueError(f"{value} what? write {other}{value}%")
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{_shown(value)} is not a percentage; write 25%")
    points = Decimal(found[1]) * 100
    if points != points.to_integral_value():
        raise ValueError(f"{_shown(value)} is finer than 0.01%, the finest share there is")
    if points > 10_000:
        raise ValueError(f"{_shown(value)} is more than everything; the most is 100%")
    return int(points)


def format_percent(points: int) -> str:
    """2500 basis points -> `25%`."""
    return f"{(Decimal(points) / 100).normalize():f}%"


def _shown(value: object) -> str:
    from changeover.config.references import shown

    return shown(value)
