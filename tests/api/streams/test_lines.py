"""Events as lines: the records of the pages up to the head at the beginning, or an error as the last line."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import msgspec
import pytest

from athena_api.edge.byte_budget import ByteBudget
from athena_api.streams.lines import LINES_TYPE, Lines, prefers_lines
from athena_api.streams.sse import CHUNK_BYTES_MAX, Streams
from athena_core.errors import StoreUnreachable
from athena_core.values import LOCAL
from tests.api.streams.subscriber import Line
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, Api, Json, soon, until_caught_up
from tests.support.server import Server

ACCEPT = {"accept": LINES_TYPE}
FILLER = 6_000  # events: more bytes than all buffers together hold


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Server]:
    """A server with events of several types in three sessions, more than a page of them."""
    with Server(tmp_path_factory.mktemp("told"), **shared_store) as server:
        for number in range(70):
            server.api.run(f"{number}", sessionId=f"session-{number % 3}")
        yield server


def lines(api: Api, **query: Any) -> list[Json]:
    """Return the records of an answer in lines."""
    response = api.http.get("/events", params=query, headers=ACCEPT)
    assert (response.status_code, response.headers["content-type"]) == (200, LINES_TYPE)
    assert response.text == "" or response.text.endswith("\n")
    return [msgspec.json.decode(line) for line in response.text.splitlines()]


def test_lines_are_the_records_of_the_pages(told: Server) -> None:
    everything = told.api.events()
    assert len(everything) > 500
    assert lines(told.api) == lines(told.api, limit=1) == everything
    for place in range(0, len(everything), 97):
        assert lines(told.api, cursor=everything[place]["id"]) == everything[place + 1 :]
    assert lines(told.api, cursor=len(everything)) == []
    times = [event["createdAt"] for event in everything]
    filters: list[Json] = [
        {"sessionId": "session-1"},
        {"runId": everything[-1]["runId"]},
        {"traceId": everything[-1]["traceId"]},
        {"types": "run.created,run.completed", "sessionId": "session-2", "cursor": everything[50]["id"]},
        {"types": "run.created", "createdAfter": times[100], "createdBefore": times[400]},
        {"createdAfter": times[100], "createdBefore": times[400]},
        {"createdAfter": times[400], "createdBefore": times[100]},
        {"sessionId": "nobody"},
    ]
    for query in filters:
        assert lines(told.api, **query) == told.api.events(**query), query


def test_lines_end_at_the_head_of_their_beginning(serve: Serve) -> None:
    server = serve()
    server.put_filler(FILLER)
    with ThreadPoolExecutor(1) as pool:
        for query in ({}, {"types": "AUTHZ_MODE_ACTIVE,run.cancel.requested"}):
            with server.api.http.stream("GET", "/events", params=query, headers=ACCEPT) as response:
                head = int(response.headers["athena-position"])
                pool.submit(write, server.client(), 10).result()
                found = [msgspec.json.decode(line) for line in response.iter_lines()]
            assert found == server.api.events(**query)[: len(found)]
            if not query:
                assert len(found) == head
            assert lines(server.api, cursor=head)[:1] == server.api.events(cursor=head)[:1], "the next one begins there"


def write(api: Api, count: int) -> None:
    for _ in range(count):
        api.post("/runs/nobody/cancel")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"cursor": "!"}, 400, "CURSOR_INVALID"),
        ({"cursor": "999999"}, 409, "CURSOR_AHEAD"),
        ({"createdAfter": "soon"}, 400, "CONFIG_ERROR"),
        ({"sessionId": "not one"}, 400, "CONFIG_ERROR"),
    ],
)
def test_an_error_before_the_first_line_is_an_envelope(told: Server, query: Json, status: int, code: str) -> None:
    response = told.api.http.get("/events", params=query, headers=ACCEPT)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["content-type"].startswith("application/json")


def test_a_scope_shows_its_own_records_only(serve: Serve) -> None:
    server = serve(auth_enabled="true", auth_role_map="ada:Admin,vera:Viewer")
    for number in range(6):
        server.client("ada").run(f"{number}", sessionId=f"session-{number % 2}")
    vera = server.client("vera", **{"x-athena-scope-sessions": "session-1"})
    found = lines(vera)
    assert {event["sessionId"] for event in found} == {"session-1"}
    assert found == vera.events()
    assert len(lines(server.client("ada"))) > 2 * len(found)


def test_an_answer_in_lines_counts_as_a_stream_while_it_is_sent(serve: Serve) -> None:
    server = serve(streams_max="1")
    server.put_filler(FILLER)
    with server.api.http.stream("GET", "/events", headers=ACCEPT):
        for _ in soon():
            if server.api.get("/admin/health")["streams"] == 1:
                break
        refused = server.api.http.get("/events", headers=ACCEPT)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "STREAM_LIMIT")
        assert server.api.events(limit=500), "pages are not streams"
    for _ in soon():
        if server.api.get("/admin/health")["streams"] == 0:
            break
    with server.api.stream(after="latest") as frames:
        until_caught_up(frames)
        assert server.api.http.get("/events", headers=ACCEPT).status_code == 503


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, False),
        (b"", False),
        (b"*/*", False),
        (b"application/json", False),
        (b"application/x-ndjson", True),
        (b"Application/X-NDJSON; charset=utf-8", True),
        (b"text/html, application/x-ndjson;q=0.5", True),
        (b"application/x-ndjson, application/json", True),
        (b"application/json, application/x-ndjson", False),
        (b"application/x-ndjson;q=0, */*", False),
        (b"application/x-ndjson;q=0.000, application/json", False),
        (b",;,;q=,application/x-ndjson;;", True),
        (b"\xff\xfe;q=1", False),
    ],
)
def test_what_a_client_accepts(accept: bytes | None, wanted: bool) -> None:
    assert prefers_lines(None if accept is None else accept.decode("latin-1")) is wanted


def test_head_answers_without_lines(told: Server) -> None:
    response = told.api.http.head("/events", headers=ACCEPT)
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, b"", LINES_TYPE)
    assert told.api.get("/admin/health")["streams"] == 0


def test_other_operations_answer_json_whatever_is_accepted(told: Server) -> None:
    assert told.api.http.get("/runs", headers=ACCEPT).json()["ok"] is True


# An answer that is cut off


async def numbers(count: int, size: int = 2) -> AsyncGenerator[bytes, None]:
    for _ in range(count):
        yield b"1" * (size - 1) + b"\n"


async def broken() -> AsyncGenerator[bytes, None]:
    yield b"1\n"
    raise StoreUnreachable("away")


def failed(error: Exception) -> bytes:
    return f"{type(error).__name__}\n".encode()


async def sent(pages: AsyncGenerator[bytes, None], streams: Streams, line: Line) -> bytes:
    await streams.serve_lines(Lines(pages), line.receive, line.send, LOCAL, "listEvents", failed)
    assert (streams.count, bool(streams.waits)) == (0, False)
    return line.content


async def test_the_last_line_is_the_error() -> None:
    assert await sent(numbers(3), Streams(), Line()) == b"1\n" * 3
    assert await sent(broken(), Streams(), Line()) == b"1\nStoreUnreachable\n"


async def test_pages_beyond_the_budget_of_answers_cut_it_off() -> None:
    budget = ByteBudget(1)
    budget.take(1)
    large = await sent(numbers(2, CHUNK_BYTES_MAX + 1), Streams(budget), Line())
    assert large == b"Overloaded\n"
    assert budget.used == 1


@pytest.mark.parametrize("why", ["drain", "review"])
async def test_a_server_that_stops_or_a_role_that_is_lost_cuts_it_off(why: str) -> None:
    streams, line = Streams(), Line()
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"1\n"
        finally:
            closed.set()

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sent, endless(), streams, line)
            await line.until(b"1\n", 10)
            if why == "drain":
                streams.drain()
            else:
                assert streams.review(lambda who, operation: operation != "listEvents") == 1
    assert line.content.endswith(b"1\nOverloaded\n")
    assert closed.is_set()


async def test_a_client_that_left_ends_it() -> None:
    streams, line = Streams(), Line()

    async def leave() -> Any:
        await line.until(b"1\n", 10)
        return {"type": "http.disconnect"}

    with anyio.fail_after(PATIENCE_SECONDS):
        await streams.serve_lines(Lines(numbers(10**9)), leave, line.send, LOCAL, "listEvents", failed)
    assert streams.count == 0


async def test_a_client_that_does_not_read_is_not_read_for() -> None:
    taken = 0

    async def counted() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b"1\n"

    line = Line()
    line.free = anyio.Event()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sent, counted(), Streams(), line)
            await anyio.wait_all_tasks_blocked()
            assert taken == 1
            line.free.set()
    assert taken == 100


async def test_many_take_turns_and_leave_the_loop_to_others_after_each_page() -> None:
    streams, iteration, taken = Streams(), 0, Counter[int]()

    async def counted() -> AsyncGenerator[bytes, None]:
        for _ in range(10):
            taken[iteration] += 1
            yield b"1\n"

    async def send(message: Any) -> None:
        """Take it at once."""

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(
                    streams.serve_lines, Lines(counted()), Line().receive, send, LOCAL, "listEvents", failed
                )
            while taken.total() < 50:
                await asyncio.sleep(0)
                iteration += 1
    first, *others = taken.values()
    assert first == 5, "each begins at once"
    assert max(others) <= 2, "the loop may count between the turns of one iteration"
