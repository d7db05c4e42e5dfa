"""The sample shop, one instance: `python -m changeover.demo.shop --version 1.0.0 --build b1 --port 8001`.

The database is named by SHOP_DATABASE_URL (`sqlite:///PATH`, `postgresql://…`, `mysql://…`). SIGTERM and SIGINT stop it:
it accepts nothing more, finishes what is in flight and exits 0. Its database is made by `changeover.demo.shop_store.create_schema`.

| path | answer |
| --- | --- |
| GET /version | version and build |
| GET /ready | 200 once the database is open and has the columns that this version needs, else 503 |
| GET /health | 200 |
| GET /stats | requests in flight and arrived, last arrival; the checks above and this one are not counted in |
| POST /orders | make an order: ref (chosen by the client: asked twice, made once), customer, item, quantity, price |
| GET /orders/ID, PUT /orders/ID | read an order; set its quantity and price |
| GET /orders?customer=NAME | the customer's newest five orders |
| GET /slow?s=3 | an answer after three seconds |

`--probe --version V` runs no server: it exercises the version's reads and writes against CHANGEOVER_DATABASE_URL (or
SHOP_DATABASE_URL) and rolls everything back. SHOP_FAULTS names a control file of misbehaviour (`shop_faults`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from dataclasses import replace

from changeover.demo.shop_app import Identity, Shop
from changeover.demo.shop_faults import FaultFile, Faults, parse_bad
from changeover.demo.shop_probe import ProbeFailed, probe
from changeover.demo.shop_server import Server
from changeover.demo.shop_store import open_store
from changeover.demo.shop_versions import sql_of


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("shop", description="The sample shop: one instance, or the probe of a version.")
    parser.add_argument("--version", required=True)
    parser.add_argument("--build", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--start-log", metavar="FILE", help="append one line: time, pid, version, port")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--never-ready-port", type=int, action="append", default=[], metavar="PORT")
    parser.add_argument(
        "--bad", action="append", default=[], metavar="HOW", help="errors[=PART], exit[=S], delay[=S], wrong-price"
    )
    parser.add_argument("--probe", action="store_true", help="exercise the version against the database and roll back")
    return parser


def _note_start(path: str, version: str, port: int) -> None:
    """One line in one write: several instances may start at once."""
    line = f"{time.time():.3f} {os.getpid()} {version} {port}\n".encode()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line)
    finally:
        os.close(file)


async def _watch(faults: FaultFile, started: float) -> None:
    """Look at the control file every 0.2 s and die when it is time to."""
    while True:
        now = faults.look()
        if now.exit_after is not None and time.monotonic() - started >= now.exit_after:
            os._exit(3)
        await asyncio.sleep(0.2)


async def _serve(arguments: argparse.Namespace, url: str, flags: Faults) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started = time.monotonic()
    version = arguments.version.removeprefix("v")
    store = open_store(url, f"shop {version}", wait=0)

    listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    port = int(listener.getsockname()[1])
    faults = FaultFile(os.environ.get("SHOP_FAULTS", ""), version, port, flags)
    faults.look()
    shop = Shop(Identity(version, arguments.build, f"{port}.{os.getpid()}"), sql_of(version), store, faults)
    server = Server(shop.answer)
    await server.listen(listener)
    if arguments.start_log:
        _note_start(arguments.start_log, version, port)
    print(f"shop {version} ({arguments.build}) on {arguments.host}:{port}, pid {os.getpid()}", flush=True)

    background = [asyncio.create_task(shop.warm_up()), asyncio.create_task(_watch(faults, started))]
    await stop.wait()
    given_up = await server.stop()
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    shop.close()
    print(f"shop {version} on port {port} stopped, {given_up} requests given up", flush=True)
    return 1 if given_up else 0


def _probe(version: str) -> int:
    url = os.environ.get("CHANGEOVER_DATABASE_URL") or os.environ.get("SHOP_DATABASE_URL", "")
    try:
        print(probe(url, version))
    except (ProbeFailed, ValueError) as error:
        print(f"shop {version} does not work with this database: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the server or the probe; gives the exit status."""
    parser = _arguments()
    arguments = parser.parse_args(argv)
    if arguments.probe:
        return _probe(arguments.version)
    url = os.environ.get("SHOP_DATABASE_URL", "")
    try:
        sql_of(arguments.version)
        open_store(url).close()
        flags = parse_bad(arguments.bad)
    except ValueError as error:
        parser.error(str(error))
    if arguments.never_ready or arguments.port in arguments.never_ready_port:
        flags = replace(flags, never_ready=True)
    try:
        return asyncio.run(_serve(arguments, url, flags))
    except OSError as error:
        print(f"shop {arguments.version}: cannot listen on port {arguments.port}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
