"""What proved a step: the data of its `done` event in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from changeover.ui.render import words

Data = Mapping[str, Any]


def of(kind: str, data: Data) -> str:
    """The evidence of a finished step of this kind; the bare note for kinds that are not known here."""
    said = _SAY.get(kind)
    text = said(data) if said is not None else ""
    note = str(data.get("note", "")) if kind != "gate" else ""
    return "; ".join(part for part in (text, note) if part)


def _preflight(data: Data) -> str:
    checks, healthy = int(data.get("checks", 0)), int(data.get("healthy", 0))
    warned = len(data.get("warnings", ()))
    text = f"{checks} of {checks} checks" if not warned else f"{checks} checks, {words.many(warned, 'warning')}"
    return f"{text}; {words.many(healthy, 'instance')} ready"


def _backup(data: Data) -> str:
    proof = str(data.get("proof", ""))
    if proof == "none":
        return "no restore point"
    proved = {
        "compared": "restored into scratch and compared",
        "restored": "restored, NOT compared",
        "taken": "taken, NOT restored",
    }.get(proof, proof)
    size = f"{words.size(int(data['bytes']))}, " if data.get("bytes") else ""
    return f"{size}{words.many(int(data.get('tables', 0)), 'table')}, {words.many(int(data.get('rows', 0)), 'row')}, {proved}"


def _statements(data: Data) -> str:
    number = int(data.get("statements", 0))
    if not number:
        return f"nothing to apply; schema {data.get('revision')}"
    parts = [f"schema {data.get('revision')}", words.many(number, "statement")]
    parts.append(f"longest lock {words.duration(float(data.get('longest_lock', 0.0)))}")
    if data.get("retries"):
        parts.append(words.many(int(data["retries"]), "retry", "retries"))
    return "; ".join(parts)


def _backfill(data: Data) -> str:
    left = int(data.get("remaining", 0))
    return words.many(int(data.get("rows", 0)), "row") + (f", {words.count(left)} left" if left else ", 0 left")


def _verify(data: Data) -> str:
    return f"{words.many(int(data.get('checks', 0)), 'question')}, {words.many(int(data.get('rows', 0)), 'row')} found"


def _verdicts(data: Data) -> str:
    return ", ".join(f"v{version} {verdict}" for version, verdict in sorted(dict(data.get("verdicts", {})).items()))


def _prove(data: Data) -> str:
    return f"{_verdicts(data)} on schema {data.get('revision')}"


def _start(data: Data) -> str:
    return ", ".join(str(i) for i in data.get("instances", ()))


def _ready(data: Data) -> str:
    build = data.get("build")
    several = len(data.get("started", ()))
    return f"{words.many(several, 'instance')}, " + (f"same build {build}" if build else "no build reported")


def _smoke(data: Data) -> str:
    checks = int(data.get("checks", 0))
    return f"{checks} of {checks} through the balancer, preview header only, 0 % of users"


def _retire(data: Data) -> str:
    left = data.get("connections")
    stopped = len(data.get("stopped", ()))
    text = f"{words.many(stopped, 'instance')} stopped"
    return text if left is None else f"{text}, {words.many(int(left), 'database connection')} left"


def _shift(data: Data) -> str:
    workers = words.many(int(data.get("workers", 0)), "worker")
    return f"read back from {workers} in {words.duration(float(data.get('seconds', 0.0)))}"


def _bake(data: Data) -> str:
    asked, measured = int(data.get("asked", 0)), data.get("measured")
    seen = "measured nothing: no requests" if measured is None else f"measured {words.share(int(measured))}"
    parts = [f"asked {words.share(asked)}, {seen}", words.many(int(data.get("requests", 0)), "request")]
    parts.append(f"{words.count(int(data.get('errors_5xx', 0)))} answered 5xx")
    parts.append(f"{words.count(int(data.get('failed', 0)))} failed")
    if data.get("fallbacks"):
        parts.append(f"{words.count(int(data['fallbacks']))} served by the old version instead")
    verdict = str(data.get("verdict", ""))
    return "; ".join(parts) + (f"; {verdict}" if verdict else "")


def _drain(data: Data) -> str:
    parts = [f"{data.get('in_flight', 0)} in flight"]
    if data.get("seconds"):
        parts.append(f"after {words.duration(float(data['seconds']))}")
    account: Data = data.get("account") or {}
    parts += [f"{_kinds(account[end])} {end}" for end in ("finished", "moved") if account.get(end)]
    if data.get("cut"):
        cut = account.get("cut")
        parts.append(f"{_kinds(cut) if cut else words.many(int(data['cut']), 'request')} CUT")
    if account.get("lost"):
        parts.append(f"{words.count(int(account['lost']))} lost sight of")
    if data.get("says"):
        parts.append(str(data["says"]))
    return ", ".join(parts)


def _kinds(counts: Data) -> str:
    return " and ".join(
        f"{words.count(int(n))} {kind if n != 1 else kind.removesuffix('s')}" for kind, n in counts.items()
    )


def _gate(data: Data) -> str:
    note = str(data.get("note", ""))
    return f"by {data.get('by', '?')}" + (f': "{note}"' if note else "")


_SAY: Mapping[str, Callable[[Data], str]] = {
    "preflight": _preflight,
    "backup": _backup,
    "expand": _statements,
    "sync": _statements,
    "verify": _verify,
    "finalize": _statements,
    "contract": _statements,
    "drop": _statements,
    "undo": _statements,
    "backfill": _backfill,
    "prove": _prove,
    "rehearse": _verdicts,
    "start": _start,
    "ready": _ready,
    "smoke": _smoke,
    "retire": _retire,
    "shift": _shift,
    "bake": _bake,
    "drain": _drain,
    "gate": _gate,
}
