"""Figures, their bounds, and the table that people read."""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

FORMAT = "changeover.bench/1"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: `value` against `bound` (at most, or at least); None is no bound: the line informs.

    `judged` false: the run was too short to say anything about the bound. `raw` are the values that `value` sums up.
    """

    part: str
    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False
    note: str = ""
    judged: bool = True
    raw: tuple[float, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        if self.bound is None or not self.judged:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        if not self.judged:
            return "-"
        return "ok" if self.ok else "FAIL"


def percentile(values: Iterable[float], percent: float) -> float:
    """By nearest rank; the values need no order. Raises ValueError without any."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def lost(part: str, name: str, failed: int, total: int, first: str = "") -> Figure:
    """A count that must be zero. Zero of n says that less than 3/n is lost at 95 % (rule of three)."""
    note = f"of {total:,}; so below {3 / total:.4%} at 95 %" if total and not failed else f"of {total:,}: {first}"
    return Figure(part, name, failed, "requests", 0, note=note)


def median_of(values: Sequence[float]) -> str:
    """How far the repeats are apart, for the note."""
    return f"median of {len(values)}, {min(values):.3g} to {max(values):.3g}"


def median(values: Iterable[float]) -> float:
    return float(statistics.median(values))


def table(figures: Sequence[Figure]) -> str:
    """What is printed."""
    lines: list[str] = []
    part = ""
    for f in figures:
        if f.part != part:
            part = f.part
            lines.append(part)
        bound = "" if f.bound is None else f"{'at least' if f.at_least else 'at most'} {f.bound:g}"
        lines.append(f"  {f.name:<53} {f.value:>10.2f} {f.unit:<8} {bound:<14} {f.verdict:<5} {f.note}".rstrip())
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on, as far as it matters: cores, Python, and how busy others keep it."""
    cores = len(os.sched_getaffinity(0))
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{cores} cores, load average {os.getloadavg()[0]:.1f} at the start, Python {version}"


def write(path: Path, figures: Sequence[Figure], about: str) -> None:
    """Keep the raw figures."""
    content = {
        "format": FORMAT,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": about,
        "figures": [
            {
                "part": f.part, "name": f.name, "value": f.value, "unit": f.unit, "bound": f.bound, "at_least": f.at_least,
                "judged": f.judged, "ok": f.ok, "note": f.note, "raw": list(f.raw),
            }
            for f in figures
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=1) + "\n")
