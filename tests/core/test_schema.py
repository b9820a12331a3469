"""Tests of bounded JSON Schema: accepted schemas, faults of values, and the cost of attacks."""

from typing import Any

import pytest

from athena_core.schema import (
    PROBLEM_CHARS_MAX,
    PROBLEMS_MAX,
    SCHEMA_BYTES_MAX,
    WORK_MAX,
    Schema,
    SchemaRefused,
    check,
    problems,
)

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


def test_a_value_that_fits_has_no_problems() -> None:
    assert check(PERSON) is None
    assert problems(PERSON, {"name": "Ada", "age": 36}) == ()


def test_each_problem_names_its_place_and_quotes_nothing() -> None:
    found = problems({"items": PERSON}, [{"name": "Ada", "age": -3}, {"age": "secret"}])
    assert found == (
        "/0/age: it is less than the minimum of 0",
        '/1/age: it is not of type "integer"',
        '/1: "name" is a required property',
    )


def test_problems_are_few_and_short() -> None:
    found = problems({"additionalProperties": {"type": "null"}}, {"k" * 1_000 + str(i): "v" for i in range(100)})
    assert len(found) == PROBLEMS_MAX
    assert all(len(line) <= PROBLEM_CHARS_MAX for line in found)


def test_references_inside_the_schema_are_followed() -> None:
    schema = {
        "$id": "https://example.org/people",
        "$defs": {"a/b~": PERSON},
        "type": "array",
        "items": {"$ref": "#/$defs/a~1b~0"},
    }
    assert check(schema) is None
    assert problems(schema, [{"name": 1}]) == ('/0/name: it is not of type "string"',)


@pytest.mark.parametrize("reference", ["http://127.0.0.1:1/x", "file:///etc/passwd", "other.json", "#anchor", "//x/y"])
def test_a_reference_out_of_the_schema_is_refused_and_nothing_is_fetched(reference: str) -> None:
    assert "points outside the schema" in str(check({"properties": {"a": {"$ref": reference}}}))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "wat"}, "/type: "),
        ({"pattern": "("}, "/pattern: "),
        ({"pattern": "(?=a)b"}, "no look-arounds"),
        ({"pattern": r"(a)\1"}, "no look-arounds"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern: "),
        ({"$ref": "#"}, "recursive references"),
        ({"$ref": "#/$defs/nowhere"}, "points to nothing"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}, "recursive references"),
        ({"$schema": "http://example.org/mine"}, "$schema must name a published draft"),
        ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft 4"),
        ({"items": {"$id": "http://example.org/x", "$ref": "#/$defs/a"}}, "$id is not supported"),
        ({"$dynamicRef": "#x"}, "$dynamicRef is not supported"),
        ({"enum": ["x" * SCHEMA_BYTES_MAX]}, "bytes; at most"),
        ({"enum": [{1, 2}, object()]}, "not JSON"),
    ],
)
def test_a_schema_that_may_not_be_used_is_refused_with_the_reason(schema: dict[str, Any], reason: str) -> None:
    assert reason in str(check(schema))
    with pytest.raises(SchemaRefused):
        Schema(schema)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def chain(length: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(length)}
    return {"$defs": {**definitions, f"d{length}": {}}, "$ref": "#/$defs/d0"}


def laughs(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    return {"$defs": {**definitions, f"d{levels}": {"type": "null"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize("schema", [nested(900), nested(20_000), chain(1_000), laughs(30)])
def test_a_schema_that_grows_or_goes_deep_is_refused(schema: dict[str, Any]) -> None:
    assert "nested deeper than" in str(check(schema)) or "parts or" in str(check(schema))


def test_small_chains_and_repetitions_are_fine() -> None:
    assert check(nested(60)) is None
    assert check(chain(20)) is None
    assert problems(laughs(8), 1)


def test_a_pattern_costs_linear_time() -> None:
    assert problems({"pattern": "^(a+)+$"}, "a" * 200_000 + "b")  # a backtracking engine would never return


def test_a_value_too_deep_or_too_large_for_its_schema_is_refused_as_such() -> None:
    value: Any = 0
    for _ in range(100_000):
        value = [value]
    assert problems({}, value) == ("/: nested deeper than 64 levels",)
    many = {"items": {"allOf": [{"minimum": -k} for k in range(1_000)]}}
    assert "too large" in problems(many, [0] * (WORK_MAX // 1_000))[0]
    assert problems(many, [0] * 10_000) == ()
    patterns = {"anyOf": [{"pattern": f"x{k}"} for k in range(1_000)]}
    assert "too large" in problems(patterns, "y" * 1_000_000)[0]


def test_a_number_of_any_size_is_compared() -> None:
    assert problems({"maximum": 10}, 10**400) == ("/: it is greater than the maximum of 10",)
    assert problems({"type": "integer"}, 5.0) == ()
