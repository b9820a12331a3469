"""The events of the client: every stored shape of every release decodes, and anything unknown is passed on."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from athena_client import events
from projections import feed
from tests.support.event_samples import samples

BASE = {"id": "AXh", "traceId": "t", "createdAt": "2026-01-01T00:00:00.000Z"}


def records() -> Iterator[bytes]:
    """Each sample as the feed shows it."""
    for sample in samples():
        extra = sample.extra.encode() if sample.extra is not None else None
        cells = (1, sample.type, 0, "trace", "s", "r", sample.data.encode(), extra, b"mark")
        yield from feed.render([cells], ["AXh"], lambda position: f"id-{position}")


def decoded(**members: Any) -> events.Event:
    return events.decode_event(msgspec.json.encode(BASE | members))


def test_every_shape_that_a_release_stored_decodes_as_the_class_of_its_type() -> None:
    found: set[str] = set()
    for record in records():
        event = events.decode_event(record)
        assert not isinstance(event, events.UnknownEvent), record
        assert type(event) is events.CLASSES[event.type]
        found.add(event.type)
    assert found == set(events.CLASSES)


def test_a_payload_reads_as_typed_values() -> None:
    event = decoded(type="run.failed", payload={"code": "TURN_LIMIT", "retryable": False}, runId="run_1")
    assert isinstance(event, events.RunFailed)
    assert (event.run_id, event.payload.code, event.payload.retryable) == ("run_1", "TURN_LIMIT", False)
    assert event.payload.message is None


def test_an_event_of_a_newer_server_is_unknown_and_whole() -> None:
    event = decoded(type="run.teleported", payload={"to": ["mars"], "by": {"who": 1}}, sessionId="s")
    assert isinstance(event, events.UnknownEvent)
    assert (event.type, event.payload, event.session_id) == ("run.teleported", {"to": ["mars"], "by": {"who": 1}}, "s")


def test_a_known_event_with_new_fields_and_values_stays_known() -> None:
    event = decoded(type="run.cancelled", payload={"cause": "boredom", "since": 7}, planet="mars")
    assert isinstance(event, events.RunCancelled)
    assert event.payload.cause == "boredom"


@pytest.mark.parametrize("payload", [{}, {"code": 7, "retryable": "maybe"}])
def test_a_payload_of_another_shape_is_passed_on_as_it_is(payload: dict[str, Any]) -> None:
    event = decoded(type="run.failed", payload=payload, undecodable=True)
    assert isinstance(event, events.UnknownEvent)
    assert (event.type, event.payload, event.undecodable) == ("run.failed", payload, True)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"type": 7}', b'{"type": "run.failed"}'])
def test_other_json_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        events.decode_event(data)
