"""What the load client writes down: one record per request, and nothing is left out.

File format `changeover.load/1`: the first line names it, each further line is one record as a JSON array. A killed
client leaves a torn last line at worst; it is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

FORMAT = b'{"format":"changeover.load/1"}\n'

# what went wrong between the client and the version
REFUSED = "refused"  # the connection was not accepted
RESET = "reset"  # the connection broke before anything of the answer had come
CUT = "cut"  # the connection ended before the whole answer had come
TIMED_OUT = "timed out"
BALANCER = "balancer"  # an answer that no version has made: it has no x-version
GARBLED = "garbled"  # an answer that is no HTTP
ERRORS = (REFUSED, RESET, CUT, TIMED_OUT, BALANCER, GARBLED)

# what was asked
CREATE = "create"
READ = "read"
CHANGE = "change"
LIST = "list"
SLOW = "slow"
KINDS = (CREATE, READ, CHANGE, LIST, SLOW)
WRITES = (CREATE, CHANGE)


class Seen(msgspec.Struct, array_like=True, frozen=True):
    """The part of an order that is judged."""

    ref: str
    quantity: int
    cents: int


class Record(msgspec.Struct, array_like=True, frozen=True):
    """One request. Times are epoch seconds; `sent` 0 means that nothing was ever sent.

    `asked` is what a write wanted, and the ref that a read went for. `seen` is what the answer showed. `status` 0:
    no answer.
    """

    number: int
    client: str  # naive, checking or fresh
    kind: str
    path: str
    planned: float
    sent: float
    ended: float
    reused: bool  # the connection had carried a request before
    status: int
    version: str
    instance: str
    error: str  # "" or one of ERRORS
    order: int = 0  # the id of the order
    asked: Seen | None = None
    seen: tuple[Seen, ...] = ()

    @property
    def acknowledged(self) -> bool:
        """A version has said that it was done."""
        return not self.error and 200 <= self.status < 300

    @property
    def latency(self) -> float:
        """Seconds from the planned send time to the end: a client that was held up does not hide it."""
        return self.ended - self.planned


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Record)


def encode(records: Iterable[Record]) -> bytes:
    return b"".join(_ENCODER.encode(record) + b"\n" for record in records)


def decode(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of a file's lines. Raises ValueError for another format or a broken line before the last."""
    lines = iter(lines)
    if next(lines, b"") != FORMAT:
        raise ValueError("this is no record of the load client (changeover.load/1)")
    for number, line in enumerate(lines, 2):
        if not line.endswith(b"\n"):
            return
        try:
            yield _DECODER.decode(line)
        except msgspec.MsgspecError as error:
            raise ValueError(f"line {number} is no record: {error}") from error


def read_records(path: Path | str) -> tuple[Record, ...]:
    """All records of a file, a torn last line left out. Raises ValueError, OSError."""
    with Path(path).open("rb") as file:
        return tuple(decode(file))
