"""The feed: records, filters, pages."""

import json
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.clock import iso
from athena_core.domain.run import PolicyOrigin, PolicyRejected, RejectedRunDetails, RunRejection
from athena_core.errors import CursorInvalid
from athena_core.event import Position
from athena_core.protocols import PublicCells, PublicRow
from projections import feed
from projections.engine.cursor import event_id, event_ids
from projections.feed import FeedFilter, page, position_before, render
from tests.projections.history import BEGINNING, LOG_ID, MOVES, History
from tests.projections.support import catch_up, new_generation, shown

HISTORIES = st.lists(st.tuples(st.integers(0, MOVES), st.integers(0, 99)), max_size=60)


def identify(history: History) -> feed.IdOf:
    def id_of(position: Position) -> str:
        row = history.row(position)
        return "0" if row is None else event_id(LOG_ID, position, row.chain[:4])

    return id_of


def rendered(row: PublicRow, history: History) -> bytes:
    (made,) = render([row], event_ids(LOG_ID, [row]), identify(history))
    return made


def record(history: History, position: Position) -> dict[str, object]:
    row = history.row(position)
    assert row is not None
    return dict(json.loads(rendered(PublicRow.of(row), history)))


def test_a_record_is_spliced_from_the_stored_payload() -> None:
    history = History()
    run_id = history.request("s")
    history.start(run_id, "what nobody sees here")
    row = history.written[-1]
    assert list(record(history, row.position).items()) == [
        ("id", event_id(LOG_ID, row.position, row.chain[:4])),
        ("traceId", "t" + run_id),
        ("type", "transcript.appended"),
        ("createdAt", "2026-01-01T00:00:00.000Z"),
        ("payload", {"role": "user", "kind": "message", "chars": 21}),
        ("sessionId", "s"),
        ("runId", run_id),
    ]
    assert row.data in rendered(PublicRow.of(row), history)


@given(st.integers(0, 4_102_444_800_000))
def test_times_are_written_as_everywhere(milliseconds: int) -> None:
    history = History()
    history.now = milliseconds
    history.profile()
    assert record(history, 1)["createdAt"] == iso(milliseconds)


def test_members_that_stand_beside_the_payload_are_added() -> None:
    history = History()
    origin = PolicyOrigin(schema_version=1, engine="athena", rule_type="concurrency")
    refusal = RunRejection(
        schema_version=1,
        timestamp=iso(BEGINNING),
        policy_type="CONCURRENCY",
        limit=1,
        rejected_run_details=RejectedRunDetails(session_id="s"),
        reason="max-concurrent-runs-exceeded",
        active_runs=1,
    )
    shown = record(history, history.write("run_9", PolicyRejected(rejection=refusal, policy=origin), run_id="run_9"))
    assert shown["policy"] == {"schemaVersion": 1, "engine": "athena", "ruleType": "concurrency"}
    assert shown["payload"] == {"rejection": msgspec.to_builtins(refusal)}


def test_events_refer_to_each_other_by_id() -> None:
    history = History()
    history.directive("denied, say")
    position = history.violation(1)
    history.redact(1)
    payload = record(history, position)["payload"]
    assert isinstance(payload, dict)
    assert payload["source"] == {
        "eventId": identify(history)(1),
        "traceId": "t",
        "type": "authz.denied",
        "createdAt": "2026",
    }
    assert record(history, history.head())["payload"] == {"eventId": identify(history)(1)}


@pytest.mark.parametrize("kind", ["directive.created", "safety.violation", "payload.redacted", "some.later"])
@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[1]", b'"a"', b'{"a":\xff}', b'{"a":"\xff"}', b"\x00"])
def test_an_event_that_cannot_be_rendered_is_served_all_the_same(kind: str, data: bytes) -> None:
    history = History()
    history.directive("x")
    row = history.written[0]._replace(type=kind, data=data)
    shown = json.loads(rendered(PublicRow.of(row), history))
    assert (shown["payload"], shown["undecodable"], shown["type"]) == ({}, True, kind)
    assert shown["id"] == event_id(LOG_ID, 1, row.chain[:4])


@given(
    st.sampled_from(["correlation", "session_id", "run_id", "type"]), st.text(st.characters(exclude_categories=["Cs"]))
)
def test_no_name_breaks_the_record(column: str, name: str) -> None:
    history = History()
    history.directive("x")
    named: Any = {column: name}
    row = PublicRow.of(history.written[0])._replace(**named)
    member = {"correlation": "traceId", "session_id": "sessionId", "run_id": "runId", "type": "type"}[column]
    assert json.loads(rendered(row, history))[member] == name


FILTERS = st.builds(
    FeedFilter,
    types=st.none()
    | st.frozensets(st.sampled_from(["run.created", "run.started", "directive.created", "no.such"]), max_size=3),
    session_id=st.none() | st.sampled_from(["s0", "s1", "nobody"]),
    run_id=st.none() | st.just("run_00000000000000000000000002"),
    trace_id=st.none() | st.sampled_from(["t", "trun_00000000000000000000000002"]),
    created_after=st.none() | st.integers(BEGINNING - 1, BEGINNING + 60),
    created_before=st.none() | st.integers(BEGINNING - 1, BEGINNING + 60),
)


@settings(deadline=None, max_examples=150)
@pytest.mark.heavy
@pytest.mark.timeout(1_200)
@given(HISTORIES, FILTERS, st.integers(1, 7), st.integers(1, 20))
def test_filtered_pages_show_what_a_full_scan_shows(
    moves: list[tuple[int, int]], wanted: FeedFilter, limit: int, stretch: int
) -> None:
    history = History().play(moves)
    with tempfile.TemporaryDirectory() as path:
        connection = shown(Path(path), history)
        found: list[PublicCells] = []
        after = 0
        while after < history.head():
            one = page(wanted, after, limit, history, connection, stretch)
            assert len(one.rows) <= limit
            assert one.scanned > after
            found += one.rows
            after = one.scanned
        connection.close()
    assert found == [row for row in map(PublicRow.of, history.written) if wanted.matches(row)]


def test_a_filter_of_no_types_shows_nothing(tmp_path: Path) -> None:
    history = History()
    history.directive("x")
    connection = shown(tmp_path, history)
    assert not page(FeedFilter(types=frozenset()), 0, 10, history, connection).rows


def test_a_filtered_page_does_not_claim_what_the_views_have_not_seen(tmp_path: Path) -> None:
    history = History()
    history.whole_run("s")
    projector = new_generation(tmp_path / "a.db", history)
    catch_up(projector)
    seen = history.head()
    history.whole_run("s")
    one = page(FeedFilter(types=frozenset({"run.created"})), 0, 10, history, projector.connection)
    assert ([row[0] for row in one.rows], one.scanned, one.head) == ([3], seen, history.head())
    nothing = page(FeedFilter(types=frozenset({"run.created"})), seen, 10, history, projector.connection)
    assert (nothing.rows, nothing.scanned) == ([], seen)


def test_a_time_is_a_place_to_begin() -> None:
    history = History()
    for offset in (0, 10, 10, 20):
        history.now = BEGINNING + offset
        history.directive("x")
    expected = {
        "2025-12-31T23:59:59Z": 0,
        "2026-01-01T00:00:00.000Z": 0,
        "2026-01-01T00:00:00.001Z": 1,
        "2026-01-01T00:00:00.0100Z": 1,
        "2026-01-01T01:00:00.010+01:00": 1,
        "2026-01-01T00:00:00.010001Z": 3,
        "2027-01-01T00:00:00": 4,
    }
    assert {time: position_before(time, history) for time in expected} == expected
    for text in ("2026-13-01T00:00:00Z", "T-:"):
        with pytest.raises(CursorInvalid):
            position_before(text, history)
