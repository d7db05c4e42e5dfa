"""The contract suite tells what it compared, wherever it is imported first."""

import pytest

pytest.register_assert_rewrite("changeover.testing")
