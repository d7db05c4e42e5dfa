"""The peer: HAProxy as people run it without changeover. A flip is a new configuration file and a reload, default options.

A reload is what `systemctl reload haproxy` does with the unit that Debian ships: `haproxy -c -q` on the new file, then SIGUSR2.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from bench.stage import Instances, Scene, instances, until
from changeover.core.errors import ToolMissing
from changeover.demo import servers
from changeover.drivers.balancers.haproxy_socket import MasterSocket

_CONFIGURATION = """\
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    default-server check inter 1s
frontend web
    bind 127.0.0.1:{port}
    default_backend app_{live}
"""
_BACKEND = """\
backend app_{pool}
    option httpchk GET /health
    server {pool}1 127.0.0.1:{first}
    server {pool}2 127.0.0.1:{second}
"""


@dataclass
class Peer(Scene):
    """A scene whose HAProxy is told of a flip by a reload."""

    master: Popen[bytes]
    socket: MasterSocket

    def flip(self, live: str) -> tuple[float, float]:
        """Reload with this pool as the live one: when it was asked for, and when the signal was sent; the file was there already."""
        path = _write(self.folder, self.ports[0], self.instances, live)
        asked = time.time()
        subprocess.run([str(self.master.args[0]), "-c", "-q", "-f", str(path)], check=True)  # type: ignore[index]
        signalled = time.time()
        self.master.send_signal(signal.SIGUSR2)
        return asked, signalled

    def settle(self) -> None:
        """Until the workers of before are gone."""
        until(lambda: [w.old for w in self.socket.workers()] == [False], "one worker is left")


def _write(folder: Path, port: int, found: Instances, live: str) -> Path:
    backends = (_BACKEND.format(pool=p, first=ports[0], second=ports[1]) for p, ports in found.ports.items())
    path = folder / "peer.cfg"
    path.write_text(_CONFIGURATION.format(port=port, live=live) + "".join(backends))
    return path


@contextmanager
def peer() -> Iterator[Peer]:
    """Start it; blue is live when it is handed out."""
    binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
    if not Path(binary).exists():
        raise ToolMissing("haproxy is not installed", next=("apt-get install haproxy",))
    with instances() as (started, found):
        (port,) = servers.free_ports(1)
        path = _write(found.folder, port, found, "blue")
        socket = found.folder / "peer.sock"
        argv = [binary, "-W", "-f", str(path), "-S", f"{socket},mode,600,level,admin"]
        master, log = started.start("peer", argv)
        servers.wait_for(port, master, log)
        ready = Peer(found.folder, [port], found, master, MasterSocket(str(socket)))
        ready.settle()
        ready.demand("blue")
        yield ready
