"""Drift: what the database has, held against what changeover's ledger in it, its journal and the change files say. Read-only.

Three comparisons, because none of them sees everything. The catalogue's hash now against the one of the last proof tells that
*something* was changed by hand; the probe of each applied statement tells *what*; the journal against the ledger tells that a
database was restored, or swapped, under a journal that has gone on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from changeover.core.errors import ChangesEdited
from changeover.core.model import COMPLETE, ChangeSet, Ledger, Phase, Probe, SchemaReading, Statement
from changeover.core.ports import Database
from changeover.core.steps import Contract, Drop, Expand, Finalize, Sync, Undo, known_part
from changeover.engine.journal import Journal
from changeover.service import compiling, planning
from changeover.service.site import Site

RUNS = 200  # of the newest runs the journal is held against the ledger
PARKED = "zz_gone"  # how the names begin under which something waits to be dropped
_APPLIES = (Expand, Sync, Finalize, Contract, Drop)


@dataclass(frozen=True, slots=True)
class Deviation:
    """One thing that is not as recorded. `kind`: catalogue, object, journal, files or parked."""

    kind: str
    what: str
    next: str


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found. `compared`: how many objects were asked for; `notes`: what could not be compared, and why."""

    revision: int
    deviations: tuple[Deviation, ...]
    compared: int
    notes: tuple[str, ...] = ()


def drift(site: Site) -> Drift:
    """Compare. Without a database there is nothing that could drift."""
    world = planning.look(site)
    schema, database = world.schema, site.ports.database
    if schema is None or database is None:
        return Drift(0, (), 0, ("the environment has no database",))
    found: list[Deviation] = []
    notes: list[str] = []
    try:
        changes = compiling.known(site, schema)
        planning.not_edited(site, world)
    except ChangesEdited as error:
        found.append(Deviation("files", error.what, error.next[0]))
        changes = schema.kept
    wanted = expected(changes, schema)
    found += [_object(p) for p in wanted if not database.done(p)]
    found += _left_over(database, changes)
    if site.store.exists():
        journal = site.journal()
        try:
            recorded = _Recorded.of(journal, site.environment)
            found += _journal(recorded, schema)
            hashed, note = _catalogue(schema, journal.ledger(site.environment), recorded.last)
        finally:
            journal.close()
        found += hashed
        notes += note
    else:
        notes.append("nothing was ever run here, so there is no catalogue to compare with")
    return Drift(schema.revision, tuple(found), len(wanted), tuple(notes))


# objects ---------------------------------------------------------------------------------------------------------


def expected(changes: Sequence[ChangeSet], schema: SchemaReading) -> tuple[Probe, ...]:
    """What the catalogue must show by the ledger: the probe of each applied statement that no later one made void. Pure."""
    sets = {c.version: c for c in changes}
    rows = sorted(
        (a for a in schema.applied if a.index != COMPLETE), key=lambda a: (a.at, list(Phase).index(a.phase), a.index)
    )
    wanted: dict[tuple[str, str, str], tuple[Probe, str]] = {}
    for row in rows:
        change = sets.get(row.version)
        statements = () if change is None else change.statements(row.phase)
        if change is None or row.index >= len(statements):
            continue
        if row.phase in (Phase.CONTRACT, Phase.DROP) and change.declared:
            # what the operations of this version put up for the time between is gone, or has another name now
            wanted = {k: v for k, v in wanted.items() if v[1] != f"{row.version} adds"}
        stage = "takes" if row.phase in (Phase.CONTRACT, Phase.DROP, Phase.UNDO) else "adds"
        wanted = {k: v for k, v in wanted.items() if not _made_again(v[0], statements[row.index])}
        probe = statements[row.index].probe  # what a block leaves behind; its other probes tell only where it stands
        if probe is not None:
            _void(wanted, probe)
            wanted[probe.what, probe.table, probe.name] = (probe, f"{row.version} {stage}")
    return tuple(probe for probe, _ in wanted.values())


def _made_again(gone: Probe, statement: Statement) -> bool:
    """Something else may have got the name since: a copy of an index that is renamed to what the index was called."""
    return not gone.present and re.search(rf"(?<!\w){re.escape(gone.name)}(?!\w)", statement.sql) is not None


def _void(wanted: dict[tuple[str, str, str], tuple[Probe, str]], probe: Probe) -> None:
    """What goes with the thing that `probe` says is gone."""
    if probe.present:
        return
    for key, (other, _) in list(wanted.items()):
        of_table = probe.what == "table" and other.table == probe.name
        of_name = (other.table, other.name) == (probe.table, probe.name)
        of_column = (
            probe.what == "column" and other.table == probe.table and probe.name in _words(other.definition, other.name)
        )
        if of_table or of_name or of_column:
            del wanted[key]


def _words(*texts: str) -> set[str]:
    return {w.strip() for t in texts for w in t.split(",")}


def _object(probe: Probe) -> Deviation:
    name = f"{probe.table}.{probe.name}" if probe.table else probe.name
    what = probe.what.replace("_", " ")
    if probe.present:
        shown = f" ({probe.definition})" if probe.definition else ""
        return Deviation(
            "object", f"{what} {name}{shown} was added, and is not there so", "put it back as it was, by hand"
        )
    return Deviation("object", f"{what} {name} was taken away, and is there", "find out who made it again, and why")


def _left_over(database: Database, changes: Iterable[ChangeSet]) -> Iterator[Deviation]:
    """Names out of reach that belong to no release."""
    names = database.tables(()).names
    known = " ".join(s.sql for c in changes for s in (*c.contract, *c.drop))
    for name in sorted(n for n in names if n.startswith(PARKED) and n not in known):
        yield Deviation(
            "parked",
            f"{name} lies parked and belongs to no release that is known here",
            "look at it, then drop it by hand",
        )


# the journal -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What the journal says was done to the schema. `last`: when (epoch seconds), 0 for never."""

    done: frozenset[tuple[str, Phase, str]]  # (version, phase, run)
    last: float

    @classmethod
    def of(cls, journal: Journal, environment: str) -> _Recorded:
        done: set[tuple[str, Phase, str]] = set()
        last = 0.0
        for run in reversed(journal.runs(environment, limit=RUNS)):
            steps = {s.key: s.action for s in known_part(json.loads(run.plan)).steps}
            for event in journal.events(run.id):
                action = steps.get(event.step)
                if not isinstance(action, (*_APPLIES, Undo)):
                    continue
                last = max(last, event.at)
                if event.kind != "done":
                    continue
                if isinstance(action, Undo):
                    done = {d for d in done if d[0] != action.version.text}
                else:
                    done.add((action.version.text, action.phase, run.id))
        return cls(frozenset(done), last)


def _journal(recorded: _Recorded, schema: SchemaReading) -> Iterator[Deviation]:
    have = {(a.version.text, a.phase) for a in schema.applied if a.index == COMPLETE}
    for version, phase, run in sorted(recorded.done):
        if (version, phase) not in have:
            yield Deviation(
                "journal",
                f"{run} did the {phase} of v{version}, and the database's own ledger does not know it: was it restored?",
                f"changeover log {run}",
            )


def _catalogue(schema: SchemaReading, known: Ledger, last: float) -> tuple[list[Deviation], list[str]]:
    proof = known.evidence[-1] if known.evidence else None
    if proof is None:
        return [], ["nothing was proved here yet, so there is no catalogue to compare with"]
    if last > proof.at or any(a.at > proof.at for a in schema.applied):
        return [], [f"the schema was changed by changeover since {proof.run} proved it: its catalogue is not compared"]
    if proof.catalogue == schema.catalogue:
        return [], []
    what = f"the catalogue is not the one on which {proof.run} proved v{proof.version}: it was changed by hand"
    return [Deviation("catalogue", what, "see below what, or compare with a dump; a new plan proves it again")], []
