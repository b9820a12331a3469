"""The models of the client: newer servers may add fields and values, and leave out optional ones."""

from typing import Any

import msgspec
import pytest

from athena_client import models
from athena_client.models import BinaryContent, Evidence, JsonContent, TextContent

CAUSE = {"runId": "run_1", "sessionId": "s", "status": "cancelled"}
EVIDENCE: dict[str, Any] = {
    "schemaVersion": 1,
    "id": "evd_1",
    "runId": "run_1",
    "traceId": "t",
    "label": "log",
    "type": "text",
    "sizeBytes": 2,
    "sha256": "00",
    "source": "tool",
    "stale": False,
    "position": 7,
    "eventId": "AXh",
    "createdAt": "2026-01-01T00:00:00Z",
    "artifactRef": "ref",
}


def evidence(content: Any) -> Evidence:
    return msgspec.json.decode(msgspec.json.encode(EVIDENCE | {"content": content}), type=Evidence)


def test_an_unknown_value_and_an_unknown_field_decode() -> None:
    data = msgspec.json.encode(CAUSE | {"status": "teleported", "planet": {"name": "mars"}})
    assert msgspec.json.decode(data, type=models.Cancelled).status == "teleported"


def test_an_absent_optional_field_is_none() -> None:
    assert msgspec.json.decode(b'{"turns": 7}', type=models.Usage).input_tokens is None


def test_an_absent_required_field_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="status"):
        msgspec.json.decode(b'{"runId": "run_1"}', type=models.Cancelled)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"kind": "text", "text": "ok"}, TextContent),
        ({"kind": "json", "value": [1]}, JsonContent),
        ({"kind": "binary", "base64": "AA==", "mediaType": "image/png"}, BinaryContent),
        ({"kind": "hologram", "waves": 3}, dict),
        ({"kind": 7}, dict),
        (None, type(None)),
    ],
)
def test_a_union_decodes_as_its_member_or_as_it_is(content: Any, kind: type) -> None:
    assert type(evidence(content).content) is kind


def test_a_model_encodes_as_the_server_wrote_it() -> None:
    text = msgspec.json.encode(EVIDENCE | {"content": {"kind": "text", "text": "ok"}})
    assert msgspec.json.decode(msgspec.json.encode(msgspec.json.decode(text, type=Evidence))) == msgspec.json.decode(
        text
    )


def test_a_model_is_immutable() -> None:
    with pytest.raises(AttributeError):
        models.Usage(input_tokens=7).input_tokens = 8  # type: ignore[misc]
