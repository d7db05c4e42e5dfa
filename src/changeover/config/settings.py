"""The whole of changeover.yml as one frozen value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypedDict

from pydantic import Field, PrivateAttr

from changeover.config.balancers import Balancer
from changeover.config.database import Database
from changeover.config.instances import Instances
from changeover.config.kinds import HerePath, Name, PlainText, Section
from changeover.config.probes import Probe, Smoke
from changeover.config.release import ReleasePolicy
from changeover.config.schema_policy import SchemaPolicy
from changeover.core.model import Policy, Slot


@dataclass(frozen=True, slots=True)
class Origin:
    """Where settings come from. `directory` is absolute; relative paths in the file start there."""

    file: Path
    directory: Path
    overlay: Path | None = None
    digest: str = ""


class Settings(Section):
    """One environment: an application, its two pools, its balancer, its database, and how it wants its releases."""

    app: Name = Field(description="name of the application")
    environment: Name = Field(
        description="its name stands in every prompt, and cleanup must type it; also given by `-e`"
    )
    state: HerePath = Field(default=Path(".changeover/state.db"), description="the journal; keep it")
    instances: Instances = Field(description="where the application runs")
    balancers: Annotated[tuple[Balancer, ...], Field(min_length=1)] = Field(
        description="every balancer that users come through; changed together"
    )
    database: Database | None = Field(default=None, description="leave it out if the application has none")
    release: ReleasePolicy = Field(default_factory=ReleasePolicy, description="how releases go")
    schema_: SchemaPolicy = Field(
        default_factory=SchemaPolicy, alias="schema", description="how long what is taken away is kept"
    )
    probes: tuple[Probe, ...] = Field(default=(), description="without probes a version's proof is UNVERIFIED")
    smoke: tuple[Smoke, ...] = Field(default=(), description="requests to the new version before users meet it")
    people: dict[Name, tuple[PlainText, ...]] = Field(default_factory=dict, description="role: the people who have it")

    _origin: Origin | None = PrivateAttr(None)

    def placed(self, origin: Origin) -> Settings:
        """The same, knowing where it comes from, its paths starting there."""
        settings = self.anchored(origin.directory)
        settings._origin = replace(origin, digest=_digest(self))
        return settings

    @property
    def origin(self) -> Origin:
        """File, directory and overlay. Only settings made by `load` have one."""
        assert self._origin is not None, "settings are made by load()"
        return self._origin

    @property
    def digest(self) -> str:
        """sha256 of the effective configuration: defaults filled in, references unresolved, paths as written.

        The same wherever the file lies, and whatever a secret's value is.
        """
        return self.origin.digest

    def slots(self) -> Mapping[str, tuple[Slot, ...]]:
        """Pool -> its slots, in the order of the file."""
        return {pool: self.instances.slots(pool) for pool in self.instances.pools}

    def policy(self) -> Policy:
        """The same wishes in the core's words and units (seconds, basis points)."""
        release, ready = self.release, self.instances.ready
        return Policy(
            shift=release.shift,
            bake=release.bake,
            min_requests=release.min_requests,
            gates=release.gates(),
            drain_soft=release.drain.soft,
            drain_hard=release.drain.hard,
            at_deadline=release.at_deadline(),
            long_lived=release.long_lived.lingers(),
            keep_old=release.keep_old,
            keep_parked=self.schema_.keep_parked,
            expiry=release.unwatched,
            go_back_when=tuple(rule.rule() for rule in release.go_back_when),
            ready_times=ready.times,
            ready_every=ready.every,
            ready_within=ready.within,
            probes=len(self.probes),
            smoke=len(self.smoke),
            **self._limits(),
            backup=self.database is None or self.database.backup is not None,
        )

    def _limits(self) -> Limits:
        database = self.database
        if database is None:
            return {}
        limits: Limits = {
            "batch": database.limits.largest,
            "rest": database.limits.rest,
            "read_within": database.limits.read_within,
        }
        if database.backup is not None:
            limits["backup_max_age"] = database.backup.max_age
        return limits


class Limits(TypedDict, total=False):
    """What of `database:` is part of the policy."""

    batch: int
    rest: float
    read_within: float
    backup_max_age: float


def _digest(settings: Settings) -> str:
    text = json.dumps(settings.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
