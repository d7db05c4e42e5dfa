"""One demo from start to end: start the environment, play the scenario, judge every request, stop everything."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from changeover.core.errors import ChangeoverError, UsageError
from changeover.demo import servers
from changeover.demo.scenarios import SCENARIOS
from changeover.demo.stack import Say, Stack, Unexpected, Wish

FORMAT = "changeover.demo/1"


def run(
    scenario: str,
    balancer: str,
    database: str,
    *,
    folder: Path | None,
    keep: bool,
    say: Say,
    changes: str = "operations",
    balancers: int = 1,
) -> dict[str, Any]:
    """Play one scenario. The answer has `verdict`: "ok", or what was not as it should be. Raises UsageError for a name."""
    chosen = SCENARIOS.get(scenario)
    if chosen is None:
        raise UsageError(f"there is no scenario {scenario!r}", next=tuple(f"--scenario {name}" for name in SCENARIOS))
    place = Path(tempfile.mkdtemp(prefix="changeover-demo-")) if folder is None else folder.resolve()
    place.mkdir(parents=True, exist_ok=True)
    if any(place.iterdir()):
        raise UsageError(f"{place} is not empty", next=("name an empty or new folder: --folder DIR",))
    say(
        f"{chosen.name}: {chosen.about}. {f'{balancers} x ' if balancers > 1 else ''}{balancer}, {database}; files in {place}"
    )
    began = time.monotonic()
    wish = chosen.tune(Wish(balancer, database, changes, balancers=balancers))
    stack = Stack(place, wish, say, servers.Started(place))
    problem = ""
    with _terminated_like_interrupted():
        try:
            stack.start()
            say(f"v1.0.0 serves, {stack.wish.rate:g} requests per second on http://127.0.0.1:{stack.entry}")
            try:
                chosen.play(stack)
                time.sleep(1.0)  # what comes after the last command is judged as well
            except (Unexpected, ChangeoverError) as error:
                problem = str(error)
            answer = _answer(stack, scenario, problem)
        finally:
            stack.stop()
    answer["seconds"] = round(time.monotonic() - began, 1)
    if folder is None and not keep and answer["verdict"] == "ok":
        shutil.rmtree(place)
    else:
        answer["folder"] = str(place)
    return answer


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM stops what was started, too, not only Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _answer(stack: Stack, scenario: str, problem: str) -> dict[str, Any]:
    verdict, flips = stack.judged()
    moving = [w for name, w in verdict.latency.items() if name.startswith("flip") and w.requests]
    if not problem and verdict.failed:
        problem = f"{verdict.failed} requests failed"
    if not problem and verdict.wrong:
        problem = f"{verdict.wrong} answers were wrong"
    return {
        "format": FORMAT,
        "scenario": scenario,
        "balancer": stack.wish.balancer,
        "balancers": stack.wish.balancers,
        "database": stack.wish.database,
        "requests": verdict.requests,
        "failed": verdict.failed,
        "app_errors": verdict.app_errors,
        "wrong": verdict.wrong,
        "by_version": dict(verdict.by_version),
        "flips": flips,
        "p99_ms": {
            "steady": round(1000 * verdict.latency["steady"].p99, 1),
            "moving": round(1000 * max((w.p99 for w in moving), default=0.0), 1),
        },
        "steps": stack.steps,
        "examples": [f"{e.where}: {e.what}" for e in verdict.examples],
        "verdict": problem or "ok",
    }


def summary(answer: dict[str, Any]) -> str:
    """The answer for people."""
    flips = ", ".join(f"{f['from']} to {f['to']} in {f['seconds']} s" for f in answer["flips"]) or "none"
    versions = ", ".join(f"v{v} {n}" for v, n in sorted(answer["by_version"].items()))
    lines = [
        f"requests  {answer['requests']}   failed {answer['failed']}   wrong {answer['wrong']}",
        f"errors that a version itself answered  {answer['app_errors']}",
        f"served by {versions}",
        f"flips     {flips}",
        f"p99       {answer['p99_ms']['steady']} ms steady, {answer['p99_ms']['moving']} ms while moving",
        *(f"  ! {e}" for e in answer["examples"][:5]),
        f"verdict   {answer['verdict']}   ({answer['seconds']} s)",
    ]
    if "folder" in answer:
        lines.append(f"files     {answer['folder']}")
    return "\n".join(lines)
