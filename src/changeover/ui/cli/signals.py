"""What the operating system asks of a command that drives a run. The handlers only count; the loop looks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class Signals:
    """`stops` counts SIGINT and SIGTERM; `hung_up` says that the terminal is gone."""

    def __init__(self) -> None:
        self.stops = 0
        self.hung_up = False
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self.hung_up = True


class AtOnce(BaseException):
    """A second SIGINT or SIGTERM: end the process now. The journal is written before every act, so nothing is lost."""
