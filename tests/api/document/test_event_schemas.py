"""The JSON Schema of events: valid, and true to every shape of an event that a release stored."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from athena_api.document.event_schemas import event_document
from athena_core.domain import EVENTS
from projections import feed
from tests.support.event_samples import samples
from tests.support.server import Server

DOCUMENT: Any = event_document()
VALIDATOR = Draft202012Validator(DOCUMENT, validate_formats=True)
EVENT = {"id": "AXh", "traceId": "t", "createdAt": "2026-01-01T00:00:00.000Z"}


def test_it_is_a_valid_schema_with_a_shape_for_each_type() -> None:
    meta.validate(DOCUMENT)
    mapping = DOCUMENT["discriminator"]["mapping"]
    assert mapping.keys() == {event.TYPE for event in EVENTS}
    assert [variant["$ref"] for variant in DOCUMENT["oneOf"]] == list(mapping.values())
    shapes = {type_: DOCUMENT["$defs"][ref.rpartition("/")[2]] for type_, ref in mapping.items()}
    assert {type_: shape["properties"]["type"]["const"] for type_, shape in shapes.items()} == {
        type_: type_ for type_ in shapes
    }


def test_every_shape_that_a_release_stored_is_valid() -> None:
    found = set()
    for sample in samples():
        extra = sample.extra.encode() if sample.extra is not None else None
        data = sample.data.replace('"full"', '"raw"').replace('"truncated"', '"summary"')  # names no release had
        cells = (1, sample.type, 0, "trace", "s", "r", data.encode(), extra, b"mark")
        (record,) = feed.render([cells], ["AXh"], lambda position: f"id-{position}")
        VALIDATOR.validate(json.loads(record))
        found.add((sample.type, sample.schema_version))
    assert {type_ for type_, _ in found} == {event.TYPE for event in EVENTS}
    assert {("run.failed", 1), ("run.failed", 2)} <= found


def test_the_events_of_a_server_are_valid(shared: Server) -> None:
    shared.api.run("hello", sessionId="schema")
    recorded = shared.api.events(sessionId="schema")
    assert len(recorded) > 5
    for event in recorded:
        VALIDATOR.validate(event)


@pytest.mark.parametrize(
    "event",
    [
        EVENT | {"type": "run.teleported", "payload": {}},
        EVENT | {"type": "run.failed", "payload": {}},
        EVENT | {"type": "run.failed", "payload": {"code": 7, "retryable": True}},
        EVENT | {"type": "run.failed"},
        {"type": "run.failed", "payload": {"code": "TURN_LIMIT", "retryable": False}},
    ],
)
def test_other_shapes_are_not_valid(event: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(EVENT | {"type": "run.failed", "payload": {"code": "TURN_LIMIT", "retryable": False}})
    assert not VALIDATOR.is_valid(event)


def test_references_to_events_are_ids_and_words_of_people_are_left_out() -> None:
    redacted = DOCUMENT["$defs"]["PayloadRedactedPayload"]
    assert "eventId" in redacted["required"]
    assert "target" not in redacted["properties"]
    assert "errorText" not in DOCUMENT["$defs"]["RunFailedPayload"]["properties"]
    assert "message" in DOCUMENT["$defs"]["RunFailedPayload"]["properties"]
    assert "message" not in DOCUMENT["$defs"]["RunFailedPayload"]["required"]


def test_the_server_answers_it(shared: Server) -> None:
    answer = shared.api.http.get(shared.url + "/events.schema.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == DOCUMENT
