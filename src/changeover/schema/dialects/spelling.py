"""Names as the catalogue of an engine is asked for them."""

from __future__ import annotations

import re
from collections.abc import Callable

from changeover.schema.effects import Name


def spelling(plain: re.Pattern[str], opening: str, closing: str) -> Callable[[Name], str]:
    """Parts joined by dots; a part that does not match `plain` stands in quotes, with its closing mark doubled."""

    def spell(name: Name) -> str:
        return ".".join(
            part if plain.fullmatch(part) else opening + part.replace(closing, closing * 2) + closing
            for part in name.parts
        )

    return spell
