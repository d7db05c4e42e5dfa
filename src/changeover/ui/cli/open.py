"""Where commands get what they act on. The only place of the command line that wires; tests give other doors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from changeover.service.door import Changeover
    from changeover.service.setup import Proposal
    from changeover.service.site import Site
    from changeover.service.wiring import CheckReport


@dataclass(frozen=True, slots=True)
class Doors:
    """`door` opens an environment, `spawn` starts its background worker and returns the pid."""

    door: Callable[[Path, str | None], Changeover]
    check: Callable[[Path, str | None, bool], CheckReport]
    propose: Callable[[Path | str | None, str, str], Proposal]
    spawn: Callable[[Site, str], int]
    demo: Callable[..., Mapping[str, Any]]
    demo_words: Callable[[dict[str, Any]], str]
    settings: Callable[[Path, str | None], str]
    schema: Callable[[], Mapping[str, Any]]
    change_schema: Callable[[], Mapping[str, Any]]


def real() -> Doors:
    """The doors of this machine; each imports what it needs when it is opened."""
    return Doors(_door, _check, _propose, _spawn, _demo, _demo_words, _settings, _schema, _change_schema)


def _door(config: Path, environment: str | None) -> Changeover:
    from changeover.service.door import Changeover
    from changeover.service.wiring import open_site

    return Changeover(open_site(config, environment))


def _check(config: Path, environment: str | None, online: bool) -> CheckReport:
    from changeover.service.wiring import check

    return check(config, environment, online=online)


def _propose(source: Path | str | None, app: str, environment: str) -> Proposal:
    from changeover.service.setup import propose

    if isinstance(source, str):
        return propose(Path.cwd(), None, app=app, environment=environment, arn=source)
    return propose(Path.cwd(), source, app=app, environment=environment)


def _spawn(site: Site, run: str) -> int:
    from changeover.service.wiring import spawn_worker

    return spawn_worker(site, run)


def _demo(*args: Any, **options: Any) -> Mapping[str, Any]:
    from changeover.demo import run

    return run(*args, **options)


def _demo_words(answer: dict[str, Any]) -> str:
    from changeover.demo import summary

    return summary(answer)


def _settings(config: Path, environment: str | None) -> str:
    from changeover.service.settings import shown

    return shown(config, environment)


def _schema() -> Mapping[str, Any]:
    from changeover.service.settings import schema

    return schema()


def _change_schema() -> Mapping[str, Any]:
    from changeover.service.settings import change_schema

    return change_schema()
