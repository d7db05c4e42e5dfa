"""Whatever is in the file: settings or a ConfigurationError in our words, never anything else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from changeover.config import load
from changeover.core.errors import ConfigurationError
from changeover.yaml.source import decode, parse
from changeover.yaml.tree import plain

SPECIMENS = Path(__file__).parents[1] / "specimens" / "config"
TEXTS = [(SPECIMENS / f"{name}.yml").read_text() for name in ("good-haproxy", "good-command", "good-envoy")]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 70_000),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.sampled_from(
        [
            "",
            "x",
            "5s",
            "5%",
            "/x",
            "none",
            "${env:X}",
            "{version}",
            "a: b",
            "process",
            "haproxy",
            "1:2",
            "\u00e9",
            "blue",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes minutes; an example of this size reads well
FOREIGN = ("Input should", "pydantic", "Traceback", "Value error", "does not fit here")


def paths(node, at=()):
    yield at
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from paths(child, (*at, key))


def answer(text: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "changeover.yml"
        file.write_text(text, encoding="utf-8")
        try:
            load(file)
        except ConfigurationError as error:
            lines = len(text.splitlines())
            assert all(1 <= where.line <= lines + 1 and where.column >= 1 for where in error.where)
            assert error.where
            return error.what
        return "ok"


def document(text: str):
    node, problems = parse(decode(text.encode(), "x", 0)[0])
    assert not problems
    return json.loads(json.dumps(plain(node)))


DOCUMENTS = [document(text) for text in TEXTS]


@settings(max_examples=40, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_changed_value(data):
    root = json.loads(json.dumps(data.draw(st.sampled_from(DOCUMENTS))))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(filter(None, paths(root)), key=repr)))
        parent = root
        for part in path[:-1]:
            parent = parent[part]
        match data.draw(st.sampled_from(["replace", "delete", "add"])):
            case "replace":
                parent[path[-1]] = data.draw(VALUES)
            case "delete" if len(root) > 1:
                del parent[path[-1]]
            case "add" if isinstance(parent, dict):
                parent[data.draw(st.text(st.characters(codec="utf-8"), max_size=8))] = data.draw(VALUES)
    found = answer(json.dumps(root, ensure_ascii=True, indent=1))
    assert not any(word in found for word in FOREIGN), found


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(
    st.sampled_from(TEXTS), st.integers(0, 3000), st.text(st.characters(codec="utf-8"), max_size=4), st.integers(0, 6)
)
def test_a_slip_of_the_keyboard(text, at, typed, deleted):
    at %= len(text)
    found = answer(text[:at] + typed + text[at + deleted :])
    assert not any(word in found for word in FOREIGN), found


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(st.binary(max_size=80))
def test_any_bytes(raw):
    text, problems = decode(raw, "x", 0)
    if not problems:
        parse(text)
