"""What a site is wired from, as plain values: read from changeover.yml once, and kept for as long as the file is the same.

Reading the configuration with all its checks costs several times more than looking at the environment does; `status` must be
quick. The copy lies beside the state store, holds references and no secret, and counts only for exactly the same files,
read by exactly the same changeover.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import changeover
from changeover.core.model import Policy, Slot

if TYPE_CHECKING:
    from changeover.config import Balancer as Configured
    from changeover.config import Settings
    from changeover.config.aws import Alb, Elb

LEAVES = ".wires.json"


@dataclass(frozen=True, slots=True)
class Instances:
    """The application: `kind` is process or command; what the other kind has is empty."""

    kind: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    directory: Path = Path()
    logs: Path = Path()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    stop_within: float = 30.0
    signal: tuple[str, ...] = ()  # the name of a signal, or a command
    ready: str = ""
    ready_timeout: float = 5.0
    identity: str = ""
    version_key: str = "version"
    build_key: str = "build"
    requests_key: str = ""
    configuration_key: str = ""


@dataclass(frozen=True, slots=True)
class Aws:
    """What only balancers of AWS have; what the other kind of them has is empty. `metrics` is (path, requests, errors)."""

    account: str
    region: str
    profile: str
    endpoint: str
    in_flight: tuple[str, str, str] | None
    propagation: float
    quiet: float
    read_back: tuple[int, float, float]
    retries: tuple[str, int, int]
    metrics: tuple[str, str, str] | None
    lag: float
    listeners: tuple[str, ...] = ()
    preview_priority: int = 1
    stickiness: float = 3600.0
    leave_others: bool = False
    load_balancer: str = ""
    instances: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Balancer:
    """`kind` is haproxy, haproxy-servers, envoy, alb, elb or driver; `targets` is pool -> backend, cluster or target group, `servers` pool ->
    servers of `backend`.
    """

    kind: str
    name: str
    entry: str
    targets: Mapping[str, str]
    socket: str = ""
    map: str = ""
    preview_map: str = ""
    config: str | None = None
    admin: str = ""
    routes: str = ""
    preview_secret: str = ""
    backend: str = ""
    servers: Mapping[str, tuple[str, ...]] | None = None
    state_file: str | None = None
    reload: tuple[str, ...] = ()
    log: str | None = None
    driver: str = ""
    options: Mapping[str, Any] | None = None
    aws: Aws | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """`kind` is postgresql, mysql, sqlserver or sqlite; `backups` None: no restore points. References are unresolved."""

    kind: str
    url: str
    changes: Path
    lock: float
    lock_deadline: float
    batch: int
    replica_lag: float
    sessions: int | None = None
    backups: Path | None = None
    backup_command: tuple[str, ...] | None = None
    restore_into: str | None = None
    login: str | None = None
    server_directory: str = ""  # sqlserver
    read: tuple[str, ...] = ()  # URLs of read endpoints, references unresolved


@dataclass(frozen=True, slots=True)
class Wires:
    """Everything that `wiring` needs. Times in seconds, paths absolute."""

    app: str
    environment: str
    digest: str
    file: Path
    directory: Path
    state: Path
    slots: Mapping[str, tuple[Slot, ...]]
    policy: Policy
    instances: Instances
    balancers: tuple[Balancer, ...]
    database: Database | None
    probes: tuple[tuple[str, tuple[str, ...], float], ...]
    smoke: tuple[tuple[str, int, str | None, bool], ...]


def read(config: Path, environment: str | None) -> Wires:
    """The wires of a configuration, from the copy if there is one. Raises ConfigurationMissing, ConfigurationError."""
    from changeover.config import peek

    glance = peek(config, environment)
    copy = None if glance is None else glance.state.with_name(glance.state.name + LEAVES)
    key = _key(config, environment)
    if copy is not None and key:
        found = _kept(copy, key)
        if found is not None:
            return found
    from changeover.config import load

    wires = of(load(config, environment))
    if copy is not None and key:
        _keep(copy, key, wires)
    return wires


def _key(config: Path, environment: str | None) -> str:
    """Changes when any file of the configuration, the environment asked for, or changeover itself changes."""
    digest = hashlib.sha256(f"{changeover.__version__} {environment} {config.resolve()}".encode())
    try:
        for file in sorted(config.parent.glob(f"{config.stem}*{config.suffix}")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    except OSError:
        return ""
    return digest.hexdigest()


def _kept(copy: Path, key: str) -> Wires | None:
    try:
        text = copy.read_bytes()
        head, _, body = text.partition(b"\n")
        if head.decode() != key:
            return None
        return msgspec.json.decode(body, type=Wires, dec_hook=_path)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None


def _keep(copy: Path, key: str, wires: Wires) -> None:
    """A copy that cannot be kept is only slower."""
    draft = copy.with_name(f"{copy.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        copy.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(key.encode() + b"\n" + msgspec.json.encode(wires, enc_hook=str))
        draft.replace(copy)


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(kind)


def of(settings: Settings) -> Wires:
    """Loaded settings as plain values."""
    return Wires(
        app=settings.app,
        environment=settings.environment,
        digest=settings.digest,
        file=settings.origin.file,
        directory=settings.origin.directory,
        state=settings.state,
        slots=dict(settings.slots()),
        policy=settings.policy(),
        instances=_instances(settings),
        balancers=tuple(_balancer(b) for b in settings.balancers),
        database=_database(settings),
        probes=tuple((p.name, p.command, p.timeout) for p in settings.probes),
        smoke=tuple((s.get, s.status, s.contains, s.assets) for s in settings.smoke),
    )


def _instances(settings: Settings) -> Instances:
    wanted = settings.instances
    proof = {
        "stop_within": wanted.stop_within,
        "ready": wanted.ready.get,
        "ready_timeout": wanted.ready.timeout,
        "identity": wanted.identity.get,
        "version_key": wanted.identity.version,
        "build_key": wanted.identity.build,
        "configuration_key": wanted.identity.configuration or "",
        "requests_key": wanted.identity.requests or "",
    }
    if wanted.type == "process":
        return Instances(
            "process",
            command=wanted.command,
            env=dict(wanted.env),
            directory=wanted.directory,
            logs=wanted.logs,
            signal=() if wanted.signal is None else (wanted.signal,),
            **proof,  # type: ignore[arg-type]
        )
    return Instances(
        "command",
        start=wanted.start,
        stop=wanted.stop,
        status=wanted.status,
        signal=wanted.signal or (),
        **proof,  # type: ignore[arg-type]
    )


def _balancer(wanted: Configured) -> Balancer:
    targets = dict(wanted.targets)
    if wanted.type == "haproxy":
        return Balancer(
            "haproxy",
            wanted.name,
            wanted.entry,
            targets,
            socket=str(wanted.socket),
            map=str(wanted.map),
            preview_map=str(wanted.preview_map),
            config=None if wanted.config is None else str(wanted.config),
            log=None if wanted.log is None else str(wanted.log),
        )
    if wanted.type == "driver":
        return Balancer("driver", wanted.name, wanted.entry, {}, driver=wanted.driver, options=dict(wanted.options))
    if wanted.type == "haproxy-servers":
        return Balancer(
            "haproxy-servers",
            wanted.name,
            wanted.entry,
            targets,
            socket=str(wanted.socket),
            config=None if wanted.config is None else str(wanted.config),
            log=None if wanted.log is None else str(wanted.log),
            backend=wanted.backend,
            servers=dict(wanted.servers),
            state_file=None if wanted.state_file is None else str(wanted.state_file),
            reload=wanted.reload,
        )
    if wanted.type != "envoy":
        secret = str(wanted.preview_secret) if wanted.type == "alb" else ""
        return Balancer(wanted.type, wanted.name, wanted.entry, targets, preview_secret=secret, aws=_aws(wanted))
    return Balancer(
        "envoy",
        wanted.name,
        wanted.entry,
        targets,
        admin=wanted.admin,
        routes=str(wanted.routes),
        preview_secret=str(wanted.preview_secret),
    )


def _aws(wanted: Alb | Elb) -> Aws:
    flight, metrics = wanted.in_flight, wanted.metrics
    common = Aws(
        wanted.account,
        wanted.region,
        wanted.profile or "",
        wanted.endpoint or "",
        None if flight is None else (flight.get, flight.in_flight, flight.last_arrival or ""),
        wanted.propagation,
        wanted.quiet,
        (wanted.read_back.times, wanted.read_back.every, wanted.read_back.within),
        (wanted.retries.mode, wanted.retries.attempts, wanted.retries.per_second),
        None if metrics.type == "cloudwatch" else (metrics.get, metrics.requests, metrics.errors_5xx),
        metrics.lag,
    )
    if wanted.type == "elb":
        return replace(common, load_balancer=wanted.load_balancer, instances=dict(wanted.instances))
    return replace(
        common,
        listeners=wanted.listeners,
        preview_priority=wanted.preview_priority,
        stickiness=wanted.stickiness,
        leave_others=wanted.other_rules == "leave",
    )


def _database(settings: Settings) -> Database | None:
    wanted = settings.database
    if wanted is None:
        return None
    kept, limits = wanted.backup, wanted.limits
    own = None if wanted.type == "sqlite" else wanted.backup
    return Database(
        kind=wanted.type,
        url=wanted.url,
        changes=wanted.changes.path,
        lock=limits.lock,
        lock_deadline=limits.lock_deadline,
        batch=limits.largest,
        replica_lag=limits.replica_lag,
        sessions=limits.sessions,
        backups=None if kept is None else kept.directory,
        backup_command=None if own is None else own.command,
        restore_into=wanted.backup.restore_into if wanted.type == "postgresql" and wanted.backup else None,
        login=None if wanted.type == "sqlite" else wanted.login,
        read=wanted.read if wanted.type in ("postgresql", "mysql") else (),
        server_directory=wanted.backup.server_directory if wanted.type == "sqlserver" and wanted.backup else "",
    )
