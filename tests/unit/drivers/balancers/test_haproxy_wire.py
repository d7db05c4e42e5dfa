"""Commands, replies and the route as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, ChangeoverError
from changeover.core.model import Route
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy_socket import complete, reads

POOLS = ("blue", "green")
MAP = "/etc/haproxy/route.map"

routes = st.builds(
    Route,
    st.sampled_from(POOLS),
    st.sampled_from(POOLS),
    st.integers(0, 9999),
    st.integers(0, 9999),
    st.integers(0, 10**11),
    st.text("abzAZ09._-", max_size=20),
)


@given(routes)
def test_a_route_survives_the_wire(route: Route) -> None:
    assert wire.decode_route(wire.encode_route(route, POOLS), POOLS) == route


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_a_route_or_a_value_error(text: str) -> None:
    try:
        route = wire.decode_route(text, POOLS)
    except ValueError:
        return
    assert route.live in POOLS
    assert 0 <= route.share < 10_000


def test_commands_are_exactly_these() -> None:
    value = wire.encode_route(Route("blue", "green", 500, 7312, 1795446539, "r7-s4"), POOLS)
    assert value == "blue:green:500:7312:1795446539:r7-s4"
    assert wire.prepare_map(MAP) == "prepare map /etc/haproxy/route.map"
    assert wire.add_route(MAP, 3, value) == f"add map @3 /etc/haproxy/route.map route {value}"
    assert wire.commit_map(MAP, 3) == "commit map @3 /etc/haproxy/route.map"
    assert wire.get_route(MAP) == "get map /etc/haproxy/route.map route"
    assert wire.shutdown_session("0x55aa") == "shutdown session 0x55aa"


@pytest.mark.parametrize("path", ["route.map", "/a b", "/a;show info", "/a\nb", "/a'b", "", "/a\\b"])
def test_a_path_that_would_be_another_command_is_refused(path: str) -> None:
    with pytest.raises(BalancerMisconfigured):
        wire.get_route(path)


@pytest.mark.parametrize("value", ["blue green", "blue;show", "", "blü", "a\nb"])
def test_a_value_that_would_be_cut_or_run_is_refused(value: str) -> None:
    with pytest.raises(BalancerRefused):
        wire.add_route(MAP, 1, value)
    with pytest.raises(BalancerRefused):
        wire.set_route(MAP, value)


@pytest.mark.parametrize("session", ["0x1; quit", "all", "", "0xZZ"])
def test_a_session_that_is_none_is_refused(session: str) -> None:
    with pytest.raises(BalancerRefused):
        wire.shutdown_session(session)


@pytest.mark.parametrize(
    "route", [Route("purple", "green"), Route("blue", "purple"), Route("blue", "green", mark="märk")]
)
def test_a_route_that_haproxy_would_take_and_turn_into_503_is_refused(route: Route) -> None:
    with pytest.raises(BalancerRefused):
        wire.encode_route(route, POOLS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blue:green:500:7312", Route("blue", "green", 500, 7312)),
        ("blue:green:0:0:5", Route("blue", "green", expires=5)),
    ],
)
def test_what_a_person_types_is_a_route(text: str, expected: Route) -> None:
    assert wire.decode_route(text, POOLS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blue",
        "blue:green",
        "blue:green:1",
        "blue:green:10000:0",
        "blue:green:+1:0",
        "blue:green:٣:0",
        "b:g:0:0:0:m:x",
    ],
)
def test_what_is_no_route_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        wire.decode_route(text, POOLS)


PROC = """#<PID>          <type>          <reloads>       <uptime>        <version>
8358            master          1 [failed: {failed}]   0d00h00m03s     2.6.12
# workers
8471            worker          0               0d00h00m01s     2.6.12
# old workers
8361            worker          1               0d00h00m03s     2.6.12
# programs

"""


def test_workers_new_and_old() -> None:
    assert wire.parse_workers(PROC.format(failed=0)) == (wire.Worker(8471, old=False), wire.Worker(8361, old=True))
    assert wire.failed_reloads(PROC.format(failed=2)) == 2


@pytest.mark.parametrize(
    "reply", ["", "\n", "nonsense\n\n", "#<PID>\n# workers\n\n", "#<PID>\n# old workers\n7 worker 1 0d 2.6\n\n"]
)
def test_no_workers_is_an_error_and_never_an_empty_list(reply: str) -> None:
    with pytest.raises(ChangeoverError):
        wire.parse_workers(reply)


def test_values() -> None:
    line = 'type=str, case=sensitive, found=yes, idx=tree, key="route", value="blue:green:0:0:0:x", type="str"\n\n'
    assert wire.parse_value(line) == "blue:green:0:0:0:x"
    assert wire.parse_value("type=str, case=sensitive, found=no\n\n") is None
    for reply in ("", "\n", 'found=yes, key="route", value="blue'):
        with pytest.raises(BalancerRefused):
            wire.parse_value(reply)
    with pytest.raises(BalancerMisconfigured):
        wire.parse_value("Unknown map identifier. Please use #<id> or <file>.\n\n")


def test_versions() -> None:
    assert wire.parse_version("New version created: 12\n\n") == 12
    with pytest.raises(BalancerRefused):
        wire.parse_version("\n")


@pytest.mark.parametrize("reply", ["entry not found.\n\n", "No such server.\n\n", "done\n"])
def test_anything_but_a_blank_line_is_a_failure(reply: str) -> None:
    wire.demand_blank("commit map @1 /a", "\n")
    with pytest.raises(BalancerRefused):
        wire.demand_blank("commit map @1 /a", reply)


def test_out_of_range_is_told_apart() -> None:
    with pytest.raises(wire.OutOfRange):
        wire.demand_blank("commit map @1 /a", "Version number out of range.\n\n")


def test_a_strange_entry_never_shows_what_may_be_a_secret() -> None:
    assert wire.parse_entries("0x55fb route a:b\n0x55fc other\n\n") == (("route", "a:b"), ("other", ""))
    with pytest.raises(BalancerRefused) as caught:
        wire.parse_entries("topsecret green\n\n")
    assert "topsecret" not in str(caught.value)


HEADER = "# pxname,svname,qcur,scur,status,check_status,hrsp_5xx,\n"


def test_rows_are_read_by_the_names_of_the_header() -> None:
    rows = wire.parse_stat(HEADER + "app_blue,b1,0,2,UP,* L7OK,3,\napp_blue,BACKEND,1,2,UP,,4,\n\n")
    assert [(r.server, r.count("scur"), r.count("hrsp_5xx")) for r in rows] == [("b1", 2, 3), ("BACKEND", 2, 4)]
    assert rows[0].healthy
    with pytest.raises(BalancerRefused):
        rows[0].count("hrsp_2xx")


@pytest.mark.parametrize(
    ("status", "check"),
    [("UP 1/2", "L7OK"), ("UP", "INI"), ("UP", "L4CON"), ("DOWN", "L7OK"), ("no check", ""), ("DRAIN", "L7OK")],
)
def test_only_checked_and_healthy_is_healthy(status: str, check: str) -> None:
    (row,) = wire.parse_stat(HEADER + f"app_blue,b1,0,0,{status},{check},0,\n\n")
    assert not row.healthy


@pytest.mark.parametrize("reply", ["", "pxname\n", HEADER + "app_blue,b1,0\n", HEADER + 'app_blue,"b1\n'])
def test_a_table_that_is_cut_off_is_an_error(reply: str) -> None:
    with pytest.raises(BalancerRefused):
        wire.parse_stat(reply)


@pytest.mark.parametrize("count", ["x", "-1", "1.5"])
def test_a_count_that_is_no_number_is_an_error_and_never_zero(count: str) -> None:
    (row,) = wire.parse_stat(HEADER + f"app_blue,BACKEND,0,{count},UP,,0,\n\n")
    with pytest.raises(BalancerRefused):
        row.count("scur")


def test_tables() -> None:
    reply = "# table: changeover_long, type: string, size:64, used:1\n0x1: key=blue use=1 exp=0 conn_cur=3\n\n"
    assert wire.parse_table(reply, "conn_cur") == {"blue": 3}
    with pytest.raises(BalancerRefused):
        wire.parse_table(reply, "http_req_cnt")
    with pytest.raises(BalancerMisconfigured):
        wire.parse_table("No such table\n\n", "conn_cur")


def test_sessions() -> None:
    line = "0x7f32: proto=tcpv4 src=1.2.3.4:5 fe=web be=app_blue srv=blue1 ts=00 epoch=0 age=4s calls=2 rq[f=c0]\n\n"
    assert wire.parse_sessions(line) == (wire.Session("0x7f32", "app_blue", "blue1", "4s", client="1.2.3.4:5"),)
    assert wire.parse_sessions(line.replace("4s", "1h2m"))[0].seconds == 3720
    with pytest.raises(BalancerRefused):
        wire.parse_sessions("0x7f32: proto=tcpv4 src=1.2\n")


@given(st.text(max_size=200))
def test_parsers_raise_only_errors_of_ours(reply: str) -> None:
    for parse in (
        wire.parse_workers,
        wire.parse_value,
        wire.parse_entries,
        wire.parse_version,
        wire.parse_stat,
        wire.parse_sessions,
    ):
        try:
            parse(reply)
        except ChangeoverError as error:
            assert error.next


def test_whole_and_half_replies() -> None:
    assert complete("\n")
    assert complete("a\n\n")
    assert not any(complete(half) for half in ("", "a", "a\n", "a\nb"))


def test_only_looks_are_repeated() -> None:
    assert reads("show proc")
    assert reads("@!12 get map /a route")
    assert not any(
        reads(c) for c in ("@!12 commit map @1 /a", "@!12 prepare map /a", "@!12 shutdown session 0x1", "reload")
    )
