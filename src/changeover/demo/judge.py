"""The judge of requests: what the client recorded and what lies in the database in the end -> was anything lost?

Pure. Two kinds of harm are told apart. *Failed*: the way to the application broke (refused, reset, cut, timed out, or
the balancer answered in its place). *Wrong*: an answer or the database contradicts what a version has acknowledged. An
error that a version itself answers is a third thing: `app_errors`.

An order is a register with concurrent readers and writers: a read must show a value whose write had begun before the
read ended, and that was not overwritten by a write which began after it was acknowledged and was itself acknowledged
before the read began. A write without an acknowledgement may have happened or not, and may happen late.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from changeover.demo.money import to_cents
from changeover.demo.records import BALANCER, CREATE, ERRORS, READ, WRITES, Record, Seen
from changeover.demo.shop_store import Books, Order

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Example:
    """One failed or wrong request, or one wrong row: when (epoch seconds, 0 for a row), where, what."""

    at: float
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the run with a cause, `start` <= planned < `end` (epoch seconds)."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the planned send time of the answered requests of a window. NaN-free: 0 when there are none."""

    requests: int
    p50: float
    p99: float
    longest: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found. Every request is in `requests`; `examples` are the first of `failed` and `wrong`."""

    requests: int
    failed: int
    failed_by: Mapping[str, int]
    app_errors: int
    wrong: int
    acknowledged_writes: int
    by_version: Mapping[str, int]
    examples: tuple[Example, ...]
    latency: Mapping[str, Latency]  # "all" and the windows that were asked for
    sent_to: Mapping[str, tuple[float, ...]] = field(default_factory=dict, repr=False)  # version -> sorted send times

    @property
    def clean(self) -> bool:
        """Nothing failed and nothing is wrong, of at least one request."""
        return self.requests > 0 and self.failed == 0 and self.wrong == 0

    @property
    def bound(self) -> float:
        """With 0 failed of n, the true part of failures is below 3/n at 95 % (rule of three); 1 for n = 0."""
        return min(1.0, 3 / self.requests) if self.requests else 1.0

    def last_on(self, version: str, after: float) -> float | None:
        """When the last request that this version answered was sent, at or after `after`; None if there was none."""
        times = self.sent_to.get(version, ())
        return times[-1] if times and times[-1] >= after else None

    def first_on(self, version: str, after: float = 0.0) -> float | None:
        """When the first request that this version answered was sent, at or after `after`."""
        times = self.sent_to.get(version, ())
        found = bisect_left(times, after)
        return times[found] if found < len(times) else None


def judge(
    records: Sequence[Record],
    books: Books | None,
    windows: Iterable[Window] = (),
    *,
    contracting: bool = False,
    complete: bool = True,
) -> Verdict:
    """Judge a run. `books` is the database after the run; None judges the answers alone.

    `contracting`: the contract of 1.1.0 has begun and is not finished. Its triggers are gone, `price` is still there
    and nobody keeps it; only then a difference between `price` and `price_cents` is no harm. `complete` false: the
    client was killed, its last writes are not in the record; values that no recorded write explains are no harm then.
    """
    failures = [_failure(record) for record in records if record.error]
    history = _History(records, complete=complete)
    wrongs = [
        *_wrong_answers(records, history),
        *(_wrong_books(books, history, contracting=contracting) if books else ()),
    ]
    answered = [record for record in records if record.version]
    sent_to: dict[str, list[float]] = defaultdict(list)
    for record in answered:
        sent_to[record.version].append(record.sent)
    return Verdict(
        requests=len(records),
        failed=len(failures),
        failed_by=Counter(record.error for record in records if record.error),
        app_errors=sum(1 for record in answered if not record.error and record.status >= 400 and not _lost(record)),
        wrong=len(wrongs),
        acknowledged_writes=sum(1 for record in records if record.kind in WRITES and record.acknowledged),
        by_version=Counter(record.version for record in answered),
        examples=(*failures[:EXAMPLES], *wrongs[:EXAMPLES]),
        latency={
            "all": latency(records),
            **{window.name: latency(records, window.start, window.end) for window in windows},
        },
        sent_to={version: tuple(sorted(times)) for version, times in sent_to.items()},
    )


def latency(records: Iterable[Record], start: float = -inf, end: float = inf) -> Latency:
    """Latency of the answered requests planned in a window; percentiles by nearest rank."""
    found = sorted(record.latency for record in records if record.status and start <= record.planned < end)
    if not found:
        return Latency(0, 0.0, 0.0, 0.0)
    return Latency(len(found), _rank(found, 50), _rank(found, 99), found[-1])


def _rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _failure(record: Record) -> Example:
    assert record.error in ERRORS
    how = f"{record.client} connection, {'reused' if record.reused else 'new'}"
    status = f" {record.status}" if record.error == BALANCER else ""
    return Example(record.planned, f"{record.kind} {record.path}", f"{record.error}{status} ({how})")


class _History:
    """The writes of every order, and who says so."""

    def __init__(self, records: Iterable[Record], *, complete: bool) -> None:
        self._complete = complete
        self.writes: dict[str, list[Record]] = defaultdict(list)
        self.ids: dict[int, set[str]] = defaultdict(set)
        for record in records:
            if record.kind in WRITES and record.asked and record.sent:
                self.writes[record.asked.ref].append(record)
                if record.acknowledged and record.order:
                    self.ids[record.order].add(record.asked.ref)

    def created(self, ref: str) -> float:
        """When the order was acknowledged, infinity if never."""
        return min(
            (write.ended for write in self.writes.get(ref, ()) if write.acknowledged),
            default=inf,
        )

    def explains(self, seen: Seen, start: float, end: float) -> bool:
        """Whether a read between `start` and `end` may show this."""
        if not self._complete and all(write.asked != seen for write in self.writes[seen.ref]):
            return True
        return seen in self.possible(seen.ref, start, end)

    def possible(self, ref: str, start: float, end: float) -> set[Seen]:
        """What a read between `start` and `end` may show, by the recorded writes."""
        writes = self.writes[ref]
        sure = [write for write in writes if write.acknowledged and write.ended < start]
        newest_start = max((write.sent for write in sure), default=-inf)
        return {
            write.asked
            for write in writes
            if write.asked and write.sent <= end and not (write.acknowledged and write.ended < newest_start)
        }


def _lost(record: Record) -> bool:
    """A version denies an order that was acknowledged: only such orders are ever asked for."""
    return record.status == 404 and record.kind != CREATE and not record.error


def _wrong_answers(records: Iterable[Record], history: _History) -> Iterable[Example]:
    for record in records:
        where = f"{record.kind} {record.path} ({record.version})"
        if _lost(record) and record.asked and history.created(record.asked.ref) < record.sent:
            yield Example(record.planned, where, f"the acknowledged order {record.asked.ref} is not there")
        if not record.acknowledged:
            continue
        if record.kind == READ and record.asked and record.asked.ref not in {seen.ref for seen in record.seen}:
            yield Example(record.planned, where, f"another order than {record.asked.ref} was shown")
        if record.kind in WRITES and record.asked and record.asked not in record.seen and not _raced(record, history):
            yield Example(record.planned, where, f"{record.asked} was asked, {record.seen} was answered")
        for seen in record.seen if record.kind not in WRITES else ():
            if seen.ref in history.writes and not history.explains(seen, record.sent, record.ended):
                yield Example(record.planned, where, f"{seen} was shown, which nobody had written then")
    for order, refs in history.ids.items():
        if len(refs) > 1:
            yield Example(0.0, f"order {order}", f"one id was given to {', '.join(sorted(refs))}")


def _raced(record: Record, history: _History) -> bool:
    """The answer to a write may show another write of the same order that overlapped it, and nothing else."""
    assert record.asked
    possible = history.possible(record.asked.ref, record.sent, record.ended)
    return bool(record.seen) and all(seen in possible for seen in record.seen)


def _wrong_books(books: Books, history: _History, *, contracting: bool) -> Iterable[Example]:
    rows: dict[str, list[Order]] = defaultdict(list)
    for order in books.orders:
        rows[order.ref].append(order)
        problem = _inconsistent(order, books, contracting=contracting)
        if problem:
            yield Example(0.0, f"row {order.id} ({order.ref})", problem)
    for ref, found in rows.items():
        if len(found) > 1:
            yield Example(0.0, f"rows {', '.join(str(order.id) for order in found)}", f"{ref} is there twice")
    for ref in history.writes:
        if ref not in rows:
            if history.created(ref) < inf:
                yield Example(0.0, f"order {ref}", "it was acknowledged and is not in the database")
            continue
        order = rows[ref][0]
        cents = _cents(order)
        if cents is not None and not history.explains(Seen(ref, order.quantity, cents), inf, inf):
            possible = sorted(map(_told, history.possible(ref, inf, inf)))
            yield Example(0.0, f"row {order.id} ({ref})", f"{order} is none of {possible}")


def _told(seen: Seen) -> str:
    return f"{seen.quantity} x {seen.cents} cents"


def _cents(order: Order) -> int | None:
    """The price by the column that is filled, the newer first; None if none can be read."""
    if order.price_cents is not None:
        return order.price_cents
    try:
        return to_cents(order.price or "")
    except ValueError:
        return None


def _inconsistent(order: Order, books: Books, *, contracting: bool) -> str:
    """Why the row contradicts itself, "" if it does not. An empty `price_cents` beside a price waits for the backfill."""
    if _cents(order) is None:
        return f"it has no price: {order}"
    if not books.has_price:
        return "" if order.price_cents is not None else f"it has no price_cents, and price is gone: {order}"
    if order.price_cents is None or contracting:
        return ""
    try:
        same = to_cents(order.price or "") == order.price_cents
    except ValueError:
        same = False
    return "" if same else f"price {order.price!r} and price_cents {order.price_cents} are not the same"
