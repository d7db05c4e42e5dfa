"""MariaDB and MySQL: ALTER TABLE that lets everybody go on. What the server would do is asked, never assumed, and then asserted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from changeover.core.catalogue import Table
from changeover.core.errors import StatementFailed
from changeover.core.model import Lock
from changeover.schema.engines.engine import Ask, Cannot
from changeover.schema.engines.mysql_words import definition, quote

INSTANT = "ALGORITHM=INSTANT"
METADATA = "ALGORITHM=INPLACE, LOCK=NONE"  # of foreign keys, which the empty copy of a table is without
EXTERNAL = "or let pt-online-schema-change do it as a step of your own, before or after this release"


@dataclass(frozen=True, slots=True)
class Online:
    """One change of a table, and how the server does it: `how` is what the statement asserts."""

    table: str
    what: str
    how: str

    @property
    def sql(self) -> str:
        return f"ALTER TABLE {quote(self.table)} {self.what}, {self.how}"

    @property
    def lock(self) -> Lock:
        return Lock.BRIEF if self.how == INSTANT else Lock.NONE


def online(ask: Ask, table: Table, what: str, given: Mapping[str, str], rewrite: tuple[str, ...] = ()) -> Online:
    """Raises Cannot for what the server refuses at all, and for what keeps writers out while it copies or builds."""
    try:
        how = ask(table.name, what, {**_columns(table), **given})
    except StatementFailed as error:
        raise Cannot(f"the server refuses it: {error.what}") from None
    if how != INSTANT and not how.endswith("LOCK=NONE"):
        copies = "copies the whole table" if "COPY" in how.partition(",")[0].replace("NOCOPY", "") else "builds it"
        raise Cannot(
            f"{what} on {table.name} {copies} while nobody may write (the server accepts nothing better than {how})",
            *rewrite,
            EXTERNAL,
        )
    return Online(table.name, what, how)


def _columns(table: Table) -> dict[str, str]:
    """What each column is by then, whatever it is now."""
    return {c.name: f"COLUMN {definition(c)}" for c in table.columns if not (c.generated or c.identity)}
