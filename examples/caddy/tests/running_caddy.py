"""A real Caddy with two pools of instances, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from changeover_caddy import config
from changeover_caddy.admin import Admin
from changeover_caddy.driver import OURS, CaddyBalancer, CaddySettings
from tests.fixtures.fronted import Fronted
from tests.fixtures.instances import Instance, pool
from tests.fixtures.need import need
from tests.fixtures.ports import free_port

from changeover.core.model import Route
from changeover.testing.cases import BLUE, GREEN, START, until

SECRET = "s" * 43


class Caddy(Fronted):
    """`BalancerUnderTest`."""

    kind = "caddy"

    def __init__(
        self, directory: Path, pools: Mapping[str, list[Instance]], *, keep_alive: bool = False, tcp: bool = False
    ) -> None:
        super().__init__(pools)
        self.directory, self.keep_alive = directory, keep_alive
        self.file = directory / "caddy.json"
        self.admin = f"127.0.0.1:{free_port()}" if tcp else str(directory / "admin.sock")
        (directory / "secret").write_text(SECRET)
        (directory / "access.log").touch()
        self.driver = self.second()
        self.site = config.Site(self.driver.settings.pools, SECRET, check_every=0.2, keep_alive=keep_alive)
        ours = config.route_object(START, self.site, token=0, run="")
        self.file.write_text(
            json.dumps(config.first(self.admin, f"127.0.0.1:{self.port}", str(directory / "access.log"), ours))
        )
        self._log = (directory / "caddy.out").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def second(self, **changed: object) -> CaddyBalancer:
        return CaddyBalancer(replace(self._settings(), **changed))  # type: ignore[arg-type]

    def _settings(self) -> CaddySettings:
        return CaddySettings(
            name="caddy",
            entry=f"http://127.0.0.1:{self.port}",
            pools={p: tuple(i.address for i in each) for p, each in self.pools.items()},
            admin=self.admin,
            config=str(self.file),
            secret=str(self.directory / "secret"),
            log=str(self.directory / "access.log"),
            check_every=0.2,
            keep_alive=self.keep_alive,
        )

    def start(self) -> None:
        """Returns when each instance was checked twice."""
        each = [instance for pool in self.pools.values() for instance in pool]
        before = [instance.checks for instance in each]
        argv = ["caddy", "run", "--config", str(self.file)]
        env = {
            "HOME": str(self.directory),
            "XDG_DATA_HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory),
        }
        self._process = subprocess.Popen(
            argv, stdout=self._log, stderr=self._log, env={**env, "PATH": "/usr/bin:/bin:/usr/local/bin"}
        )
        until(lambda: self.get().status == 200, within=15)
        until(lambda: all(i.checks >= n + 2 for i, n in zip(each, before, strict=True)), within=15)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(5)
            Path(self.admin).unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()
        self._log.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def break_control(self) -> None:
        Path(self.admin).rename(self.admin + ".away")

    def mend_control(self) -> None:
        Path(self.admin + ".away").rename(self.admin)

    def change_by_hand(self, route: Route) -> None:
        self.patch(config.route_object(route, self.site, token=0, run="hand"))

    def running(self) -> config.Json:
        """Our object as Caddy has it."""
        answer = Admin(self.admin).ask("GET", OURS)
        assert answer.status == 200, answer
        return answer.body

    def patch(self, ours: config.Json) -> None:
        """As somebody with curl would."""
        answer = Admin(self.admin).ask("PATCH", OURS, ours)
        assert answer.status == 200, answer


@contextlib.contextmanager
def caddy(*, keep_alive: bool = False, tcp: bool = False) -> Iterator[Caddy]:
    need("caddy")
    directory = Path(tempfile.mkdtemp(prefix="co-cad-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        pools = {name: stack.enter_context(pool(name)) for name in (BLUE, GREEN)}
        running = Caddy(directory, pools, keep_alive=keep_alive, tcp=tcp)
        stack.callback(running.close)
        running.start()
        yield running
