"""The OpenAPI document: valid, repeatable, readable, and true to what the server accepts and answers."""

import gzip
import json
import re
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from athena_api.document.openapi import document
from athena_api.document.schemas import properties
from athena_api.endpoint.body import decode_body
from athena_api.endpoint.operation import EVERYBODY, ApiCall, NoBody, Operation, Reply
from athena_api.endpoint.shapes import InputError, shape_of
from athena_api.operations import OPERATIONS
from athena_core.domain.directive import DirectiveSpec
from athena_core.domain.policy import PutPolicyBody, policy_of
from athena_core.errors import ConfigError
from athena_core.services.context.compiler import check_references
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
    assert {"DirectivePage", "HarnessSpec", "RunBody", "RunAnswer", "ApiError", "Failure", "Fault"} <= names
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
        ("/runs", "post", "200 202 404 408 409 413 429 502 503 default"),
        ("/runs/{sessionId}/cancel", "post", "200 404 default"),
        ("/directives", "get", "200 304 400 409 413 503 default"),
        ("/directives/{directiveId}", "get", "200 304 404 409 413 503 default"),
        ("/events/stream", "get", "200 400 409 503 default"),
    ],
)
def test_an_operation_lists_the_statuses_of_its_own_and_one_for_all_others(
    path: str, method: str, statuses: str
) -> None:
    responses = SPEC["paths"]["/api/v1" + path][method]["responses"]
    assert " ".join(responses) == statuses
    common = SPEC["components"]["responses"]["AnyRead" if method == "get" else "AnyWrite"]
    assert resolved(responses["default"]) == resolved(common)
    assert "`OVERLOADED` (503)" in common["description"]
    assert ("`STORE_FULL` (507)" in common["description"]) == (method != "get")


def test_a_failure_names_its_codes() -> None:
    response = resolved(SPEC["paths"]["/api/v1/runs"]["post"]["responses"]["429"])
    assert "`POLICY_CONCURRENCY_LIMIT_EXCEEDED`" in response["description"]
    assert "`RATE_LIMITED`" in response["description"]
    assert "retry-after" in response["headers"]
    assert "POLICY_CONCURRENCY_LIMIT_EXCEEDED" in SPEC["components"]["schemas"]["ErrorCode"]["enum"]


def test_writes_take_a_key_and_reads_a_position() -> None:
    assert [*parameters("/runs", "post")] == ["Idempotency-Key", "Prefer"]
    assert [*parameters("/directives", "get")] == ["cursor", "limit", "asOf", "minPosition", "stale"]
    assert [*parameters("/directives/{directiveId}", "get")] == ["directiveId", "asOf", "minPosition", "stale"]
    assert [*parameters("/events/stream", "get")][-2:] == ["after", "Last-Event-ID"]


def test_query_parameters_state_their_form() -> None:
    found = parameters("/events", "get")
    assert found["createdAfter"]["schema"] == {"type": "string", "format": "date-time"}
    assert found["types"]["schema"]["type"] == "array"
    assert (found["types"]["style"], found["types"]["explode"]) == ("form", False)
    assert parameters("/memory/search", "get")["maxResults"]["schema"]["minimum"] == 1


def test_the_document_speaks_of_no_blanks_and_of_null_only_where_it_is_sent() -> None:
    assert "Blank" not in SPEC["components"]["schemas"]
    nullable = {
        f"{struct}.{name}"
        for struct, name, schema in properties(SPEC["components"]["schemas"])
        if "null" in json.dumps(schema) and name not in SPEC["components"]["schemas"][struct].get("required", ())
    }
    assert nullable == {"SeriesLine.p50Ms", "SeriesLine.p95Ms"}  # of an interval in which no run completed
    assert not [text for text in (json.dumps(parameter) for parameter in parameters("/runs", "get")) if "null" in text]


def test_choices_and_unions_have_names() -> None:
    inline = [
        f"{struct}.{name}"
        for struct, name, schema in properties(SPEC["components"]["schemas"])
        if len(schema.get("enum", ())) > 1 or "discriminator" in schema
    ]
    assert not inline
    assert SPEC["components"]["schemas"]["EvidenceContent"]["discriminator"] == {
        "propertyName": "kind",
        "mapping": {kind: f"#/components/schemas/{kind.capitalize()}Content" for kind in ("text", "json", "binary")},
    }


def test_a_choice_has_the_title_of_its_type_or_the_names_of_its_struct_and_field() -> None:
    titled = Annotated[Literal["a", "b"], msgspec.Meta(title="Letter")]
    fields: list[Any] = [("first", titled), ("third", tuple[Literal["c", "d"], ...]), ("second", titled | None, None)]
    schemas = document((row(answer=msgspec.defstruct("Named", fields)),), "1")["components"]["schemas"]
    first, second = {"$ref": "#/components/schemas/Letter"}, {"$ref": "#/components/schemas/NamedThird"}
    assert schemas["Named"]["properties"] == {
        "first": first,
        "second": first,
        "third": {"type": "array", "items": second},
    }
    assert schemas["Letter"] == {"type": "string", "enum": ["a", "b"]}


def test_two_choices_of_one_name_are_refused() -> None:
    first = Annotated[Literal["a", "b"], msgspec.Meta(title="Letter")]
    second = Annotated[Literal["a", "c"], msgspec.Meta(title="Letter")]
    with pytest.raises(ValueError, match="two schemas of the document are named Letter"):
        document((row(answer=msgspec.defstruct("Two", [("first", first), ("second", second)])),), "1")


def test_every_answer_has_a_named_envelope() -> None:
    answers = [
        content["schema"]
        for path in SPEC["paths"].values()
        for operation in path.values()
        for status in operation["responses"].keys() & {"200", "202"}
        for kind, content in operation["responses"][status]["content"].items()
        if kind == "application/json"
    ]
    assert len(answers) > len(OPERATIONS) - 3
    assert all(answer["$ref"].endswith("Answer") for answer in answers)
    responses = SPEC["paths"]["/api/v1/runs"]["post"]["responses"]
    assert [
        responses[status]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for status in ("200", "202")
    ] == [
        "RunResultAnswer",
        "RunAnswer",
    ]


def test_times_have_a_format() -> None:
    run = SPEC["components"]["schemas"]["Run"]["properties"]
    assert run["createdAt"].items() >= {"type": "string", "format": "date-time"}.items()
    assert "format" not in run["status"]


def test_the_document_is_small() -> None:
    content = json.dumps(SPEC, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(content) <= 510_000
    assert len(gzip.compress(content, 9)) <= 74_000


def test_a_deprecated_operation_names_its_successor() -> None:
    operation = SPEC["paths"]["/api/v1/runs/{sessionId}/cancel"]["post"]
    assert operation["deprecated"] is True
    assert operation["x-successor"] == "/api/v1/run-control/by-run/:runId/cancel"
    assert operation["x-roles"] == ["Operator", "Admin"]


def test_a_stream_is_an_event_stream_with_frames_of_json() -> None:
    content = SPEC["paths"]["/api/v1/events/stream"]["get"]["responses"]["200"]["content"]
    assert [*content] == ["text/event-stream"]
    frame = SPEC["components"]["schemas"]["EventRecordFrame"]
    assert content["text/event-stream"]["x-frame-data"] == {"$ref": "#/components/schemas/EventRecordFrame"}
    assert frame["required"] == ["ok", "data"]
    assert frame["properties"]["data"] == {"$ref": "#/components/schemas/EventRecord"}


def test_a_body_is_required_where_a_field_is() -> None:
    assert SPEC["paths"]["/api/v1/runs"]["post"]["requestBody"]["required"] is False
    assert SPEC["paths"]["/api/v1/directives"]["post"]["requestBody"]["required"] is True


TOLERATED: dict[type, Any] = {row.body: EXAMPLES[row.id].body for row in OPERATIONS if row.body is not NoBody}
"""A full body of each type, some with null for absent parts."""

FULL = {body: {name: part for name, part in example.items() if part is not None} for body, example in TOLERATED.items()}
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
        decoded: Any = decode_body(body, json.dumps(value).encode(), "sample")
        if isinstance(decoded, PutPolicyBody):
            policy_of(decoded)
        if isinstance(decoded, DirectiveSpec):
            check_references(decoded.context_refs or ())
    except ConfigError as error:
        return "must be within" in error.message  # no schema bounds the numbers inside of any JSON
    return True


def agree(body: type, value: Any) -> bool:
    """Return True if the server accepts what the document allows, and the document what the server makes of a body."""
    if not accepts(body, value):
        return not VALIDATORS[body].is_valid(value)
    try:
        tidy = shape_of(body).check(value)
    except InputError:  # a number inside of any JSON
        return True
    return VALIDATORS[body].is_valid(tidy)


CASES = [(body, place) for body in FULL for place in places(TOLERATED[body]) if place[0] != "paramsSchema"]
"""Every place of every body but the JSON Schema that a template brings with it."""


def test_the_samples_are_accepted() -> None:
    assert all(accepts(body, FULL[body]) and VALIDATORS[body].is_valid(FULL[body]) for body in FULL)
    assert all(accepts(body, TOLERATED[body]) for body in FULL)


@pytest.mark.parametrize(("body", "place"), CASES, ids=lambda part: getattr(part, "__name__", None) or str(part))
def test_the_document_allows_what_the_server_accepts_without_blanks_and_nulls(
    body: type, place: tuple[Any, ...]
) -> None:
    unknown = (*place[:-1], "unknown")
    values = [changed(FULL[body], place, new) for new in (*VALUES, ...)] + [changed(FULL[body], unknown, "a")]
    for value in values:
        assert agree(body, value), value


@pytest.mark.heavy
@given(
    st.sampled_from(CASES), st.recursive(st.sampled_from(VALUES), lambda part: st.dictionaries(st.text("a ."), part))
)
def test_the_document_and_the_server_agree_on_odd_values(case: tuple[type, tuple[Any, ...]], new: Any) -> None:
    body, place = case
    assert agree(body, changed(FULL[body], place, new))
