"""Promises of the event stream and of the transcript stream: each record once, in order, from any cursor."""

import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from athena_api.plane import ControlPlane
from athena_api.streams.sse import HEARTBEAT, Streams, Subscription
from athena_core.values import LOCAL
from projections.feed import FeedFilter
from tests.api.streams.subscriber import Line
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import PATIENCE_SECONDS, Api, Json, Refused, events_of, refused_by, soon, until_caught_up
from tests.support.gate import Gates
from tests.support.server import Server


class Events:
    """The event stream."""

    path, retry = "/events/stream", "2000"
    queries: tuple[dict[str, str], ...] = ({}, {"types": "directive.created"}, {})

    def cause(self, api: Api, times: int) -> None:
        """Record two events each time."""
        for _ in range(times):
            api.post("/directives", {"input": "hello"})
            api.post("/runs/nobody/cancel")

    def records(self, frames: Iterator[Any]) -> Iterator[Json]:
        return events_of(frames)

    def listed(self, api: Api, after: str = "0", **query: str) -> list[Json]:
        return api.events(cursor=after, **query)

    def open(self, parts: ControlPlane) -> Subscription:
        return parts.feed.open(FeedFilter(), None, None)


class Transcript:
    """The transcript stream of session ``one``."""

    path, retry = "/sessions/one/transcript/stream", "1500"
    queries: tuple[dict[str, str], ...] = ({}, {})

    def cause(self, api: Api, times: int) -> None:
        """Record two entries each time."""
        for _ in range(times):
            api.run("hello", sessionId="one")

    def records(self, frames: Iterator[Any]) -> Iterator[Json]:
        for frame in frames:
            if frame.event == "transcript.entry":
                assert frame.data["ok"] is True
                assert frame.id == frame.data["data"]["id"]
                yield lasting(frame.data["data"])

    def listed(self, api: Api, after: str = "0") -> list[Json]:
        found: list[Json] = []
        while page := api.get("/sessions/one/transcript", limit=500, after=after)["items"]:
            found += map(lasting, page)
            after = page[-1]["id"]
        return found

    def open(self, parts: ControlPlane) -> Subscription:
        return parts.transcripts.open("one", None, None)


Kind = Events | Transcript
KINDS = (Events(), Transcript())


def lasting(entry: Json) -> Json:
    """Return an entry without the fields that change when its run ends."""
    return {name: value for name, value in entry.items() if name not in ("provisional", "runStatus")}


@pytest.fixture(params=KINDS, ids=lambda kind: type(kind).__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def recorded(shared: Server, kind: Kind) -> list[Json]:
    """All records of the stream, at least twenty, with others between them."""
    if len(kind.listed(shared.api)) < 20:
        for _ in range(10):
            kind.cause(shared.api, 1)
            shared.api.run("noise", sessionId="noise")
    return kind.listed(shared.api)


@contextmanager
def following(kind: Kind, api: Api, **query: Any) -> Iterator[Iterator[Json]]:
    """The records of a stream."""
    with api.stream(kind.path, **query) as frames:
        yield kind.records(frames)


def ids(records: list[Json]) -> list[str]:
    return [record["id"] for record in records]


def test_a_stream_begins_with_the_listed_records(shared: Server, kind: Kind, recorded: list[Json]) -> None:
    with shared.api.http.stream("GET", kind.path) as response:
        names = ("content-type", "cache-control", "x-accel-buffering")
        assert [response.headers[name] for name in names] == ["text/event-stream", "no-store", "no"]
        assert response.headers["x-trace-id"]
    with following(kind, shared.api) as records:
        assert list(islice(records, len(recorded))) == recorded


def test_only_the_first_frame_states_how_long_to_wait_before_reconnecting(
    shared: Server, kind: Kind, recorded: list[Json]
) -> None:
    with shared.api.stream(kind.path) as frames:
        assert [frame.retry for frame in islice(frames, 3)] == [kind.retry, None, None]


def test_frames_without_an_event_line_are_otherwise_the_same(shared: Server, kind: Kind, recorded: list[Json]) -> None:
    with shared.api.stream(kind.path) as named, shared.api.stream(kind.path, frames="message") as unnamed:
        for one, other in islice(zip(named, unnamed, strict=True), len(recorded)):
            assert other.event is None
            assert other.data.pop("event") == one.event
            assert other == one._replace(event=None)
    with shared.api.stream(kind.path, frames="message", last_event_id=recorded[1]["id"]) as frames:
        assert next(frames).id == recorded[2]["id"]
    assert refused_by(shared.api.get, kind.path, frames="none") == (400, "CONFIG_ERROR")


def test_from_every_record_a_stream_continues_with_the_next(shared: Server, kind: Kind, recorded: list[Json]) -> None:
    for place, record in list(enumerate(recorded, 1))[:: sized(5, 2, 1)]:
        rest = recorded[place:]
        for query in ({"after": record["id"]}, {"after": "latest", "last_event_id": record["id"]}):
            with following(kind, shared.api, **query) as records:
                assert list(islice(records, len(rest))) == rest


def test_a_stream_begins_at_the_head_or_at_a_time(shared: Server, kind: Kind, recorded: list[Json]) -> None:
    for latest in (True, False):
        known = len(kind.listed(shared.api))
        after = "latest" if latest else str(shared.api.head())
        with following(kind, shared.api, after=after) as records:
            kind.cause(shared.api, 1)
            assert list(islice(records, 2)) == kind.listed(shared.api)[known : known + 2]
    for record in recorded[::7]:
        wanted = [other for other in recorded if other["createdAt"] >= record["createdAt"]]
        with following(kind, shared.api, after=record["createdAt"]) as records:
            assert list(islice(records, len(wanted))) == wanted


def test_a_get_and_the_stream_after_its_position_leave_no_gap(shared: Server, kind: Kind) -> None:
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(kind.cause, shared.api, 20)
        position = shared.api.http.get("/runs").headers["athena-position"]
        with following(kind, shared.api, after=position) as records:
            writing.result()
            wanted = kind.listed(shared.api, position)
            assert list(islice(records, len(wanted))) == wanted


def test_a_stream_of_one_server_shows_what_others_write(serve: Serve, tmp_path: Path, kind: Kind) -> None:
    here, there = serve(tmp_path / "plane"), serve(tmp_path / "plane")
    count = sized(5, 25, 2_000)
    start = str(here.api.head())
    with (
        ThreadPoolExecutor(6) as pool,
        following(kind, here.api, after=start) as mine,
        following(kind, there.api, after=start) as theirs,
    ):
        # both read at once: a stream that is left unread is cut off
        readers = [pool.submit(lambda records: list(islice(records, 8 * count)), one) for one in (mine, theirs)]
        writers = [pool.submit(kind.cause, server.client(), count) for server in (here, there) * 2]
        for writer in writers:
            writer.result()
        found = [reader.result() for reader in readers]
    assert found[0] == found[1] == kind.listed(here.api, start)[: 8 * count]
    assert len(set(ids(found[0]))) == 8 * count


@pytest.mark.heavy
def test_subscribers_that_reconnect_at_random_across_kills_miss_and_repeat_nothing(serve: Serve, kind: Kind) -> None:
    server = serve()
    dice = random.Random(1)
    readers: list[tuple[dict[str, str], list[str]]] = [(query, []) for query in kind.queries]
    for _ in range(sized(3, 8, 1_000)):
        with ThreadPoolExecutor(6) as pool:
            writers = [pool.submit(until_killed, kind, server.client()) for _ in range(3)]
            tasks = [
                pool.submit(follow, kind, server.client(), query, found, dice.randrange(1, 40))
                for query, found in readers
            ]
            with following(kind, server.api, after="latest") as records:
                for _ in islice(records, dice.randrange(40, 120)):
                    pass
            server.signal(signal.SIGKILL)
            for task in (*writers, *tasks):
                task.result()
        server.kill()
        server.start()
    for query, found in readers:
        wanted = ids(kind.listed(server.api, **query))
        with following(kind, server.api, last_event_id=found[-1] if found else "0", **query) as records:
            rest = ids(list(islice(records, len(wanted) - len(found))))
        assert found + rest == wanted


def until_killed(kind: Kind, api: Api) -> None:
    """Write until the server is gone."""
    try:
        while True:
            kind.cause(api, 1)
    except (httpx2.TransportError, Refused):
        return


def follow(kind: Kind, api: Api, query: dict[str, str], found: list[str], count: int) -> None:
    """Read a few records, disconnect, and continue from there, until the server is gone."""
    try:
        while True:
            with following(kind, api, last_event_id=found[-1] if found else "0", **query) as records:
                for record in islice(records, count):
                    found.append(record["id"])
    except (httpx2.TransportError, StopIteration):
        return


# The end of a stream


def test_a_server_that_stops_ends_every_stream_cleanly(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gates["words"]  # stays closed
    busy, quiet = "/sessions/busy/transcript/stream", {"types": "schedule.removed"}
    asked: list[tuple[str, dict[str, str]]] = [(kind.path, {}) for kind in KINDS] + [(busy, {}), (Events.path, quiet)]
    with ExitStack() as stack:
        opened = [
            (path, query, stack.enter_context(server.client().stream(path, **query))) for path, query in asked * 5
        ]
        server.api.start("tell words Hello", sessionId="busy")
        for path, _, frames in opened:
            if path == Events.path:
                until_caught_up(frames)
            elif path == busy:
                next(frame for frame in frames if frame.event == "transcript.delta")
        assert server.api.get("/admin/health")["streams"] == len(opened)
        server.signal(signal.SIGTERM)
        for path, query, frames in opened:  # each ends without an error of the protocol
            late = {frame.event for frame in frames} - {None}
            if path != Events.path or query:
                assert late <= ({"transcript.delta"} if path == busy else set()), (path, query)
        server.wait()


def test_a_stream_that_its_client_left_is_forgotten(shared: Server, kind: Kind) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(shared.api.stream(kind.path))
        assert shared.api.get("/admin/health")["streams"] >= 3
    for _ in soon():
        if shared.api.get("/admin/health")["streams"] == 0:
            break


async def test_a_stream_that_begins_while_the_server_drains_ends_cleanly(parts: ControlPlane, kind: Kind) -> None:
    streams, line = Streams(), Line()
    streams.drain()
    with anyio.fail_after(PATIENCE_SECONDS):
        await streams.serve(kind.open(parts), line.receive, line, LOCAL, "")
    assert (streams.count, bool(streams.waits)) == (0, False)


async def test_every_quiet_stream_beats_whenever_it_began(parts: ControlPlane, kind: Kind) -> None:
    streams, lines = Streams(heartbeat_seconds=0.02), [Line() for _ in range(3)]
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for line in lines:
                tasks.start_soon(streams.serve, kind.open(parts), line.receive, line, LOCAL, "")
                await line.until(HEARTBEAT, 2)
            for line in lines:
                await line.until(HEARTBEAT, line.content.count(HEARTBEAT) + 2)
            streams.drain()
