"""What the process runtime does, as shell commands for people: copyable as they stand, without any secret in them.

An instance that is started by hand carries the same mark, so the runtime finds it, knows its version and can stop it.
"""

from __future__ import annotations

import shlex
from shlex import quote

from changeover.core.model import Slot, Version
from changeover.drivers.argv import shell_value
from changeover.drivers.by_hand import is_identity, wait_until
from changeover.drivers.runtimes.process_settings import MARK, PASSED, ProcessSettings
from changeover.drivers.runtimes.proof import Checks, url_of


def start(settings: ProcessSettings, slot: Slot, version: Version, build: str) -> tuple[str, ...]:
    """In the background, in a session of its own: it survives the terminal. Nothing is done if the slot runs already."""
    environment = [f'{name}="${name}"' for name in PASSED if name not in settings.env]
    environment += [f"{n}={shell_value(text)}" for n, text in settings.variables(slot, version, build).items()]
    environment += [f"{n}={quote(text)}" for n, text in settings.marks(slot, version, build).items()]
    command = shlex.join(settings.argv(slot, version, build))
    directory, logs, log = (quote(str(p)) for p in (settings.directory, settings.logs, settings.log(slot)))
    begin = f"setsid nohup env -C {directory} -i {' '.join(environment)} {command} </dev/null >>{log} 2>&1 &"
    return (f"mkdir -p {logs}", f"if ! {_runs(settings, slot)}; then {begin} fi")


def stop(settings: ProcessSettings, slot: Slot) -> tuple[str, ...]:
    """SIGTERM to the instance and its workers, then wait until none is left. It is never killed."""
    words = f"{slot.name} runs on {settings.stop_within:g} s after SIGTERM; read {settings.log(slot)}"
    return (
        f"grep -lszxF {_mark(settings, slot)} /proc/[0-9]*/environ | cut -d/ -f3 | xargs -r kill || true",
        wait_until(f"! {_runs(settings, slot)}", settings.stop_within, words),
    )


def ready(checks: Checks, slot: Slot, version: Version, build: str, within: float) -> tuple[str, ...]:
    """Ends 0 when the instance is ready and says that it is this version and, if asked for, this build."""
    seconds = f"{checks.timeout:g}"
    answers = (
        f"curl -sS -m {seconds} -o /dev/null -w '%{{http_code}}\\n' {quote(url_of(slot, checks.ready))} | grep -qx 200"
    )
    is_it = f"curl -fsS -m {seconds} {quote(url_of(slot, checks.identity))} | {is_identity(checks.version, checks.build, version, build)}"
    what = f"v{version}" + (f" ({build})" if build else "")
    words = f"{slot.name} at {slot.address} is not ready as {what}"
    return (wait_until(f"{answers} && {is_it}", within, words),)


def _mark(settings: ProcessSettings, slot: Slot) -> str:
    return quote(f"{MARK}={settings.mark(slot)}")


def _runs(settings: ProcessSettings, slot: Slot) -> str:
    return f"grep -qszxF {_mark(settings, slot)} /proc/[0-9]*/environ"
