from __future__ import annotations

import re

import pytest

from changeover.config import Facts, load, marks, starter
from changeover.core.errors import ConfigurationError

HAPROXY = Facts(
    app="shop",
    environment="production",
    pools={"blue": ["10.0.0.11:8001"], "green": ["10.0.0.11:8002"]},
    backends={"blue": "app_blue", "green": "app_green"},
    socket="/run/haproxy/master.sock",
    map="/etc/haproxy/route.map",
    preview_map="/etc/haproxy/preview.map",
    config="/etc/haproxy/haproxy.cfg",
    entry="http://10.0.0.1:80",
    ready="/health",
    seen=["from /etc/haproxy/haproxy.cfg\nand more"],
)
LOCAL = Facts(
    app="shop",
    pools={"blue": ["127.0.0.1:8001", "127.0.0.1:8003"], "green": ["127.0.0.1:8002"]},
    balancer="envoy",
    admin="127.0.0.1:9901",
    routes="run/live.json",
    entry="http://127.0.0.1:8080",
    dialect="sqlite",
)
ODD = Facts(
    app="shop",
    pools={"yes": [], "true": []},
    socket='/run/a b: "c"/#x\x07',
    dialect="",
    backends={"yes": "no: y", "true": "b"},
)
ARN = "arn:aws:elasticloadbalancing:eu-central-1:210987654321"
ALB = Facts(
    app="shop",
    environment="production",
    pools={"blue": ["10.0.0.11:8001"], "green": ["10.0.0.12:8001"]},
    balancer="alb",
    account="210987654321",
    region="eu-central-1",
    listeners=[f"{ARN}:listener/app/web/50dc/f2f7", f"{ARN}:listener-rule/app/web/50dc/f2f7/9683"],
    backends={"blue": f"{ARN}:targetgroup/shop-blue/73e2", "green": f"{ARN}:targetgroup/shop-green/0996"},
    leave_others=True,
    entry="https://web.example",
)
CLASSIC = Facts(
    app="shop",
    pools={"blue": ["10.0.0.11:8001"], "green": []},
    balancer="elb",
    account="210987654321",
    region="eu-central-1",
    load_balancer="shop",
    backends={"blue": "", "green": ""},
    ids={"blue": ["i-0fedcba9876543210"]},
    entry="http://web.example",
)
ALL = [Facts(), HAPROXY, LOCAL, ODD, ALB, CLASSIC]


def filled(text):
    """As a person fills it in: something that fits at each mark."""
    fits = {
        "app": "shop",
        "environment": "demo",
        "entry": "http://127.0.0.1:80",
        "admin": "127.0.0.1:1",
        "blue": "app_blue",
    }
    lines = []
    for number, line in enumerate(text.splitlines()):
        key = line.strip().split(":")[0]
        fit = f"10.0.0.11:{number}" if "[FILL_IN]" in line else fits.get(key, "/srv/x")
        if key == "green" and "[FILL_IN]" in line and "i-" in text and line.startswith("      "):
            fit = "i-0fedcba9876543211"
        one, two = ("b1", "b2") if key in ("backends", "clusters") else (fit, fit)
        lines.append(line.replace("FILL_IN", one, 1).replace("FILL_IN", two))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("facts", ALL, ids=range(len(ALL)))
def test_loads_once_it_is_filled_in(facts, tmp_path):
    file = tmp_path / "changeover.yml"
    file.write_text(filled(starter(facts)))
    assert load(file).app == "shop"


@pytest.mark.parametrize("facts", ALL, ids=range(len(ALL)))
def test_every_mark_is_refused_at_its_line_and_nothing_else(facts, tmp_path):
    file = tmp_path / "changeover.yml"
    text = starter(facts)
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(file)
    assert {where.line for where in caught.value.where} == set(marks(text))
    heads = [line for line in caught.value.what.splitlines() if re.match(r"\S+:\d+:\d+ ", line)]
    assert heads
    assert all("is still to be filled in" in line for line in heads), "\n".join(heads)


def test_what_was_found_is_written():
    text = starter(HAPROXY)
    assert "type: command" in text
    assert "type: process" in starter(LOCAL)
    assert 'blue: ["10.0.0.11:8001"]' in text
    assert "ready: { get: /health," in text
    assert "# from /etc/haproxy/haproxy.cfg and more\n" in text


def test_without_a_database():
    assert "\ndatabase:" not in starter(ODD)
