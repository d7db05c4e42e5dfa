"""The servers that the demo starts for itself: Envoy, HAProxy or the stand-in for AWS; PostgreSQL or MariaDB if asked for. Stopped by pid."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from changeover.core.errors import ExtraMissing, ToolMissing
from changeover.core.model import Route, Slot

START_WITHIN = 20.0  # seconds
STOP_WITHIN = 10.0  # seconds
SBIN = ("/usr/sbin", "/usr/local/sbin")  # where servers are, and not on everybody's PATH


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until something accepts on the port. Raises ToolMissing with the end of the log if the process ended."""
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    tail = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise ToolMissing(f"{Path(str(process.args[0])).name} did not start: {' / '.join(tail)}")  # type: ignore[index]


@dataclass(slots=True)
class Started:
    """Processes of the demo, in the order of their start; stopped in the reverse order."""

    folder: Path
    processes: list[tuple[subprocess.Popen[bytes], signal.Signals]] = field(default_factory=list)

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stop_by: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start one in a session of its own, its output in `NAME.log`."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=env, user=user
            )
        self.processes.append((process, stop_by))
        return process, log

    def stop(self) -> None:
        """Stop all of them: asked first, killed only when they do not go."""
        for process, stop_by in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(stop_by)
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.processes.clear()


def slots(pools: Mapping[str, Sequence[int]]) -> dict[str, tuple[Slot, ...]]:
    """The slots of ports on 127.0.0.1."""
    return {p: tuple(Slot(p, n, "127.0.0.1", port) for n, port in enumerate(ports, 1)) for p, ports in pools.items()}


def envoy(started: Started, pools: Mapping[str, Sequence[int]], name: str = "envoy") -> tuple[str, int]:
    """Start Envoy on free ports. Returns (the `balancers:` entry of changeover.yml, the port of users)."""
    from changeover.drivers.balancers import envoy_config as config

    folder = started.folder / name
    folder.mkdir()
    entry, admin = free_ports(2)
    layout = config.EnvoyLayout(
        slots(pools), bind=f"127.0.0.1:{entry}", admin=f"127.0.0.1:{admin}", directory=str(folder / "routes")
    )
    for path, (text, mode) in config.initial_files(layout, Route("blue", "green")).items():
        _write(Path(path), text, mode)
    bootstrap = folder / "envoy.json"
    bootstrap.write_text(config.bootstrap(layout))
    argv = [*config.command(config.binary(), str(bootstrap)), "--concurrency", "1"]
    process, log = started.start(f"{name}-server", argv)
    wait_for(entry, process, log)
    return (
        (
            f"{{ type: envoy, name: {name}, admin: '127.0.0.1:{admin}', routes: {layout.routes_path}, clusters: {{ blue: blue, green: green }}, "
            f"entry: 'http://127.0.0.1:{entry}', preview_secret: {layout.secret_path} }}"
        ),
        entry,
    )


def _write(file: Path, text: str, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode)
    file.write_text(text)


def haproxy(started: Started, pools: Mapping[str, Sequence[int]], name: str = "haproxy") -> tuple[str, int]:
    """Start HAProxy in master-worker mode on a free port."""
    from changeover.drivers.balancers import haproxy_config as config

    binary = _haproxy()
    folder = started.folder / name
    folder.mkdir()
    (entry,) = free_ports(1)
    layout = config.HaproxyLayout(
        pools={
            p: tuple(config.Server(f"{p}{n}", "127.0.0.1", port) for n, port in enumerate(ports, 1))
            for p, ports in pools.items()
        },
        bind=f"127.0.0.1:{entry}",
        directory=str(folder),
        admin_socket=str(folder / "admin.sock"),
        master_socket=str(folder / "master.sock"),
        log="",
    )
    cfg = folder / "haproxy.cfg"
    cfg.write_text(config.render(layout))
    for path, (text, mode) in config.initial_files(layout, Route("blue", "green")).items():
        _write(Path(path), text, mode)
    argv = list(config.command(layout, str(cfg)))
    process, log = started.start(f"{name}-server", [binary, *argv[1:]])
    wait_for(entry, process, log)
    return (
        (
            f"{{ type: haproxy, name: {name}, socket: {layout.master_socket}, map: {layout.map_path}, preview_map: {layout.preview_map_path}, "
            f"backends: {{ blue: app_blue, green: app_green }}, entry: 'http://127.0.0.1:{entry}', config: {cfg} }}"
        ),
        entry,
    )


def _haproxy() -> str:
    return _program("haproxy", "apt-get install haproxy", "changeover demo --balancer envoy")


_AS_IT_IS = """\
# a configuration as sites have it; changeover keeps the weights, and touches nothing else
global
    stats socket {folder}/admin.sock mode 660 level admin
    hard-stop-after 15m
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 10s
    option redispatch
    option idle-close-on-response
frontend web
    bind 127.0.0.1:{entry}
    default_backend shop
backend shop
    balance roundrobin
    option httpchk GET /health
    default-server check inter 1s fastinter 250ms downinter 500ms fall 2 rise 2 observe layer4 error-limit 1 on-error mark-down
{servers}
"""


def haproxy_servers(
    started: Started, pools: Mapping[str, Sequence[int]], name: str = "haproxy-servers"
) -> tuple[str, int]:
    """Start an HAProxy whose one backend has the servers of both pools: the first pool has weight, the other has none."""
    binary = _haproxy()
    folder = started.folder / name
    folder.mkdir()
    (entry,) = free_ports(1)
    weights = {pool: 0 if n else 100 for n, pool in enumerate(pools)}
    lines = [
        f"    server {pool}{n} 127.0.0.1:{port} weight {weights[pool]}"
        for pool, ports in pools.items()
        for n, port in enumerate(ports, 1)
    ]
    cfg = folder / "haproxy.cfg"
    cfg.write_text(_AS_IT_IS.format(folder=folder, entry=entry, servers="\n".join(lines)))
    socket_ = folder / "master.sock"
    argv = [binary, "-W", "-f", str(cfg), "-S", f"{socket_},mode,600,level,admin"]
    process, log = started.start(f"{name}-server", argv)
    wait_for(entry, process, log)
    names = {pool: ", ".join(f"{pool}{n}" for n, _ in enumerate(ports, 1)) for pool, ports in pools.items()}
    servers = ", ".join(f"{pool}: [{each}]" for pool, each in names.items())
    return (
        (
            f"{{ type: haproxy-servers, name: {name}, socket: {socket_}, backend: shop, servers: {{ {servers} }}, "
            f"entry: 'http://127.0.0.1:{entry}', config: {cfg} }}"
        ),
        entry,
    )


def balancers(
    started: Started, kind: str, pools: Mapping[str, Sequence[int]], count: int = 1
) -> tuple[list[str], list[int]]:
    """Start that many of a kind. Returns (the entries of `balancers:`, the ports of users). Raises ToolMissing."""
    found = []
    for number in range(1, count + 1):
        match kind:
            case "haproxy":
                found.append(haproxy(started, pools, "haproxy" if count == 1 else f"edge-{number}"))
            case "haproxy-servers":
                found.append(haproxy_servers(started, pools, "haproxy" if count == 1 else f"edge-{number}"))
            case "alb":
                found.append(alb(started, pools, "aws" if count == 1 else f"edge-{number}"))
            case "elb":
                found.append(elb(started, pools, "aws" if count == 1 else f"edge-{number}"))
            case _:
                found.append(envoy(started, pools, "envoy" if count == 1 else f"edge-{number}"))
    return [entry for entry, _ in found], [port for _, port in found]


def alb(started: Started, pools: Mapping[str, Sequence[int]], name: str = "aws") -> tuple[str, int]:
    """Start the stand-in for AWS with an Application Load Balancer."""
    made, entry = _aws(started, "alb", pools, name)
    groups = ", ".join(f"{pool}: '{arn}'" for pool, arn in made["groups"].items())
    own = (
        f"listeners: ['{made['listeners'][0]}'], target_groups: {{ {groups} }}, "
        f"preview_secret: {started.folder}/{name}/preview.secret, metrics: {{ type: cloudwatch, lag: 1s }}"
    )
    return _of_aws("alb", name, made, entry, own), entry


def elb(started: Started, pools: Mapping[str, Sequence[int]], name: str = "aws") -> tuple[str, int]:
    """Start the stand-in for AWS with a classic load balancer."""
    made, entry = _aws(started, "elb", pools, name)
    instances = ", ".join(f"{pool}: [{', '.join(ids)}]" for pool, ids in made["instances"].items())
    own = (
        f"load_balancer: {made['load_balancer']}, instances: {{ {instances} }}, "
        "metrics: { type: application, get: /stats, requests: answers, errors_5xx: answers.5xx }"
    )
    return _of_aws("elb", name, made, entry, own), entry


def _aws(started: Started, kind: str, pools: Mapping[str, Sequence[int]], name: str) -> tuple[dict[str, Any], int]:
    """(what the stand-in has made, the port of users)."""
    if any(find_spec(name) is None for name in ("boto3", "moto", "flask", "flask_cors")):
        raise ExtraMissing("the stand-in for AWS is not installed", next=('pip install "changeover[demo-aws]"',))
    folder = started.folder / name
    folder.mkdir()
    (entry,) = free_ports(1)
    out = folder / "made.json"
    argv = [
        sys.executable, "-m", "changeover.demo.aws", "--kind", kind, "--pools", json.dumps({p: list(n) for p, n in pools.items()}),
        "--entry", str(entry), "--out", str(out),
    ]  # fmt: skip
    process, log = started.start(f"{name}-server", argv)
    wait_for(entry, process, log)
    deadline = time.monotonic() + START_WITHIN
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return json.loads(out.read_text()), entry


def _of_aws(kind: str, name: str, made: Mapping[str, Any], entry: int, own: str) -> str:
    """The `balancers:` entry; the stand-in's clock runs ten times as fast as that of the wall, and so does its weather."""
    return (
        f"{{ type: {kind}, name: {name}, account: '{made['account']}', region: {made['region']}, endpoint: '{made['endpoint']}', {own}, "
        f"entry: 'http://127.0.0.1:{entry}', in_flight: {{ get: /stats, last_arrival: last_arrival.epoch }}, "
        "propagation: 2s, quiet: 500ms, read_back: { times: 3, every: 200ms, within: 30s }, "
        "retries: { attempts: 5, per_second: 50 } }"
    )


def _program(name: str, *instead: str) -> str:
    """Its path. Raises ToolMissing; `instead` is what to do then."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN)))
    if found is None:
        raise ToolMissing(f"{name} is not installed", next=instead)
    return found


def _give(folder: Path, user: str) -> None:
    """Make it the user's own, and let the user come as far. Raises ToolMissing if there is no such user."""
    try:
        shutil.chown(folder, user)
    except LookupError:
        raise ToolMissing(
            f"the server refuses root, and there is no user {user}",
            next=("changeover demo, as another user than root",),
        ) from None
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


def postgresql(started: Started, settings: Mapping[str, str] | None = None) -> str:
    """Start a PostgreSQL of its own, with `settings` instead of the demo's. Returns the URL of its database `shop`."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
        Path(p).parent for p in [shutil.which("initdb")] if p
    ]
    if not binaries or not (binaries[-1] / "initdb").exists():
        raise ToolMissing("postgresql is not installed", next=("apt-get install postgresql", "--database sqlite"))
    folder = started.folder / "postgresql"
    folder.mkdir()
    user = None
    if os.getuid() == 0:  # initdb refuses root
        user = "postgres"
        _give(folder, user)
    (port,) = free_ports(1)
    data = folder / "data"
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    subprocess.run(
        [str(binaries[-1] / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, user=user, env=environment, cwd=folder,
    )  # fmt: skip
    process, log = started.start(
        "postgresql-server",
        [
            str(binaries[-1] / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
            "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200", "-c", "log_statement=ddl",
            "-c", "log_line_prefix=%m [%p] %a ", *(f"--{name}={value}" for name, value in (settings or {}).items()),
        ],
        stop_by=signal.SIGINT, env=environment, user=user,
    )  # fmt: skip
    wait_for(port, process, log)
    _create_database(port)
    return f"postgresql://postgres@127.0.0.1:{port}/shop"


def _create_database(port: int) -> None:
    import psycopg

    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as db:
                db.execute("CREATE DATABASE shop")
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def mariadb(started: Started, settings: Mapping[str, str] | None = None) -> str:
    """Start a MariaDB of its own, with `settings` instead of the demo's. Returns the URL of its database `shop`."""
    instead = ("apt-get install mariadb-server", "--database sqlite")
    install, server = _program("mariadb-install-db", *instead), _program("mariadbd", *instead)
    folder = started.folder / "mariadb"
    folder.mkdir()
    user = None
    if os.getuid() == 0:  # mariadbd refuses root
        user = "mysql"
        _give(folder, user)
    (port,) = free_ports(1)
    data = folder / "data"
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)}
    made = subprocess.run(
        [
            install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
            "--skip-name-resolve",
        ],
        check=False, capture_output=True, text=True, user=user, env=environment, cwd=folder,
    )  # fmt: skip
    if made.returncode != 0:
        tail = " / ".join((made.stdout + made.stderr).strip().splitlines()[-3:])
        raise ToolMissing(f"mariadb-install-db could not make a database: {tail}", next=("--database sqlite",))
    process, log = started.start(
        "mariadb-server",
        [
            server, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
            "--socket=s", "--pid-file=pid",  # in the folder of the data: a socket's path must be short
            "--skip-name-resolve", "--max-connections=200", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", f"--tmpdir={folder}",
            "--plugin-load-add=metadata_lock_info",  # shows who holds a table; it starts without, too
            *(f"--{name}={value}" for name, value in (settings or {}).items()),
        ],
        env=environment, user=user,
    )  # fmt: skip
    wait_for(port, process, log)
    _create_mariadb_database(port)
    return f"mysql://root@127.0.0.1:{port}/shop"


def _create_mariadb_database(port: int) -> None:
    from changeover.drivers.databases.mysql_library import pymysql

    with pymysql.connect(host="127.0.0.1", port=port, user="root", connect_timeout=int(START_WITHIN)) as db:
        db.cursor().execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
