"""The address of a SQL Server database: `mssql://user:password@host:1433/name`. The password is in no text that leaves here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from changeover.core.errors import DatabaseUnreachable

SCHEME = "mssql"
PORT = 1433
ENCRYPT, AUTHORITIES = "encrypt", "cafile"
_LONGEST = 128  # characters: what LOGIN7 takes of a name or password


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and who logs in.

    `encrypt`: TLS for the whole connection, the server's certificate compared with `cafile` ("" means what this machine
    trusts). Without it the password crosses the wire nearly in the clear.
    """

    host: str
    port: int
    database: str
    user: str
    password: str
    encrypt: bool = True
    cafile: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises DatabaseUnreachable for what is no such URL; the URL itself is never shown."""
        try:
            parts = urlsplit(url)
            port = PORT if parts.port is None else parts.port
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        except ValueError:
            _unreadable("the port or an option is wrong")
        if parts.scheme != SCHEME:
            _unreadable(f"it does not begin with {SCHEME}://")
        database = unquote(parts.path.removeprefix("/"))
        words = [unquote(w or "") for w in (parts.hostname, parts.username, parts.password)]
        host, user, password = words
        if not (host and database and user):
            _unreadable("host, user or database is missing")
        if "/" in database or any(len(w) > _LONGEST or _UNPRINTABLE.search(w) for w in (*words, database)):
            _unreadable("a part of it is no name, or longer than 128 characters")
        return cls(host, port, database, user, password, *_options(options))

    @property
    def alone(self) -> bool:
        """The server is on this machine: nobody else hears what is said."""
        return self.host in ("localhost", "127.0.0.1", "::1")

    def redact(self, text: str) -> str:
        """The text without the password, should a message quote it."""
        for secret in sorted({self.password, quote(self.password, safe="")}, key=len, reverse=True):
            text = text.replace(secret, "***") if len(secret) > 2 else text
        return text


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def _options(options: Mapping[str, str]) -> tuple[bool, str]:
    known = {ENCRYPT, AUTHORITIES}
    if options.keys() - known:
        _unreadable(f"it has an option that is none of {', '.join(sorted(known))}")
    encrypt = options.get(ENCRYPT, "yes")
    if encrypt not in ("yes", "no"):
        _unreadable(f"{ENCRYPT} is yes or no")
    return encrypt == "yes", options.get(AUTHORITIES, "")


def _unreadable(why: str) -> NoReturn:
    raise DatabaseUnreachable(
        f"the database's URL cannot be read (it is not shown: it is a secret): {why}",
        next=(f"write it as {SCHEME}://user:password@host:{PORT}/name; encode special characters as %XX",),
    ) from None


def other_database(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{quote(database, safe='')}{query}"
