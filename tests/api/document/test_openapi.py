"""The OpenAPI document: valid, repeatable, readable, and true to what the server accepts and answers."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from athena_api.document.openapi import document
from athena_api.endpoint.body import decode_body
from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, Operation, Reply
from athena_api.operations import OPERATIONS
from athena_core.errors import ConfigError
from tests.api.examples import EXAMPLES

SPEC: Any = document(OPERATIONS, "1.2.3")


async def handle(plane: object, call: ApiCall[Any, Any]) -> Reply:
    return Reply(data=None, position=0)


def row(**fields: Any) -> Operation[Any, Any]:
    usual: dict[str, Any] = {
        "id": "x",
        "context": "sample",
        "method": "GET",
        "path": "/x",
        "tag": "x",
        "summary": "X.",
        "answer": None,
    }
    return Operation(**(usual | {"answer": None, "roles": EVERYBODY, "handle": handle} | fields))


def resolved(part: Any) -> Any:
    """Return the part with its references replaced by what they refer to."""
    if isinstance(part, list):
        return [resolved(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        target = SPEC
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target)
    return {name: resolved(item) for name, item in part.items()}


def parameters(path: str, method: str) -> dict[str, Any]:
    operation = SPEC["paths"]["/api/v1" + path][method]
    return {parameter["name"]: parameter for parameter in resolved(operation["parameters"])}


def test_it_is_a_valid_document_of_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(SPEC).validate()


def test_it_survives_json_unchanged() -> None:
    assert json.loads(json.dumps(SPEC)) == SPEC


def test_the_order_of_the_rows_does_not_matter() -> None:
    assert json.dumps(document(OPERATIONS[::-1], "1.2.3")) == json.dumps(SPEC)


def test_every_row_is_one_operation() -> None:
    found = {
        (operation["operationId"], method.upper(), path)
        for path, methods in SPEC["paths"].items()
        for method, operation in methods.items()
    }
    assert found == {(row.id, row.method, "/api/v1" + re.sub(r":(\w+)", r"{\1}", row.path)) for row in OPERATIONS}


def test_component_names_can_be_read() -> None:
    names = set(SPEC["components"]["schemas"])
    assert {"DirectivePage", "HarnessSpec", "RunBody", "Error", "Failure", "Fault"} <= names
    assert all(name.isalnum() for name in names)


def test_descriptions_name_fields_as_in_json() -> None:
    about = {"__doc__": "The ``run_id`` of a ``require-evidence`` policy."}
    described = msgspec.defstruct("Described", [("run_id", str)], rename="camel", namespace=about)
    schema = document((row(answer=described),), "1")["components"]["schemas"]["Described"]
    assert schema["description"] == "The `runId` of a `require-evidence` policy."
    assert list(schema["properties"]) == ["runId"]


def test_two_types_of_one_name_are_refused() -> None:
    twin = msgspec.defstruct("Directive", [("other", int)], module="elsewhere")
    with pytest.raises(ValueError, match="two types of the table are named Directive"):
        document((*OPERATIONS, row(answer=twin)), "1")


def test_an_error_code_without_a_class_is_refused() -> None:
    with pytest.raises(KeyError, match="NONE"):
        document((row(errors=("NONE",)),), "1")


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/runs", "post", "200 202 400 401 403 404 408 409 413 414 421 422 429 431 502 503 507"),
        ("/runs/{sessionId}/cancel", "post", "200 400 401 403 404 408 409 413 414 421 422 429 431 503 507"),
        ("/directives", "get", "200 400 401 403 414 421 429 431 503"),
        ("/directives/{directiveId}", "get", "200 400 401 403 404 414 421 429 431 503"),
        ("/events/stream", "get", "200 400 401 403 409 414 421 429 431 503"),
    ],
)
def test_an_operation_lists_the_statuses_that_it_can_answer(path: str, method: str, statuses: str) -> None:
    assert " ".join(SPEC["paths"]["/api/v1" + path][method]["responses"]) == statuses


def test_a_failure_names_its_codes() -> None:
    response = SPEC["paths"]["/api/v1/runs"]["post"]["responses"]["429"]
    assert "`POLICY_CONCURRENCY_LIMIT_EXCEEDED`" in response["description"]
    assert "retry-after" in response["headers"]
    assert "POLICY_CONCURRENCY_LIMIT_EXCEEDED" in SPEC["components"]["schemas"]["Error"]["properties"]["code"]["enum"]


def test_writes_take_a_key_and_reads_a_position() -> None:
    assert [*parameters("/runs", "post")] == ["Idempotency-Key", "Prefer"]
    assert [*parameters("/directives", "get")] == ["cursor", "limit", "minPosition", "stale"]
    assert [*parameters("/directives/{directiveId}", "get")] == ["directiveId", "minPosition", "stale"]
    assert [*parameters("/events/stream", "get")][-2:] == ["after", "Last-Event-ID"]


def test_query_parameters_state_their_form() -> None:
    found = parameters("/events", "get")
    assert found["createdAfter"]["schema"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert found["types"]["schema"]["type"] == "array"
    assert (found["types"]["style"], found["types"]["explode"]) == ("form", False)
    assert parameters("/memory/search", "get")["maxResults"]["schema"]["anyOf"][0]["minimum"] == 1


def test_a_deprecated_operation_names_its_successor() -> None:
    operation = SPEC["paths"]["/api/v1/runs/{sessionId}/cancel"]["post"]
    assert operation["deprecated"] is True
    assert operation["x-successor"] == "/api/v1/run-control/by-run/:runId/cancel"
    assert operation["x-roles"] == ["Operator", "Admin"]


def test_a_stream_is_an_event_stream_with_frames_of_json() -> None:
    content = SPEC["paths"]["/api/v1/events/stream"]["get"]["responses"]["200"]["content"]
    assert [*content] == ["text/event-stream"]
    assert "$ref" in content["text/event-stream"]["x-frame-data"]["properties"]["data"]


def test_a_body_is_required_where_a_field_is() -> None:
    assert SPEC["paths"]["/api/v1/runs"]["post"]["requestBody"]["required"] is False
    assert SPEC["paths"]["/api/v1/directives"]["post"]["requestBody"]["required"] is True


FULL: dict[type, Any] = {row.body: EXAMPLES[row.id].body for row in OPERATIONS if row.body is not NoBody}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 2**53, 10**30, "", " ", "a", " a ", "a b", "a\n", "v1", "slow", "Admin"),
    *("x" * 129, "x" * 1001, [], {}, [""], ["a"], ["a", 1], [{}], {"a": "b"}, {"": "b"}, {"a": ""}, {"a": 1}),
    *({"host": "a"}, [{"host": "a", "port": 0}], [{"host": "a", "port": None}], {str(i): "a" for i in range(257)}),
    *(
        [{"id": "a", "kind": "require-evidence", "label": "l", "evidenceType": kind}]
        for kind in ("text", "x", "", None)
    ),
)
VALIDATORS = {
    body: Draft202012Validator(
        {"$ref": f"#/components/schemas/{body.__name__}", "components": {"schemas": SPEC["components"]["schemas"]}}
    )
    for body in FULL
}


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(name, *rest) for name, part in parts for rest in [(), *places(part)]]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the value with the part at a path replaced, or left out where ``new`` is the ellipsis."""
    if not path:
        return new
    parts = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    parts[path[0]] = changed(parts.get(path[0]), path[1:], new)
    kept = {name: part for name, part in parts.items() if part is not ...}
    return kept if isinstance(value, dict) else list(kept.values())


def accepts(body: type, value: Any) -> bool:
    try:
        decode_body(body, json.dumps(value).encode(), "sample")
    except ConfigError as error:
        return "must be within" in error.message  # no schema bounds the numbers inside of any JSON
    return True


CASES = [(body, place) for body in FULL for place in places(FULL[body]) if place[0] != "paramsSchema"]
"""Every place of every body but the JSON Schema that a template brings with it."""


def test_the_samples_are_accepted() -> None:
    assert all(accepts(body, FULL[body]) and VALIDATORS[body].is_valid(FULL[body]) for body in FULL)


@pytest.mark.parametrize(("body", "place"), CASES, ids=lambda part: getattr(part, "__name__", None) or str(part))
def test_the_document_accepts_just_what_the_server_accepts(body: type, place: tuple[Any, ...]) -> None:
    unknown = (*place[:-1], "unknown")
    values = [changed(FULL[body], place, new) for new in (*VALUES, ...)] + [changed(FULL[body], unknown, "a")]
    for value in values:
        assert VALIDATORS[body].is_valid(value) == accepts(body, value), value


@pytest.mark.heavy
@given(
    st.sampled_from(CASES), st.recursive(st.sampled_from(VALUES), lambda part: st.dictionaries(st.text("a ."), part))
)
def test_the_document_and_the_server_agree_on_odd_values(case: tuple[type, tuple[Any, ...]], new: Any) -> None:
    body, place = case
    value = changed(FULL[body], place, new)
    assert VALIDATORS[body].is_valid(value) == accepts(body, value)
