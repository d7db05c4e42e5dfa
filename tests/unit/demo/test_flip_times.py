"""How long the old version was still sent requests after a flip."""

from __future__ import annotations

from tests.unit.demo.test_judge import record

from changeover.demo.stack import flip_times

OLD, NEW = "1.0.0", "1.1.0"


def test_until_the_next_shift() -> None:
    """There and back; the share of the next release asks for the new version again, and no flip is to blame for that."""
    shifts = [(10.0, OLD, NEW, False), (20.0, OLD, NEW, True), (30.0, NEW, OLD, True), (40.0, OLD, NEW, False)]
    sent = [(OLD, 19.0), (NEW, 19.5), (OLD, 20.25), (NEW, 21.0), (NEW, 30.5), (OLD, 31.0), (NEW, 41.0)]
    assert flip_times(shifts, [record(start=at, version=version) for version, at in sent]) == [
        {"from": OLD, "to": NEW, "seconds": 0.25},
        {"from": NEW, "to": OLD, "seconds": 0.5},
    ]
    assert flip_times(shifts[1:2], []) == [{"from": OLD, "to": NEW, "seconds": 0.0}]
    assert flip_times([], []) == []
