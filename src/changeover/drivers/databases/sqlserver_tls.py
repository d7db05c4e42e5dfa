"""TLS to a SQL Server: which authorities are trusted, and whether the certificate is that of the host asked for.

pytds 1.17 looks for the host in a way that pyOpenSSL took out: a certificate that names its host as subject alternative name,
as nearly all do, would be an AttributeError. So the comparison is ours, and takes the place of pytds'.
"""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changeover.core.errors import DatabaseUnreachable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)


def authorities(named: str) -> str:
    """The file of trusted certificates. Raises DatabaseUnreachable when there is none."""
    default = ssl.get_default_verify_paths().cafile
    for file in (named,) if named else (default or "", *_BUNDLES):
        if file and Path(file).is_file():
            return file
    raise DatabaseUnreachable(
        f"there is no file of trusted certificates{f' at {named}' if named else ''}, so the database's cannot be checked",
        next=("name it in the URL: ?cafile=/path/to/ca.pem", "on a wire that nobody else hears: ?encrypt=no"),
    )


def compare_hosts_ourselves() -> None:
    """Make pytds ask `is_for` whether a certificate is that of the host. Done twice is done once."""
    import pytds.tls

    pytds.tls.validate_host = _is_for


def _is_for(cert: Any, name: bytes) -> bool:
    return is_for(cert.to_cryptography(), name.decode("ascii"))


def is_for(certificate: Certificate, host: str) -> bool:
    """As RFC 6125 has it: the subject alternative names decide; the common name only where there are none.

    A wildcard stands for exactly one first label.
    """
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return any(_fits(str(c.value), host) for c in common)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return any(_fits(n, host) for n in names.get_values_for_type(x509.DNSName))
    return address in names.get_values_for_type(x509.IPAddress)


def _fits(pattern: str, host: str) -> bool:
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        return "." in host and host.partition(".")[2] == pattern[2:]
    return pattern == host
