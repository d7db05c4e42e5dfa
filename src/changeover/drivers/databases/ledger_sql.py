"""changeover's own tables in the target database: the claim, what was applied, the revision. The same SQL for every dialect."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import msgspec

from changeover.core.errors import ChangesEdited, FencedOut, ForeignStore, StatementUnknown
from changeover.core.model import COMPLETE, FORWARD, Applied, ChangeSet, Claim, Phase, Statement, Version

CLAIM, APPLIED, STATE = "changeover_claim", "changeover_applied", "changeover_state"
CHANGE = (
    "changeover_change"  # what was compiled of operations; made with the others, or when an older ledger is claimed
)

CREATE: Mapping[str, str] = {
    CLAIM: f"CREATE TABLE IF NOT EXISTS {CLAIM} (environment text PRIMARY KEY, store text NOT NULL, "
    "fence bigint NOT NULL, holder text NOT NULL, at double precision NOT NULL)",
    APPLIED: f"CREATE TABLE IF NOT EXISTS {APPLIED} (version text NOT NULL, phase text NOT NULL, idx integer NOT NULL, "
    "digest text NOT NULL, at double precision NOT NULL, run text NOT NULL, fence bigint NOT NULL, "
    "PRIMARY KEY (version, phase, idx))",
    STATE: f"CREATE TABLE IF NOT EXISTS {STATE} (one integer PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL)",
    CHANGE: f"CREATE TABLE IF NOT EXISTS {CHANGE} (version text PRIMARY KEY, digest text NOT NULL, body text NOT NULL)",
}
REVISES = (Phase.EXPAND, Phase.CONTRACT)  # the phases whose completion raises the revision
BEGIN_AT_ZERO = f"INSERT INTO {STATE} (one, revision) VALUES (1, 0) ON CONFLICT (one) DO NOTHING"
CREATE_ALL = tuple(f"{sql};" for sql in (*CREATE.values(), BEGIN_AT_ZERO))  # a ledger is all of them, or none
RAISE_REVISION = f"UPDATE {STATE} SET revision = revision + 1"

Query = Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]]
"""Runs SQL with `:name` parameters and returns its rows."""

_APPLIED_COLUMNS = "version, phase, idx, digest, at, run, fence"
_CLAIM_COLUMNS = "environment, store, fence, holder, at"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger on one connection. `for_update` locks the claim row (where `BEGIN IMMEDIATE` does not do that)."""

    query: Query
    for_update: str = ""

    def create(self) -> None:
        """Make the tables that are missing."""
        for sql in (*CREATE.values(), BEGIN_AT_ZERO):
            self.query(sql, {})

    def claims(self, *, lock: bool = False) -> tuple[Claim, ...]:
        """Every claim: one, or none."""
        sql = f"SELECT {_CLAIM_COLUMNS} FROM {CLAIM} ORDER BY environment" + (self.for_update if lock else "")
        return tuple(Claim(*row) for row in self.query(sql, {}))

    def put_claim(self, claim: Claim) -> None:
        """Make `claim` the only one."""
        self.query(f"DELETE FROM {CLAIM}", {})
        values = dict(zip(("environment", "store", "fence", "holder", "at"), astuple(claim), strict=True))
        self.query(
            f"INSERT INTO {CLAIM} ({_CLAIM_COLUMNS}) VALUES (:environment, :store, :fence, :holder, :at)", values
        )

    def applied(self) -> tuple[Applied, ...]:
        """Every row, in the order in which it was written."""
        rows = self.query(f"SELECT {_APPLIED_COLUMNS} FROM {APPLIED} ORDER BY at, version, phase DESC, idx", {})
        return tuple(Applied(Version(v), Phase(p), i, d, at, run, f) for v, p, i, d, at, run, f in rows)

    def is_marked(self, marker: Applied) -> bool:
        """Whether the row is there. Raises ChangesEdited when it is there for another text of the statement."""
        rows = self.query(
            f"SELECT digest FROM {APPLIED} WHERE version = :version AND phase = :phase AND idx = :idx",
            {"version": marker.version.text, "phase": marker.phase.value, "idx": marker.index},
        )
        if rows and marker.index != COMPLETE and rows[0][0] != marker.digest:
            raise edited(marker)
        return bool(rows)

    def mark(self, marker: Applied) -> None:
        self.query(
            f"INSERT INTO {APPLIED} ({_APPLIED_COLUMNS}) VALUES (:version, :phase, :idx, :digest, :at, :run, :fence)",
            {
                "version": marker.version.text,
                "phase": marker.phase.value,
                "idx": marker.index,
                "digest": marker.digest,
                "at": marker.at,
                "run": marker.run,
                "fence": marker.fence,
            },
        )

    def revision(self) -> int:
        rows = self.query(f"SELECT revision FROM {STATE}", {})
        return int(rows[0][0]) if rows else 0

    def complete(self, marker: Applied) -> int:
        """Mark the phase as complete and raise the revision, once. Returns the revision."""
        whole = replace(marker, index=COMPLETE)
        if not self.is_marked(whole):
            self.mark(whole)
            if marker.phase in REVISES:
                self.query(RAISE_REVISION, {})
        return self.revision()

    # what was compiled of operations

    def kept(self) -> tuple[ChangeSet, ...]:
        """In order of version."""
        rows = self.query(f"SELECT body FROM {CHANGE}", {})
        return tuple(sorted((changes_from(str(body)) for (body,) in rows), key=lambda c: c.version))

    def keep(self, changes: ChangeSet) -> None:
        """Kept already: nothing to do. Raises ChangesEdited when it is there for another text of the file."""
        rows = self.query(f"SELECT digest FROM {CHANGE} WHERE version = :version", {"version": changes.version.text})
        if rows and rows[0][0] != changes.digest:
            raise ChangesEdited(
                f"v{changes.version} was begun with another text of its change file",
                now="What was added stays; the new text was not run.",
                next=(
                    "put the file back as it was",
                    f"or take back what was added: changeover schema undo {changes.version}",
                ),
            )
        if not rows:
            values = {"version": changes.version.text, "digest": changes.digest, "body": changes_text(changes)}
            self.query(f"INSERT INTO {CHANGE} (version, digest, body) VALUES (:version, :digest, :body)", values)

    def forget(self, version: Version, phases: Sequence[Phase]) -> None:
        """Take the marks of these phases out."""
        for phase in phases:
            values = {"version": version.text, "phase": phase.value}
            self.query(f"DELETE FROM {APPLIED} WHERE version = :version AND phase = :phase", values)

    def unkeep(self, version: Version) -> None:
        """Nothing of the version is left; the revision tells that the schema is another one."""
        self.forget(version, (*FORWARD, Phase.UNDO))
        self.query(f"DELETE FROM {CHANGE} WHERE version = :version", {"version": version.text})
        self.query(RAISE_REVISION, {})

    def half_applied(self, phase: Phase) -> frozenset[str]:
        """Digests of the statements that are applied of phases that are not complete."""
        rows = self.applied()
        whole = {(a.version, a.phase) for a in rows if a.index == COMPLETE}
        return frozenset(a.digest for a in rows if a.phase is phase and (a.version, a.phase) not in whole)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who acts, as the claim row must show it. `store` "" until this process has claimed."""

    environment: str
    store: str
    fence: int

    def judge(self, claims: Sequence[Claim], now: float) -> None:
        """Raises ForeignStore or FencedOut unless the claim is ours, or there is none and none is needed yet."""
        for claim in claims:
            if claim.environment != self.environment or (self.store and claim.store != self.store):
                raise foreign(claim, self.environment, now)
            if claim.fence > self.fence:
                raise fenced_out(claim)

    def must_hold(self, claims: Sequence[Claim], now: float) -> None:
        """As `judge`; also raises FencedOut when there is no claim at all: somebody removed it."""
        self.judge(claims, now)
        if not claims:
            raise FencedOut(
                f"the database is not claimed for {self.environment} any more: the claim was removed, or an older copy of the "
                "database was restored",
                now="Nothing was changed by this act.",
                next=(
                    "changeover status",
                    "changeover resume    (it claims the database again and looks before it acts)",
                ),
            )


def foreign(claim: Claim, environment: str, now: float) -> ForeignStore:
    """The refusal that names who holds the database."""
    same = claim.environment == environment
    whose = "from another state store" if same else f"for the environment {claim.environment}"
    return ForeignStore(
        f"the database is claimed {whose}, by {claim.holder or 'an unknown holder'}, since {age(now - claim.at)} "
        f"(environment {claim.environment})",
        now="Nothing was changed; that store goes on holding the environment.",
        next=("work from that machine", "if that store is gone for good: changeover lock --adopt"),
    )


def fenced_out(claim: Claim) -> FencedOut:
    return FencedOut(
        f"{claim.holder or 'a newer owner'} has taken over the database of {claim.environment} (fence {claim.fence})",
        now="This process changed nothing after that. The new owner looks before it acts.",
        next=("changeover status",),
    )


def edited(marker: Applied) -> ChangesEdited:
    return ChangesEdited(
        f"statement {marker.index + 1} of {marker.version}.{marker.phase} was applied with another text than it has now",
        now="What was applied stays; the new text was not run.",
        next=("restore the file as it was applied", "put what is new into a change of a later version"),
    )


def age(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `2 d`."""
    whole = max(0, round(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def changes_text(changes: ChangeSet) -> str:
    """A change set as JSON."""
    return msgspec.json.encode(changes).decode()


def changes_from(text: str) -> ChangeSet:
    """The inverse of `changes_text`. Raises StatementUnknown for what a newer changeover has written."""
    try:
        return msgspec.json.decode(text, type=ChangeSet)
    except msgspec.MsgspecError as error:
        raise StatementUnknown(
            f"what changeover kept of a release in {CHANGE} cannot be read: {error}",
            next=("use the changeover that began it, or a newer one",),
        ) from None


def literal(value: str | float) -> str:
    """An SQL literal for commands that people run by hand."""
    return repr(value) if isinstance(value, int | float) else "'" + value.replace("'", "''") + "'"


def mark_sql(marker: Applied, now: str) -> str:
    """The INSERT that leaves the ledger row, as text. `now` is how this database tells the epoch seconds."""
    key = (marker.version.text, marker.phase.value, marker.index, marker.digest)
    values = (*(literal(v) for v in key), now, literal(marker.run), literal(marker.fence))
    return f"INSERT INTO {APPLIED} ({_APPLIED_COLUMNS}) VALUES ({', '.join(values)});"


def keep_sql(changes: ChangeSet) -> str:
    """The INSERT that keeps what was compiled, once, as text."""
    version, digest, body = (literal(v) for v in (changes.version.text, changes.digest, changes_text(changes)))
    there = f"SELECT 1 FROM {CHANGE} WHERE version = {version}"
    return (
        f"INSERT INTO {CHANGE} (version, digest, body) SELECT {version}, {digest}, {body} WHERE NOT EXISTS ({there});"
    )


def forget_sql(version: Version, phases: Sequence[Phase] = FORWARD) -> tuple[str, ...]:
    """The DELETE that takes the marks of phases out, as text."""
    names = ", ".join(literal(p.value) for p in phases)
    return (f"DELETE FROM {APPLIED} WHERE version = {literal(version.text)} AND phase IN ({names});",)


def unkeep_sql(version: Version) -> tuple[str, ...]:
    """What leaves nothing of a version, as text."""
    forgotten = forget_sql(version, (*FORWARD, Phase.UNDO))
    return (*forgotten, f"DELETE FROM {CHANGE} WHERE version = {literal(version.text)};", f"{RAISE_REVISION};")


def revising(marker: Applied) -> tuple[str, ...]:
    """What raises the revision when this phase is complete, as text."""
    return (f"{RAISE_REVISION};",) if marker.phase in REVISES else ()


def ended(statement: Statement) -> str:
    """The statement with exactly one semicolon at its end, even after a trailing comment."""
    bare = statement.sql.rstrip()
    if bare.endswith(";"):
        return bare
    return f"{bare}\n;" if "--" in bare.rpartition("\n")[2] else f"{bare};"


def digest_of(statement: Statement) -> str:
    """sha256 of the statement's text: the digest that its marker carries."""
    return hashlib.sha256(statement.sql.encode()).hexdigest()
