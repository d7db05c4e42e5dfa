from __future__ import annotations

import json
from pathlib import Path

from changeover.config import json_schema
from changeover.config.keys import fields_of
from changeover.config.settings import Settings


def nodes(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def test_is_json_and_names_every_key():
    schema = json_schema()
    json.dumps(schema)
    assert set(schema["properties"]) == set(fields_of(Settings))
    assert schema["required"] == ["app", "instances", "balancers"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_nothing_takes_a_null_and_every_object_is_closed():
    for node in nodes(json_schema()):
        if isinstance(node, dict):
            assert node.get("type") != "null"
            if "properties" in node and node.get("type") == "object":
                assert node["additionalProperties"] is False


def test_every_reference_leads_somewhere():
    schema = json_schema()
    for node in nodes(schema):
        if isinstance(node, dict) and "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]


def test_units_are_in_the_schema():
    release = json_schema()["$defs"]["ReleasePolicy"]["properties"]
    assert "ms|s|m|h|d" in json.dumps(release["bake"])
    assert "ms|s|m|h|d" in json.dumps(release["drain"])
    assert "%" in json.dumps(release["shift"])
    assert "const" in json.dumps(json_schema()["$defs"]["Postgresql"]["properties"]["backup"])


def test_the_schema_holds_no_path_of_this_machine():
    assert str(Path.cwd()) not in json.dumps(json_schema())
