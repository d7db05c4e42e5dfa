"""JSON Schema of changeover.yml, for editors."""

from __future__ import annotations

from typing import Any

from changeover.config.settings import Settings


def json_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12. What concerns several keys (pools that agree, shares that grow) only `check` tells."""
    schema = _without_null(Settings.model_json_schema(by_alias=True))
    assert isinstance(schema, dict)
    schema["required"] = [key for key in schema["required"] if key != "environment"]  # -e may name it, an overlay too
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "changeover.yml",
    }


def _without_null(node: Any) -> Any:
    """No key takes a null: a key that is written has a value."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: _without_null(value) for key, value in node.items() if not (key == "default" and value is None)}
    if "anyOf" in found:
        choices = [choice for choice in found["anyOf"] if choice != {"type": "null"}]
        if len(choices) == 1:
            return {**{key: value for key, value in found.items() if key != "anyOf"}, **choices[0]}
        found["anyOf"] = choices
    return found
