"""changeover.yml -> settings; every error names file, line, key and the fix.

Names are imported when they are asked for: `Resolver`, `Redactor` and `peek` need neither pydantic nor YAML.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from changeover.config.balancers import Balancer, Driver, Envoy, Haproxy, HaproxyServers
    from changeover.config.database import Database, Mysql, Postgresql, Sqlite, SqlServer
    from changeover.config.glance import Peek, peek
    from changeover.config.instances import CommandInstances, Instances, ProcessInstances
    from changeover.config.loader import load
    from changeover.config.probes import Probe, Smoke
    from changeover.config.redact import Redactor
    from changeover.config.reference import render_reference
    from changeover.config.schema import json_schema
    from changeover.config.secrets import Resolver, Secret
    from changeover.config.settings import Origin, Settings
    from changeover.config.write import Facts, marks, starter

_HOMES = {
    "balancers": ("Balancer", "Driver", "Envoy", "Haproxy", "HaproxyServers"),
    "database": ("Database", "Mysql", "Postgresql", "SqlServer", "Sqlite"),
    "instances": ("CommandInstances", "Instances", "ProcessInstances"),
    "loader": ("load",),
    "glance": ("Peek", "peek"),
    "probes": ("Probe", "Smoke"),
    "redact": ("Redactor",),
    "reference": ("render_reference",),
    "schema": ("json_schema",),
    "secrets": ("Resolver", "Secret"),
    "settings": ("Origin", "Settings"),
    "write": ("Facts", "marks", "starter"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Balancer",
    "CommandInstances",
    "Database",
    "Driver",
    "Envoy",
    "Facts",
    "Haproxy",
    "HaproxyServers",
    "Instances",
    "Mysql",
    "Origin",
    "Peek",
    "Postgresql",
    "Probe",
    "ProcessInstances",
    "Redactor",
    "Resolver",
    "Secret",
    "Settings",
    "Smoke",
    "SqlServer",
    "Sqlite",
    "json_schema",
    "load",
    "marks",
    "peek",
    "render_reference",
    "starter",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
