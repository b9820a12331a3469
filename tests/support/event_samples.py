"""A sample of every event, and its row."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from athena_core.domain import EVENTS
from athena_core.log.codec import Codec, Encoded
from athena_core.protocols import Row

CODEC = Codec(EVENTS)
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


def row_of(encoded: Encoded, **changes: Any) -> Row:
    """Return the row in which these columns are stored."""
    data = changes.pop("data", encoded.data)
    row = Row(
        position=7,
        stream="pot_a",
        version=3,
        type=encoded.type,
        schema_version=encoded.schema_version,
        recorded_at=1_767_225_600_000,
        command_id="cmd_1",
        correlation="trace-1",
        causation=5,
        actor="ada",
        session_id="s",
        run_id="r",
        data=data,
        extra=encoded.extra,
        data_hash=hashlib.sha256(data).digest(),
        text_hash=None,
        chain=bytes(range(32)),
        text=encoded.text,
    )
    return row._replace(**changes)


class Sample(msgspec.Struct, frozen=True):
    """The stored columns of a row, and the event that they must decode to."""

    type: str
    schema_version: int
    data: str
    extra: str | None
    text: str | None
    fields: dict[str, Any]
    decided_at: int | None = None


def samples() -> Iterator[Sample]:
    for path in sorted(SAMPLES.glob("events-*.jsonl")):
        for line in path.read_bytes().splitlines():
            yield msgspec.json.decode(line, type=Sample)
