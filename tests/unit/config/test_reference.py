"""docs/reference/configuration.md says what the models say."""

from __future__ import annotations

import re
from pathlib import Path

from changeover.config import render_reference
from changeover.config.keys import LATER, fields_of, models_in
from changeover.config.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
WRITE = "python -c 'from changeover.config import render_reference as r; print(r(), end=\"\")' > docs/reference/configuration.md"


def every_field(model=Settings):
    for key, field in fields_of(model).items():
        yield model, key, field
        for _, inner in models_in(field.annotation):
            yield from every_field(inner)


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == render_reference(), f"write it anew: {WRITE}"


def test_every_key_is_described():
    page = render_reference()
    for model, key, field in every_field():
        assert field.description, f"{model.__name__}.{key}"
        assert f"| `{key}` | " in page
        assert model.__doc__, model.__name__


def test_tables_have_four_columns():
    rows = [line for line in render_reference().splitlines() if line.startswith("|")]
    assert rows
    for row in rows:
        assert len(re.split(r"(?<!\\)\|", row)) == 6, row


def test_a_later_key_is_no_key_of_today():
    keys = {key for _, key, _ in every_field()}
    for path, later in LATER.items():
        if path in ("", "release"):
            assert not later & set(fields_of(Settings)), path
    assert "shift" in keys
