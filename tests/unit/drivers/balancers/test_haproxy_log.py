"""HAProxy's access log: which requests ended whose worker is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.drivers.balancers.haproxy_log import end_of, ended

OWN = '{client} [25/Nov/2026:14:00:00.000] web app_blue/blue1 0/0/0/1501/1501 200 210 {state} wanted=blue pool=blue bucket=- route=blue:green:0:0:0: "GET /slow HTTP/1.1"'
HTTPLOG = '<134>Nov 25 14:00:00 haproxy[77]: {client} [25/Nov/2026:14:00:00.000] web shop/blue1 0/0/0/1501/1501 200 210 - - {state} 3/3/2/1/0 0/0 "GET /slow HTTP/1.1"'
EARLIER = "1.2.3.4:5 [25/Nov/2026:13:59:59.000] web app_blue/blue1 0/0/0/1/1 200 2 ---- \n"


def log(folder: Path, *lines: str) -> tuple[Path, int]:
    """The log, and where it ended before these lines."""
    file = folder / "haproxy.log"
    file.write_text(EARLIER * 3)
    since = end_of(file)
    with file.open("a") as more:
        more.writelines(f"{line}\n" for line in lines)
    return file, since


@pytest.mark.parametrize("line", [OWN, HTTPLOG], ids=["map design", "httplog"])
@pytest.mark.parametrize(
    ("state", "count"), [("----", 1), ("--NI", 1), ("cD--", 1), ("SH--", 1), ("K---", 0), ("KD--", 0)]
)
def test_a_request_that_has_a_line_has_ended_unless_it_was_killed(
    tmp_path: Path, line: str, state: str, count: int
) -> None:
    file, since = log(tmp_path, line.format(client="127.0.0.1:4711", state=state))
    assert ended(file, since, {"127.0.0.1:4711": 1}) == count


def test_only_what_was_written_since_counts_and_no_more_than_was_in_flight(tmp_path: Path) -> None:
    line = OWN.format(client="1.2.3.4:5", state="----")
    file, since = log(tmp_path, line, line, OWN.format(client="9.9.9.9:9", state="----"), "garbage", "")
    assert ended(file, since, {"1.2.3.4:5": 1}) == 1
    assert ended(file, since, {"1.2.3.4:5": 4}) == 2
    assert ended(file, since, {"1.2.3.4:6": 1}) == 0
    assert ended(file, 0, {"1.2.3.4:5": 9}) == 5


def test_a_log_that_was_rotated_is_read_from_its_begin_and_one_that_is_gone_says_nothing(tmp_path: Path) -> None:
    file, _ = log(tmp_path, OWN.format(client="1.2.3.4:5", state="----"))
    assert ended(file, 10**9, {"1.2.3.4:5": 9}) == 4
    file.unlink()
    assert ended(file, 0, {"1.2.3.4:5": 9}) == 0
    assert end_of(file) == 0
