"""Descriptions: each says something, stands where it is true, and is used."""

import re
from collections.abc import Iterator
from typing import Any

from athena_api.document.descriptions import TAGS
from athena_api.document.event_schemas import event_document
from athena_api.document.fields import FIELDS, PLAIN
from athena_api.document.openapi import document
from athena_api.operations import OPERATIONS

SPEC: Any = document(OPERATIONS, "1.2.3")
WORDS_MAX = 25
OF_ITS_TYPE = {
    "agent",
    "at",
    "by",
    "cause",
    "count",
    "filter",
    "identity",
    "kind",
    "mode",
    "reason",
    "role",
    "scope",
} | {*("since", "source", "target", "type")}
"""Names that mean another thing in each type. A shared description of one of them was published for the wrong types."""


def fields() -> Iterator[tuple[str, str, Any]]:
    """Yield the owner, the name and the schema of each field and parameter, except the two of envelopes."""
    for component, schema in SPEC["components"]["schemas"].items():
        for name, part in schema.get("properties", {}).items():
            if not (name in ("ok", "data") and component.endswith(("Answer", "Failure", "Frame"))):
                yield component, name, part
    for path in SPEC["paths"].values():
        for operation in path.values():
            for parameter in operation["parameters"]:
                if "$ref" not in parameter and not (parameter["in"] == "path" and "description" not in parameter):
                    yield operation["operationId"], parameter["name"], parameter


def of_events() -> Iterator[tuple[str, str, Any]]:
    """Yield the type, the name and the schema of each field of a payload."""
    for name, schema in event_document()["$defs"].items():
        yield from ((name, field, part) for field, part in schema.get("properties", {}).items())


def words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", text)}


def test_each_field_and_parameter_has_a_description_unless_its_name_says_all() -> None:
    assert [
        f"{owner}.{name}" for owner, name, part in fields() if not part.get("description") and name not in PLAIN
    ] == []


def test_no_description_only_repeats_the_name() -> None:
    repeats = (
        f"{owner}.{name}: {text}"
        for owner, name, part in fields()
        if (text := part.get("description")) and words(text) - {"the", "of", "a", "an", "current", "it"} <= words(name)
    )
    assert sorted(set(repeats)) == []


def test_a_name_with_many_meanings_is_described_by_each_type() -> None:
    assert OF_ITS_TYPE & FIELDS.keys() == set()


def test_each_shared_description_is_used_and_by_several_types() -> None:
    used: dict[str, set[str]] = {key: set() for key in FIELDS}
    for owner, name, part in (*fields(), *of_events()):
        key = f"{owner}.{name}" if f"{owner}.{name}" in FIELDS else name
        if part.get("description") == FIELDS.get(key, False):
            used[key].add(owner)
    assert [key for key, owners in used.items() if len(owners) < (1 if "." in key else 2)] == []


def test_descriptions_are_short_sentences() -> None:
    texts = {name: text for owner, name, part in fields() if (text := part.get("description"))} | {**TAGS}
    assert [name for name, text in texts.items() if not text.endswith(".") or len(text.split()) > WORDS_MAX] == []


def test_each_tag_has_a_description() -> None:
    assert [tag["name"] for tag in SPEC["tags"] if "description" not in tag] == []
    assert TAGS.keys() == {tag["name"] for tag in SPEC["tags"]}
