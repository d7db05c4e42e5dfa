"""PyMySQL, the library that speaks to MariaDB and MySQL: part of an extra, so it may be missing."""

from __future__ import annotations

from changeover.core.errors import ExtraMissing

try:
    import pymysql
except ImportError:
    raise ExtraMissing(
        "the MariaDB and MySQL driver needs PyMySQL, which is not installed", next=("pip install 'changeover[mysql]'",)
    ) from None

__all__ = ["pymysql"]
