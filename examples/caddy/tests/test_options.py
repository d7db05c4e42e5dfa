"""The entry point and its options, the answers of the admin API, the share as a pattern: nothing runs."""

from __future__ import annotations

import re
import uuid
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from changeover_caddy import CaddyBalancer, config, make
from changeover_caddy.admin import Admin, parse

from changeover.core.errors import BalancerMisconfigured, BalancerUnreachable
from changeover.core.model import Route, Slot
from changeover.core.ports import BalancerOrder, Stages

SLOTS = {p: (Slot(p, 1, "10.0.0.1", port), Slot(p, 2, "10.0.0.2", port)) for p, port in (("blue", 1), ("green", 2))}
OPTIONS = {"admin": "run/admin.sock", "config": "/etc/caddy/caddy.json", "secret": "secret", "log": "access.log"}


def order(**options: object) -> BalancerOrder:
    return BalancerOrder("edge", "http://shop.example", SLOTS, {**OPTIONS, **options}, Path("/srv/shop"))


def test_the_entry_point_of_the_installed_package_makes_the_driver() -> None:
    (point,) = entry_points(group="changeover.balancers", name="caddy")
    driver = point.load()(order(check_every=0.5, keep_alive=True))
    assert isinstance(driver, CaddyBalancer)
    assert isinstance(driver, Stages)
    found = driver.settings
    assert (found.name, found.entry, driver.name) == ("edge", "http://shop.example", "edge")
    assert found.admin == "/srv/shop/run/admin.sock"
    assert found.config == "/etc/caddy/caddy.json"
    assert found.pools == {"blue": ("10.0.0.1:1", "10.0.0.2:1"), "green": ("10.0.0.1:2", "10.0.0.2:2")}
    assert (found.health, found.check_every, found.keep_alive) == ("/health", 0.5, True)


@pytest.mark.parametrize("admin", ["localhost:2019", "127.0.0.1:2019", "[::1]:2019"])
def test_an_admin_address_may_be_tcp(admin: str) -> None:
    assert make(order(admin=admin)).settings.admin == admin


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keepalive": True}, "does not know keepalive"),
        ({"config": 7}, "config is not text"),
        ({"health": "health"}, "health is not a path"),
        ({"check_every": "1s"}, "check_every is not a number"),
        ({"check_every": True}, "check_every is not a number"),
        ({"check_every": 0}, "check_every is not a number"),
        ({"keep_alive": "no"}, "keep_alive is not true or false"),
    ],
    ids=str,
)
def test_a_wrong_option_is_named(options: dict, words: str) -> None:
    with pytest.raises(BalancerMisconfigured, match=words) as caught:
        make(order(**options))
    assert caught.value.next


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(BalancerMisconfigured, match=r"lacks admin; lacks secret; does not know socket"):
        make(BalancerOrder("edge", "", SLOTS, {"socket": "x", "config": "c", "log": "l"}, Path("/")))


# answers of the admin API ----------------------------------------------------------------------------------------------

CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: ETag\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\nEtag: "/x 1f"\r\n\r\n'


def test_the_etag_behind_the_body_is_read() -> None:
    answer = parse(CHUNKED)
    assert (answer.status, answer.body, answer.etag) == (200, {"a": 1}, '"/x 1f"')


@pytest.mark.parametrize("length", range(len(CHUNKED) - len(b'0\r\nEtag: "/x 1f"\r\n\r\n')))
def test_half_an_answer_is_none(length: int) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(CHUNKED[:length])


def test_an_answer_that_is_shorter_than_it_says_is_none() -> None:
    with pytest.raises(ValueError, match="too early"):
        parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")


def test_nobody_at_the_address_is_unreachable(tmp_path: Path) -> None:
    for address in (str(tmp_path / "none.sock"), "127.0.0.1:1"):
        with pytest.raises(BalancerUnreachable) as caught:
            Admin(address, 1.0).ask("GET", "/")
        assert caught.value.next


# shares and notes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("salt", range(6))
@pytest.mark.parametrize("share", [1, 39, 500, 2500, 5000, 9999])
def test_the_pattern_is_the_share(share: int, salt: int) -> None:
    wanted = re.compile(config.pattern(share, salt))
    blank = str(uuid.UUID(int=0))
    at = config.PLACES[salt]
    hit = sum(1 for n in range(16**4) if wanted.match(f"{blank[:at]}{n:04x}{blank[at + 4 :]}"))
    assert abs(hit / 16**4 - share / 10_000) < 0.0001


def test_the_digits_that_decide_are_random_ones() -> None:
    """Version and variant of a UUID are fixed digits: a pattern over them would be no share."""
    ids = [str(uuid.uuid4()) for _ in range(400)]
    for at in config.PLACES:
        assert all("-" not in one[at : at + 4] for one in ids)
        for digit in range(at, at + 4):
            assert len({one[digit] for one in ids}) == 16, digit


def test_what_is_written_is_read() -> None:
    site = config.Site({"blue": ("a:1",), "green": ("b:1",)}, "s" * 40)
    route = Route("blue", "green", 2500, 7312, 1795446539, "r-1.shift.f3")
    left = ((Route("green", "blue", mark="x"), 12.5), (Route("blue", "green"), 13.0))
    written = config.route_object(route, site, token=9, run="r-1", left=left)
    assert config.read_object(written) == config.Ours(route, 9, "r-1", left)
    assert config.secret_of(written) == "s" * 40
    ours = config.read_object(written)
    assert list(ours.leaving(20.4).values()) == [left[0][0], left[1][0]]
    assert list(ours.leaving(20.7).values()) == [left[1][0]]
    assert ours.leaving(30) == {}
