"""Becomes an instance: run as a script by `process.ProcessRuntime`, with the standard library alone.

    python -I -S launch.py LOCK_FD REPORT_FD < order.json

The order has `record` (path), `facts` (what the record says besides the process), `argv`, `env` and `directory`.

1. A child in a session of its own writes the record of the process that it is about to become (`exec` keeps pid and
   start), durably, and only then becomes it. There is no moment at which an instance runs and is not on record.
2. The lock of the slot is inherited and closed by `exec` itself. Whoever started this may die at any line: the next one
   gets the lock only when the record is there or nothing will ever be started.
3. REPORT_FD is closed by `exec`; when `exec` fails, `ERRNO reason` is written to it and the record is taken away.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn


def main() -> None:
    lock, report = int(sys.argv[1]), int(sys.argv[2])
    order = json.loads(sys.stdin.buffer.read())  # half an order is no JSON: nothing is started
    if os.fork() == 0:
        os.setsid()
        _become(order, lock, report)
    os._exit(0)


def _become(order: dict[str, Any], lock: int, report: int) -> NoReturn:
    recorded = False
    try:
        os.set_inheritable(lock, False)
        os.set_inheritable(report, False)
        os.chdir(order["directory"])
        _clean()
        _record(order["record"], {**order["facts"], **_self()})
        recorded = True
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - that is the point
    except BaseException as error:
        if recorded:
            os.unlink(order["record"])  # noqa: PTH108
        number = error.errno or 0 if isinstance(error, OSError) else 0
        reason = error.strerror if isinstance(error, OSError) else repr(error)
        os.write(report, f"{number} {reason}".encode())
    os._exit(1)


def _clean() -> None:
    """Nothing of the starter's: no input, no ignored or blocked signal."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _self() -> dict[str, int]:
    with open("/proc/self/stat", "rb") as file:  # noqa: PTH123
        text = file.read()
    return {"pid": os.getpid(), "ticks": int(text[text.rindex(b")") + 2 :].split()[19])}


def _record(path: str, facts: dict[str, Any]) -> None:
    """Atomic and durable: the old record or the new one, never half of one."""
    new = f"{path}.new"
    with open(new, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(facts, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)  # noqa: PTH104
    folder = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120
    os.fsync(folder)
    os.close(folder)


if __name__ == "__main__":
    main()
