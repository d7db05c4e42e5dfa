"""Routes as weights: nearest shares, what weights mean, what a configuration looks like afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.core.errors import BalancerMisconfigured, BalancerRefused
from changeover.core.model import Route
from changeover.drivers.balancers.haproxy_servers_file import ConfigFile, StateFile, Wanted, restarted
from changeover.drivers.balancers.haproxy_socket import replies
from changeover.drivers.balancers.haproxy_weights import (
    ServerState,
    Split,
    commands,
    finest,
    parse_states,
    route_of,
    share_of,
    split_for,
)
from changeover.drivers.balancers.haproxy_wire import parse_sessions
from changeover.testing.cases import TestFence

POOLS = {"blue": ("blue1", "blue2"), "green": ("green1", "green2")}
DUMP = """\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord
3 shop 1 blue1 10.0.0.1 2 0 100 100 2 15 3 4 6 0 0 0 - 8001 -
3 shop 2 blue2 10.0.0.2 2 0 100 100 2 15 3 4 6 0 0 0 - 8001 -
3 shop 3 green1 10.0.0.1 2 5 1 1 2 15 3 4 6 0 0 0 - 8002 -
3 shop 4 green2 10.0.0.2 2 5 1 1 2 15 3 4 6 0 0 0 - 8002 -
4 other 1 blue1 10.0.0.9 2 0 7 7 2 6 3 4 6 0 0 0 - 9 -

"""
CFG = """\
frontend web
    default_backend shop   # weight 5
backend shop  # the shop
    balance roundrobin
    server blue1 10.0.0.1:8001 check weight 10   # weight 12 is for later
    server blue2 10.0.0.2:8001 weight 10 check
    server green1 10.0.0.1:8002 check disabled
    server green2 10.0.0.2:8002 disabled check   # disabled for now

backend other
    server blue1 10.0.0.9:9 weight 7 disabled
"""


def state(name: str, weight: int, admin: int = 0) -> ServerState:
    return ServerState("shop", name, "10.0.0.1:1", weight, 1, admin)


@pytest.mark.parametrize(
    ("share", "sizes", "split"),
    [
        (0, (2, 2), Split(100, 0)),
        (500, (2, 2), Split(19, 1)),
        (2500, (2, 2), Split(3, 1)),
        (5000, (2, 2), Split(1, 1)),
        (5000, (3, 1), Split(1, 3)),
        (1, (2, 2), Split(256, 1)),
        (9999, (2, 2), Split(1, 256)),
    ],
)
def test_the_nearest_weights(share: int, sizes: tuple[int, int], split: Split) -> None:
    assert split_for(share, *sizes) == split


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (5, 2), (2, 5)])
def test_every_share_that_can_be_cut_is_cut_within_a_third_of_a_point(sizes: tuple[int, int]) -> None:
    low, high = finest(*sizes), 10_000 - finest(sizes[1], sizes[0])
    for share in range(low, high, 37):
        split = split_for(share, *sizes)
        assert 1 <= split.live <= 256
        assert 1 <= split.candidate <= 256
        assert abs(share_of(split, *sizes) - share) <= 34, (share, split)


def test_a_growing_share_never_shrinks() -> None:
    shares = [share_of(split_for(s, 2, 2), 2, 2) for s in range(1, 10_000, 11)]
    assert shares == sorted(shares)


def test_weights_mean_a_route() -> None:
    route = Route("blue", "green", 500, 7, mark="r-1.s4.f2")
    pools = {"blue": [state("blue1", 19), state("blue2", 19)], "green": [state("green1", 1), state("green2", 1)]}
    assert route_of(pools, (route, Split(19, 1))) == route
    assert route_of(pools, None) == Route("blue", "green", 500)
    assert route_of(pools, (route, Split(20, 1))) == Route("blue", "green", 500)  # somebody else's, and no mark
    out = {"blue": pools["blue"], "green": [state("green1", 100, 8), state("green2", 100, 1)]}
    assert route_of(out, None) == Route("blue", "green")
    with pytest.raises(ValueError, match="different weights: blue1 19, blue2 3"):
        route_of({**pools, "blue": [state("blue1", 19), state("blue2", 3)]}, None)
    with pytest.raises(ValueError, match="no server of any pool"):
        route_of({p: [state("x", 0)] for p in POOLS}, None)


def test_who_gets_more_comes_first_and_a_pool_that_is_out_comes_in_weighed() -> None:
    pools = {
        "blue": [state("blue1", 100), state("blue2", 1, 8)],
        "green": [state("green1", 1, 5), state("green2", 1, 5)],
    }
    assert commands("shop", pools, {"blue": 0, "green": 100}) == (
        "set server shop/green1 weight 100",
        "set server shop/green1 state ready",
        "set server shop/green2 weight 100",
        "set server shop/green2 state ready",
        "set server shop/blue1 weight 0",
        "set server shop/blue2 weight 0",  # one that somebody took out stays out
    )


def test_a_dump_is_read_by_its_header() -> None:
    states = parse_states(DUMP)
    assert [s.name for s in states] == ["blue1", "blue2", "green1", "green2", "blue1"]
    assert states[2] == ServerState("shop", "green1", "10.0.0.1:8002", 1, 1, 5)
    assert states[2].is_out
    for broken in ("nonsense here\n", DUMP.replace("srv_uweight", "weight"), DUMP.replace(" 100 100 ", " x 100 ")):
        with pytest.raises(BalancerRefused):
            parse_states(broken)


@pytest.mark.parametrize(
    ("text", "count", "found"),
    [
        ("\n\n", 2, ("", "")),
        ("\nNo such server.\n\n\n", 3, ("", "No such server.", "")),
        ("\n", 2, None),
        ("words\n", 1, None),
        ("\n\n\n", 2, None),
    ],
)
def test_several_replies_are_told_apart(text: str, count: int, found: tuple[str, ...] | None) -> None:
    assert replies(text, count) == found


# the configuration ------------------------------------------------------------------------------------------


def test_only_weights_change_in_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(CFG)
    file = ConfigFile(str(path), "shop", POOLS)
    wanted = Wanted(Route("blue", "green", 500, 7, mark="m"), Split(19, 1)).text(list(POOLS))
    file.write(wanted, TestFence(token=3))
    assert path.read_text() == (
        """\
frontend web
    default_backend shop   # weight 5
backend shop  # the shop
    # changeover backend=shop fence=3 run=r1 route=blue:green:500:7:0:m weights=19:1
    balance roundrobin
    server blue1 10.0.0.1:8001 check weight 19   # weight 12 is for later
    server blue2 10.0.0.2:8001 weight 19 check
    server green1 10.0.0.1:8002 weight 1 check
    server green2 10.0.0.2:8002 weight 1 check   # disabled for now

backend other
    server blue1 10.0.0.9:9 weight 7 disabled
"""
    )
    assert file.read().value == wanted
    assert file.read().token == 3
    file.write(wanted, TestFence(token=4))
    assert path.read_text().count("# changeover") == 1
    path.write_text(path.read_text().replace("weight 19 check", "weight 18 check"))
    assert file.read().value is None
    assert file.record(path.read_text()) is not None


def test_a_server_that_the_configuration_disables_alone_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(CFG.replace("8001 check weight", "8001 disabled check weight"))
    ConfigFile(str(path), "shop", POOLS).write("green:blue:0:0:0:m 100:0", TestFence())
    assert "server blue1 10.0.0.1:8001 disabled check weight 0 " in path.read_text()
    assert path.read_text().count("disabled") == 3  # blue1, the comment, the other backend


def test_a_configuration_without_the_backend_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(CFG)
    for backend, pools in (("shops", POOLS), ("shop", {**POOLS, "green": ("green9",)})):
        with pytest.raises(BalancerMisconfigured):
            ConfigFile(str(path), backend, pools).write("green:blue:0:0:0:m 100:0", TestFence())
    assert path.read_text() == CFG
    assert [p.name for p in tmp_path.iterdir()] == ["haproxy.cfg"]


def test_a_state_file_is_haproxys_own_dump_with_the_weights_that_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "server.state"
    path.write_text("1\n# changeover backend=other fence=9 run=r route=a:b:0:0:0: weights=100:0\n")
    file = StateFile(str(path), "shop", POOLS, lambda: DUMP)
    file.write("green:blue:0:0:0:m 100:0", TestFence(token=3))
    lines = path.read_text().splitlines()
    assert lines[0] == "1"
    assert lines[1].startswith("# changeover backend=other fence=9")
    assert lines[2] == "# changeover backend=shop fence=3 run=r1 route=green:blue:0:0:0:m weights=100:0"
    states = {(s.backend, s.name): s for s in parse_states(path.read_text())}
    assert [(states["shop", n].weight, states["shop", n].admin) for names in POOLS.values() for n in names] == [
        (0, 0),
        (0, 0),
        (100, 4),
        (100, 4),
    ]
    assert states["other", "blue1"].weight == 7
    assert file.read().value == "green:blue:0:0:0:m 100:0"


def test_what_a_restart_comes_up_with() -> None:
    running = [ServerState("shop", "blue1", "a:1", 50, 10, 0), ServerState("shop", "green1", "a:1", 50, 1, 4)]
    assert [(s.weight, s.is_out) for s in restarted(running, [])] == [(10, False), (1, True)]
    saved = [ServerState("shop", "green1", "a:1", 100, 1, 4)]
    assert [(s.weight, s.is_out) for s in restarted(running, saved)] == [(10, False), (100, False)]


# sessions ------------------------------------------------------------------------------------------------------


def test_a_tunnel_is_told_from_a_request() -> None:
    line = (
        "0x7f: proto=tcpv4 src=127.0.0.1:1 fe=web be=app srv=green1 ts=00 epoch=0 age=1s calls=3 rate=0 cpu=0 lat=0 "
        "rq[f=8c48000h,i=0,an={}h,rx=59m,wx=59m,ax=] rp[f=88048000h,i=0,an={}h,rx=59m,wx=,ax=] scf=[8,0h,fd=15]\n"
    )
    assert [parse_sessions(line.format(*a))[0].tunnel for a in (("00", "00"), ("8000", "1400000"), ("00", "8"))] == [
        True,
        False,
        False,
    ]
