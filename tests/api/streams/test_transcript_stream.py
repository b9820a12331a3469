"""The transcript stream over HTTP: every entry once and in order, and between them what a model writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import anyio
import pytest

from athena_api.plane import ControlPlane
from athena_api.streams import transcripts
from athena_api.streams.sse import Streams
from athena_core.decider import Outcome
from athena_core.domain import plane as plane_room
from athena_core.domain import run
from athena_core.errors import NotCaughtUp
from athena_core.event import Fact
from athena_core.services.execution.live_text import LIVE_CHARS_MAX
from athena_core.values import LOCAL, Identity, Role, RunBody
from tests.api.streams.subscriber import Line
from tests.conftest import Serve
from tests.support.api import PATIENCE_SECONDS, Api, Frame, Json, Refused
from tests.support.gate import Gates
from tests.support.records import META
from tests.support.server import Server


@contextmanager
def following(api: Api, session_id: str, **query: Any) -> Iterator[Iterator[Frame]]:
    """Yield the frames of a session's stream."""
    with api.stream(f"/sessions/{session_id}/transcript/stream", **query) as blocks:
        yield blocks


def entries_of(blocks: Iterator[Frame]) -> Iterator[Json]:
    for block in blocks:
        if block.event == "transcript.entry":
            assert block.data["ok"] is True
            entry: Json = block.data["data"]
            assert block.id == entry["id"]
            yield entry


def next_delta(blocks: Iterator[Frame]) -> Json:
    """Return the next frame. Fail unless it is a delta."""
    block = next(blocks)
    assert (block.id, block.event) == (None, "transcript.delta")
    delta: Json = block.data["data"]
    return delta


def transcript(api: Api, session_id: str, **query: Any) -> list[Json]:
    entries: list[Json] = api.get(f"/sessions/{session_id}/transcript", limit=500, **query)["items"]
    return entries


def test_a_session_that_does_not_exist_yet_is_waited_for(shared: Server) -> None:
    with following(shared.api, "unborn") as blocks:
        shared.api.run("hello", sessionId="unborn")
        assert [entry["role"] for entry in islice(entries_of(blocks), 2)] == ["user", "assistant"]


def test_an_invalid_session_id_is_refused(shared: Server) -> None:
    with pytest.raises(Refused) as refused, following(shared.api, "not%20one"):
        pass
    assert (refused.value.status, refused.value.code) == (400, "CONFIG_ERROR")


# What a model writes


def test_what_a_model_writes_is_shown_as_it_writes_and_then_its_entry(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gate = gates["words"]
    with following(server.api, "one") as blocks:
        run_id = server.api.start("tell words Hello there friend", sessionId="one")["runId"]
        (asked,) = islice(entries_of(blocks), 1)
        assert (asked["role"], asked["provisional"]) == ("user", True)
        for offset, text in ((0, "Hello "), (6, "there "), (12, "friend ")):
            assert next_delta(blocks) == {"runId": run_id, "turn": 1, "offset": offset, "text": text}
            gate.release()
        said = next(blocks)
    assert said.event == "transcript.entry"
    assert said.data["data"] == transcript(server.api, "one")[1]
    assert (said.data["data"]["content"], said.data["data"]["runId"]) == ("Hello there friend ", run_id)


def test_who_comes_while_a_model_writes_is_first_shown_what_it_wrote(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gate = gates["words"]
    with following(server.api, "one") as blocks:
        run_id = server.api.start("tell words Hello there", sessionId="one")["runId"]
        (asked,) = islice(entries_of(blocks), 1)
        next_delta(blocks)
        gate.release()
        next_delta(blocks)
        with following(server.api, "one", last_event_id=asked["id"]) as late, following(server.api, "two") as other:
            assert next_delta(late) == {"runId": run_id, "turn": 1, "offset": 0, "text": "Hello there "}
            gate.release()
            assert list(islice(late, 1)) == list(islice(blocks, 1))
            server.api.run("hello", sessionId="two")
            assert next(other).data["data"]["content"] == "hello"  # and nothing of the other session before


def test_what_a_cancelled_run_wrote_becomes_a_partial_entry(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gates["words"]  # stays closed
    with following(server.api, "one") as blocks:
        run_id = server.api.start("tell words Hello", sessionId="one")["runId"]
        next(blocks)
        assert next_delta(blocks)["text"] == "Hello "
        server.api.post(f"/run-control/by-run/{run_id}/cancel")
        (kept,) = islice(entries_of(blocks), 1)
        assert (kept["content"], kept["partial"]) == ("Hello ", True)
    assert server.api.await_ending(run_id) == "run.cancelled"
    with following(server.api, "one") as blocks:
        assert [entry["runStatus"] for entry in islice(entries_of(blocks), 2)] == ["cancelled", "cancelled"]
        server.api.run("next", sessionId="one")
        assert next(entries_of(blocks))["content"] == "next"


# A subscriber by hand


async def start(parts: ControlPlane, session_id: str, said: str = "hello") -> str:
    """Run the mock provider to the end."""
    who = Identity(subject="ada", role=Role.ADMIN)
    done = await parts.runs.start(RunBody(input=said, session_id=session_id), who, META, None, wait=True)
    return done.subject or ""


async def test_a_slow_reader_gets_a_reset_and_finally_the_entry(parts: ControlPlane) -> None:
    streams, line = Streams(), Line()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            subscription = parts.transcripts.open("one", None, None)
            tasks.start_soon(streams.serve, subscription, line.receive, line, LOCAL, "")
            await line.until(b"retry: 1500")
            parts.live.append("one", "run_1", 1, "first")
            await line.until(b'"text":"first"')
            line.free = anyio.Event()  # from here on it takes nothing
            parts.live.append("one", "run_1", 1, "held")
            await anyio.wait_all_tasks_blocked()
            for number in range(LIVE_CHARS_MAX // 500):
                parts.live.append("one", "run_1", 1, f"{number:05}" * 200)
            line.free.set()
            await line.until(b'"reset":true')
            await line.until(b'"offset":', 3)
            await start(parts, "one", "a")
            await line.until(b"event: transcript.entry", 2)
            streams.drain()
    first, held, reset, rest = line.data("transcript.delta")[:4]
    assert (first["text"], held["text"], reset["reset"]) == ("first", "held", True)
    assert len(rest["text"]) == LIVE_CHARS_MAX
    assert rest["offset"] == 9 + LIVE_CHARS_MAX // 500 * 1_000 - LIVE_CHARS_MAX
    assert [entry["content"] for entry in line.data("transcript.entry")] == ["a", "Echo: user: a"]


async def test_an_entry_that_the_views_know_of_first_waits_until_the_stream_has_heard_of_it(
    parts: ControlPlane,
) -> None:
    await start(parts, "one", "a")
    await parts.caught_up(("sessions",), parts.reader.head())
    asked, answered = [row.position for row in parts.reader.rows(0, 100) if row.type == run.TranscriptAppended.TYPE]
    with parts.transcripts.open("one", None, None) as subscription:
        shown = []
        for heard in (asked - 1, asked, answered - 1, answered):
            subscription._subscriber.heard = heard
            frames, more = subscription.take()
            shown.append((len(frames), more))
    assert shown == [(0, False), (1, False), (0, False), (1, False)]


async def test_an_entry_that_was_redacted_says_so(parts: ControlPlane) -> None:
    await start(parts, "one", "a secret")
    rows = parts.reader.rows(0, 100)
    position = next(row.position for row in rows if row.type == run.TranscriptAppended.TYPE)
    erased = plane_room.PayloadRedacted(target=position, note="asked for")
    fact = Fact(stream=plane_room.STREAM, event=erased)
    await parts.log.submit(lambda reader, context: Outcome(facts=(fact,)), META)
    await parts.caught_up(("sessions",), parts.reader.head())
    streams, line = Streams(), Line()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams.serve, parts.transcripts.open("one", None, None), line.receive, line, LOCAL, "")
            await line.until(b"event: transcript.entry", 2)
            streams.drain()
    asked, answered = line.data("transcript.entry")
    assert asked["metadata"]["redacted"] == "true"
    assert asked["content"] is None
    assert answered["content"] == "Echo: user: a secret"


async def test_entries_come_late_but_once_where_the_views_stood_still(
    parts: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "STANDSTILL_SECONDS", 0.01)
    query, wait, failures = parts.views_reader.query, parts.views_reader.wait, 3

    def sometimes(*arguments: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise NotCaughtUp("as told")
        return query(*arguments)

    async def never(*arguments: Any) -> Any:
        if failures:
            raise NotCaughtUp("as told")
        await wait(*arguments)

    await start(parts, "one", "a")
    monkeypatch.setattr(parts.views_reader, "query", sometimes)
    monkeypatch.setattr(parts.views_reader, "wait", never)
    streams, line = Streams(), Line()
    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(streams.serve, parts.transcripts.open("one", None, None), line.receive, line, LOCAL, "")
            await line.until(b"event: transcript.entry", 2)
            streams.drain()
    assert failures == 0
    assert [entry["content"] for entry in line.data("transcript.entry")] == ["a", "Echo: user: a"]
