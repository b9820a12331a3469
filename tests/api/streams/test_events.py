"""The feed over HTTP: pages of any size, every cursor, every filter, against what all events together say."""

import base64
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import Json, Refused
from tests.support.server import Server

FILLER = 50_010  # more than a filtered page looks at


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    """A server with events of many types."""
    directory = tmp_path_factory.mktemp("told")
    with Server(directory, **shared_store) as server:
        server.api.put_policy(maxConcurrentRuns=50)
        for number in range(8):
            server.api.run(f"{number}", sessionId=f"session-{number % 3}")
        server.api.post("/directives", {"input": "a"})
        server.api.post("/runs/nobody/cancel")
        with pytest.raises(Refused):
            server.api.run("b", provider="local-exec", harnessProfileId=None, model="m", directiveId="dir_x")
        yield server


@pytest.fixture(scope="module")
def everything(told: Server) -> list[Json]:
    return told.api.events()


# Pages


def test_the_feed_is_dense_and_its_ids_never_change(told: Server, everything: list[Json]) -> None:
    assert len({event["id"] for event in everything}) == len(everything) == told.api.head()
    for position, event in enumerate(everything, 1):
        (same,) = told.api.get("/events", cursor=position - 1, limit=1)["events"]
        assert same == event
        (filtered,) = told.api.get("/events", cursor=position - 1, types=event["type"], limit=1)["events"]
        assert filtered == event
    assert [event["createdAt"] for event in everything] == sorted(event["createdAt"] for event in everything)


def test_pages_of_every_size_put_together_are_the_log(told: Server, everything: list[Json]) -> None:
    for limit in sized([1, 2, 3, 5, 7, 10, len(everything) - 1, len(everything), 500], *[range(1, 120)] * 2):
        pages = list(told.api.pages("/events", limit=limit))
        assert [event for page in pages for event in page["events"]] == everything
        assert all(len(page["events"]) == limit for page in pages[:-1])
        assert all(page["cursor"] == page["nextCursor"] == page["events"][-1]["id"] for page in pages[:-1])


def test_the_last_page_has_a_cursor_but_no_next_one(told: Server, everything: list[Json]) -> None:
    head = len(everything)
    for page in (
        told.api.get("/events", limit=500),
        told.api.get("/events", limit=head),
        told.api.get("/events", cursor=head),
        told.api.get("/events", cursor=everything[-1]["id"]),
        told.api.get("/events", types="schedule.removed"),
    ):
        assert (page["cursor"], page["head"], "nextCursor" in page) == (everything[-1]["id"], head, False)
    assert told.api.get("/events", cursor=head)["events"] == []


def test_a_cursor_means_the_same_as_an_id_and_as_a_position(told: Server, everything: list[Json]) -> None:
    for position, event in enumerate(everything, 1):
        assert told.api.events(cursor=event["id"]) == told.api.events(cursor=position) == everything[position:]
    assert told.api.events(cursor="0") == told.api.events(cursor="000") == everything


# Cursors that cannot be honoured


def altered(event_id: str, place: int) -> str:
    """Return the id with one byte changed."""
    raw = bytearray(base64.urlsafe_b64decode(event_id))
    raw[place] ^= 1
    return base64.urlsafe_b64encode(raw).decode()


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda last: "MQ", 400, "CURSOR_INVALID"),  # the original's offset token
        (lambda last: "!", 400, "CURSOR_INVALID"),
        (lambda last: "-1", 400, "CURSOR_INVALID"),
        (lambda last: "1.0", 400, "CURSOR_INVALID"),
        (lambda last: "\u0661", 400, "CURSOR_INVALID"),
        (lambda last: last[:-1], 400, "CURSOR_INVALID"),
        (lambda last: last + "A", 400, "CURSOR_INVALID"),
        (lambda last: "x" * 900, 400, "CURSOR_INVALID"),
        (lambda last: altered(last, 0), 400, "CURSOR_INVALID"),  # another version
        (lambda last: altered(last, 1), 409, "CURSOR_FOREIGN"),  # another log
        (lambda last: altered(last, 8), 409, "CURSOR_FOREIGN"),
        (lambda last: altered(last, 17), 409, "CURSOR_FOREIGN"),  # another history
        (lambda last: altered(last, 20), 409, "CURSOR_FOREIGN"),
        (lambda last: altered(last, 10), 409, "CURSOR_AHEAD"),
        (lambda last: altered(last, 12), 409, "CURSOR_AHEAD"),
        (lambda last: "99999999", 409, "CURSOR_AHEAD"),
        (lambda last: "9" * 18, 409, "CURSOR_AHEAD"),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/events", "/events/stream", "/sessions/session-0/transcript", "/sessions/session-0/transcript/stream"],
)
def test_a_cursor_that_cannot_be_honoured_says_why(
    told: Server, everything: list[Json], path: str, make: Callable[[str], str], status: int, code: str
) -> None:
    text = make(everything[-1]["id"])
    answers = [told.api.http.get(path, params={"cursor" if path == "/events" else "after": text})]
    if path.endswith("/stream") and text.isascii():
        answers.append(told.api.http.get(path, headers={"last-event-id": text}))
        answers.append(told.api.http.get(path, params={"after": "0"}, headers={"last-event-id": text}))
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (status, code), text
        assert answer.headers["content-type"].startswith("application/json")
        assert error["retryable"] is False


def test_a_cursor_ahead_is_decided_by_its_chain_once_the_head_has_passed_it(serve: Serve) -> None:
    api = serve().api
    here = api.head()
    api.post("/runs/nobody/cancel")
    ahead = api.get("/events")["cursor"]
    beyond = str(here + 2)

    def code(cursor: str) -> str | None:
        try:
            api.get("/events", cursor=cursor)
        except Refused as refused:
            return refused.code
        return None

    lying = altered(ahead, 18)
    raw = bytearray(base64.urlsafe_b64decode(ahead))
    raw[9:17] = (here + 2).to_bytes(8, "big")
    guessed = base64.urlsafe_b64encode(raw).decode()
    assert [code(cursor) for cursor in (ahead, lying, beyond, guessed)] == [
        None,
        "CURSOR_FOREIGN",
        "CURSOR_AHEAD",
        "CURSOR_AHEAD",
    ]
    api.post("/runs/nobody/cancel")
    assert [code(cursor) for cursor in (beyond, guessed)] == [None, "CURSOR_FOREIGN"]


# Filters, each against brute force


def brute(everything: list[Json], **wanted: str) -> list[Json]:
    """Return the events that a filter should match."""

    def matches(event: Json) -> bool:
        types = wanted.get("types")
        return (
            (types is None or event["type"] in [one.strip() for one in types.split(",")])
            and all(event.get(name) == wanted[name] for name in ("sessionId", "runId", "traceId") if name in wanted)
            and event["createdAt"] >= wanted.get("createdAfter", "")
            and event["createdAt"] <= wanted.get("createdBefore", "9")
        )

    return [event for event in everything if matches(event)]


def wishes(everything: list[Json]) -> Iterator[dict[str, str]]:
    """Yield filters for these events."""
    for name in ("sessionId", "runId", "traceId"):
        for value in dict.fromkeys(event[name] for event in everything if name in event):
            yield {name: value}
    types = sorted({event["type"] for event in everything})
    for kind in types:
        yield {"types": kind}
    for pair in pairwise(types):
        yield {"types": ",".join(pair), "sessionId": "session-1"}
        yield {"types": " , ".join(pair)}
    times = [event["createdAt"] for event in everything]
    for start, end in zip(times[::9], times[5::9], strict=False):
        yield {"createdAfter": start}
        yield {"createdBefore": end}
        yield {"createdAfter": start, "createdBefore": end}
        yield {"createdAfter": start, "createdBefore": end, "types": "run.created,run.completed"}
        yield {"createdAfter": end, "createdBefore": start}


def test_every_filter_leaves_exactly_what_it_should(told: Server, everything: list[Json]) -> None:
    tried = 0
    for wanted in wishes(everything):
        expected = brute(everything, **wanted)
        for limit in (2, 500):
            assert told.api.events(**wanted, limit=limit) == expected, (wanted, limit)
        tried += bool(expected)
    assert tried > 30


def test_a_filter_may_change_at_any_cursor(told: Server, everything: list[Json]) -> None:
    for position in range(0, len(everything), 7):
        cursor = everything[position]["id"]
        rest = everything[position + 1 :]
        assert told.api.events(cursor=cursor, types="run.created") == brute(rest, types="run.created")
        assert told.api.events(cursor=cursor, sessionId="session-2") == brute(rest, sessionId="session-2")


@pytest.mark.heavy
def test_a_filter_that_hides_a_lot_answers_short_pages_and_goes_on(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    api = server.api
    api.put_policy(maxConcurrentRuns=1)
    server.put_filler(FILLER)
    api.put_policy(maxConcurrentRuns=2)
    first = api.get("/events", types="policy.updated", limit=2)
    assert (len(first["events"]), first["head"]) == (1, FILLER + 3)
    assert first["cursor"] == first["nextCursor"]
    (at_scanned,) = api.get("/events", cursor=49_999, limit=1)["events"]
    assert first["cursor"] == at_scanned["id"], "50,000 events were looked at"
    second = api.get("/events", types="policy.updated", limit=2, cursor=first["nextCursor"])
    assert (len(second["events"]), "nextCursor" in second) == (1, False)
    assert [event["payload"]["after"]["maxConcurrentRuns"] for event in first["events"] + second["events"]] == [1, 2]


# Across restarts


def test_ids_and_pages_stay_the_same_across_restarts_and_rebuilt_views(serve: Serve) -> None:
    server = serve()
    for number in range(3):
        server.api.run(f"{number}", sessionId="one")
    before = server.api.events()
    some: list[Any] = [server.api.events(types="run.created"), server.api.events(sessionId="one", limit=2)]
    for end in (server.kill, server.stop):
        end()
        for file in (server.state_dir / "views").iterdir():
            file.unlink()
        server.start()
        assert server.api.events(cursor=0)[: len(before)] == before
        assert [server.api.events(types="run.created"), server.api.events(sessionId="one", limit=2)] == some
        assert server.api.events(cursor=before[4]["id"])[: len(before) - 5] == before[5:]
