"""changeover.yml -> an environment that can act: drivers chosen, secrets resolved at the moment of use."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from changeover.config import Redactor, Resolver
from changeover.core.errors import BalancerMisconfigured, ChangeoverError
from changeover.core.model import ChangeSet
from changeover.core.ports import Balancer, BalancerOrder, Database, Host, Ports, Prober, Reader, Runtime, Web
from changeover.drivers.argv import shell_value
from changeover.drivers.sources.sql_files import Changes
from changeover.schema.declared import Declared
from changeover.service import wires as _wires
from changeover.service.site import Site
from changeover.service.wires import Wires

if TYPE_CHECKING:
    from changeover.drivers.databases.limits import Limits
    from changeover.drivers.runtimes.proof import Checks


DRIVERS = "changeover.balancers"  # the entry points of drivers that other packages bring


@dataclass(frozen=True, slots=True)
class Secrets:
    """Resolves references of one configuration, and takes what they gave out of every text."""

    resolver: Resolver
    redactor: Redactor

    @classmethod
    def of(cls, directory: Path) -> Secrets:
        redactor = Redactor()
        return cls(Resolver(directory, redactor), redactor)

    def reveal(self, text: str) -> str:
        """The text with its references resolved. Raises SecretUnresolved."""
        return self.resolver.resolve(text).reveal()


def open_site(config: Path, environment: str | None = None) -> Site:
    """Load and wire an environment. Raises ConfigurationMissing, ConfigurationError."""
    return wire(_wires.read(config, environment), environment)


def wire(wires: Wires, overlay: str | None = None) -> Site:
    """Nothing is contacted and no secret is resolved yet."""
    from changeover.drivers.clock import SystemClock
    from changeover.drivers.hosts import LocalHost
    from changeover.drivers.web import HttpWeb

    secrets = Secrets.of(wires.directory)
    host = LocalHost(redact=secrets.redactor.redact, directory=wires.directory)
    web = HttpWeb()
    first, second = wires.slots
    known, unreadable = _readable(wires.database)
    return Site(
        app=wires.app,
        environment=wires.environment,
        pools=(first, second),
        policy=wires.policy,
        ports=Ports(
            balancer=_balancers(wires),
            runtime=_runtime(wires, secrets, host, web),
            database=_database(wires, secrets),
            prober=_prober(wires, host, web),
            clock=SystemClock(),
            readers=_readers(wires, secrets),
        ),
        changes=known.sets,
        declared=known.declared,
        unreadable=unreadable,
        configuration=wires.digest,
        store=wires.state,
        config=wires.file,
        assets=tuple(path for path, _, _, looked_after in wires.smoke if looked_after),
        overlay=overlay,
    )


def _readable(database: _wires.Database | None) -> tuple[Changes, ChangeoverError | None]:
    """Change files that cannot be used stop what plans forward; `status` and the way back need none of them."""
    try:
        return changes(database), None
    except ChangeoverError as error:
        return Changes(), error


def changes(database: _wires.Database | None) -> Changes:
    """Everything that the configured source has, classified. Raises ChangesUnreadable, WouldBreak, StatementUnknown."""
    if database is None:
        return Changes()
    from changeover.drivers.sources.sql_files import read_directory

    return read_directory(database.changes, database.kind)


def _balancers(wires: Wires) -> Balancer:
    """The one balancer, or all of them as one."""
    found = [_balancer(b, wires) for b in wires.balancers]
    if len(found) == 1:
        return found[0]
    from changeover.drivers.balancers.several import SeveralBalancers

    return SeveralBalancers(found)


def _balancer(wanted: _wires.Balancer, wires: Wires) -> Balancer:
    if wanted.kind == "haproxy":
        from changeover.drivers.balancers.haproxy import HaproxyBalancer, HaproxySettings

        return HaproxyBalancer(
            HaproxySettings(
                name=wanted.name,
                socket=wanted.socket,
                map_path=wanted.map,
                preview_map_path=wanted.preview_map,
                backends=wanted.targets,
                entry=wanted.entry,
                config_path=wanted.config,
                log=wanted.log,
            )
        )
    if wanted.kind == "driver":
        return _foreign(wanted, wires)
    if wanted.kind == "haproxy-servers":
        from changeover.drivers.balancers.haproxy_servers import HaproxyServersBalancer, HaproxyServersSettings

        return HaproxyServersBalancer(
            HaproxyServersSettings(
                name=wanted.name,
                socket=wanted.socket,
                backend=wanted.backend,
                servers=wanted.servers or {},
                entry=wanted.entry,
                config_path=wanted.config,
                log=wanted.log,
                state_path=wanted.state_file,
                reload=wanted.reload,
            )
        )
    if wanted.aws is not None:
        from changeover.service.wiring_aws import balancer

        return balancer(wanted, wires, wanted.aws)
    from changeover.drivers.balancers.envoy import EnvoyBalancer, EnvoySettings

    return EnvoyBalancer(
        EnvoySettings(
            name=wanted.name,
            admin=wanted.admin,
            routes=wanted.routes,
            clusters=wanted.targets,
            entry=wanted.entry,
            preview_secret_file=wanted.preview_secret,
        )
    )


def _foreign(wanted: _wires.Balancer, wires: Wires) -> Balancer:
    """A driver that another package brings. Raises BalancerMisconfigured if none has the name, or it is no driver."""
    from importlib.metadata import entry_points

    known = {point.name: point for point in entry_points(group=DRIVERS)}
    point = known.get(wanted.driver)
    if point is None:
        raise BalancerMisconfigured(
            f"no installed package brings the driver {wanted.driver!r}; there are: {', '.join(sorted(known)) or 'none'}",
            now="Nothing was changed.",
            next=("install the package that has it, into the environment of changeover",),
        )
    order = BalancerOrder(wanted.name, wanted.entry, wires.slots, wanted.options or {}, wires.directory)
    try:
        make = point.load()
    except (ImportError, AttributeError) as error:
        raise BalancerMisconfigured(
            f"the driver {wanted.driver!r} of {point.value} cannot be loaded: {error}",
            next=("mend or install again the package that has it",),
        ) from None
    made: Balancer = make(order)
    missing = [name for name in vars(Balancer) if not name.startswith("_") and not hasattr(made, name)]
    if missing:
        raise BalancerMisconfigured(
            f"the driver {wanted.driver!r} of {point.value} is none: it has no {', '.join(missing)}",
            next=("see docs/howto/write-a-driver.md",),
        )
    return made


def _checks(wires: Wires) -> Checks:
    from changeover.drivers.runtimes.proof import Checks

    asked = wires.instances
    return Checks(
        asked.ready,
        asked.identity,
        asked.version_key,
        asked.build_key,
        asked.ready_timeout,
        asked.requests_key,
        asked.configuration_key,
    )


def _runtime(wires: Wires, secrets: Secrets, host: Host, web: Web) -> Runtime:
    from changeover.drivers.runtimes.proof import Inspector

    wanted, inspector = wires.instances, Inspector(web, _checks(wires))
    if wanted.kind == "process":
        from changeover.drivers.runtimes.process import ProcessRuntime
        from changeover.drivers.runtimes.process_settings import ProcessSettings

        return ProcessRuntime(
            ProcessSettings(
                app=wires.app,
                pools=wires.slots,
                command=wanted.command,
                directory=wanted.directory,
                logs=wanted.logs,
                state=wires.state.parent / "instances",
                env=wanted.env or {},
                stop_within=wanted.stop_within,
                signal=next(iter(wanted.signal), ""),
                resolve=secrets.reveal,
                redact=secrets.redactor.redact,
            ),
            inspector,
        )
    from changeover.drivers.runtimes.command import CommandRuntime, CommandSettings

    return CommandRuntime(
        CommandSettings(
            wires.slots, wanted.start, wanted.stop, wanted.status, stop_within=wanted.stop_within, signal=wanted.signal
        ),
        host,
        inspector,
    )


def _prober(wires: Wires, host: Host, web: Web) -> Prober:
    from changeover.drivers.prober import CommandProber, ProbeCommand, SmokeCheck

    return CommandProber(
        tuple(ProbeCommand(*p) for p in wires.probes),
        tuple(SmokeCheck(*s) for s in wires.smoke),
        host,
        web,
        _checks(wires),
        "" if wires.database is None else wires.database.url,
    )


def _database(wires: Wires, secrets: Secrets) -> Database | None:
    wanted = wires.database
    if wanted is None:
        return None
    limits = _limits(wanted)
    url = partial(secrets.reveal, wanted.url)
    if wanted.kind == "sqlite":
        from changeover.drivers.databases.sqlite import SqliteDatabase, SqliteSettings

        words = sqlite_file(wanted.url)
        return SqliteDatabase(SqliteSettings(url, wires.environment, wanted.backups, limits, words))
    if wanted.kind == "sqlserver":
        return _sqlserver(wires, wanted, secrets)
    read = tuple(partial(secrets.reveal, one) for one in wanted.read)
    into = None if wanted.restore_into is None else partial(secrets.reveal, wanted.restore_into)
    words = shell_value(wanted.url)
    if wanted.kind == "mysql":
        from changeover.drivers.databases import mysql
        from changeover.drivers.databases import mysql_backup as kept

        dumps = None if wanted.backups is None else kept.BackupSettings(wanted.backups, wanted.backup_command, into)
        return mysql.MysqlDatabase(
            mysql.MysqlSettings(url, wires.environment, dumps, limits, wanted.login, words, read)
        )
    from changeover.drivers.databases.postgresql import PostgresqlDatabase, PostgresqlSettings
    from changeover.drivers.databases.postgresql_backup import BackupSettings

    points = None if wanted.backups is None else BackupSettings(wanted.backups, wanted.backup_command, into)
    return PostgresqlDatabase(PostgresqlSettings(url, wires.environment, points, limits, wanted.login, words, read))


def _limits(wanted: _wires.Database) -> Limits:
    from changeover.drivers.databases.limits import Limits

    return Limits(
        lock=wanted.lock,
        lock_deadline=wanted.lock_deadline,
        replica_lag=wanted.replica_lag,
        sessions=wanted.sessions,
    )


def _readers(wires: Wires, secrets: Secrets) -> tuple[Reader, ...]:
    if wires.database is None or not wires.database.read:
        return ()
    urls, lag = [partial(secrets.reveal, url) for url in wires.database.read], wires.database.replica_lag
    if wires.database.kind == "mysql":
        from changeover.drivers.databases.mysql_reader import MysqlReader

        return tuple(MysqlReader(url, wires.environment, lag) for url in urls)
    from changeover.drivers.databases.postgresql_reader import PostgresqlReader

    return tuple(PostgresqlReader(url, wires.environment, lag) for url in urls)


def _sqlserver(wires: Wires, wanted: _wires.Database, secrets: Secrets) -> Database:
    from changeover.drivers.databases.sqlserver import SqlServerDatabase, SqlServerSettings
    from changeover.drivers.databases.sqlserver_backup import BackupSettings

    points = (
        None
        if wanted.backups is None
        else BackupSettings(wanted.backups, wanted.backup_command, wanted.server_directory)
    )
    limits = _limits(wanted)
    url = partial(secrets.reveal, wanted.url)
    return SqlServerDatabase(SqlServerSettings(url, wires.environment, points, limits, wanted.login, wanted.url))


def sqlite_file(url: str) -> str:
    """How a shell names the file of `sqlite:///data/shop.db`, or of a reference to such a URL; never a secret's value."""
    path = url.removeprefix("sqlite:///").partition("?")[0]
    if path != url:
        return shell_value(path)
    variable = re.fullmatch(r"\$\{env:(\w+)\}", url)
    if variable:
        return f'"${{{variable[1]}#sqlite:///}}"'
    return f'"$(echo {shell_value(url)} | sed s,^sqlite:///,,)"'


def spawn_worker(site: Site, run: str) -> int:
    """Start a background worker that goes on with a run when this terminal is gone. Returns its pid."""
    site.store.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "changeover", "-c", str(site.config)]
    if site.overlay is not None:
        argv += ["-e", site.overlay]
    with (site.store.parent / "worker.log").open("ab") as log:
        worker = subprocess.Popen(
            [*argv, "worker", run], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return worker.pid


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` looked at: the configuration and the change files; no server and no secret, unless it was `online`.

    `changes` of operations are compiled only then. `operations`: how many there are.
    """

    config: str
    app: str
    environment: str
    changes: tuple[ChangeSet, ...]
    declared: tuple[Declared, ...] = ()
    online: bool = False

    @property
    def operations(self) -> int:
        return sum(len(d.operations) for d in self.declared)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Statements that need a named acknowledgement: `file:line title: reason`."""
        return tuple(
            f"{s.file}:{s.line}  {s.title}: {s.reason}"
            for c in self.changes
            for s in (*c.adds, *c.contract, *c.drop)
            if s.verdict.value != "OK"
        )


def check(config: Path, environment: str | None = None, *, online: bool = False) -> CheckReport:
    """Lint configuration and change files, for CI. Raises all problems of the first kind found, at once.

    `online`: the database is asked too, and operations are compiled against its tables as they are. Nothing is changed.
    """
    from changeover.config import load
    from changeover.schema.linting import lint
    from changeover.schema.problems import refusal

    wires = _wires.of(load(config, environment))
    found = changes(wires.database)
    if wires.database is not None:
        problems = [p for d in found.declared for p in lint(d, wires.database.kind)]
        if problems:
            raise refusal(problems)
    sets = _compiled(wire(wires, environment)) if online and wires.database is not None and found.sets else found.sets
    return CheckReport(str(config), wires.app, wires.environment, sets, found.declared, online)


def _compiled(site: Site) -> tuple[ChangeSet, ...]:
    """Every change set as a plan would have it now. Raises what compiling raises, DatabaseUnreachable."""
    from changeover.service.compiling import upto

    assert site.ports.database is not None
    return upto(site, site.ports.database.read(), max(c.version for c in site.changes))
