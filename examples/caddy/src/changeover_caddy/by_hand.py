"""python -m changeover_caddy.by_hand ADMIN CONFIG SECRET ROUTE: set a route without changeover's engine. File first, then Caddy."""

from __future__ import annotations

import sys
from itertools import pairwise

from changeover_caddy import config
from changeover_caddy.driver import CaddyBalancer, CaddySettings


class _Hand:
    """A person at the keyboard: nobody's fence but the one that is there."""

    run = "by-hand"

    def __init__(self, token: int) -> None:
        self.token = token

    def check(self) -> None:
        """Nobody else is asked."""


def main(admin: str, file: str, secret: str, text: str) -> None:
    """Addresses are taken from the object that runs."""
    probe = CaddyBalancer(CaddySettings("caddy", "", {}, admin, file, secret, ""))
    running, _ = probe._running()
    _, token, _ = config.read_object(running)
    pools: dict[str, list[str]] = {}
    _collect(running, pools)
    print(
        CaddyBalancer(CaddySettings("caddy", "", pools, admin, file, secret, "")).commit(
            config.decode(text), _Hand(token)
        )
    )


def _collect(value: object, pools: dict[str, list[str]]) -> None:
    """Pool -> addresses, from each pair of the header that names the pool and the proxy behind it."""
    if isinstance(value, list):
        for before, after in pairwise(value):
            if isinstance(before, dict) and isinstance(after, dict) and after.get("handler") == "reverse_proxy":
                pools[before["response"]["set"][config.POOL][0]] = [u["dial"] for u in after["upstreams"]]
        for inner in value:
            _collect(inner, pools)
    elif isinstance(value, dict):
        for inner in value.values():
            _collect(inner, pools)


if __name__ == "__main__":
    main(*sys.argv[1:5])
