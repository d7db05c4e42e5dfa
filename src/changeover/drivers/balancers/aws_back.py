"""Reading back what may be stale: several looks in a row, and a memory of the newest note.

A describe may come from a replica that has not heard of the last change. One that agrees proves little, one that disagrees
proves little too. `settle` wants several in a row that agree; `catch_up` looks for as long as answers may be stale before a
new owner changes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from changeover.core.errors import BalancerRefused, BalancerUnreachable
from changeover.core.model import Route
from changeover.core.ports import Clock, Fence
from changeover.drivers.balancers import aws_note
from changeover.drivers.balancers.aws_note import Note

Look = TypeVar("Look")


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How a change is read back: `times` looks in a row, `every` seconds, all of a commit `within` seconds."""

    times: int = 3
    every: float = 2.0
    within: float = 60.0


@dataclass(slots=True)
class Newest:
    """The newest note that this process has seen: an older one is a stale answer. `sure`: the fence under which it has looked
    for as long as answers may be stale.
    """

    note: Note | None = None
    sure: int = -1

    def stale(self, text: str) -> bool:
        """Whether an answer with this note is older than one that was seen; a newer one is kept in mind."""
        note, _ = aws_note.understood(text)
        if note is not None and (self.note is None or note.age >= self.note.age):
            self.note = note
            return False
        return self.note is not None


@dataclass(slots=True)
class Shared(Generic[Look]):
    """Looks, one at a time. Observing asks for the same thing several times at once, and AWS counts calls: whoever waited while
    somebody else looked takes what that one saw. Nobody gets a look that was over before he asked.
    """

    value: Look | None = None
    done: int = 0  # looks
    lock: Lock = field(default_factory=Lock)

    def anew(self, look: Callable[[Look | None], Look]) -> Look:
        """A look of one's own. `look` gets the last one, for what never changes."""
        with self.lock:
            return self._look(look)

    def together(self, look: Callable[[Look | None], Look]) -> Look:
        """One that ended after this was asked."""
        before = self.done
        with self.lock:
            if self.value is not None and self.done > before:
                return self.value
            return self._look(look)

    def _look(self, look: Callable[[Look | None], Look]) -> Look:
        self.value = look(self.value)
        self.done += 1
        return self.value


@dataclass(frozen=True, slots=True)
class Reader:
    """`look` asks AWS, `note_of` gives the note of what was seen. `spread` is how long an answer may be stale, in seconds."""

    clock: Clock
    back: ReadBack
    spread: float
    newest: Newest = field(default_factory=Newest)

    def catch_up(
        self,
        look: Callable[[], Look],
        note_of: Callable[[Look], str],
        fits: Callable[[Look], bool],
        route: Route,
        fence: Fence,
    ) -> Look:
        """The look before a change, which is put back if the change is refused half way.

        A new owner looks for as long as answers may be stale: whatever others wrote before him has come out then. Afterwards
        one look that `fits` is enough: the only writer is he himself. Raises BalancerRefused if the route to be written is one
        that was read, and was stale when it was read.
        """
        fresh, deadline = self.newest.sure != fence.token, self.clock.boottime() + self.spread
        seen: list[Note] = []
        while True:
            found = look()
            note, _ = aws_note.understood(note_of(found))
            seen += [note] if note is not None else []
            if self.clock.boottime() >= deadline or (not fresh and fits(found)):
                break
            self.clock.sleep(self.back.every)
        latest = max(seen, key=lambda n: n.age, default=None)
        if latest is not None and any(n.route == route and n.age < latest.age for n in seen):
            raise BalancerRefused(
                "the route that was read a moment ago was stale; AWS now shows a newer one",
                next=("changeover status", "changeover resume"),
            )
        self.newest.note, self.newest.sure = latest or self.newest.note, fence.token
        return found

    def settle(self, look: Callable[[], Look], differs: Callable[[Look], str], until: float) -> Look:
        """`times` looks in a row in which nothing differs from what was asked. A moment of silence begins anew.

        Raises BalancerUnreachable or BalancerRefused at `until` (boottime).
        """
        agreed, last = 0, "nothing was seen"
        while True:
            silent: BalancerUnreachable | None = None
            try:
                found = look()
            except BalancerUnreachable as error:
                silent, agreed = error, 0
            else:
                last = differs(found)
                agreed = 0 if last else agreed + 1
                if agreed >= self.back.times:
                    return found
            if self.clock.boottime() + self.back.every > until:
                raise _unsettled(silent, last, self.back.within)
            self.clock.sleep(self.back.every)

    def patient(self, look: Callable[[], Look], until: float) -> Look:
        """One look that bears moments of silence."""
        while True:
            try:
                return look()
            except BalancerUnreachable:
                if self.clock.boottime() + self.back.every > until:
                    raise
                self.clock.sleep(self.back.every)

    def believed(self, look: Callable[[], Look], sound: Callable[[Look], bool]) -> Look:
        """A look that is sound, or one that is not and has not been for as long as answers may be stale."""
        deadline = self.clock.boottime() + self.spread
        while True:
            found = look()
            if sound(found) or self.clock.boottime() + self.back.every > deadline:
                return found
            self.clock.sleep(self.back.every)


def _unsettled(silent: BalancerUnreachable | None, last: str, within: float) -> BalancerUnreachable | BalancerRefused:
    if silent is not None:
        return BalancerUnreachable(
            f"every change was acknowledged, then {silent.what}",
            now="What was asked is written; whether it is in use is not known.",
            next=silent.next,
        )
    return BalancerRefused(
        f"every change was acknowledged, and after {within:g} s {last}",
        now="Both pools are up; `changeover status` shows what AWS says.",
        next=("changeover status", "look at it in the AWS console: somebody else may change it"),
    )
