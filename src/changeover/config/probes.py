"""`probes:` and `smoke:` — how a version is exercised before users meet it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from changeover.config import placeholders
from changeover.config.kinds import Argv, Name, PlainText, Seconds, Section, UrlPath


class Probe(Section):
    """A command of yours that exercises a version against a schema; it ends 0 if the version works.

    The database is given as environment variable CHANGEOVER_DATABASE_URL, never as an argument.
    """

    name: Name = Field(description="how it is called in what people read")
    command: Annotated[tuple[str, ...], Argv(placeholders.PROBE)] = Field(description="ends 0 if the version works")
    timeout: Annotated[float, Seconds("1s", "1h")] = Field(default=30.0, description="killed after this, and failed")


class Smoke(Section):
    """A request to the new version through the balancer, before any user is sent there."""

    get: UrlPath = Field(description="path of the request")
    status: int = Field(default=200, ge=100, le=599, description="the status that is right")
    contains: PlainText | None = Field(default=None, description="text that the answer must contain")
    assets: bool = Field(
        default=False,
        description="each file that the page names must be served by both versions: nothing hashed is 404",
    )
