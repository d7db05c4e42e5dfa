"""`schema:` — what becomes of what a cleanup takes away."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from changeover.config.kinds import Seconds, Section
from changeover.core.model import Policy

_POLICY = Policy()


class SchemaPolicy(Section):
    """How long what is taken away can be given back."""

    keep_parked: Annotated[float, Seconds("0s", "365d")] = Field(
        default=_POLICY.keep_parked,
        description="what operations take away is parked: out of reach, with its values; the first cleanup after this drops it for good",
    )
