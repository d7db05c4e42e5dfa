"""The clock of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.drivers.clock import SystemClock


def test_the_boot_has_a_name_that_stays() -> None:
    assert SystemClock().boot() == SystemClock().boot() != ""


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_without_the_kernels_id_it_is_the_minute_of_the_boot(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "boot_id"
    if content is not None:
        file.write_text(content)
    assert SystemClock(file).boot().startswith("booted-")


def test_time_goes_on() -> None:
    clock = SystemClock()
    before = clock.boottime()
    clock.sleep(0)
    clock.sleep(-1)
    assert clock.boottime() >= before > 0
    assert clock.now() > 1_700_000_000
