"""The OpenAPI document: valid, repeatable, readable, and true to what the server accepts and answers."""

import json
from typing import Any, Generic, Literal, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from athena_api.endpoint.body import Time, decode_body
from athena_api.endpoint.operation import EVERYBODY, WRITERS, ApiCall, Operation, Reply
from athena_api.openapi import document
from athena_core.domain.directive import DirectiveSpec
from athena_core.domain.policy import Policy
from athena_core.errors import ConfigError
from athena_core.event import Value
from athena_core.values import Body, ClientId, Count, HarnessSpec, Label, LongText, Metadata, RecordId, Role, Usage

T = TypeVar("T")


class Page(Value, Generic[T]):
    items: list[T]
    next_cursor: str | None = None


class Directive(Value):
    id: str
    input: str
    created_at: str


class RunBody(Body):
    """What ``POST /runs`` takes."""

    session_id: ClientId | None = None
    input: LongText | None = None
    directive_id: RecordId | None = None
    mode: Literal["slow", "fast"] | None = None
    role: Role | None = None
    weight: int = 1
    metadata: Metadata | None = None


class RunResult(Value):
    run_id: str
    usage: Usage | None = None


class CancelBody(Body):
    reason: Label | None = None


class EventQuery(Value):
    session_id: ClientId | None = None
    types: tuple[str, ...] | None = None
    created_after: Time | None = None
    count: Count | None = None
    exact: bool | None = None
    text: str | None = None


class Event(Value):
    id: str
    payload: msgspec.Raw


async def handle(plane: object, call: ApiCall[Any, Any]) -> Reply:
    return Reply(data=None, position=0)


def row(**fields: Any) -> Operation[Any, Any]:
    return Operation(context="sample", handle=handle, **fields)


OPERATIONS = (
    row(
        id="createRun",
        method="POST",
        path="/runs",
        tag="runs",
        summary="Start a run.",
        roles=EVERYBODY,
        body=RunBody,
        answer=RunResult,
        errors=("RUN_TIMEOUT", "POLICY_CONCURRENCY_LIMIT_EXCEEDED", "PROVIDER_ERROR", "SESSION_LOCK_TIMEOUT"),
        accepted=RunResult,
    ),
    row(
        id="cancelRun",
        method="POST",
        path="/runs/:sessionId/cancel",
        tag="runs",
        summary="Cancel the run of a session.",
        roles=WRITERS,
        body=CancelBody,
        answer=RunResult,
        successor="/run-control/by-run/{runId}/cancel",
    ),
    row(
        id="listDirectives",
        method="GET",
        path="/directives",
        tag="directives",
        summary="List the directives.",
        roles=EVERYBODY,
        answer=Page[Directive],
        paging="cursor",
        reads=("directives",),
    ),
    row(
        id="createDirective",
        method="POST",
        path="/directives",
        tag="directives",
        summary="Create a directive.",
        roles=WRITERS,
        body=DirectiveSpec,
        answer=Directive,
    ),
    row(
        id="getDirective",
        method="GET",
        path="/directives/:id",
        tag="directives",
        summary="Read a directive.",
        roles=EVERYBODY,
        answer=Directive,
        reads=("directives",),
        errors=("NOT_FOUND",),
    ),
    row(
        id="createHarnessProfile",
        method="POST",
        path="/harness-profiles",
        tag="harness-profiles",
        summary="Create a harness profile.",
        roles=WRITERS,
        body=HarnessSpec,
        answer=RunResult,
    ),
    row(
        id="putPolicy",
        method="PUT",
        path="/policy",
        tag="policy",
        summary="Replace the policy.",
        roles=frozenset({Role.ADMIN}),
        body=Policy,
        answer=Policy | None,
    ),
    row(
        id="listEvents",
        method="GET",
        path="/events",
        tag="events",
        summary="Read events.",
        roles=EVERYBODY,
        query=EventQuery,
        answer=Page[Event],
        paging="cursor",
    ),
    row(
        id="streamEvents",
        method="GET",
        path="/events/stream",
        tag="events",
        summary="Follow events.",
        roles=EVERYBODY,
        answer=Event,
        paging="tail",
        stream=True,
        errors=("CURSOR_AHEAD", "CURSOR_FOREIGN"),
    ),
)


SPEC: Any = document(OPERATIONS, "1.2.3")


def resolved(part: Any) -> Any:
    """The part with its references filled in."""
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
    assert found == {
        (row.id, row.method, "/api/v1" + row.path.replace(":sessionId", "{sessionId}").replace(":id", "{id}"))
        for row in OPERATIONS
    }


def test_component_names_can_be_read() -> None:
    names = set(SPEC["components"]["schemas"])
    assert {"DirectivePage", "EventPage", "HarnessSpec", "RunBody", "Error", "Failure", "Fault"} <= names
    assert all(name.isalpha() for name in names)


def test_two_types_of_one_name_are_refused() -> None:
    twin = msgspec.defstruct("Directive", [("other", int)], module="elsewhere")
    rows = (OPERATIONS[4], row(id="x", method="GET", path="/x", tag="x", summary="X.", roles=EVERYBODY, answer=twin))
    with pytest.raises(ValueError, match="two types of the table are named Directive"):
        document(rows, "1")


def test_an_error_code_without_a_class_is_refused() -> None:
    wrong = row(id="x", method="GET", path="/x", tag="x", summary="X.", roles=EVERYBODY, answer=None, errors=("NONE",))
    with pytest.raises(KeyError, match="NONE"):
        document((wrong,), "1")


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        ("/runs", "post", "200 202 400 401 403 408 409 413 414 421 422 429 431 502 503 507"),
        ("/runs/{sessionId}/cancel", "post", "200 400 401 403 404 408 409 413 414 421 422 429 431 503 507"),
        ("/directives", "get", "200 400 401 403 414 421 429 431 503"),
        ("/directives/{id}", "get", "200 400 401 403 404 414 421 429 431 503"),
        ("/events/stream", "get", "200 400 401 403 409 414 421 429 431 503"),
    ],
)
def test_an_operation_lists_the_statuses_that_it_can_answer(path: str, method: str, statuses: str) -> None:
    assert " ".join(SPEC["paths"]["/api/v1" + path][method]["responses"]) == statuses


def test_a_failure_names_its_codes() -> None:
    response = SPEC["paths"]["/api/v1/runs"]["post"]["responses"]["429"]
    assert response["description"] == "Too Many Requests: `POLICY_CONCURRENCY_LIMIT_EXCEEDED`, `RATE_LIMITED`"
    assert "retry-after" in response["headers"]
    assert "POLICY_CONCURRENCY_LIMIT_EXCEEDED" in SPEC["components"]["schemas"]["Error"]["properties"]["code"]["enum"]


def test_writes_take_a_key_and_reads_a_position() -> None:
    assert [*parameters("/runs", "post")] == ["Idempotency-Key", "Prefer"]
    assert [*parameters("/directives", "get")] == ["cursor", "limit", "minPosition", "stale"]
    assert [*parameters("/directives/{id}", "get")] == ["id", "minPosition", "stale"]
    assert [*parameters("/events/stream", "get")] == ["after", "limit", "Last-Event-ID"]


def test_query_parameters_say_what_they_take() -> None:
    found = parameters("/events", "get")
    assert found["createdAfter"]["schema"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert found["types"] == {
        "name": "types",
        "in": "query",
        "schema": {"type": "array", "items": {"type": "string"}},
        "style": "form",
        "explode": False,
    }
    assert found["count"]["schema"]["anyOf"][0]["minimum"] == 1
    assert found["text"]["schema"] == {"type": "string"}


def test_a_deprecated_operation_names_its_successor() -> None:
    operation = SPEC["paths"]["/api/v1/runs/{sessionId}/cancel"]["post"]
    assert operation["deprecated"] is True
    assert operation["x-successor"] == "/api/v1/run-control/by-run/{runId}/cancel"
    assert operation["x-roles"] == ["Operator", "Admin"]


def test_a_stream_is_no_json() -> None:
    content = SPEC["paths"]["/api/v1/events/stream"]["get"]["responses"]["200"]["content"]
    assert [*content] == ["text/event-stream"]
    assert content["text/event-stream"]["x-frame-data"]["properties"]["data"] == {"$ref": "#/components/schemas/Event"}


def test_a_body_is_required_where_a_field_is() -> None:
    assert SPEC["paths"]["/api/v1/runs"]["post"]["requestBody"]["required"] is False
    assert SPEC["paths"]["/api/v1/directives"]["post"]["requestBody"]["required"] is True


BODIES: tuple[type, ...] = (RunBody, CancelBody, DirectiveSpec, HarnessSpec, Policy)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 2**53, 10**30, "", " ", "a", " a ", "a b", "a\n", "v1", "slow", "Admin"),
    *("x" * 129, "x" * 1001, [], {}, [""], ["a"], ["a", 1], [{}], {"a": "b"}, {"": "b"}, {"a": ""}, {"a": 1}),
    *({"host": "a"}, [{"host": "a", "port": 0}], [{"host": "a", "port": None}], {str(i): "a" for i in range(257)}),
    *(
        [{"id": "a", "kind": "require-evidence", "label": "l", "evidenceType": kind}]
        for kind in ("text", "x", "", None)
    ),
)
FULL: dict[type, dict[str, Any]] = {
    RunBody: {"sessionId": "s", "input": "i", "mode": "fast", "role": "Admin", "weight": 2, "metadata": {"a": "b"}},
    CancelBody: {"reason": "r"},
    DirectiveSpec: {"input": "i", "contextRefs": ["file:a"], "metadata": {"a": "b"}},
    HarnessSpec: {
        "displayName": "d",
        "version": "v1",
        "config": {"provider": "mock", "model": "m", "tools": ["t"]},
        "policies": {"timeoutMs": 1, "retryLimit": 1, "budgetUsd": 0.5},
        "allowedEgress": [{"host": "h", "port": 1}],
        "verificationPolicies": [{"id": "i", "kind": "require-evidence", "label": "l", "evidenceType": "text"}],
    },
    Policy: {"schemaVersion": 1, "maxConcurrentRuns": 2, "costBudgetDailyUsd": 1},
}
VALIDATORS = {
    body: Draft202012Validator(
        {"$ref": f"#/components/schemas/{body.__name__}", "components": {"schemas": SPEC["components"]["schemas"]}}
    )
    for body in BODIES
}


def places(value: Any) -> list[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(name, *rest) for name, part in parts for rest in [(), *places(part)]]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with the part at a path replaced, or left out where ``new`` is the ellipsis."""
    if not path:
        return new
    parts = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    parts[path[0]] = changed(parts.get(path[0]), path[1:], new)
    kept = {name: part for name, part in parts.items() if part is not ...}
    return kept if isinstance(value, dict) else list(kept.values())


def accepts(body: type, value: Any) -> bool:
    try:
        decode_body(body, json.dumps(value).encode(), "sample")
    except ConfigError:
        return False
    return True


CASES = [(body, place) for body in BODIES for place in places(FULL[body])]


def test_the_samples_are_accepted() -> None:
    assert all(accepts(body, FULL[body]) and VALIDATORS[body].is_valid(FULL[body]) for body in BODIES)


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
