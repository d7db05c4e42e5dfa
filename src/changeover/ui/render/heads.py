"""A step in two or three words, for lines that have little room. The plan's own words say it in full."""

from __future__ import annotations

from typing import assert_never

from changeover.core import steps as s
from changeover.ui.render import words


def head(action: s.Action) -> str:
    """`25 % on v1.1.0`."""
    match action:
        case s.Preflight():
            return "preflight"
        case s.Backup(before=before):
            return f"backup before {before}"
        case s.Expand(version=version):
            return f"expand for v{version}"
        case s.Sync(version=version):
            return f"sync for v{version}"
        case s.Verify(version=version):
            return f"verify v{version}"
        case s.Finalize(version=version):
            return f"finalize v{version}"
        case s.Contract(version=version):
            return f"contract of v{version}"
        case s.Drop(version=version):
            return f"drop what v{version} parked"
        case s.Undo(version=version):
            return f"undo v{version}"
        case s.Backfill(version=version):
            return f"backfill for v{version}"
        case s.Prove(versions=versions):
            return f"proof of {_names(versions)}"
        case s.Rehearse(version=version):
            return f"rehearse contract of v{version}"
        case s.Retire(version=version):
            return f"retire v{version}"
        case s.Start(pool=pool, version=version):
            return f"start v{version} on {pool}"
        case s.Ready(pool=pool, version=version):
            return f"v{version} ready on {pool}"
        case s.Smoke():
            return "smoke test"
        case s.Gate(name=name):
            return f"approval of {name}"
        case s.Shift(share=0, other=other):
            return f"all traffic to {other}"
        case s.Shift(share=share, version=version):
            return f"{words.share(share)} on v{version}"
        case s.Bake(share=share):
            return f"watch {words.share(share)}"
        case s.Drain(pool=pool):
            return f"drain {pool}"
        case _:
            assert_never(action)


def _names(versions: tuple[tuple[object, str], ...]) -> str:
    return ", ".join(f"v{version}" for version, _ in versions)
