"""Where a MariaDB or MySQL server is: the parts of its URL, which itself is never shown.

`mysql://user:password@host:3306/name` or `mariadb://…`, special characters as %XX; `?unix_socket=/run/mysqld/mysqld.sock`
instead of a host. Parameters: `unix_socket`, `ssl_ca`, `ssl_cert`, `ssl_key`, `ssl_verify_cert`, `ssl_verify_identity`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from changeover.core.errors import DatabaseUnreachable

PORT = 3306
_SCHEMES = ("mysql", "mariadb")
_TLS = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity")
_FLAGS = ("ssl_verify_cert", "ssl_verify_identity")
_OTHERS = ("unix_socket", "charset")  # charset: other drivers want it; here it is always utf8mb4
_FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class Address:
    """`socket` "" : over TCP. `tls`: what the URL says of it, files and flags by their names."""

    user: str
    password: str
    host: str
    port: int
    database: str
    socket: str = ""
    tls: Mapping[str, str] = field(default_factory=dict)

    def flag(self, name: str) -> bool | None:
        """A yes or no of the TLS parameters; None: the URL does not say."""
        said = self.tls.get(name)
        return None if said is None else said.lower() not in _FALSE


def address_of(url: str) -> Address:
    """Raises DatabaseUnreachable for what is no such URL; the URL itself is never shown: it is a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unreadable("it cannot be read") from None
    path = parts.path.removeprefix("/")
    if parts.scheme.partition("+")[0] not in _SCHEMES:
        raise _unreadable("it does not begin with mysql:// or mariadb://")
    if not path or "/" in path:
        raise _unreadable("it does not end with the name of a database")
    words = dict(parse_qsl(parts.query, keep_blank_values=True))
    if words.keys() - {*_TLS, *_OTHERS}:  # not named: behind an unescaped ? it could be half a password
        raise _unreadable(f"of parameters only these are known: {', '.join(sorted((*_TLS, *_OTHERS)))}")
    return Address(
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        parts.hostname or "127.0.0.1",
        port or PORT,
        unquote(path),
        words.get("unix_socket", ""),
        {k: v for k, v in words.items() if k in _TLS},
    )


def _unreadable(why: str) -> DatabaseUnreachable:
    return DatabaseUnreachable(
        f"the database's URL cannot be used: {why} (it is not shown: it is a secret)",
        next=("write it as mysql://user:password@host:3306/name; encode special characters as %XX",),
    )


def other(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    parts = urlsplit(url)
    return SplitResult(parts.scheme, parts.netloc, f"/{quote(database, safe='')}", parts.query, "").geturl()
