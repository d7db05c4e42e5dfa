"""`init`: an existing haproxy.cfg or AWS load balancer in, a changeover.yml and the lines to add out. Nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from changeover.config import Facts, starter
from changeover.core.errors import ConfigurationMissing, UsageError
from changeover.drivers.balancers import haproxy_site
from changeover.drivers.balancers.haproxy_config import Server
from changeover.drivers.balancers.haproxy_site import HaproxySite

CHANGES = ("db/changes", "migrations", "db/migrations")  # where schema changes usually lie
MOST_BYTES = 4 * 2**20
HAPROXY_CFG = "/etc/haproxy/haproxy.cfg"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What `init` proposes. `additions`: section, lines and why for haproxy.cfg; `found`: what was seen, for people."""

    configuration: str
    additions: tuple[str, ...]
    found: tuple[str, ...]


def propose(directory: Path, haproxy_cfg: Path | None, *, app: str, environment: str, arn: str = "") -> Proposal:
    """Read what is there; `arn` names a load balancer of AWS instead of a file.

    Raises ConfigurationMissing for a named file that cannot be read, UsageError for a foreign one, and what AWS refuses.
    """
    changes = next((p for p in CHANGES if (directory / p).is_dir()), "")
    if arn:
        return _from_aws(arn, Facts(app=app, environment=environment, changes=changes))
    if haproxy_cfg is None:
        facts = Facts(app=app, environment=environment, changes=changes)
        return Proposal(starter(facts), (), ("no haproxy.cfg was read: the balancer is left to fill in",))
    site = haproxy_site.discover(_read(haproxy_cfg))
    if not site.backends:
        raise UsageError(f"{haproxy_cfg} has no backend", next=("name another: --from FILE",))
    return _from_haproxy(site, haproxy_cfg, Facts(app=app, environment=environment, changes=changes))


def _from_aws(arn: str, facts: Facts) -> Proposal:
    from dataclasses import replace

    from changeover.drivers.balancers.aws_site import discover

    site = discover(arn)
    pools = site.targets or dict.fromkeys(site.instances or ("blue", "green"), "")
    proposed = replace(
        facts,
        balancer=site.kind,
        account=site.account,
        region=site.region,
        pools={pool: (site.addresses or {}).get(pool, ()) for pool in pools},
        backends=pools,
        listeners=site.listeners,
        leave_others=site.others,
        load_balancer=site.name,
        ids=site.instances or {},
        entry=site.entry,
        ready=site.health,
        seen=site.seen,
    )
    return Proposal(starter(proposed), (), (*site.seen, "the smallest IAM policy: changeover doctor --grants"))


def _read(file: Path) -> str:
    """The text. Raises ConfigurationMissing, and UsageError for what is far too large to be a configuration."""
    another = ("name another: --from FILE",)
    try:
        with file.open("rb") as source:
            raw = source.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UsageError(f"{file} is larger than {MOST_BYTES // 2**20} MiB: not a haproxy.cfg", next=another)
        return raw.decode()
    except OSError as error:
        raise ConfigurationMissing(f"{file} cannot be read: {error.strerror}", next=another) from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not text: not a haproxy.cfg", next=another) from None


def _from_haproxy(site: HaproxySite, file: Path, facts: Facts) -> Proposal:
    from dataclasses import replace

    pools = site.propose_pools()
    folder = file.parent
    frontend = site.frontends[0].name if site.frontends else "web"
    seen = [f"read from {file}: {len(site.backends)} backends, {len(site.frontends)} frontends"]
    as_it_is = None if pools else site.propose_servers()
    if as_it_is is not None:
        return _as_it_is(*as_it_is, file, facts, seen)
    if not pools:
        seen.append("no two backends look like the two pools of one application: name them under `backends:`")
    map_path = next((m for m in site.maps if m.endswith("route.map")), str(folder / "route.map"))
    preview = next((m for m in site.maps if m.endswith("preview.map")), str(folder / "preview.map"))
    proposed = replace(
        facts,
        pools=_addresses(site, pools),
        backends=pools,
        map=map_path,
        preview_map=preview,
        config=str(file),
        seen=seen,
    )
    additions = haproxy_site.lines_to_add(site, pools, frontend, map_path, preview) if pools else ()
    return Proposal(starter(proposed), tuple(f"# {a.why}\n{a.text}" for a in additions), tuple(seen))


def _as_it_is(
    backend: str, pools: Mapping[str, tuple[Server, ...]], file: Path, facts: Facts, seen: list[str]
) -> Proposal:
    """One backend has the servers of both pools: nothing has to be added to it."""
    from dataclasses import replace

    seen.append(
        f"backend {backend} has the servers of {' and '.join(pools)}: their weights can be the route, nothing is added"
    )
    proposed = replace(
        facts,
        balancer="haproxy-servers",
        backend=backend,
        pools={pool: tuple(f"{s.host}:{s.port}" for s in servers) for pool, servers in pools.items()},
        servers={pool: tuple(s.name for s in servers) for pool, servers in pools.items()},
        config=str(file),
        seen=seen,
    )
    return Proposal(starter(proposed), (), tuple(seen))


def _addresses(site: HaproxySite, pools: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found = {}
    for pool, name in pools.items():
        backend = site.backend(name)
        found[pool] = () if backend is None else tuple(f"{s.host}:{s.port}" for s in backend.servers)
    return found
