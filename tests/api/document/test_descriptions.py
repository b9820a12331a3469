"""Descriptions: one for each field and parameter of the document, and none that nothing uses."""

from collections.abc import Iterator
from typing import Any

from athena_api.document.descriptions import FIELDS, TAGS
from athena_api.document.fields import mcp_servers, names, queues, runs, server, workspaces
from athena_api.document.openapi import document
from athena_api.operations import OPERATIONS

SPEC: Any = document(OPERATIONS, "1.2.3")
WORDS_MAX = 25


def fields() -> Iterator[tuple[str, str, Any]]:
    """Yield the owner, the name and the schema of each field and parameter, except the two of envelopes."""
    for component, schema in SPEC["components"]["schemas"].items():
        for name, part in schema.get("properties", {}).items():
            if not (name in ("ok", "data") and component.endswith(("Answer", "Failure", "Frame"))):
                yield component, name, part
    for path in SPEC["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if "$ref" not in parameter:
                    yield operation["operationId"], parameter["name"], parameter


def test_each_field_and_parameter_has_a_description() -> None:
    assert [f"{owner}.{name}" for owner, name, part in fields() if not part.get("description")] == []


def test_each_description_is_used() -> None:
    used = set()
    for owner, name, part in fields():
        key = f"{owner}.{name}" if f"{owner}.{name}" in FIELDS else name
        if part.get("description") == FIELDS.get(key):
            used.add(key)
    assert sorted(FIELDS.keys() - used) == []


def test_no_two_tables_describe_the_same_name() -> None:
    tables = (names.FIELDS, queues.FIELDS, runs.FIELDS, server.FIELDS, workspaces.FIELDS, mcp_servers.FIELDS)
    assert sum(map(len, tables)) == len(FIELDS)


def test_descriptions_are_short_sentences() -> None:
    texts = {**FIELDS, **TAGS}
    assert [name for name, text in texts.items() if not text.endswith(".") or len(text.split()) > WORDS_MAX] == []


def test_each_tag_has_a_description() -> None:
    assert [tag["name"] for tag in SPEC["tags"] if "description" not in tag] == []
    assert TAGS.keys() == {tag["name"] for tag in SPEC["tags"]}
