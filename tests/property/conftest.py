"""The worlds, the simulator and the judges are those of the core's unit tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "core"))
