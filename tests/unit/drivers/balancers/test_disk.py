"""Which file systems write a file before the rename that puts it in place: only those that are known to."""

from pathlib import Path

import pytest

from changeover.drivers.balancers import disk

LINE = "28 1 {device} / {at} rw,relatime shared:1 - {kind} /dev/sda {options}\n"


def mount(kind: str, options: str = "rw", device: str = "8:1", at: str = "/srv") -> str:
    return LINE.format(kind=kind, options=options, device=device, at=at)


@pytest.mark.parametrize(
    ("mounts", "ordered"),
    [
        (mount("ext4"), True),
        (mount("ext4", "rw,discard"), True),
        (mount("ext4", "rw,noauto_da_alloc"), False),
        (mount("ext4", "rw,data=writeback"), False),
        (mount("xfs"), False),
        (mount("ext3"), False),
        (mount("ext4", device="8:2"), False),
        (mount("ext4") + mount("ext4", at="/bind"), True),
        (mount("ext4") + mount("xfs", at="/other"), False),
        ("", False),
        ("no mounts at all", False),
    ],
)
def test_only_a_file_system_that_is_known_is_trusted(mounts: str, ordered: bool) -> None:
    assert disk.ordered_in(mounts, "8:1") is ordered


def test_what_cannot_be_found_out_is_not_trusted(tmp_path: Path) -> None:
    assert not disk.orders_data(tmp_path / "none")


def test_the_file_and_its_directory_are_synced(tmp_path: Path) -> None:
    file = tmp_path / "route.map"
    file.write_text("route")
    disk.sync(file)
    assert file.read_text() == "route"
    with pytest.raises(FileNotFoundError):
        disk.sync(tmp_path / "none")
