"""The stream over HTTP: every event once and in order, from any cursor, whatever breaks on the way."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import pytest

from athena_api.plane import ControlPlane
from athena_api.streams.ring import FrameRing
from athena_api.streams.sse import HEARTBEAT, WOKEN_AT_ONCE, Cancellation, Streams, Subscription
from athena_core.decider import Outcome
from athena_core.domain import plane as plane_room
from athena_core.errors import StoreUnreachable
from athena_core.event import Fact
from athena_core.values import LOCAL
from projections.feed import FeedFilter
from tests.api.streams.subscriber import Line
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, Api, Json, events_of, soon, until_caught_up
from tests.support.records import META
from tests.support.server import Server

NO_FILTER = FeedFilter()


def write(api: Api, count: int) -> None:
    for _ in range(count):
        api.post("/runs/nobody/cancel")


def ids(events: list[Json]) -> list[str]:
    return [event["id"] for event in events]


# Frames


def test_a_stream_goes_on_with_what_happens_and_says_once_that_it_had_caught_up(shared: Server) -> None:
    after = shared.api.head()
    with shared.api.stream(after=str(after)) as blocks:
        assert until_caught_up(blocks)[-1].data["data"]["head"] == after
        for _ in range(3):
            write(shared.api, 1)
            (event,) = islice(events_of(blocks), 1)
            assert event == shared.api.events(cursor=after)[0]
            after += 1
        run = shared.api.run("live", sessionId="live")
        live = list(islice(blocks, 9))
    assert [block.event for block in live] == [event["type"] for event in shared.api.events(cursor=after)]
    assert live[-1].data["data"]["runId"] == run["runId"]


def test_a_stream_shows_what_its_filter_wants(shared: Server) -> None:
    run = shared.api.run("wanted", sessionId="wanted")
    everything = shared.api.events()
    wishes: list[tuple[dict[str, str], Callable[[Json], bool]]] = [
        ({"types": "run.created"}, lambda event: event["type"] == "run.created"),
        ({"types": "run.created, session.created"}, lambda event: event["type"] in {"run.created", "session.created"}),
        ({"sessionId": "wanted"}, lambda event: event.get("sessionId") == "wanted"),
        ({"runId": run["runId"]}, lambda event: event.get("runId") == run["runId"]),
        (
            {"types": "run.created", "sessionId": "wanted"},
            lambda event: event["type"] == "run.created" and event["sessionId"] == "wanted",
        ),
        ({"types": "schedule.removed"}, lambda event: False),
    ]
    for query, wanted in wishes:
        with shared.api.stream(**query) as blocks:
            *_, last = found = until_caught_up(blocks)
            assert list(events_of(iter(found))) == [event for event in everything if wanted(event)], query
            assert last.id == everything[-1]["id"]


@pytest.mark.heavy
def test_what_a_filter_hides_is_bookmarked(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    api = server.api
    api.put_policy(maxConcurrentRuns=1)
    server.put_filler(20_500)
    api.put_policy(maxConcurrentRuns=2)
    with api.stream(types="policy.updated") as blocks:
        found = until_caught_up(blocks)
        assert [block.event for block in found] == [
            "policy.updated",
            "bookmark",
            "bookmark",
            "policy.updated",
            "caught-up",
        ]
    head = api.head()
    for mark in found[1:3]:
        assert mark.data["data"]["head"] == head
        assert mark.data["data"]["cursor"] == mark.id
        with api.stream(types="policy.updated", last_event_id=mark.id) as blocks:
            assert ids(list(islice(events_of(blocks), 1))) == [found[3].id]
    places = [head - len(api.events(cursor=mark.id)) for mark in found[1:3]]
    assert all(10_000 <= place - before <= 10_500 for before, place in pairwise([1, *places]))


# Heartbeats, on a feed whose patience the test chose


async def append(parts: ControlPlane) -> None:
    """Append an event that no filter of these tests matches."""
    fact = Fact(stream=plane_room.STREAM, event=plane_room.AuthzModeActive(mode="off"))
    await parts.log.submit(lambda reader, context: Outcome(facts=(fact,)), META)


async def test_a_stream_beats_also_while_its_filter_hides_what_happens(parts: ControlPlane) -> None:
    streams, line = Streams(heartbeat_seconds=0.1), Line()
    matches = FeedFilter(types=frozenset({"run.created"}))

    async def keep_writing() -> None:
        while True:
            await append(parts)
            await anyio.sleep(0.01)  # far more often than it should beat

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams.serve, parts.feed.open(matches, None, None), line.receive, line, LOCAL, "")
            async with anyio.create_task_group() as writers:
                writers.start_soon(keep_writing)
                await line.until(HEARTBEAT, 2)
                writers.cancel_scope.cancel()
            streams.drain()


async def test_a_stream_that_waits_has_two_tasks(parts: ControlPlane) -> None:
    streams, lines = Streams(), [Line() for _ in range(5)]
    with offspring() as ours, anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for line in lines:
                tasks.start_soon(streams.serve, parts.feed.open(NO_FILTER, None, None), line.receive, line, LOCAL, "")
                await line.until(b"event: caught-up")
            waiting = [task for task in ours if not task.done()]
            assert len(waiting) == 1 + 2 * len(lines), "its own, and one that sees the client go"
            streams.drain()


@contextmanager
def offspring() -> Iterator[set[asyncio.Task[Any]]]:
    """Yield the tasks that the current task and its children start."""
    loop, present = asyncio.get_running_loop(), asyncio.current_task()
    assert present is not None
    ours: set[asyncio.Task[Any]] = {present}

    def begin(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        if asyncio.current_task() in ours:
            ours.add(task)
        return task

    loop.set_task_factory(begin)
    try:
        yield ours
    finally:
        loop.set_task_factory(None)


async def test_who_waited_for_the_ring_and_left_leaves_nothing_behind() -> None:
    ring = FrameRing(7)
    await ring.wait(6)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ring.wait, 7)
        await anyio.wait_all_tasks_blocked()
        assert len(ring._waiting) == 1
        tasks.cancel_scope.cancel()
    assert not ring._waiting


# Leaving


@pytest.mark.parametrize("outside_first", [True, False])
async def test_two_cancellations_at_once_end_the_outer_block(outside_first: bool) -> None:
    outside, inside = Cancellation(), Cancellation()
    reached: list[str] = []

    async def wait() -> None:
        with outside:
            with inside:
                await anyio.sleep_forever()
            reached.append("between")
        await anyio.sleep(0)
        reached.append("after")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for cancellation in (outside, inside) if outside_first else (inside, outside):
            cancellation.cancel()
    assert reached == ["after"]


async def test_a_cancelled_block_in_a_cancelled_task_ends_the_task() -> None:
    cancellation = Cancellation()

    async def wait() -> None:
        with cancellation:
            await anyio.sleep_forever()

    task = asyncio.create_task(wait())
    await anyio.wait_all_tasks_blocked()
    cancellation.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_cut_is_over_once_it_was_left() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with cancellation:
        await anyio.sleep(0)
    cancellation.cancel()
    await anyio.sleep(0)


class Unsteady(Subscription):
    """A subscription whose database is away twice when it is read, and once when it is waited for."""

    retry = b"retry: 2000\n"

    def __init__(self) -> None:
        self.away = ["take", "wait", "take"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert error is None

    def _reach(self, what: str) -> None:
        if self.away[:1] == [what]:
            del self.away[0]
            raise StoreUnreachable("away")

    def take(self) -> tuple[list[bytes], bool]:
        self._reach("take")
        return ([], False) if self.away else ([b"data: back\n\n"], False)

    async def wait(self) -> None:
        self._reach("wait")
        await anyio.sleep_forever()


async def test_a_stream_waits_for_a_database_that_is_away() -> None:
    streams, line, unsteady = Streams(), Line(), Unsteady()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams.serve, unsteady, line.receive, line, LOCAL, "")
            await line.until(b"data: back\n\n", 1)
            streams.drain()
    assert unsteady.away == []


# Many at once


class Long(Subscription):
    """A subscription with many pages. It notes the iteration of the event loop in which each is taken."""

    retry = b"retry: 2000\n"

    def __init__(self, pages: int, taken: list[int], iteration: Callable[[], int]) -> None:
        self.left = pages
        self._taken = taken
        self._iteration = iteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """There is nothing to let go of."""

    def take(self) -> tuple[list[bytes], bool]:
        self._taken.append(self._iteration())
        self.left -= 1
        return [b"data: page\n\n"], self.left > 0

    async def wait(self) -> None:
        await anyio.sleep_forever()


class Taker(Line):
    """A client that takes everything at once."""

    async def send(self, message: Any) -> None:
        """Take it."""


async def taken_at_once(*, stopped: int) -> list[int]:
    """Return the number of pages taken in each iteration of the loop while streams catch up."""
    streams, taken, iterations = Streams(), list[int](), 0
    lines = [Long(10, taken, lambda: iterations) for _ in range(5)]

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            leaving = [
                asyncio.create_task(streams.serve(line, Line().receive, Taker(), LOCAL, "")) for line in lines[:stopped]
            ]
            for line in lines[stopped:]:
                tasks.start_soon(streams.serve, line, Line().receive, Taker(), LOCAL, "")
            while any(line.left for line in lines[stopped:]):
                await asyncio.sleep(0)
                iterations += 1
                if iterations == 10:
                    for task in leaving:
                        task.cancel()
            streams.drain()
    return list(Counter(taken).values())


@pytest.mark.parametrize("stopped", [0, 2])
async def test_streams_that_catch_up_take_turns_and_leave_the_loop_to_others_after_each_page(stopped: int) -> None:
    first, *others = await taken_at_once(stopped=stopped)
    assert first == 5, "each begins at once"
    assert max(others) <= 2, "the loop may count between the turns of one iteration"
    assert (first + sum(others) == 50) == (not stopped)


async def test_subscribers_are_woken_a_few_in_each_iteration() -> None:
    ring, woken, count = FrameRing(7), 0, 3 * WOKEN_AT_ONCE + 1

    async def wait() -> None:
        nonlocal woken
        await ring.wait(7)
        woken += 1

    found: list[int] = []
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        ring.wake(8)
        while woken < count:
            before = woken
            await asyncio.sleep(0)
            found.append(woken - before)
    assert max(found) == WOKEN_AT_ONCE


# Slow clients


def test_a_client_that_stops_reading_is_cut_off_while_others_go_on(serve: Serve, tmp_path: Path) -> None:
    server = serve(send_timeout_ms="500")
    server.put_filler(20_000)  # more than all buffers together hold
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect((host, int(port)))
        stalled.sendall(b"GET /api/v1/events/stream HTTP/1.1\r\nhost: localhost\r\n\r\n")
        stalled.recv(1)
        with server.api.stream(after="latest") as blocks:
            until_caught_up(blocks)
            for number in range(50):
                write(server.api, 1)
                (event,) = islice(events_of(blocks), 1)
                assert event["payload"]["status"] == "not-running", number
            for _ in soon():
                if server.api.get("/admin/health")["streams"] == 1:
                    break
            write(server.api, 1)
            assert list(islice(events_of(blocks), 1))
