"""The same by hand: shell commands that a person can copy. They are only written here, never run.

The preview's secret is not in them: the shell reads it from its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from changeover.core.model import Route
from changeover.drivers.balancers.envoy_route import Terms, encode, render
from changeover.drivers.by_hand import pattern, wait_until

TAKEN_WITHIN = 10.0  # seconds
HEALTH_WITHIN = 60.0  # seconds
SHOWN_WITHIN = 3.0  # seconds
_PLACE = "changeover-preview-secret-goes-here"  # has the form of a secret
_END = "ROUTE"


def set_route(route: Route, terms: Terms, path: str, secret_file: str, admin: str) -> Sequence[str]:
    """Write the route file as a whole, rename it into place, and see that Envoy took it. Raises BalancerRefused."""
    text = render(route, terms, _PLACE)
    assert not set("$`\\") & set(text), "nothing for the shell to expand, except the secret"
    body = text.replace(_PLACE, f"$(cat {quote(secret_file)})")
    old, new = quote(path), quote(f"{path}.by-hand")
    took = f"{_running(admin)} | grep -cF {quote(encode(route, terms.pools))}"
    return (
        f"[ -s {quote(secret_file)} ]",
        f"(umask 077 && cat > {new} <<{_END}\n{body}{_END}\n)",
        f"chmod --reference={old} {new}; chown --reference={old} {new}; mv {new} {old}",
        wait_until(took, TAKEN_WITHIN, "Envoy did not take the route; see its log"),
    )


def demand_live(pool: str, admin: str) -> Sequence[str]:
    """Ends 0 only if Envoy gives the pool everything."""
    shown = f'"route": "{pattern(pool)}:[^:"]*:0:'
    words = f"{pool} does not have all of the traffic, or Envoy does not answer"
    return (wait_until(f"{_running(admin)} | grep -E {quote(shown)}", SHOWN_WITHIN, words),)


def wait_healthy(cluster: str, admin: str) -> Sequence[str]:
    """Until Envoy finds every instance of the cluster healthy."""
    judge = (
        f'awk \'index($0, "{cluster}::") == 1 && /::health_flags::/ '
        "{n++; bad += !/::health_flags::healthy$/} END {exit bad || !n}'"
    )
    look = f"curl -sS -m 5 http://{admin}/clusters | {judge}"
    return (wait_until(look, HEALTH_WITHIN, f"Envoy does not find every instance of {cluster} healthy"),)


def wait_drained(pool: str, clusters: Sequence[str], admin: str, within: float) -> Sequence[str]:
    """Until nothing is processed by the clusters' instances or waits for them, twice in a row. Websockets count."""
    which = f"^cluster\\.({'|'.join(pattern(c) for c in clusters)})\\.upstream_rq_(active|pending_active)$"
    ask = f"curl -sS -G -m 5 --data-urlencode {quote(f'filter={which}')} http://{admin}/stats"
    judge = (
        'awk \'{k++; n += $2} END {print n + 0, "in flight"; ' + f"exit !(k == {2 * len(clusters)} && n == 0)" + "}'"
    )
    words = f"{pool} still has requests in flight, or Envoy does not answer; do not stop its instances"
    return (f"idle() {{ {ask} | {judge}; }}", wait_until("idle && sleep 1 && idle", within, words))


def ask_preview(entry: str, header: str, secret_file: str) -> Sequence[str]:
    """Curl that asks the idle pool through the preview. A path is to be appended."""
    return (f'curl -sS -m 5 -H "{header}: $(cat {quote(secret_file)})" {quote(entry.rstrip("/"))}',)


def _running(admin: str) -> str:
    return f"curl -sS -m 5 {quote(f'http://{admin}/config_dump?resource=dynamic_route_configs')}"
