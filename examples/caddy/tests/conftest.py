"""The contract suite of changeover on a real Caddy, and what it cannot know. The package is installed (`make setup`)."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fixtures.network import own_network

pytest.register_assert_rewrite("changeover.testing")
sys.path.insert(0, str(Path(__file__).parent))

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def as_the_page_says() -> Iterator[None]:
    """The kernel's settings that the README asks for, in a network of the test's own."""
    from changeover_caddy import kernel

    (line,) = [line for line in README.read_text("utf-8").splitlines() if line.startswith(kernel.SETTING)]
    name, _, value = line.partition(" = ")
    with own_network():
        Path("/proc/sys", *name.split(".")).write_text(value)
        yield
