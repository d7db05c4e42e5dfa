"""The blocks of the documents that code writes. `python -m tests.docs.blocks` writes them again.

A document marks such a place with `<!-- generated: NAME -->`; the fenced block behind it belongs to the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs import diagram

from changeover.core.model import Route
from changeover.drivers.balancers.haproxy import HaproxyBalancer, HaproxySettings
from changeover.drivers.balancers.haproxy_config import HaproxyLayout, Server, render

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->\n(?:\n```[a-z]*\n.*?\n```\n)?", re.DOTALL)


def haproxy_cfg() -> str:
    """The whole haproxy.cfg of the example."""
    pools = {
        pool: [Server(f"web{n}", f"10.0.0.1{n}", port) for n in (1, 2)]
        for pool, port in (("blue", 8001), ("green", 8002))
    }
    return render(HaproxyLayout(pools))


def _haproxy() -> HaproxyBalancer:
    return HaproxyBalancer(
        HaproxySettings(
            name="haproxy",
            socket="/run/haproxy/master.sock",
            map_path="/etc/haproxy/route.map",
            preview_map_path="/etc/haproxy/preview.map",
            backends={"blue": "app_blue", "green": "app_green"},
            entry="http://shop.example",
        )
    )


def haproxy_back() -> str:
    """All traffic to blue, by hand."""
    return "\n".join(_haproxy().by_hand(Route("blue", "green", mark="by-hand")))


def haproxy_drain() -> str:
    """What is in flight on green, by hand."""
    return "\n".join(_haproxy().by_hand_drain("green"))


BLOCKS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "states": ("mermaid", diagram.states),
    "haproxy-cfg": ("haproxy", haproxy_cfg),
    "haproxy-back": ("sh", haproxy_back),
    "haproxy-drain": ("sh", haproxy_drain),
}


def filled(text: str) -> str:
    """The document with every generated block as the code writes it now."""

    def block(found: re.Match[str]) -> str:
        language, make = BLOCKS[found["name"]]
        return f"<!-- generated: {found['name']} -->\n\n```{language}\n{make().strip()}\n```\n"

    return PLACE.sub(block, text)


if __name__ == "__main__":
    for page in sorted((ROOT / "docs").rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            print(f"written: {page.relative_to(ROOT)}")
