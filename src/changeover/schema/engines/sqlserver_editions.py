"""Which editions of SQL Server build indexes, and change columns, while everybody reads and writes."""

from __future__ import annotations

ONLINE = frozenset({3, 5, 8})
"""EngineEdition of Enterprise and Developer, of Azure SQL Database, of Azure SQL Managed Instance."""


def builds_online(version: tuple[int, ...]) -> bool:
    """`version` is (major version, EngineEdition). What is not known is taken for an edition that does not."""
    return version[1:2] != () and version[1] in ONLINE
