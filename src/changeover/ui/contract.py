"""The page of the reference on balancer drivers, written from the contract itself: its docstrings, and the tests of the suite."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from changeover.core import errors, model, ports

VALUES = (
    model.Route,
    model.RouteReading,
    model.PoolHealth,
    model.InFlight,
    model.Counters,
    model.Cut,
    ports.Capabilities,
    ports.Finding,
    ports.BalancerOrder,
)
OPTIONAL = (ports.Stages, ports.CutsByKind, ports.Reaches)
ERRORS = (errors.BalancerUnreachable, errors.BalancerRefused, errors.BalancerMisconfigured, errors.FencedOut)
SUITE = Path(__file__).parents[1] / "testing" / "balancers.py"


def balancer_contract() -> str:
    """Every method with its promise, every value with its fields, every test of the suite."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# The contract of balancer drivers"
    yield ""
    yield "This page is written from `changeover.core.ports`, `changeover.core.model` and the suite in `changeover.testing.balancers`; a test keeps it"
    yield "up to date. How to go about it: [write a driver for another balancer](../howto/write-a-driver.md)."
    yield ""
    yield "## Rules for every method"
    yield ""
    yield inspect.cleandoc(ports.__doc__ or "").partition("\n\n")[2].partition("port:\n\n")[2]
    for kind in (ports.Balancer, *OPTIONAL, ports.Fence):
        yield from _protocol(kind)
    yield ""
    yield "## Errors that a driver raises"
    yield ""
    yield "All are in `changeover.core.errors`; each takes what happened, what the system is `now`, and what to do `next`."
    yield ""
    for error in ERRORS:
        yield f"- `{error.__name__}` ([{error.code}](errors.md#{error.code.lower()})): {error.title}"
    for value in VALUES:
        yield from _value(value)
    yield ""
    yield "## What the suite judges"
    yield ""
    for name in tests():
        yield f"- {name}"


def _protocol(kind: Any) -> Iterator[str]:
    yield ""
    yield f"## {kind.__name__}" + (" (optional)" if kind in OPTIONAL else "")
    yield ""
    yield inspect.cleandoc(kind.__doc__ or "")
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        yield ""
        yield f"### {kind.__name__}.{name}"
        yield ""
        signature = re.sub(r"^\(self(?:, )?", "(", _plain(str(inspect.signature(function))))
        yield f"`{name}{signature.removeprefix('()') if isinstance(member, property) else signature}`"
        if function.__doc__:
            yield ""
            yield inspect.cleandoc(function.__doc__)


def _plain(signature: str) -> str:
    return signature.replace("'", "")


def _value(kind: Any) -> Iterator[str]:
    yield ""
    yield f"## {kind.__name__} (`{kind.__module__}`)"
    yield ""
    yield inspect.cleandoc(kind.__doc__ or "")
    yield ""
    yield "| field | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    meanings = dict(re.findall(r"^    (\w+): [^#\n]*(?:# (.*))?$", inspect.getsource(kind), re.MULTILINE))
    for each in dataclasses.fields(kind):
        given = "required" if each.default is dataclasses.MISSING else f"`{each.default!r}`"
        if each.default_factory is not dataclasses.MISSING:
            given = "empty"
        typed = str(each.type).replace("|", "\\|")
        yield f"| `{each.name}` | `{typed}` | {given} | {meanings.get(each.name, '').replace('|', chr(92) + '|')} |"


def tests() -> list[str]:
    """The names of the suite's tests as words, in its order. Read, not imported: pytest need not be there."""
    tree = ast.parse(SUITE.read_text("utf-8"))
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [name.removeprefix("test_").replace("_", " ") for name in found]
