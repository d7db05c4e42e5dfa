"""A configuration for Caddy to start with, or only changeover's object for one that is there.

    python -m changeover_caddy.first --admin SOCKET --listen :80 --log FILE --secret FILE blue=HOST:PORT,HOST:PORT green=…

Prints JSON. The first pool gets everything. The secret's file is made if it is absent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from changeover.core.errors import ChangeoverError
from changeover.core.model import Route
from changeover_caddy import config
from changeover_caddy.driver import secret_in


def main(argv: Sequence[str] | None = None) -> int:
    """Ends 2 if something is wrong."""
    parser = argparse.ArgumentParser("changeover_caddy.first", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--secret", required=True, help="file of the preview's secret")
    parser.add_argument("--health", default="/health", help="the path by which Caddy checks an instance")
    parser.add_argument("--check-every", type=float, default=1.0, help="seconds between two checks")
    parser.add_argument("--keep-alive", action="store_true", help="leave idle connections open; see README.md")
    parser.add_argument("--object", action="store_true", help="only the object with @id changeover")
    parser.add_argument("--admin", default="localhost:2019", help="unix socket or host:port")
    parser.add_argument("--listen", default=":80")
    parser.add_argument("--log", default="/var/log/caddy/access.log", help="where Caddy writes its access log")
    parser.add_argument("pools", nargs=2, metavar="POOL=HOST:PORT,…")
    given = parser.parse_args(argv)
    pools = {name: tuple(each.split(",")) for name, _, each in (text.partition("=") for text in given.pools)}
    if len(pools) != 2 or not all(all(each) for each in pools.values()):
        parser.error("two pools are needed, each as NAME=HOST:PORT,HOST:PORT")
    live, idle = pools
    try:
        site = config.Site(pools, secret_in(given.secret), given.health, given.check_every, given.keep_alive)
        ours = config.route_object(Route(live, idle, mark="first"), site, token=0, run="")
    except (ChangeoverError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(ours if given.object else config.first(given.admin, given.listen, given.log, ours), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
