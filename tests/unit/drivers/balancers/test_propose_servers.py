"""A backend that has the servers of both pools is recognised by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.config import load
from changeover.drivers.balancers.haproxy_site import discover
from changeover.service.setup import propose

CFG = """\
frontend web
    bind :80
    default_backend shop
backend shop
    server {0} 10.0.0.1:8001 check
    server {1} 10.0.0.2:8001 check
    server {2} 10.0.0.1:8002 check weight 0
    server {3} 10.0.0.2:8002 check weight 0
"""


@pytest.mark.parametrize(
    ("names", "pools"),
    [
        (("blue1", "blue2", "green1", "green2"), {"blue": ["blue1", "blue2"], "green": ["green1", "green2"]}),
        (("a-1", "a-2", "b-1", "b-2"), {"a": ["a-1", "a-2"], "b": ["b-1", "b-2"]}),
        (("web1", "web2", "web3", "web4"), None),
        (("a", "b", "c", "d"), None),
    ],
)
def test_pools_by_names(names: tuple[str, ...], pools: dict[str, list[str]] | None) -> None:
    found = discover(CFG.format(*names)).propose_servers()
    assert (found and {p: [s.name for s in servers] for p, servers in found[1].items()}) == pools


def test_init_proposes_a_configuration_that_loads_and_adds_nothing(tmp_path: Path) -> None:
    cfg = tmp_path / "haproxy.cfg"
    cfg.write_text(CFG.format("blue1", "blue2", "green1", "green2"))
    made = propose(tmp_path, cfg, app="shop", environment="production")
    assert made.additions == ()
    file = tmp_path / "changeover.yml"
    file.write_text(
        made.configuration.replace("socket: FILL_IN", "socket: /run/m.sock")
        .replace("entry: FILL_IN", "entry: http://shop")
        .replace("FILL_IN", "/bin/true")
    )
    (balancer,) = load(file).balancers
    assert balancer.type == "haproxy-servers"
    assert balancer.backend == "shop"
    assert dict(balancer.servers) == {"blue": ("blue1", "blue2"), "green": ("green1", "green2")}
