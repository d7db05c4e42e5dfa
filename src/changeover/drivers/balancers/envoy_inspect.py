"""What `doctor` looks at on an Envoy. Read-only; nothing here raises for what it can report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from changeover.core.errors import BalancerUnreachable, ChangeoverError
from changeover.core.model import RouteReading
from changeover.core.ports import Finding
from changeover.drivers.balancers.envoy_admin import Admin
from changeover.drivers.balancers.envoy_counts import aggregates, is_checked, members
from changeover.drivers.balancers.envoy_route import Terms

LISTENERS_PATH = "/config_dump?resource=static_listeners"
DYNAMIC_LISTENERS_PATH = "/config_dump?resource=dynamic_listeners"


def findings(admin: Admin, terms: Terms, routes: str, reading: RouteReading | ChangeoverError) -> Iterator[Finding]:
    """One finding per subject, in the order in which a person would look. `reading` is what `read` gave or raised."""
    yield _directory(routes)
    try:
        admin.ping()
    except BalancerUnreachable as error:
        yield Finding("admin port", False, error.what, f"start Envoy with its admin port at {admin.address}")
        return
    yield Finding("admin port", True, f"{admin.address} answers")
    for look in (_clusters, _subscription):
        try:
            yield from look(admin, terms, routes)
        except BalancerUnreachable as error:
            yield Finding("admin port", False, error.what, "see Envoy's log", cause=error)
    yield _route(reading, routes)


def _directory(routes: str) -> Finding:
    folder = Path(os.path.realpath(routes)).parent
    ok = os.access(folder, os.W_OK | os.X_OK)
    detail = f"{folder} is writable" if ok else f"{folder} is absent or not writable for this user"
    return Finding(
        "route directory", ok, detail, "" if ok else f"let this user write {folder}: the route is a rename there"
    )


def _clusters(admin: Admin, terms: Terms, _routes: str) -> Iterator[Finding]:
    known = admin.clusters()
    for pool, cluster in terms.clusters.items():
        subject = f"pool {pool}"
        absent = [name for name in (*members(terms, pool), *aggregates(terms, pool)) if name not in known]
        sizes = {len(known[name]) for name in members(terms, pool) if name in known}
        if absent:
            fix = "add them to Envoy's bootstrap; see the one that changeover renders"
            yield Finding(subject, False, f"Envoy has no cluster {', '.join(absent)}", fix)
        elif 0 in sizes:
            yield Finding(subject, False, f"a cluster of {cluster!r} has no instances", "add its endpoints")
        elif len(sizes) > 1:
            yield Finding(
                subject, False, f"{' and '.join(members(terms, pool))} differ", "give both the same endpoints"
            )
        elif unchecked := [name for name in members(terms, pool) if not is_checked(admin, name)]:
            yield Finding(subject, False, f"no health checks: {', '.join(unchecked)}", "add health_checks to them")
        else:
            yield Finding(subject, True, f"cluster {cluster!r} with {len(known[cluster])} instances, checked")


def _subscription(admin: Admin, terms: Terms, routes: str) -> Iterator[Finding]:
    """Does a listener take the route of this name from this file, on a rename?"""
    sources = [
        source
        for path in (LISTENERS_PATH, DYNAMIC_LISTENERS_PATH)
        for name, source in _rds(admin.json(path))
        if name == terms.name
    ]
    files = [s.get("path_config_source", {}) for s in sources]
    real = os.path.realpath(routes)
    if not sources:
        yield Finding("listener", False, f"no listener asks for the route configuration {terms.name!r}", "see its rds")
    elif not all(os.path.realpath(f.get("path", "")) == real for f in files):
        others = ", ".join(sorted({str(f.get("path", "another source")) for f in files}))
        yield Finding("listener", False, f"the route comes from {others}, not from {routes}", "make both the same path")
    elif not all(
        os.path.realpath(f.get("watched_directory", {}).get("path", "")) == str(Path(real).parent) for f in files
    ):
        fix = f"add watched_directory: {{path: {Path(real).parent}}} to the path_config_source"
        yield Finding("listener", False, "Envoy does not watch the directory of the route file", fix)
    else:
        yield Finding("listener", True, f"takes the route from {routes}")


def _rds(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(route_config_name, config_source) of every `rds` anywhere in a dump."""
    if isinstance(value, dict):
        rds = value.get("rds")
        if isinstance(rds, dict) and isinstance(rds.get("config_source"), dict):
            yield str(rds.get("route_config_name", "")), rds["config_source"]
        for inner in value.values():
            yield from _rds(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _rds(inner)


def _route(reading: RouteReading | ChangeoverError, routes: str) -> Finding:
    if isinstance(reading, ChangeoverError):
        return Finding("route", False, reading.what, "; ".join(reading.next))
    if reading.settled:
        return Finding("route", True, f"{reading.route.live if reading.route else '?'} is live; file and Envoy agree")
    return Finding(
        "route", False, reading.problem, f"compare {routes} with Envoy's config_dump; the next commit writes both"
    )
