"""The stand-in as a process: `python -m changeover.demo.aws --kind alb --pools '{"blue": [8001]}' --entry 8080 --out FILE`.

It writes what it has made to FILE once everything answers, and runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from changeover.core.errors import ChangeoverError
from changeover.demo.aws import seed
from changeover.demo.aws.standin import StandIn
from changeover.demo.aws.weather import Weather
from changeover.demo.aws.world import ACCOUNT, REGION

SPEED = 10.0  # how much faster AWS's seconds pass than those of the wall
DELAY = 300  # AWS's seconds of draining


def fast(speed: float) -> Callable[[], float]:
    """A clock that starts now and runs faster."""
    start, real = time.time(), time.monotonic()
    return lambda: start + (time.monotonic() - real) * speed


def changeable(number: int) -> Weather:
    """Weather of an ordinary day."""
    return Weather(
        number, throttle=0.01, broken=0.01, lost=0.01, stale=0.3, stale_for=(1.0, 10.0), lag=(0.0, 8.0), burst=(1, 3)
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("aws", description="A stand-in for AWS on 127.0.0.1.")
    parser.add_argument("--kind", choices=("alb", "elb"), required=True)
    parser.add_argument("--pools", type=json.loads, required=True, help="JSON: pool -> ports on 127.0.0.1")
    parser.add_argument("--entry", type=int, required=True, help="port of users")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        standin = StandIn(fast(SPEED)).start()
    except ChangeoverError as error:
        print(error, *error.next, sep="\n", file=sys.stderr)
        return int(error.exit)
    try:
        made = _seed(standin, arguments)
        standin.carry()
        standin.weather = standin.world.weather = changeable(arguments.seed)
        draft = arguments.out.with_suffix(".draft")
        draft.write_text(json.dumps({"endpoint": standin.endpoint, "account": ACCOUNT, "region": REGION, **made}))
        draft.replace(arguments.out)
        stop.wait()
    finally:
        standin.stop()
    return 0


def _seed(standin: StandIn, arguments: argparse.Namespace) -> dict[str, object]:
    pools = {pool: [("127.0.0.1", int(port)) for port in ports] for pool, ports in arguments.pools.items()}
    if arguments.kind == "elb":
        classic = seed.classic(standin, pools, arguments.entry, delay=DELAY)
        return {"load_balancer": classic.name, "instances": classic.instances}
    alb = seed.alb(standin, pools, [arguments.entry], delay=DELAY)
    return {"listeners": alb.listeners, "groups": alb.groups}


if __name__ == "__main__":
    sys.exit(main())
