"""`instances:` — where the application runs, how it is started, and how it proves what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, Tag

from changeover.config import placeholders
from changeover.config.kinds import (
    Address,
    Argv,
    HerePath,
    Name,
    Or,
    PlainText,
    Port,
    Referring,
    Seconds,
    Section,
    UrlPath,
    one_or_more,
    split_address,
    variants,
)
from changeover.core.model import Slot

LOOPBACK = "127.0.0.1"


class IdentityCheck(Section):
    """How an instance says which version and build it is: a JSON object over HTTP."""

    get: UrlPath = Field(description="path that answers with a JSON object")
    version: PlainText = Field(default="version", description="its key that holds the version")
    build: PlainText = Field(default="build", description="its key that holds the build: a digest or a commit")
    configuration: PlainText | None = Field(
        default=None, description="its key that names the configuration it runs with; instances of a pool must agree"
    )
    requests: PlainText | None = Field(
        default=None,
        description="its key with the instance's own count of users' requests (no checks): a balancer that nobody configured is found by it",
    )


class ReadyCheck(Section):
    """When an instance counts as ready: an answer of 200, several times in a row."""

    get: UrlPath = Field(description="path that answers 200 when the instance can take requests")
    times: int = Field(default=3, ge=1, le=100, description="how many times in a row")
    every: Annotated[float, Seconds("100ms", "1m")] = Field(default=1.0, description="time between two looks")
    within: Annotated[float, Seconds("1s", "1h")] = Field(
        default=60.0, description="how long it may take to become ready"
    )
    timeout: Annotated[float, Seconds("100ms", "1m")] = Field(default=5.0, description="how long one answer may take")


Ports = Annotated[
    tuple[Port, ...],
    Field(min_length=1),
    Or(one_or_more, {"type": "integer", "minimum": 1, "maximum": 65_535}, "port, or list of ports"),
]
Addresses = Annotated[
    tuple[Address, ...], Field(min_length=1), Or(one_or_more, {"type": "string"}, "host:port, or list of them")
]


class ProcessInstances(Section):
    """Detached processes on this machine, listening on 127.0.0.1."""

    type: Literal["process"] = Field(description="detached processes on this machine")
    pools: dict[Name, Ports] = Field(description="the two pools and the ports of their instances")
    command: Annotated[tuple[str, ...], Argv(placeholders.START)] = Field(description="starts one instance")
    env: dict[PlainText, Referring] = Field(
        default_factory=dict, description="environment variables; secrets by reference, placeholders as in `command`"
    )
    directory: HerePath = Field(default=Path(), description="working directory of the instances")
    logs: HerePath = Field(default=Path(".changeover/logs"), description="directory for what the instances write")
    identity: IdentityCheck = Field(description="how an instance proves version and build")
    ready: ReadyCheck = Field(description="when an instance counts as ready")
    stop_within: Annotated[float, Seconds("1s", "1h")] = Field(default=30.0, description="time to end after SIGTERM")
    signal: Literal["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGWINCH"] | None = Field(
        default=None, description="tells an instance to send its long-lived connections away, if it understands that"
    )

    def slots(self, pool: str) -> tuple[Slot, ...]:
        """The places of the pool's instances, numbered from 1."""
        return tuple(Slot(pool, n, LOOPBACK, port) for n, port in enumerate(self.pools[pool], 1))

    def commands(self) -> Mapping[str, tuple[str, ...]]:
        """Every command by its key."""
        return {"command": self.command}


class CommandInstances(Section):
    """Anything: the user's own commands start, stop and look. Argument lists, never a shell."""

    type: Literal["command"] = Field(description="your own commands")
    pools: dict[Name, Addresses] = Field(description="the two pools and the addresses of their instances")
    start: Annotated[tuple[str, ...], Argv(placeholders.START)] = Field(
        description="starts one instance; started twice is started once"
    )
    stop: Annotated[tuple[str, ...], Argv(placeholders.MANAGE)] = Field(
        description="stops one instance, and returns when it has ended"
    )
    status: Annotated[tuple[str, ...], Argv(placeholders.MANAGE)] = Field(
        description="ends 0 if the instance runs, 3 if it is stopped; anything else is unknown"
    )
    identity: IdentityCheck = Field(description="how an instance proves version and build")
    ready: ReadyCheck = Field(description="when an instance counts as ready")
    stop_within: Annotated[float, Seconds("1s", "1h")] = Field(default=30.0, description="time that `stop` may take")
    signal: Annotated[tuple[str, ...], Argv(placeholders.MANAGE)] | None = Field(
        default=None, description="tells an instance to send its long-lived connections away"
    )

    def slots(self, pool: str) -> tuple[Slot, ...]:
        """The places of the pool's instances, numbered from 1."""
        places = (split_address(address) for address in self.pools[pool])
        return tuple(Slot(pool, n, host, port) for n, (host, port) in enumerate(places, 1))

    def commands(self) -> Mapping[str, tuple[str, ...]]:
        """Every command by its key."""
        return {"start": self.start, "stop": self.stop, "status": self.status}


Instances = Annotated[
    Annotated[ProcessInstances, Tag("(process)")] | Annotated[CommandInstances, Tag("(command)")],
    variants("type", "process", "command", later=("systemd", "container", "asg")),
]
