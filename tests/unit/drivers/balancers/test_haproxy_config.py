"""The text of haproxy.cfg, and reading somebody else's."""

from __future__ import annotations

import pytest

from changeover.core.errors import BalancerMisconfigured
from changeover.core.model import Counters, Route
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy import HaproxyBalancer, HaproxySettings
from changeover.drivers.balancers.haproxy_config import (
    HaproxyLayout,
    Server,
    command,
    initial_files,
    milliseconds,
    new_secrets,
    parse_preview,
    render,
    render_preview,
)
from changeover.drivers.balancers.haproxy_counts import counts_of
from changeover.drivers.balancers.haproxy_site import discover, lines_to_add, seconds

LAYOUT = HaproxyLayout({"blue": [Server("blue1", "10.0.0.11", 8080)], "green": [Server("green1", "10.0.0.21", 8080)]})
ROUTE = Route("blue", "green", mark="start")


def test_what_is_rendered_is_discovered() -> None:
    site = discover(render(LAYOUT))
    assert site.propose_pools() == LAYOUT.backends
    assert site.maps == (LAYOUT.map_path, LAYOUT.preview_map_path)
    assert set(site.tables) == {"changeover_fallback", "changeover_long"}
    assert (site.hard_stop_after, site.keep_alive, site.idle_close) == (900.0, 10.0, True)
    assert [(s.path, s.level) for s in site.sockets] == [(LAYOUT.admin_socket, "admin")]
    blue = site.backend("app_blue")
    assert blue is not None
    assert (blue.servers, blue.checked, blue.health_path) == ((Server("blue1", "10.0.0.11", 8080),), True, "/health")
    assert lines_to_add(site, LAYOUT.backends, "web", LAYOUT.map_path, LAYOUT.preview_map_path) == ()


def test_the_files_beside_it() -> None:
    files = initial_files(LAYOUT, ROUTE)
    text, mode = files[LAYOUT.map_path]
    assert "route blue:green:0:0:0:start\n" in text
    assert mode == 0o644
    text, mode = files[LAYOUT.preview_map_path]
    assert mode == 0o600
    assert set(parse_preview(text)) == {"blue", "green"}
    assert all(len(secret) >= 22 for secret in parse_preview(text).values())


def test_secrets_are_new_each_time_and_one_per_pool() -> None:
    made = [secret for _ in range(20) for secret in new_secrets(LAYOUT.pools).values()]
    assert len(set(made)) == 40
    assert parse_preview(render_preview({"blue": "s1", "green": "s2"})) == {"blue": "s1", "green": "s2"}


def test_the_command() -> None:
    assert command(LAYOUT, "/h.cfg") == [
        "haproxy", "-W", "-f", "/h.cfg", "-S", "/run/haproxy/master.sock,mode,600,level,admin",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"pools": {"blue": []}},
        {"pools": LAYOUT.pools, "master_socket": "/" + "x" * 97},
        {"pools": LAYOUT.pools, "directory": "/etc/my haproxy"},
        {"pools": LAYOUT.pools, "health_path": "/health if TRUE"},
    ],
)
def test_what_haproxy_would_read_as_something_else_is_refused(wrong: dict) -> None:
    with pytest.raises(BalancerMisconfigured):
        HaproxyLayout(**wrong)


def test_times() -> None:
    assert [milliseconds(t) for t in (1, 0.25, 900)] == ["1s", "250ms", "900s"]
    assert [seconds(t) for t in ("5s", "250ms", "250", "2m", "soon")] == [5.0, 0.25, 0.25, 120.0, None]


FOREIGN = """
global
    stats socket /run/h.sock mode 600   # level not given
defaults
    mode http
    default-server check
frontend www
    bind *:80
    bind :443 ssl crt "/etc/ssl/my site.pem"
    use_backend api if { path_beg /api }
    default_backend shop
backend api
    server a1 10.0.0.1:80
backend shop
    cookie SRV insert
    server s1 10.0.0.2:80 cookie s1
    server s2 10.0.0.3:80 no-check
    server unix /run/s.sock
"""


def test_a_foreign_configuration() -> None:
    site = discover(FOREIGN)
    assert [(s.path, s.level) for s in site.sockets] == [("/run/h.sock", "operator")]
    (front,) = site.frontends
    assert (front.name, front.binds, front.default_backend, front.backends) == (
        "www",
        ("*:80", ":443"),
        "shop",
        ("api", "shop"),
    )
    shop = site.backend("shop")
    assert shop is not None
    assert [s.name for s in shop.servers] == ["s1", "s2"]
    assert not shop.checked
    assert shop.unchecked == ("s2",)
    api = site.backend("api")
    assert api is not None
    assert api.checked
    assert shop.sticky == ("cookie SRV insert",)
    added = lines_to_add(
        site, {"blue": "shop", "green": "shop_green"}, "www", "/etc/haproxy/route.map", "/etc/haproxy/preview.map"
    )
    text = "\n".join(a.text for a in added)
    assert "option idle-close-on-response" in text
    assert "backend shop_green" in text
    assert "use_backend shop if { var(txn.pool) -m str blue }" in text
    assert "backend changeover_long" in text
    assert all(a.why for a in added)


@pytest.mark.parametrize(
    "text", ["", "\x00", "frontend", "server a", 'bind "', "backend x\n server a b\n cookie", "global\n stats socket"]
)
def test_nonsense_is_passed_over(text: str) -> None:
    discover(text)


@pytest.mark.parametrize(
    ("names", "pools"),
    [
        (["app_blue", "app_green"], {"blue": "app_blue", "green": "app_green"}),
        (["api", "shop-a", "shop-b"], {"a": "shop-a", "b": "shop-b"}),
        (["api_v1_read", "shop"], {}),
        (["api", "static"], {}),  # two applications
        (["static", "blue", "green"], {"blue": "blue", "green": "green"}),
        (["app_blue", "app_blue"], {}),
        (["app_(x)", "app_(y)"], {}),  # no names of pools
    ],
)
def test_siblings_are_proposed(names: list[str], pools: dict[str, str]) -> None:
    assert discover("\n".join(f"backend {n}\n server s 10.0.0.1:80" for n in names)).propose_pools() == pools


# counting ----------------------------------------------------------------------------------------------

COLUMNS = "# pxname,svname,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,\n"


def test_answers_of_the_version_and_of_haproxy() -> None:
    rows = wire.parse_stat(COLUMNS + "b,s1,0,5,0,0,2,\nb,s2,0,5,0,1,1,\nb,BACKEND,0,10,0,1,7,\n\n")
    assert counts_of(list(rows), 4) == Counters(18, 3, 4, 4)


def test_a_server_that_is_a_moment_ahead_of_its_backend() -> None:
    rows = wire.parse_stat(COLUMNS + "b,s1,0,0,0,0,3,\nb,BACKEND,0,0,0,0,2,\n\n")
    assert counts_of(list(rows), 0) == Counters(2, 2, 0, 0)


# settings and the way by hand -------------------------------------------------------------------------------


def settings(**changes: object) -> HaproxySettings:
    values = {
        "name": "edge", "socket": "/run/m.sock", "map_path": "/etc/haproxy/route.map",
        "preview_map_path": "/etc/haproxy/preview.map", "backends": {"blue": "app_blue", "green": "app_green"}, "entry": "http://x",
    }  # fmt: skip
    return HaproxySettings(**{**values, **changes})


@pytest.mark.parametrize(
    "wrong", [{"socket": "/" + "x" * 97}, {"socket": "m.sock"}, {"map_path": "/a b"}, {"backends": {"blue": "b"}}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict) -> None:
    with pytest.raises(BalancerMisconfigured):
        settings(**wrong)


def test_by_hand_survives_an_interactive_shell() -> None:
    """`!` in double quotes is history expansion there."""
    balancer = HaproxyBalancer(settings())
    for lines in (balancer.by_hand(ROUTE), balancer.by_hand_drain("blue"), balancer.by_hand_health("blue")):
        assert any("printf '@!%s " in line for line in lines)
        assert not any('"@!' in line for line in lines)


def test_by_hand_no_answer_is_not_a_good_answer() -> None:
    """Without a worker the loops do nothing and end well; each check demands one."""
    balancer = HaproxyBalancer(settings())
    *_, read_back = balancer.by_hand(ROUTE)
    assert "n && n == asked" in read_back
    assert "n && n == asked" in balancer.by_hand_live("blue")[-1]
    assert "k && k == asked" in balancer.by_hand_drain("blue")[-2]
    assert "|| !n" in balancer.by_hand_health("blue")[-1]


@pytest.mark.parametrize("ask", ["by_hand_live", "by_hand_health", "by_hand_drain"])
def test_by_hand_an_unknown_pool_is_refused(ask: str) -> None:
    with pytest.raises(BalancerMisconfigured, match="no pool 'red'"):
        getattr(HaproxyBalancer(settings()), ask)("red")
