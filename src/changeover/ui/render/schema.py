"""The schema outside of a release: what is owed, what has drifted, a migration in two parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from changeover.ui.render import documents, words

if TYPE_CHECKING:
    from changeover.service.drift import Drift
    from changeover.service.owed import Owed

HEADS = {
    "contract": "waits for the contract of v{}",
    "parked": "parked by the contract of v{}",
    "added": "added for v{}, which does not serve",
    "undo": "half taken back: v{}",
}


def owed(found: Sequence[Owed], now: float) -> str:
    """What waits, by version and reason; what ends it below."""
    if not found:
        return "Nothing is owed.\n"
    return "\n".join(words.clean(line) for line in _owed(found, now)) + "\n"


def _owed(found: Sequence[Owed], now: float) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Owed]] = {}
    for one in found:
        groups.setdefault((one.debt.value, one.version.text), []).append(one)
    for (debt, version), mine in groups.items():
        since = mine[0].since
        age = f"   since {words.moment(since)} ({words.ago(since, now)})" if since is not None else ""
        yield HEADS[debt].format(version) + age
        yield from (f"  {one.what}" for one in mine)
        yield from (f"    because {why}" for why in mine[0].because)
        until = mine[0].until
        if until is not None and until > now:
            yield f"    until   {words.moment(until)} at the earliest, in {words.duration(until - now)}"
        yield f"    ends by {mine[0].command}"


def owed_document(found: Sequence[Owed], now: float) -> documents.Document:
    """`changeover.owed/1`."""
    return {
        **documents.head("owed", now),
        "owed": [
            {
                "debt": o.debt.value,
                "version": o.version.text,
                "what": o.what,
                "since": _time(o.since),
                "because": list(o.because),
                "until": _time(o.until),
                "command": o.command,
            }
            for o in found
        ],
    }


def drift(found: Drift, *, utf8: bool = True) -> str:
    """Every deviation with what to do; what could not be compared; the verdict last."""
    marks = words.marks(utf8=utf8)
    lines = []
    for one in found.deviations:
        lines += [f"{marks['failed']} {one.kind}: {words.clean(one.what)}", f"    {words.clean(one.next)}"]
    lines += [f"{marks['warn']} {words.clean(note)}" for note in found.notes]
    number = len(found.deviations)
    verdict = words.many(number, "thing") + (" is" if number == 1 else " are") + " not as recorded"
    asked = words.many(found.compared, "object")
    lines.append(f"Schema {found.revision}, {asked} compared: {verdict if number else 'nothing has drifted'}.")
    return "\n".join(lines) + "\n"


def drift_document(found: Drift, now: float) -> documents.Document:
    """`changeover.drift/1`."""
    return {
        **documents.head("drift", now),
        "revision": found.revision,
        "compared": found.compared,
        "deviations": [{"kind": d.kind, "what": d.what, "next": d.next} for d in found.deviations],
        "notes": list(found.notes),
    }


def parted(files: Mapping[str, str]) -> str:
    """Every file under its name."""
    return "\n".join(f"# {name}\n{text}" for name, text in files.items())


def _time(at: float | None) -> Any:
    return None if at is None else words.iso(at)
