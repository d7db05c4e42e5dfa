"""Load on the shop, from a thread (`Load`) or as a program of its own:

    python -m changeover.demo.load --url http://127.0.0.1:8080 --rate 200 --out requests.jsonl --control load.json

The program runs until SIGTERM or SIGINT, then finishes what is under way, prints a summary as JSON and exits 0. It
exits 1 when the client itself broke: its record proves nothing then. `records.read_records` reads the file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Self

from changeover.demo.load_book import Notebook
from changeover.demo.load_client import Client, LoadBroken, Settings, make_load
from changeover.demo.load_work import Mix
from changeover.demo.records import Record

__all__ = ["Load", "LoadBroken", "Mix", "Settings", "main"]


class Load:
    """Load from a thread of this process. For high rates run the program instead: a thread shares the interpreter."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for a wrong address, OSError if the record file cannot be written."""
        self._settings = settings
        self._book = Notebook(settings.out, keep=settings.keep)
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> Self:
        """Begin. Raises ValueError for a wrong address."""
        self._thread.start()
        self._started.wait()
        if self._client is None:
            self.stop()
        return self

    def _run(self) -> None:
        try:
            asyncio.run(make_load(self._settings, self._book, self._ready))
        except (LoadBroken, OSError, ValueError) as error:
            self._error = error
        finally:
            self._started.set()

    def _ready(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._started.set()

    def stop(self) -> tuple[Record, ...]:
        """Plan nothing more, wait for what is under way, give all records. Raises LoadBroken; may be called twice."""
        if self._client is not None and self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._client.stopping.set)
        self._thread.join()
        try:
            self._book.close()
        except OSError as error:  # the last of them, after the load itself had ended well
            self._error = self._error or LoadBroken(f"the records cannot be written: {error}")
        if self._error is not None:
            raise self._error
        return tuple(self._book.records)

    def records(self) -> tuple[Record, ...]:
        """The records so far."""
        return tuple(self._book.records)

    @property
    def count(self) -> int:
        """Requests ended so far."""
        return self._book.count

    @property
    def alive(self) -> bool:
        """It makes load, or waits for what is under way. A client that broke by itself is not alive: see `stop`."""
        return self._thread.is_alive()

    @property
    def errors(self) -> Mapping[str, int]:
        """Requests so far that no version has answered, by error class (`records.ERRORS`)."""
        return Counter(self._book.errors)

    @property
    def by_version(self) -> Mapping[str, int]:
        """Requests answered so far, by version."""
        return Counter(self._book.by_version)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _arguments() -> argparse.ArgumentParser:
    defaults = Settings("")
    parser = argparse.ArgumentParser(
        "load", description="Paced load on the shop; records every request, never retries."
    )
    parser.add_argument("--url", required=True, help="http://HOST:PORT")
    parser.add_argument(
        "--also", action="append", default=[], metavar="URL", help="another address; connections go to each in turn"
    )
    parser.add_argument("--rate", type=float, default=defaults.rate, help="requests per second")
    parser.add_argument("--out", default="", metavar="FILE", help="record of every request")
    parser.add_argument("--control", default="", metavar="FILE", help="JSON that changes rate and mix while it runs")
    parser.add_argument("--naive", type=int, default=defaults.naive, help="connections that reuse without looking")
    parser.add_argument("--checking", type=int, default=defaults.checking, help="connections that look before reuse")
    parser.add_argument("--fresh", type=float, default=defaults.fresh, help="part of requests on a new connection")
    parser.add_argument("--timeout", type=float, default=defaults.timeout, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    for field in fields(Mix):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=getattr(defaults.mix, field.name))
    return parser


async def _program(settings: Settings, book: Notebook) -> None:
    loop = asyncio.get_running_loop()

    def ready(client: Client) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, client.stopping.set)

    await make_load(settings, book, ready)


def main(argv: list[str] | None = None) -> int:
    """Run the program; gives the exit status."""
    given = _arguments().parse_args(argv)
    mix = Mix(**{field.name: getattr(given, field.name) for field in fields(Mix)})
    settings = Settings(
        given.url, given.rate, mix, given.naive, given.checking, given.fresh, given.timeout,
        seed=given.seed, out=given.out, control=given.control, keep=False, others=tuple(given.also),
    )  # fmt: skip
    try:
        book = Notebook(settings.out, keep=False)
        try:
            asyncio.run(_program(settings, book))
        finally:
            book.close()
    except (LoadBroken, OSError, ValueError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    print(json.dumps(book.summary()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
