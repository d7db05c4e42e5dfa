"""A dump of a MariaDB or MySQL database: the argument lists that make and restore it, and what of it is not restored."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from changeover.drivers.databases.mysql_address import Address
from changeover.drivers.databases.mysql_tools import address_words

_COMMON = (
    "--single-transaction",
    "--skip-lock-tables",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--no-tablespaces",
    "--max-allowed-packet=1G",
)
_MYSQL_ONLY = ("--set-gtid-purged=OFF", "--column-statistics=0")
_NAME = rb"`(?:[^`]|``)*`"
_DEFINER = re.compile(rb"^(CREATE |/\*!\d+ (?:CREATE\*/ /\*!\d+ )?)DEFINER=" + _NAME + rb"(?:@" + _NAME + rb")?")
_EVENT = b"/*!50106 CREATE*/ "
_ENABLED = re.compile(rb"( ON COMPLETION (?:NOT )?PRESERVE) ENABLE")
_BEGUN = (
    b"\n-- Table structure for ",
    b"\n-- Temporary ",
    b"\n-- Sequence structure ",
    b"\n-- Dumping ",
    b"\n-- Final view ",
)
_HEAD = 65_536  # bytes in which the first object begins


def dump_command(program: Path, address: Address, into: Path, *, mariadb: bool) -> list[str]:
    """One transaction, everything of the database, nothing of the server."""
    words = [str(program), *address_words(address, mariadb=mariadb), *_COMMON]
    return [*words, *(() if mariadb else _MYSQL_ONLY), f"--result-file={into}", address.database]


def restore_command(program: Path, address: Address, *, mariadb: bool, unlogged: bool) -> list[str]:
    """`unlogged`: the scratch copy goes to no replica, where the login may decide that."""
    words = [str(program), *address_words(address, mariadb=mariadb), "--binary-mode", "--max-allowed-packet=1G"]
    return [*words, *(("--init-command=SET SESSION sql_log_bin = 0",) if unlogged else ()), address.database]


def restorable(dump: Path) -> Iterator[bytes]:
    """The lines of a dump as scratch takes them: no definers, whose logins it need not know, and no event that would run.

    A line of rows begins with INSERT or a parenthesis, so it is never taken for one of these.
    """
    with dump.open("rb") as lines:
        for line in lines:
            told = _ENABLED.sub(rb"\1 DISABLE", line, count=1) if line.startswith(_EVENT) else line
            yield _DEFINER.sub(rb"\1", told)


def has_begun(part: Path) -> bool:
    """Whether a dump that is being written has its snapshot: the first object is written after its transaction has begun."""
    try:
        with part.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return False
    return any(word in head for word in _BEGUN)
