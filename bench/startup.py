"""Start-up: `changeover --help` and `status` as whole processes, against `python -c pass` in the same run."""

from __future__ import annotations

import compileall
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from bench.figures import Figure, median, median_of

PART = "Start-up, whole processes in pairs with `python -c pass`"
BOUNDS = {"--help": 25, "status": 50}
SHOWN = 6  # packages
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


def measure(*, quick: bool) -> list[Figure]:
    """Bounds: --help at most 25 times, status at most 50 times as long as an empty Python. Compiled, as an installer leaves it."""
    found = find_spec("changeover.__main__")
    if found is None or found.origin is None:
        return [Figure(PART, "not measured: there is no command line", 1, "", 0)]
    compileall.compile_dir(Path(found.origin).parent, quiet=2)
    from changeover.demo import servers
    from changeover.demo.stack import Stack, Wish

    with tempfile.TemporaryDirectory(prefix="co-bench-") as name:
        folder = Path(name)
        stack = Stack(folder, Wish("envoy", "sqlite", "operations", rate=1), lambda _: None, servers.Started(folder))
        try:
            stack.start()
            stack.stop_load()
            own = [sys.executable, "-m", "changeover"]
            commands = {"--help": [*own, "--help"], "status": [*own, "-c", str(stack.config), "status"]}
            return [figure for words, argv in commands.items() for figure in _compare(words, argv, folder, quick=quick)]
        finally:
            stack.stop()


def _compare(words: str, argv: list[str], folder: Path, *, quick: bool) -> list[Figure]:
    empty = [sys.executable, "-c", "pass"]
    for warm in (empty, argv):
        _seconds(warm, folder)
    pairs = [(_seconds(empty, folder), _seconds(argv, folder)) for _ in range(2 if quick else 15)]
    ratios = tuple(ours / base for base, ours in pairs)
    base, ours = (1000 * median(column) for column in zip(*pairs, strict=True))
    return [
        Figure(
            PART, f"changeover {words}", median(ratios), "x", BOUNDS[words], judged=not quick, raw=ratios,
            note=f"{base:.0f} -> {ours:.0f} ms; {median_of(ratios)}",
        ),
        _dominant(words, argv, folder),
    ]  # fmt: skip


def _seconds(argv: list[str], folder: Path) -> float:
    began = time.perf_counter()
    ended = subprocess.run(argv, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    took = time.perf_counter() - began
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[1:])} ended {ended.returncode}: {ended.stderr.decode()[-300:]}")
    return took


def _dominant(words: str, argv: list[str], folder: Path) -> Figure:
    """Where the time of its imports goes: each package's own milliseconds. `-X importtime` itself makes them slower."""
    ended = subprocess.run(
        [argv[0], "-X", "importtime", *argv[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    spent: Counter[str] = Counter()
    for microseconds, module in _IMPORT.findall(ended.stderr):
        spent[module.partition(".")[0]] += int(microseconds)
    shown = ", ".join(f"{package} {us / 1000:.0f}" for package, us in spent.most_common(SHOWN))
    return Figure(PART, f"imports of changeover {words}", sum(spent.values()) / 1000, "ms", note=shown)
