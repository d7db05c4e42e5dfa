"""What `doctor` says of a Caddy. Everything is only looked at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from changeover.core.errors import ChangeoverError
from changeover.core.model import RouteReading
from changeover.core.ports import Finding
from changeover_caddy import config, kernel
from changeover_caddy.admin import Admin
from changeover_caddy.file import ConfigFile
from changeover_caddy.log import AccessLog


def findings(
    name: str, admin: Admin, file: ConfigFile, log: AccessLog, read: Callable[[], RouteReading]
) -> Sequence[Finding]:
    """Never raises for what it can report."""
    try:
        reading = read()
        whole = admin.ask("GET", "/config/")
    except ChangeoverError as error:
        return (Finding(f"{name}: caddy", ok=False, detail=error.what, fix="; ".join(error.next)),)
    return (
        Finding(
            f"{name}: route",
            reading.settled,
            reading.problem or "file and Caddy agree",
            "changeover status",
            fatal=False,
        ),
        Finding(
            f"{name}: ETag",
            bool(whole.etag),
            "Caddy compares what it is to change" if whole.etag else "Caddy gives none, so two could write at once",
            "install Caddy 2.6 or newer",
        ),
        *_of_the_file(name, file, whole.body),
        *_of_the_server(name, whole.body),
        *_of_the_log(name, log, whole.body),
        _of_the_kernel(name),
    )


def _of_the_file(name: str, file: ConfigFile, running: Any) -> Iterator[Finding]:
    directory = file.path.parent
    writable = os.access(directory, os.W_OK)
    yield Finding(
        f"{name}: directory",
        writable,
        f"{directory} is {'' if writable else 'not '}writable",
        "let this user write it: the file is replaced by another one",
    )
    try:
        same = config.put(file.whole(), {}) == config.put(running, {})
        detail = (
            "" if same else "beside changeover's object, Caddy runs something else than a restart would come up with"
        )
    except (ChangeoverError, ValueError) as error:
        same, detail = False, str(error)
    yield Finding(
        f"{name}: file",
        same,
        detail or f"{file.path} is what Caddy runs",
        f"start Caddy by `caddy run --config {file.path}`; after an edit: `caddy reload --config {file.path}`",
    )


def _of_the_server(name: str, running: Any) -> Iterator[Finding]:
    found = config.server_of(running)
    if found is None:
        yield Finding(
            f"{name}: server",
            ok=False,
            detail="changeover's object is no route of an HTTP server",
            fix="put it into apps.http.servers: see README.md of changeover-caddy",
        )
        return
    server, options, place = found
    yield Finding(
        f"{name}: routes",
        place == 0,
        f"{place} routes of server {server} come before changeover's" if place else f"server {server}",
        "see that none of them takes what the pools are to answer",
        fatal=False,
    )
    limit = options.get("read_header_timeout", 0)
    fine = limit in ("1s", "2s", "3s", "4s", "5s")
    yield Finding(
        f"{name}: slow headers",
        fine,
        f"read_header_timeout of server {server} is {limit or 'not set'}"
        + ("" if fine else ": a request that was begun before a change may reach the old pool long after it"),
        f'set "read_header_timeout": "5s" or less in server {server}',
        fatal=False,
    )


def _of_the_log(name: str, log: AccessLog, running: Any) -> Iterator[Finding]:
    try:
        log.counters("")
    except ChangeoverError as error:
        yield Finding(f"{name}: access log", ok=False, detail=error.what, fix="; ".join(error.next))
        return
    ours = config.find(running)
    leaks = ours is not None and _is_sound(ours) and log.shows(config.secret_of(ours))
    yield Finding(
        f"{name}: access log",
        not leaks,
        f"{log.path} has the preview's secret" if leaks else f"{log.path} can be read",
        f"delete request>headers>{config.HEADER} by a filter encoder: see README.md of changeover-caddy; then make a new secret",
        fatal=False,
    )


def _of_the_kernel(name: str) -> Finding:
    moves = kernel.moves_waiting_connections()
    lack = f"{kernel.SETTING} is 0" if moves is False else f"this kernel does not have {kernel.SETTING}"
    return Finding(
        f"{name}: waiting connections",
        moves is True,
        f"{kernel.SETTING} is 1"
        if moves
        else f"{lack}: a connection that is opened in the moment of a change may be reset",
        f"sysctl -w {kernel.SETTING}=1, and a file in /etc/sysctl.d"
        if moves is False
        else "Linux 5.14 or newer under Caddy",
        fatal=False,
    )


def _is_sound(ours: config.Json) -> bool:
    try:
        config.read_object(ours)
    except ValueError:
        return False  # told already, as the route
    return True
