"""The route as Envoy's route configuration: what visitors are dealt, and that parsing trusts nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.core.errors import BalancerMisconfigured, BalancerRefused
from changeover.core.model import Route
from changeover.drivers.balancers.envoy_route import (
    Parsed,
    Terms,
    bucket_cookie,
    configuration,
    decode,
    encode,
    parse,
    parse_file,
    render,
)

TERMS = Terms({"blue": "app.blue", "green": "app.green"})
SECRET = "s" * 32
FLIPPED = Route("green", "blue", mark="r1-s7")
CANARY = Route("blue", "green", 500, 7312, 1795446539, "r1-s4")

routes = st.builds(
    lambda live, share, salt, expires, mark: Route(
        live, {"blue": "green", "green": "blue"}[live], share, salt, expires, mark
    ),
    st.sampled_from(["blue", "green"]),
    st.integers(0, 9999),
    st.integers(0, 9999),
    st.integers(0, 10**11),
    st.text("abcXYZ019-._", max_size=20),
)


def entries(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = configuration(route, TERMS, SECRET)["virtual_hosts"][0]["routes"]
    return found


@given(routes)
def test_what_is_rendered_parses_back(route: Route) -> None:
    assert parse_file(render(route, TERMS, SECRET), TERMS) == Parsed(route, SECRET)
    assert decode(encode(route, TERMS.pools), TERMS.pools) == route


def test_without_a_share_everybody_goes_to_the_live_cluster() -> None:
    preview, everybody = entries(FLIPPED)
    assert everybody["match"] == {"prefix": "/"}
    assert everybody["route"]["cluster"] == "app.green"
    assert preview["route"]["cluster"] == "app.blue"
    assert "retry_policy" not in preview["route"]


def test_a_share_stands_first_and_the_weights_sum_up() -> None:
    """`hash mod 10000 < share` is the candidate only in this order and with this sum."""
    _, known, unknown, rest = entries(CANARY)
    for entry in (known, unknown):
        weighted = entry["route"]["weighted_clusters"]
        assert weighted["use_hash_policy"] is True
        assert weighted["clusters"] == [
            {"name": "app.green_or_app.blue", "weight": 500},
            {"name": "app.blue", "weight": 9500},
        ]
    assert known["route"]["hash_policy"] == [{"cookie": {"name": "changeover_bucket_7312"}}]
    assert unknown["response_headers_to_add"][0]["header"]["value"].startswith(
        "changeover_bucket_7312=%REQ(x-request-id)%; Path=/; Max-Age=86400"
    )
    assert rest["route"]["cluster"] == "app.blue"


def test_another_salt_is_another_cookie() -> None:
    assert len({bucket_cookie(salt) for salt in range(100)}) == 100


def test_the_preview_shows_the_idle_pool_whatever_the_route_says() -> None:
    assert TERMS.idle(Route("blue", "blue")) == "green"
    assert TERMS.idle(Route("green", "green")) == "blue"
    assert TERMS.idle(CANARY) == "green"


def test_unknown_clusters_are_refused_by_envoy() -> None:
    assert configuration(CANARY, TERMS, SECRET)["validate_clusters"] is True


@pytest.mark.parametrize(
    "route", [Route("purple", "green"), Route("blue", "purple", 10), Route("app.blue".replace(".", "_"), "green")]
)
def test_a_pool_that_is_not_there_is_refused(route: Route) -> None:
    with pytest.raises(BalancerRefused, match="has no pool"):
        render(route, TERMS, SECRET)


@pytest.mark.parametrize(
    "secret", ["", "tiny", "s" * 300, "with space" * 4, 'quote"' * 8, "$(reboot)" * 5, "new\nline" * 5]
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(BalancerMisconfigured) as caught:
        render(CANARY, TERMS, secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    "terms",
    [
        {"clusters": {"blue": "b"}},
        {"clusters": {"blue": "b", "green": "g;"}},
        {"clusters": TERMS.clusters, "name": "li ve"},
        {"clusters": TERMS.clusters, "silence": 0},
        {"clusters": TERMS.clusters, "silence": -1},
    ],
    ids=str,
)
def test_terms_that_envoy_cannot_carry_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(BalancerMisconfigured):
        Terms(**terms)


@pytest.mark.parametrize(
    "text",
    ["", "blue", "blue:green", "blue:green:500:0:0", "blue:purple:0:0:0:", "blue:green:10000:0:0:", "blue:green:-1:0:0:",
     "blue:green:1:10000:0:", "blue:green:1.5:0:0:", "blue:green:٣:0:0:", "blue:green:1:0:0:a b", "blue:green:1:0:0:m:x", "a" * 10_000],
)  # fmt: skip
def test_what_is_no_route_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        decode(text, TERMS.pools)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"x"', "{}", '{"resources": []}', '{"resources": [null]}', '{"resources": [{}, {}]}',
     '{"resources": [{"virtual_hosts": []}]}', '{"resources": [{"virtual_hosts": "abc"}]}', "[" * 100_000],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_file(text, TERMS)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, inner in items:
        found = True
        yield from leaves(inner, (*path, key))
    if not found:
        yield path


def change(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


ORIGINAL = configuration(CANARY, TERMS, SECRET)


DECIDING = [path for path in leaves(ORIGINAL) if not {"timeout", "idle_timeout", "retry_policy"} & set(path)]


@pytest.mark.parametrize("path", DECIDING, ids=lambda p: ".".join(map(str, p)))
def test_every_change_by_hand_is_seen(path: tuple[Any, ...]) -> None:
    """Whatever somebody edits: either it is no route of ours any more, or it is another route or secret."""
    edited = copy.deepcopy(ORIGINAL)
    change(edited, path, "changed" * 5)
    try:
        parsed = parse(edited, TERMS)
    except ValueError as error:
        assert SECRET not in str(error)
    else:
        assert parsed.secret == "changed" * 5


def test_an_edited_weight_is_named() -> None:
    edited = json.loads(json.dumps(ORIGINAL))
    change(edited, ("virtual_hosts", 0, "routes", 1, "route", "weighted_clusters", "clusters", 0, "weight"), 5000)
    with pytest.raises(ValueError, match=r"routes\[1\]\.route\.weighted_clusters\.clusters\[0\]\.weight"):
        parse(edited, TERMS)


def test_an_added_route_is_named() -> None:
    edited = copy.deepcopy(ORIGINAL)
    edited["virtual_hosts"][0]["routes"].append({"match": {"prefix": "/x"}, "route": {"cluster": "app.green"}})
    with pytest.raises(ValueError, match="routes is not as changeover writes it"):
        parse(edited, TERMS)


def test_durations_are_written_as_envoy_shows_them() -> None:
    for seconds, text in ((300.0, "300s"), (0.5, "0.500s"), (1.25, "1.250s"), (0.0005, "0.000500s")):
        terms = Terms(TERMS.clusters, silence=seconds)
        assert configuration(FLIPPED, terms, SECRET)["virtual_hosts"][0]["routes"][0]["route"]["idle_timeout"] == text


def test_a_file_of_another_changeover_or_another_setting_is_still_a_route() -> None:
    """Times and retries decide nothing: an upgrade must not make the running route look foreign."""
    other = configuration(CANARY, Terms(TERMS.clusters, silence=7.0), SECRET)
    for entry in other["virtual_hosts"][0]["routes"]:
        entry["route"].pop("retry_policy", None)
    assert parse(other, TERMS) == Parsed(CANARY, SECRET)
