"""The contract suite of changeover on a real Caddy, and what it cannot know. The package is installed (`make setup`)."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("changeover.testing")
sys.path.insert(0, str(Path(__file__).parent))
