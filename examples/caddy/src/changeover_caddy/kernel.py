"""What the kernel does with connections that wait at a listener while Caddy changes.

Caddy opens its ports with SO_REUSEPORT: at each change the new configuration listens beside the old one, which then closes. A connection
that was made but not yet accepted waits at one of the two, and is reset if that one closes, unless the kernel may move it over
(`net.ipv4.tcp_migrate_req`, for IPv6 as well; Linux 5.14, Documentation/networking/ip-sysctl).
"""

from __future__ import annotations

from pathlib import Path

SETTING = "net.ipv4.tcp_migrate_req"
FILE = Path("/proc/sys/net/ipv4/tcp_migrate_req")


def moves_waiting_connections() -> bool | None:
    """Of the network that this process is in. `None`: this kernel does not have the setting."""
    try:
        return FILE.read_text("ascii").strip() == "1"
    except FileNotFoundError:
        return None
