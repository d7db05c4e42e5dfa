"""What a driver's tests bring: a balancer that runs, with instances behind it; and what the suite works with.

The balancer starts with two pools, `blue` and `green`, two instances each, everything healthy, all traffic on blue
(`START` is its route). Instances answer every request with their pool in the header `x-pool` and with JSON whose `headers` are the
request's; `/slow?s=SECONDS` answers after that time.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from changeover.core.model import Route
from changeover.core.ports import Balancer

BLUE, GREEN = "blue", "green"
START = Route(BLUE, GREEN, mark="start")


@dataclass(frozen=True)
class Reply:
    """An answer that came through the balancer. `pool` is the header x-pool, "" if no instance answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: str

    @property
    def pool(self) -> str:
        return self.headers.get("x-pool", "")


class BalancerUnderTest(Protocol):
    """One running balancer, its instances, and the driver that is tested."""

    kind: str  # "memory", "haproxy", "envoy", …: for people
    driver: Balancer

    def second(self) -> Balancer:
        """Another driver for the same balancer, as another process would have it."""

    def get(self, path: str = "/", headers: Mapping[str, str] | None = None) -> Reply:
        """One request through the entry on a connection of its own; never retried."""

    def slow(self, seconds: float) -> contextlib.AbstractContextManager[Callable[[], Reply]]:
        """A request `/slow?s=SECONDS` in flight inside the block; the value waits for its answer."""

    def kill(self, pool: str) -> None:
        """End every instance of the pool at once; returns when they are gone (the balancer may not know yet)."""

    def revive(self, pool: str) -> None:
        """Start them again on the same ports."""

    def restart(self) -> None:
        """Stop the balancer and start it again: it knows only what is durable. Returns when the pools are healthy."""

    def break_control(self) -> None:
        """The control socket or admin port is gone; traffic goes on."""

    def mend_control(self) -> None: ...

    def now(self) -> float:
        """The time that the balancer compares an expiry with (epoch seconds)."""

    def wait_until(self, at: float) -> None:
        """Returns when `now()` is past that time."""

    def change_by_hand(self, route: Route) -> None:
        """Change the running route behind the driver's back, as an operator would (not the durable one, if they differ)."""


@dataclass
class TestFence:
    """A fence for tests. `hooks`: number of the check (from 1) -> what happens right after it passed.

    A hook is where the process sleeps: whatever it does happened between check and effect.
    """

    __test__ = False

    token: int = 1
    run: str = "r1"
    lost: bool = False
    checks: int = 0
    hooks: dict[int, Callable[[], object]] = field(default_factory=dict)

    def check(self) -> None:
        from changeover.core.errors import FencedOut

        if self.lost:
            raise FencedOut("the lease is lost")
        self.checks += 1
        hook = self.hooks.get(self.checks)
        if hook:
            hook()


def until(condition: Callable[[], object], within: float = 10.0, every: float = 0.02) -> None:
    """Poll until the condition is true; fail with what it was last."""
    deadline = time.monotonic() + within
    while not (last := condition()):
        assert time.monotonic() < deadline, f"not within {within} s, last was {last!r}"
        time.sleep(every)


def pools_of(replies: Sequence[Reply]) -> dict[str, int]:
    """Pool -> how many answers."""
    counts: dict[str, int] = {}
    for reply in replies:
        counts[reply.pool] = counts.get(reply.pool, 0) + 1
    return counts


# a client that never retries ---------------------------------------------------------------------------


def fetch(port: int, path: str = "/", headers: Mapping[str, str] | None = None, timeout: float = 20.0) -> Reply:
    """One request to 127.0.0.1 on a connection of its own. Status 0: the connection broke before an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"connection": "close", **(headers or {})})
        answer = connection.getresponse()
        body = answer.read().decode()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body)
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, {}, repr(error))
    finally:
        connection.close()


@contextlib.contextmanager
def in_background(act: Callable[[], Reply]) -> Iterator[Callable[[], Reply]]:
    """Run the request in a thread; the value waits for its answer. The block's end waits too."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(act)
        yield lambda: future.result(30)
