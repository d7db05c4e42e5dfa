"""What is in flight, where the load balancer does not tell: the instances' own counts, or only the time.

An AWS load balancer shows `draining` until the deregistration delay is over, however empty the target is. So the best witness
is the application: a path that answers with a JSON object with the number of requests in flight and, if it has one, the time of
the last arrival. Without such a path the owner's own deregistration delay is taken by its word: a request of this application
does not last longer than that.

Two facts make zero more than a lucky moment: the load balancer's nodes take a while to hear of a change (`propagation`), and
nothing has arrived for a while (`quiet`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from changeover.core.model import InFlight, Slot
from changeover.core.ports import Finding, Web

REFUSED = "nothing listens there"  # as `drivers.web` says it


@dataclass(frozen=True, slots=True)
class Witness:
    """Where an instance counts: path, and keys of its JSON object, nested with dots. "" for a key that it has not.

    `last_arrival` is epoch seconds, 0 or null before the first.
    """

    get: str
    in_flight: str = "in_flight"
    last_arrival: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One instance's answer. `gone`: nothing listens there, so nothing can be in flight that could still be answered."""

    slot: Slot
    count: int | None
    last: float = 0.0
    gone: bool = False
    note: str = ""


def ask(web: Web, witness: Witness, slots: Sequence[Slot], timeout: float) -> tuple[Seen, ...]:
    """Ask every instance, at once."""
    with ThreadPoolExecutor(max(1, min(16, len(slots)))) as many:
        return tuple(many.map(lambda slot: _ask(web, witness, slot, timeout), slots))


def _ask(web: Web, witness: Witness, slot: Slot, timeout: float) -> Seen:
    answer = web.get(f"http://{slot.address}{witness.get}", timeout=timeout)
    if answer.status != 200:
        note = answer.note or f"answers {answer.status}"
        return Seen(slot, None, gone=answer.note == REFUSED, note=note)
    try:
        data = json.loads(answer.body)
        count = number(data, witness.in_flight)
        last = number(data, witness.last_arrival) if witness.last_arrival else 0.0
    except (ValueError, TypeError) as error:
        return Seen(slot, None, note=f"no count: {error}")
    return Seen(slot, int(count), last)


def number(data: Any, path: str) -> float:
    """The number at a dotted path; an object there is the sum of its numbers, null is 0. Raises ValueError."""
    for word in path.split("."):
        if data is None:
            return 0.0
        if not isinstance(data, Mapping) or word not in data:
            raise ValueError(f"there is no {path}")
        data = data[word]
    if data is None:
        return 0.0
    if isinstance(data, Mapping):
        return float(sum(v for v in data.values() if isinstance(v, int | float)))
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise ValueError(f"{path} is no number")  # noqa: TRY004 - what an instance says, not a type of ours
    return float(data)


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known when one asks. `carries`: the route gives the pool traffic; `asked`: seconds since that was last changed."""

    carries: bool
    asked: float
    now: float
    propagation: float
    quiet: float


def by_application(seen: Sequence[Seen], moment: Moment) -> InFlight:
    """The instances' own counts. Zero of a pool that should get nothing counts only once the change has surely spread."""
    silent = [s for s in seen if s.count is None and not s.gone]
    if silent:
        return InFlight(None, None, f"{silent[0].slot.name} does not say: {silent[0].note}")
    total = sum(s.count or 0 for s in seen)
    if total or moment.carries:
        return InFlight(total, 0, "counted by the application")
    if moment.asked < moment.propagation:
        return InFlight(None, None, f"counted zero, {moment.asked:.0f} s after the change: it may still be spreading")
    latest = max((s.last for s in seen), default=0.0)
    if moment.now - latest < moment.quiet:
        return InFlight(None, None, "counted zero, but requests still arrived a moment ago")
    return InFlight(0, 0, "counted by the application")


def by_time(delay: float, moment: Moment) -> InFlight:
    """Nobody counts: what began before the change has ended when the owner's own delay is over."""
    if moment.carries:
        return InFlight(None, None, "AWS does not say what is in flight; configure `in_flight`")
    needed = max(delay, moment.propagation)
    if moment.asked < needed:
        return InFlight(
            None, None, f"nobody counts; known after {needed:.0f} s, now {moment.asked:.0f} s after the change"
        )
    return InFlight(0, 0, f"by time only: {moment.asked:.0f} s after the change, the delay is {delay:.0f} s")


def findings(witness: Witness | None, delay: float, at: str, hard: float = 0.0) -> Finding:
    """What will be the evidence of a drain. `hard` is how long a drain may take, in seconds; 0: not known."""
    if witness is None:
        fix = "configure `in_flight`: a path on which an instance says how many requests it is processing"
        words = f"drained by time only: {delay:.0f} s after a shift"
        if 0 < hard < delay:
            words += f", and release.drain.hard is {hard:.0f} s: a run may be held"
            fix = f"release.drain.hard: {delay:.0f}s or more; or {fix}"
        return Finding(at, False, words, fix, fatal=False)
    arrivals = "" if witness.last_arrival else "; without `last_arrival` only the count is looked at"
    return Finding(at, True, f"the instances count for themselves: {witness.get} {witness.in_flight}{arrivals}")
