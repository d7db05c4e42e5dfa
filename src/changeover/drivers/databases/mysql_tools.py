"""mariadb-dump, mysqldump and their clients: found, of the server's make and age, run without a password in their arguments."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from changeover.core.errors import ToolMissing
from changeover.drivers.databases.mysql_address import Address
from changeover.drivers.databases.mysql_session import Product
from changeover.drivers.databases.restore_files import failed

DUMPS = ("mariadb-dump", "mysqldump")
CLIENTS = ("mariadb", "mysql")
_VERSION = re.compile(r"(?:Distrib|from|Ver)\s+(\d+\.\d+\.\d+(?:-MariaDB)?)")
_PERIOD = 0.1  # seconds between two looks at a running tool
_TAIL = 400  # characters of what a tool said last

Look = Callable[[], None]
"""Called while a tool runs; what it raises ends the tool."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are looked for, in order."""

    directories: tuple[Path, ...]

    @classmethod
    def installed(cls) -> Tools:
        """The PATH."""
        return cls(tuple(Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p))

    def find(self, programs: Sequence[str], server: Product) -> Path:
        """The first program of the server's own make whose major version is not older. Raises ToolMissing."""
        seen: list[str] = []
        for program in programs:
            for directory in self.directories:
                path = directory / program
                if not (
                    os.access(path, os.X_OK) and path.is_file()
                ):  # in this order: is_file raises where one may not look
                    continue
                found = version_of(path)
                if found.mariadb == server.mariadb and found.version[:1] >= server.version[:1]:
                    return path
                seen.append(f"{path} is of {found}")
        found_ = "; ".join(dict.fromkeys(seen)) or "none was found"
        make = f"{'MariaDB' if server.mariadb else 'MySQL'} {'.'.join(map(str, server.version[:1]))}"
        raise ToolMissing(
            f"{' or '.join(programs)} of {make} or newer is needed: {found_}",
            next=(f"install the {make} client programs", "or give a backup command of your own"),
        )


def version_of(path: Path) -> Product:
    """What the program tells of itself; a product without a version if it does not."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return Product(mariadb=False, version=())
    return product_in(told)


def product_in(told: str) -> Product:
    """`mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB`, `mariadb from 11.4.2-MariaDB`, `mysqldump  Ver 8.0.36 for Linux`."""
    versions = _VERSION.findall(told)
    return Product.of(versions[-1]) if versions else Product(mariadb="mariadb" in told.lower(), version=())


def address_words(address: Address, *, mariadb: bool) -> list[str]:
    """The server as arguments; without ~/.my.cnf, which may say something else, and without the password."""
    words = ["--no-defaults", f"--user={address.user}", "--default-character-set=utf8mb4"]
    if address.socket:
        words += ["--protocol=socket", f"--socket={address.socket}"]
    else:
        words += ["--protocol=tcp", f"--host={address.host}", f"--port={address.port}"]
    words += [
        f"--{key.replace('_', '-')}={address.tls[key]}"
        for key in ("ssl_ca", "ssl_cert", "ssl_key")
        if key in address.tls
    ]
    if address.flag("ssl_verify_identity") or address.flag("ssl_verify_cert"):
        mode = "VERIFY_IDENTITY" if address.flag("ssl_verify_identity") else "VERIFY_CA"
        words.append("--ssl-verify-server-cert" if mariadb else f"--ssl-mode={mode}")
    return words


def secret(address: Address) -> dict[str, str]:
    """The password, as the programs read it from their environment."""
    return {"MYSQL_PWD": address.password} if address.password else {}


@dataclass(slots=True)
class Running:
    """A program that runs in a process group of its own."""

    process: subprocess.Popen[bytes]
    err: IO[str]
    out: IO[str]
    redact: Callable[[str], str]

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait(self, look: Look) -> str:
        """Wait to the end; `look` is called meanwhile. Returns stdout. Raises RestorePointFailed with what it said last."""
        while not self.ended:
            look()
            time.sleep(_PERIOD)
        if self.process.returncode:
            self.err.seek(0)
            said = " ".join(self.err.read().split())[-_TAIL:]
            program = Path(str(self.process.args[0] if isinstance(self.process.args, list) else "")).name
            full = "No space left" in said or "errno: 28" in said or "Errcode: 28" in said
            raise failed(
                f"{program} ended with {self.process.returncode}: {self.redact(said) or 'it said nothing'}", disk=full
            )
        self.out.seek(0)
        return self.out.read()


@contextmanager
def started(
    argv: Sequence[str | Path],
    environment: Mapping[str, str],
    redact: Callable[[str], str],
    feed: Iterable[bytes] | None = None,
) -> Iterator[Running]:
    """The program; `feed` is its standard input. At the end of the block nothing of its process group goes on."""
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        process = _start(argv, environment, out.fileno(), err.fileno(), fed=feed is not None)
        feeder = threading.Thread(target=_pour, args=(feed, process.stdin), daemon=True) if feed is not None else None
        try:
            if feeder is not None:
                feeder.start()
            yield Running(process, err, out, redact)
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if feeder is not None:
                feeder.join()


def _pour(feed: Iterable[bytes], into: IO[bytes]) -> None:
    """A program that ends early says itself why."""
    with suppress(OSError):
        for line in feed:
            into.write(line)
    with suppress(OSError):
        into.close()


def _start(
    argv: Sequence[str | Path], environment: Mapping[str, str], out: int, err: int, *, fed: bool
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [str(word) for word in argv],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolMissing(
            f"{argv[0]} cannot be run: {error.strerror}", next=("install it or correct its path",)
        ) from None
