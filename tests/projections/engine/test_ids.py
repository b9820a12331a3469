"""Event ids as witnesses: each is compared with the log, in any order, and unknown ones are named."""

import io
import json
from collections.abc import Iterable

import pytest

from athena_core.domain.plane import AuthzModeActive
from athena_core.event import Position
from athena_core.protocols import Row
from projections.engine import ids
from projections.engine.cursor import event_id
from projections.engine.ids import IdComparison, compare_ids
from tests.projections.history import LOG_ID, History

EVENTS = 30


class Counted(History):
    """A log of a few events that counts how often rows are read."""

    reads = 0

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        self.reads += 1
        return super().rows(after, limit, until)


@pytest.fixture
def log() -> Counted:
    history = Counted()
    for _ in range(EVENTS):
        history.write("plane", AuthzModeActive(mode="off"))
    return history


def id_at(log: History, position: int) -> str:
    (row,) = History.rows(log, position - 1, 1)
    return event_id(LOG_ID, position, row.chain)


def compared(log: History, lines: Iterable[str]) -> IdComparison:
    return compare_ids(io.BytesIO("\n".join(lines).encode()), log)


def test_ids_that_the_log_holds_are_counted_in_any_order(log: Counted) -> None:
    every = [id_at(log, position) for position in range(1, EVENTS + 1)]
    assert compared(log, every) == IdComparison(checked=EVENTS, unknown_count=0, unknown=())
    assert log.reads <= 3, "in order they are read a page at a time"
    assert compared(log, [*every[::-2], "", *every[::7]]).unknown == ()
    lines = [json.dumps({"id": one, "type": "AUTHZ_MODE_ACTIVE", "payload": {"mode": "off"}}) for one in every]
    assert compared(log, lines).unknown == ()
    assert compared(log, []) == IdComparison(checked=0, unknown_count=0, unknown=())


def test_an_id_that_the_log_does_not_hold_is_named_with_its_line(log: Counted) -> None:
    other = event_id(LOG_ID, 3, b"\0" * 32)
    beyond = event_id(LOG_ID, EVENTS + 1, b"\0" * 32)
    elsewhere = event_id("ab" * 8, 3, b"\0" * 32)
    right = id_at(log, 3)
    found = compared(
        log,
        [
            right, other, beyond, elsewhere, "7", "no id", "{", "[1]", json.dumps({"type": "x"}),
            json.dumps({"id": right, "type": "run.created"}), json.dumps({"id": right, "position": 4}),
        ],
    )  # fmt: skip
    assert (found.checked, found.unknown_count) == (11, 10)
    assert [(one.line, one.reason) for one in found.unknown] == [
        (2, "the log holds another event at position 3"),
        (3, f"the log has no position {EVENTS + 1}"),
        (4, f"it is of the log abababababababab; this one is {LOG_ID}"),
        (5, "it is a position, which proves nothing"),
        (6, "it is not an event id"),
        (7, "the line is neither an event id nor JSON with one"),
        (8, "it is not an event id"),
        (9, "the line is neither an event id nor JSON with one"),
        (10, "the event at position 3 is AUTHZ_MODE_ACTIVE, not run.created"),
        (11, "the id is of position 3, not 4"),
    ]


def test_lines_and_names_are_bounded(log: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "LINE_BYTES_MAX", 100)
    found = compared(log, ["x" * 1_000, id_at(log, 1), *["y"] * 50])
    assert (found.checked, found.unknown_count, len(found.unknown)) == (52, 51, ids.UNKNOWN_MAX)
    assert (found.unknown[0].line, found.unknown[0].reason) == (1, "the line is longer than 100 bytes")
    assert found.unknown[1].line == 3
