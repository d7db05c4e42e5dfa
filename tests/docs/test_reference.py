"""The generated pages are what the code generates now."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.ui.reference import PAGES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    assert (REFERENCE / name).read_text() == PAGES[name](), "python -m changeover.ui.reference docs/reference"
