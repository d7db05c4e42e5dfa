"""The entry point: a Balancer for one Caddy."""

from __future__ import annotations

from changeover.core.ports import BalancerOrder
from changeover_caddy.driver import CaddyBalancer, CaddySettings

__all__ = ["CaddyBalancer", "CaddySettings", "make"]


def make(order: BalancerOrder) -> CaddyBalancer:
    """Paths are relative to the directory of changeover.yml. Raises BalancerMisconfigured."""
    from changeover.core.errors import BalancerMisconfigured

    missing = [key for key in ("admin", "config", "secret", "log") if not isinstance(order.options.get(key), str)]
    if missing:
        raise BalancerMisconfigured(
            f"{order.name}: options lacks {', '.join(missing)}", next=("see README.md of changeover-caddy",)
        )
    paths = {key: str(order.directory / str(order.options[key])) for key in ("admin", "config", "secret", "log")}
    pools = {pool: tuple(slot.address for slot in slots) for pool, slots in order.slots.items()}
    health = str(order.options.get("health", "/health"))
    return CaddyBalancer(CaddySettings(order.name, order.entry, pools, health=health, **paths))
