"""Several balancers as one: all of them on one route, or the one that cannot be reached named.

Two balancers cannot be changed in one instant. What makes that safe is that every version in play fits the schema, that the same
route with the same salt gives a visitor the same side everywhere, and that nothing counts as moved, drained or settled before all
of them agree. So a commit

1. looks at all: one that does not answer, and nothing is changed;
2. stages on all: what can be refused is refused before anything is changed;
3. commits one after the other, each of which reads itself back; one that fails is tried once more;
4. reverts those that are done, the last one first, if one fails for good, and says what each of them has now.

A way back is not held up by a balancer that is away (`commit_reachable`): those that answer go home, and the one that comes back is
corrected before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from changeover.core.errors import (
    BalancerMisconfigured,
    BalancerRefused,
    BalancerUnreachable,
    ChangeoverError,
    FencedOut,
)
from changeover.core.model import Counters, Cut, InFlight, PoolHealth, Route, RouteReading
from changeover.core.ports import Balancer, Capabilities, CutsByKind, Fence, Finding, Rounds, Stages

T = TypeVar("T")
WITNESSES = ("balancer", "application", "time")  # of a drain, the weakest last


class SeveralBalancers:
    """The Balancer port on two or more balancers, in the order in which they are changed."""

    def __init__(self, members: Sequence[Balancer]) -> None:
        names = [m.name for m in members]
        if len(members) < 2 or len(set(names)) < len(names):
            raise BalancerMisconfigured(
                f"two balancers or more with different names are wanted, not {', '.join(names) or 'none'}"
            )
        self.members = tuple(members)
        self.name = ", ".join(names)
        each = [m.capabilities for m in members]
        self.capabilities = Capabilities(
            expiry=all(c.expiry for c in each),
            compares=all(c.compares for c in each),
            counts_fallbacks=all(c.counts_fallbacks for c in each),
            finest_share=max(c.finest_share for c in each),
            preview=all(c.preview for c in each),
            hides_preview=all(c.hides_preview for c in each),
            sticky=all(c.sticky for c in each) and len({type(m) for m in members}) == 1,
            moves_settled=all(c.moves_settled for c in each),
            falls_back=all(c.falls_back for c in each),
            counts_at_once=all(c.counts_at_once for c in each),
            stale=max(c.stale for c in each),
            drain_evidence=max((c.drain_evidence for c in each), key=WITNESSES.index),
        )

    def _all(self, ask: Callable[[Balancer], T]) -> list[tuple[Balancer, T]]:
        """Ask all at the same time. Raises what the first of them raises."""
        with ThreadPoolExecutor(len(self.members)) as many:
            return list(zip(self.members, many.map(ask, self.members), strict=True))

    def inspect(self) -> Sequence[Finding]:
        return tuple(f for _, found in self._all(lambda m: m.inspect()) for f in found)

    # the route -----------------------------------------------------------------------------------

    def read(self) -> RouteReading:
        """Workers are called `balancer/worker`; one that does not answer is a worker without a route.

        Raises BalancerUnreachable only if none of them answers.
        """
        return self._joined(self._all(_reading))

    def _joined(self, readings: Sequence[tuple[Balancer, RouteReading | ChangeoverError]]) -> RouteReading:
        workers: dict[str, Route | None] = {}
        leaving: dict[str, Route | None] = {}
        durables: dict[str, Route | None] = {}
        problems: list[str] = []
        silent: list[ChangeoverError] = []
        for member, found in readings:
            if isinstance(found, ChangeoverError):
                workers[member.name] = None
                problems.append(f"{member.name}: {found.what}")
                silent.append(found)
                continue
            workers.update({f"{member.name}/{worker}": route for worker, route in found.workers.items()})
            leaving.update({f"{member.name}/{worker}": route for worker, route in found.leaving.items()})
            durables[member.name] = found.durable
            if found.problem:
                problems.append(f"{member.name}: {found.problem}")
        if len(silent) == len(self.members):
            raise BalancerUnreachable(
                f"no balancer answers: {'; '.join(problems)}", now="Traffic goes on as it was.", next=silent[0].next
            )
        one = _one_for_all(readings)
        if one is not None:
            return RouteReading(self.name, dict.fromkeys(workers, one), one, "; ".join(problems), leaving)
        if len({r for r in workers.values() if r is not None}) > 1:
            problems.append(f"the balancers disagree ({self._short(readings)})")
        durable = _same(durables.values()) if not silent else None
        garbled = tuple(f"{m.name}/{name}" for m, f in readings if isinstance(f, RouteReading) for name in f.strange)
        return RouteReading(self.name, workers, durable, "; ".join(problems), leaving, garbled=garbled)

    def _short(self, readings: Sequence[tuple[Balancer, RouteReading | ChangeoverError]]) -> str:
        return "; ".join(f"{m.name}: {_words(found)}" for m, found in readings)

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        """All of them, or none of them. Raises as the member that failed, with what each of them has now."""
        fence.check()
        before = self._reachable()
        for member in self.members:
            _stage(member, route, fence)
        done: list[Balancer] = []
        for member in self.members:
            try:
                _twice(member, route, fence)
            except FencedOut:
                raise  # a newer owner decides from here on
            except ChangeoverError as error:
                raise self._reverted(member, error, [*done, member], before, fence) from error
            done.append(member)
        return self._settled(route)

    def commit_reachable(self, route: Route, fence: Fence) -> RouteReading:
        """As `commit` for a way back: whoever answers is changed, nothing is reverted. Raises if anybody was left out."""
        fence.check()
        failed: list[tuple[Balancer, ChangeoverError]] = []
        for member in self.members:
            try:
                _twice(member, route, fence)
            except FencedOut:
                raise
            except ChangeoverError as error:
                failed.append((member, error))
        if failed:
            first = failed[0][1]
            raise type(first)(
                "; ".join(f"{m.name}: {e.what}" for m, e in failed),
                now=f"What can be reached has the route: {self._state()}.",
                next=("mend what does not answer: it is corrected as soon as it does", *first.next),
            )
        return self._settled(route)

    def nearest(self, route: Route) -> float:
        """Of the one that is farthest from what is asked."""
        each = [m.nearest(route) if isinstance(m, Rounds) else route.share for m in self.members]
        return max(each, key=lambda given: abs(given - route.share))

    def _reachable(self) -> Mapping[str, Route | None]:
        """By balancer: the route that it has. Raises BalancerUnreachable for the first that does not answer."""
        readings = self._all(_reading)
        for member, found in readings:
            if isinstance(found, ChangeoverError):
                raise BalancerUnreachable(
                    f"{member.name}: {found.what}",
                    now=f"No balancer was changed: {self._short(readings)}.",
                    next=("mend it, or take it out of `balancers` in changeover.yml", *found.next),
                )
        return {m.name: f.route or f.durable for m, f in readings if isinstance(f, RouteReading)}

    def _reverted(
        self,
        member: Balancer,
        error: ChangeoverError,
        done: Sequence[Balancer],
        before: Mapping[str, Route | None],
        fence: Fence,
    ) -> ChangeoverError:
        """Put back what was done, the last one first. The error that says how it stands."""
        lost: list[str] = []
        for one in reversed(done):
            old = before[one.name]
            if old is None:
                lost.append(f"{one.name}: nobody knows what it had before")
                continue
            try:
                one.commit(old, fence)
            except FencedOut as newer:
                return newer
            except ChangeoverError as again:
                lost.append(f"{one.name} could not be put back: {again.what}")
        words = "All of them were put back." if not lost else f"{'; '.join(lost)}."
        return type(error)(
            f"{member.name}: {error.what}",
            now=f"{words} Now: {self._state()}. Both pools are up.",
            next=("mend it: it is corrected as soon as it answers", *error.next),
        )

    def _state(self) -> str:
        return self._short(self._all(_reading))

    def _settled(self, route: Route) -> RouteReading:
        reading = self.read()
        if reading.settled and reading.route == route:
            return reading
        kind = BalancerUnreachable if None in reading.workers.values() else BalancerRefused
        raise kind(
            f"the balancers do not all show the route that was written: {reading.problem or 'they show another one'}",
            now=f"{self._state()}. Both pools are up.",
            next=("changeover status", "changeover resume"),
        )

    # the pools -----------------------------------------------------------------------------------

    def health(self, pool: str) -> PoolHealth:
        """The worst that any of those sees that answer; raises BalancerUnreachable if none does.

        One that is away sends nobody anywhere new, and a way back must not wait for what it would see. It is in the detail.
        """
        found = self._all(lambda m: _health(m, pool))
        seen = [(m, h) for m, h in found if isinstance(h, PoolHealth)]
        away = [(m, e) for m, e in found if isinstance(e, BalancerUnreachable)]
        if not seen:
            raise away[0][1]
        member, worst = min(seen, key=lambda f: (f[1].healthy, -f[1].known))
        words = [f"{member.name}: {worst.detail}"] if worst.detail else []
        return PoolHealth(
            worst.healthy, worst.known, "; ".join([*words, *(f"{m.name} does not answer" for m, _ in away)])
        )

    def in_flight(self, pool: str) -> InFlight:
        """The sum; unknown if one of them does not know."""
        found = self._all(lambda m: m.in_flight(pool))
        return InFlight(
            _sum([f.requests for _, f in found]),
            _sum([f.long_lived for _, f in found]),
            ", ".join(f"{m.name}: {f.detail}" for m, f in found if f.detail),
            sum(f.queued for _, f in found),
            {
                kind: sum(f.kinds.get(kind, 0) for _, f in found)
                for kind in sorted({k for _, f in found for k in f.kinds})
            },
            sum(f.lost for _, f in found),
        )

    def counters(self, pool: str) -> Counters:
        found = [c for _, c in self._all(lambda m: m.counters(pool))]
        return Counters(
            sum(c.requests for c in found),
            sum(c.errors_5xx for c in found),
            sum(c.failed for c in found),
            _sum([c.fallbacks for c in found]),
        )

    def cut(self, pool: str, fence: Fence) -> int:
        return sum(m.cut(pool, fence) for m in self.members)

    def cut_kinds(self, pool: str, kinds: frozenset[str], fence: Fence) -> Sequence[Cut]:
        """Of those that can tell kinds apart; the others hold on to what they have."""
        able = [m for m in self.members if isinstance(m, CutsByKind)]
        return tuple(
            replace(c, instance=f"{m.name}/{c.instance}") for m in able for c in m.cut_kinds(pool, kinds, fence)
        )

    def preview(self) -> tuple[str, Mapping[str, str]]:
        """Through the first of them that has one."""
        first = next((m for m in self.members if m.capabilities.preview), self.members[0])
        return first.preview()

    def entry(self) -> str:
        return self.members[0].entry()

    # by hand -------------------------------------------------------------------------------------

    def by_hand(self, route: Route) -> Sequence[str]:
        return self._named(lambda m: m.by_hand(route))

    def by_hand_live(self, pool: str) -> Sequence[str]:
        return self._named(lambda m: m.by_hand_live(pool))

    def by_hand_health(self, pool: str) -> Sequence[str]:
        return self._named(lambda m: m.by_hand_health(pool))

    def by_hand_drain(self, pool: str, within: float = 300.0) -> Sequence[str]:
        return self._named(lambda m: m.by_hand_drain(pool, within))

    def by_hand_preview(self, pool: str) -> Sequence[str]:
        first = next((m for m in self.members if m.capabilities.preview), self.members[0])
        return first.by_hand_preview(pool)

    def _named(self, commands: Callable[[Balancer], Sequence[str]]) -> tuple[str, ...]:
        return tuple(line for m in self.members for line in (f"# {m.name}", *commands(m)))


def _reading(member: Balancer) -> RouteReading | ChangeoverError:
    try:
        return member.read()
    except ChangeoverError as error:
        return error


def _one_for_all(readings: Sequence[tuple[Balancer, RouteReading | ChangeoverError]]) -> Route | None:
    """The first one's route, if each of them is settled and sends everybody to the same pool, whoever wrote that at each.

    Before the first release of a site nobody has written the same text at all of them.
    """
    routes = [f.route for _, f in readings if isinstance(f, RouteReading) and f.settled]
    first = routes[0] if routes else None
    alike = first is not None and all(r is not None and not r.share and r.decides_like(first) for r in routes)
    return first if alike and len(routes) == len(readings) else None


def _health(member: Balancer, pool: str) -> PoolHealth | BalancerUnreachable:
    try:
        return member.health(pool)
    except BalancerUnreachable as error:
        return error


def _stage(member: Balancer, route: Route, fence: Fence) -> None:
    if isinstance(member, Stages):
        member.stage(route, fence)


def _twice(member: Balancer, route: Route, fence: Fence) -> None:
    try:
        member.commit(route, fence)
    except FencedOut:
        raise
    except ChangeoverError:
        member.commit(route, fence)


def _same(routes: Iterable[Route | None]) -> Route | None:
    found = set(routes)
    return next(iter(found)) if len(found) == 1 else None


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [c for c in counts if c is not None]
    return sum(known) if len(known) == len(counts) else None


def _words(found: RouteReading | ChangeoverError) -> str:
    if isinstance(found, ChangeoverError):
        return "does not answer"
    route = found.route
    if route is None:
        return "its workers disagree"
    share = f", {route.share / 100:g} % {route.candidate}" if route.share else ""
    return f"{route.live}{share}" + ("" if found.settled else " (not settled)")
