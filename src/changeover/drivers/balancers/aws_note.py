"""The note: what changeover asked of an AWS load balancer, kept as a tag beside it. Pure.

A listener has weights and no room for a word. What the weights cannot say (who wrote them, which salt, until when, which exact
share) is written into the tag `changeover-route` of the first listener, rule or classic load balancer, before the weights are
changed. What runs is always read from the load balancer itself; the note only explains it. Without a note, or with one that
does not fit, the weights still say who gets the traffic.

    blue:green:500:7312:1795446539:r-1.s3.f7:7:1795446000.000:1795446012.250
    live:candidate:share:salt:expires:mark:fence:since:at

A change writes two notes: one before it, which does not say since when, and one when AWS has acknowledged all of it. What is
waited for after a change is counted from the second one only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from changeover.core.errors import FencedOut
from changeover.core.model import Route
from changeover.core.ports import Fence

TAG: Final = "changeover-route"


@dataclass(frozen=True, slots=True)
class Note:
    """`fence` is its writer's; `at` is when it was written; `since` is from when on AWS has acknowledged what it says, 0 if
    that is still under way. Epoch seconds.
    """

    route: Route
    fence: int
    since: float = 0.0
    at: float = 0.0

    @property
    def age(self) -> tuple[int, float]:
        """Grows with every note that one owner after the other writes."""
        return self.fence, self.at

    def asked(self, now: float) -> float:
        """Seconds since all of it was acknowledged; 0 while that is under way."""
        return max(0.0, now - self.since) if self.since else 0.0


def encode(note: Note) -> str:
    """The tag's value; letters, digits and `:-._` only, which every tag may hold."""
    r = note.route
    words = (r.live, r.candidate, r.share, r.salt, r.expires, r.mark, note.fence, f"{note.since:.3f}", f"{note.at:.3f}")
    return ":".join(map(str, words))


def parse(text: str) -> Note:
    """The inverse. Raises ValueError in words for people."""
    words = text.split(":")
    if len(words) != 9:
        raise ValueError(f"the tag {TAG} is not changeover's: {text[:60]!r}")
    live, candidate, share, salt, expires, mark, fence, since, at = words
    try:
        route = Route(live, candidate, int(share), int(salt), int(expires), mark)
        return Note(route, int(fence), float(since), float(at))
    except ValueError as error:
        raise ValueError(f"the tag {TAG} is not changeover's: {error}") from None


def read(tags: object) -> str:
    """The note's text among an answer's tags, "" if there is none."""
    found = [t for t in (tags if isinstance(tags, list) else []) if t.get("Key") == TAG]
    return str(found[0].get("Value", "")) if found else ""


def understood(text: str) -> tuple[Note | None, str]:
    """(the note, or None and why). No note at all is no problem."""
    if not text:
        return None, ""
    try:
        return parse(text), ""
    except ValueError as error:
        return None, str(error)


def before(route: Route, fence: Fence, now: float, known: Note | None, *, settled: bool) -> Note:
    """The note to write before a change; one that changes nothing for anybody keeps since when it is so."""
    same = settled and known is not None and known.since and known.route.decides_like(route)
    return Note(route, fence.token, known.since if same and known is not None else 0.0, round(now, 3))


def after(note: Note, now: float) -> Note:
    """The note to write when all of it was acknowledged; the same if it says already since when it is so."""
    return note if note.since else Note(note.route, note.fence, round(now, 3), round(now, 3))


def again(known: Note, fence: Fence, now: float) -> Note:
    """The note for what was put back. What is waited for after a change is waited for anew: for a moment others were served."""
    return Note(known.route, fence.token, round(now, 3) if known.since else 0.0, round(now, 3))


def demand(note: Note | None, fence: Fence, where: str) -> None:
    """Raises FencedOut if a newer owner has left a note. AWS compares nothing itself: this look is all there is."""
    if note is not None and note.fence > fence.token:
        raise FencedOut(
            f"a newer owner has the route: the note on {where} is of fence {note.fence}, this run is {fence.token}",
            now="This process changed nothing of what the newer owner wrote.",
            next=("changeover status", f"if the state store was replaced on purpose, remove the tag {TAG} of {where}"),
        )
