"""Plan files: told apart from versions, read, written as a whole, and held against the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from changeover.core.errors import ChangeoverError, PlanUnreadable, UsageError, VersionUnusable
from changeover.core.model import Version
from changeover.core.steps import Plan, load

if TYPE_CHECKING:
    from changeover.service.site import Site

MOST_BYTES = 64 * 1024 * 1024


def is_file(what: str) -> bool:
    """Whether PLAN|VERSION names a plan: a file that is there, or a path that cannot be a version."""
    if Path(what).is_file():
        return True
    if os.sep in what or what.endswith((".plan", ".json")):
        return True
    try:
        Version.of(what)
    except VersionUnusable:
        raise UsageError(
            f"{what!r} is neither a file nor a version",
            next=("changeover plan VERSION --out FILE", "write a version as numbers and dots: 1.1.0"),
        ) from None
    return False


def read(path: Path) -> Plan:
    """A saved plan. Raises PlanUnreadable: not there, not a plan, edited, or made by a newer changeover."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise PlanUnreadable(
            f"{path} cannot be read: {error.strerror}", next=("changeover plan VERSION --out FILE",)
        ) from None
    except UnicodeDecodeError:
        raise PlanUnreadable(f"{path} is not a plan file", next=("changeover plan VERSION --out FILE",)) from None
    if len(raw) > MOST_BYTES:
        raise PlanUnreadable(f"{path} is too large for a plan")
    try:
        return load(text)
    except ChangeoverError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise PlanUnreadable(f"{path} is not a plan file", next=("changeover plan VERSION --out FILE",)) from None


def must_fit(plan: Plan, site: Site, kind: str) -> None:
    """The plan is of this kind, for this application and environment. Raises PlanUnreadable."""
    if plan.kind != kind:
        way = {"undo": "schema undo --plan FILE", "cleanup": "cleanup --plan FILE"}.get(plan.kind, plan.kind)
        what = "an undo" if plan.kind == "undo" else f"a {plan.kind}"
        raise PlanUnreadable(f"this is the plan of {what}, not of a {kind}", next=(f"changeover {way}",))
    if (plan.app, plan.environment) != (site.app, site.environment):
        raise PlanUnreadable(
            f"the plan is for {plan.app} {plan.environment}; this is {site.app} {site.environment}",
            next=("name the right configuration and environment: -c FILE -e ENVIRONMENT",),
        )


def write(path: Path, text: str) -> None:
    """Write a file as a whole: readers see the old one or the new one. Raises UsageError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
