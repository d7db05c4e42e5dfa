"""The entry point: a Balancer for one Caddy."""

from __future__ import annotations

from changeover.core.errors import BalancerMisconfigured
from changeover.core.ports import BalancerOrder
from changeover_caddy.driver import CaddyBalancer, CaddySettings

__all__ = ["CaddyBalancer", "CaddySettings", "make"]

PATHS = ("admin", "config", "secret", "log")
OTHERS = ("health", "check_every", "keep_alive")


def make(order: BalancerOrder) -> CaddyBalancer:
    """Paths are relative to the directory of changeover.yml. Raises BalancerMisconfigured, with everything that is wrong."""
    given = order.options
    wrong = [f"lacks {key}" for key in PATHS if key not in given]
    wrong += [f"{key} is not text" for key in PATHS if key in given and not isinstance(given[key], str)]
    health, every, keep = given.get("health", "/health"), given.get("check_every", 1), given.get("keep_alive", False)
    if not (isinstance(health, str) and health.startswith("/")):
        wrong.append("health is not a path")
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0.05 <= every <= 60:
        wrong.append("check_every is not a number of seconds (0.05 to 60)")
    if not isinstance(keep, bool):
        wrong.append("keep_alive is not true or false")
    wrong += [f"does not know {key}" for key in given if key not in PATHS and key not in OTHERS]
    if len(order.slots) != 2:
        wrong.append(f"needs two pools, not {len(order.slots)}")
    if wrong:
        raise BalancerMisconfigured(
            f"options of {order.name}: {'; '.join(wrong)}", next=("see README.md of changeover-caddy",)
        )
    return CaddyBalancer(
        CaddySettings(
            name=order.name,
            entry=order.entry,
            pools={pool: tuple(slot.address for slot in slots) for pool, slots in order.slots.items()},
            admin=_admin(order),
            config=str(order.directory / given["config"]),
            secret=str(order.directory / given["secret"]),
            log=str(order.directory / given["log"]),
            health=health,
            check_every=float(every),
            keep_alive=keep,
        )
    )


def _admin(order: BalancerOrder) -> str:
    """host:port as it stands; everything else is a path."""
    text = str(order.options["admin"])
    return text if "/" not in text and text.rpartition(":")[2].isdigit() else str(order.directory / text)
