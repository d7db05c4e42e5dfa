"""The contract suite of changeover on a real Caddy."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("changeover.testing")
HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "src"), str(HERE / "tests"), str(HERE.parents[1])]
