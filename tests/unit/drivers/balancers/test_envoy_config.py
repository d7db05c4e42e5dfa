"""The bootstrap, the files beside it, the commands, and the way by hand."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from changeover.core.errors import BalancerMisconfigured, ExtraMissing
from changeover.core.model import Route, Slot
from changeover.drivers.balancers import envoy_by_hand
from changeover.drivers.balancers.envoy_config import Check, EnvoyLayout, binary, bootstrap, command, initial_files
from changeover.drivers.balancers.envoy_counts import aggregates, all_clusters, fallbacks, members
from changeover.drivers.balancers.envoy_route import Terms, parse_file

POOLS = {
    "blue": [Slot("blue", 1, "10.0.0.11", 8080), Slot("blue", 2, "10.0.0.12", 8080)],
    "green": [Slot("green", 1, "green1.internal", 8080)],
}
LAYOUT = EnvoyLayout(POOLS, directory="/etc/envoy/routes", check=Check("/up", every=2.0))
TERMS = Terms(LAYOUT.clusters)
CANARY = Route("blue", "green", 500, 7312, 0, "r1-s4")


def clusters(layout: EnvoyLayout = LAYOUT) -> dict[str, dict[str, Any]]:
    found = json.loads(bootstrap(layout))["static_resources"]["clusters"]
    assert len({c["name"] for c in found}) == len(found)
    return {c["name"]: c for c in found}


def endpoints(cluster: dict[str, Any]) -> list[str]:
    return [
        e["endpoint"]["address"]["socket_address"]["address"]
        for e in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ]


def test_the_bootstrap_has_every_cluster_that_the_driver_needs() -> None:
    assert set(clusters()) == set(all_clusters(TERMS))


def test_three_pools_have_a_fallback_for_every_ordered_pair() -> None:
    layout = EnvoyLayout({**POOLS, "red": [Slot("red", 1, "10.0.0.31", 8080)]})
    assert set(clusters(layout)) == set(all_clusters(Terms(layout.clusters)))
    assert len(clusters(layout)) == 3 + 6 + 6


def test_a_fallback_cluster_has_the_instances_of_live_and_the_aggregate_prefers_the_candidate() -> None:
    found = clusters()
    assert endpoints(found["blue_for_green"]) == endpoints(found["blue"]) == ["10.0.0.11", "10.0.0.12"]
    assert found["green_or_blue"]["cluster_type"]["typed_config"]["clusters"] == ["green", "blue_for_green"]
    assert members(TERMS, "blue") == ("blue", "blue_for_green")
    assert fallbacks(TERMS, "green") == ("blue_for_green",)
    assert aggregates(TERMS, "green") == ("green_or_blue",)


def test_every_pool_is_checked_and_nothing_is_sent_to_the_dead() -> None:
    for name, cluster in clusters().items():
        assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
        assert cluster["common_lb_config"]["update_merge_window"] == "0s"
        if "_or_" not in name:
            assert cluster["health_checks"][0]["http_health_check"] == {"path": "/up"}
            assert cluster["health_checks"][0]["interval"] == "2s"


def test_names_are_resolved_and_addresses_are_not() -> None:
    assert clusters()["blue"]["type"] == "STATIC"
    assert clusters()["green"]["type"] == "STRICT_DNS"


def test_the_listener_takes_the_route_from_the_watched_directory() -> None:
    manager = json.loads(bootstrap(LAYOUT))["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0][
        "typed_config"
    ]
    source = manager["rds"]["config_source"]["path_config_source"]
    assert source == {"path": "/etc/envoy/routes/live.json", "watched_directory": {"path": "/etc/envoy/routes"}}
    assert manager["rds"]["route_config_name"] == TERMS.name


def test_the_initial_files_are_for_their_owner_only() -> None:
    files = initial_files(LAYOUT, CANARY)
    assert {mode for _, mode in files.values()} == {0o600}
    secret = files["/etc/envoy/routes/preview.secret"][0].strip()
    assert len(secret) >= 43
    parsed = parse_file(files["/etc/envoy/routes/live.json"][0], TERMS)
    assert (parsed.route, parsed.secret) == (CANARY, secret)
    assert initial_files(LAYOUT, CANARY) != files  # another secret each time


@pytest.mark.parametrize(
    "changes",
    [{"directory": "routes"}, {"pools": {"blue": POOLS["blue"]}}, {"pools": {"blue": POOLS["blue"], "green": []}}],
    ids=str,
)
def test_a_layout_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BalancerMisconfigured):
        EnvoyLayout(**{"pools": POOLS, **changes})


@pytest.mark.parametrize("address", ["8080", ":8080", "host:", "host:http", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BalancerMisconfigured):
        bootstrap(EnvoyLayout(POOLS, bind=address))


def test_the_command_runs_or_checks() -> None:
    run = ["/bin/envoy", "-c", "/etc/envoy/envoy.json", "--use-dynamic-base-id", "--log-level", "warn"]
    assert command("/bin/envoy", "/etc/envoy/envoy.json") == run
    assert command("/bin/envoy", "/etc/envoy/envoy.json", check=True) == [*run, "--mode", "validate"]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(ExtraMissing) as caught:
        binary()
    assert caught.value.code == "CO-0014"
    assert "changeover[envoy]" in caught.value.next[0]


# by hand ---------------------------------------------------------------------------------------------


def test_by_hand_lets_the_shell_read_the_secret() -> None:
    lines = envoy_by_hand.set_route(
        CANARY, TERMS, "/etc/envoy/my routes/live.json", "/etc/envoy/preview.secret", "127.0.0.1:9901"
    )
    there, write, rename, taken = lines
    assert there == "[ -s /etc/envoy/preview.secret ]"
    assert write.count("$(cat /etc/envoy/preview.secret)") == 1
    assert write.count("$") == 1
    assert "'/etc/envoy/my routes/live.json'" in rename
    assert "grep -cF blue:green:500:7312:0:r1-s4 && exit" in taken
    assert taken.endswith("exit 1)")


def test_by_hand_drain_looks_at_every_cluster_of_the_pool() -> None:
    idle, wait = envoy_by_hand.wait_drained("blue", members(TERMS, "blue"), "127.0.0.1:9901", 30)
    assert "(blue|blue_for_green)" in idle
    assert "upstream_rq_(active|pending_active)" in idle
    assert "k == 4 && n == 0" in idle  # four gauges; none of them is not zero of them
    assert wait.startswith("(for try in $(seq 30); do idle && sleep 1 && idle && exit;")
