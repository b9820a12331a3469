"""Runs through the Python client: waiting, handles, and streams of text and tool calls up to the end."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_client import (
    Activity,
    AsyncAthena,
    Athena,
    AthenaError,
    Message,
    RunEnd,
    RunPart,
    TextDelta,
    TextReset,
    ToolCall,
    ToolResult,
)
from athena_client.models import AgentActivity, PlanStep, TranscriptDelta, TranscriptEntry
from athena_client.run_text import RunText
from tests.conftest import Serve
from tests.support.gate import Gates
from tests.support.model import acting, call
from tests.support.server import Server


def kinds(parts: Iterator[RunPart]) -> list[str]:
    return [type(part).__name__ for part in parts]


def profile(client: Athena, provider: str, *tools: str) -> str:
    """Create a profile whose runs survive the loss of their executor, and return its id."""
    return client.create_harness_profile(
        display_name="agent",
        version="v1",
        config={"provider": provider, "model": "m", "tools": tools},
        policies={"timeoutMs": 60_000, "retryLimit": 3, "budgetUsd": 0},
    ).id


def add_up(parts: list[RunPart]) -> list[str]:
    """Return the messages, each checked against its deltas."""
    text, messages = "", []
    for part in parts:
        if isinstance(part, TextDelta):
            text += part.text
        elif isinstance(part, TextReset):
            text = ""
        elif isinstance(part, Message):
            assert text == part.text
            messages.append(text)
            text = ""
    assert text == ""
    return messages


def test_a_run_shows_its_words_as_they_are_written_and_then_its_end(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gate = gates["words"]
    with Athena(server.url) as client:
        handle = client.start("tell words Hello there", session_id="one")
        parts = handle.stream()
        for word in ("Hello ", "there "):
            assert next(parts) == TextDelta(word)
            gate.release()
        message, end = parts
        assert isinstance(message, Message) and message.text == "Hello there "
        assert isinstance(end, RunEnd) and end.run == handle.wait() and end.run.status == "completed"
        again = list(client.follow(handle.id).stream())  # of a run that has ended
        assert again == [TextDelta("Hello there "), message, end]


def test_a_stream_shows_one_run_of_its_session(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    with Athena(server.url) as client:
        first = client.run("one", session_id="s")
        handle = client.start("two", session_id="s")
        client.run("three", session_id="s")
        assert add_up(list(handle.stream())) == ["said: two"]
        assert add_up(list(client.follow(first.run_id).stream())) == ["said: one"]


def test_tool_calls_come_with_their_results(serve: Serve) -> None:
    with acting([call("evidence", label="proof", type="text", content="x"), "done"]) as model:
        server = serve(openai_base_url=model.url + "/v1")
        with Athena(server.url) as client:
            handle = client.start("work", harness_profile_id=profile(client, "openai", "evidence"))
            parts = list(handle.stream())
    assert kinds(iter(parts)) == ["ToolCall", "ToolResult", "TextDelta", "Message", "RunEnd"]
    asked, result = parts[:2]
    assert isinstance(asked, ToolCall) and (asked.name, "proof" in (asked.arguments or "")) == ("evidence", True)
    assert isinstance(result, ToolResult) and (result.name, result.is_error) == ("evidence", False)


def test_a_run_that_fails_ends_its_stream_and_raises_where_it_is_awaited(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings, provider_retry_limit="0")
    with Athena(server.url) as client:
        handle = client.start("fail")
        (end,) = handle.stream()
        assert isinstance(end, RunEnd) and end.run.status == "failed" and end.run.error
        with pytest.raises(AthenaError) as caught:
            client.run("fail")
    error = caught.value
    assert (error.code, error.run_id is not None) == ("PROVIDER_ERROR", True)
    assert error.retry_with in {"new-key", None}


def test_a_cancelled_run_keeps_its_text_as_a_partial_message(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gates["words"]  # stays closed
    with Athena(server.url) as client:
        handle = client.start("tell words Hello")
        parts = handle.stream()
        assert next(parts) == TextDelta("Hello ")
        assert handle.cancel("enough").status == "cancelled"
        message, end = parts
        assert isinstance(message, Message) and (message.text, message.entry.partial) == ("Hello ", True)
        assert isinstance(end, RunEnd)
        assert (end.run.status, end.run.output, end.run.partial) == ("cancelled", "Hello ", True)
        assert handle.cancel().status == "not-running"


def test_a_wait_has_a_limit(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    gate = gates["held"]
    with Athena(server.url) as client:
        handle = client.start("hold held")
        with pytest.raises(TimeoutError, match=f"run {handle.id} is running after 0.1 seconds"):
            handle.wait(0.1)
        gate.arrival()
        gate.release()
        assert handle.wait().output == "released by held"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stream_survives_the_restart_of_its_server(serve: Serve, gates: Gates, how: signal.Signals) -> None:
    server = serve(**gates.settings)
    gate = gates["words"]
    with Athena(server.url) as client:
        handle = client.start("tell words Hello there", harness_profile_id=profile(client, "local-exec", "none"))
        stream = handle.stream()
        parts = [next(stream)]
        restart(server, how)
        gate.release(9)  # also for what the first attempt left behind
        parts += stream
    assert add_up(parts) == ["Hello there "]
    end = parts[-1]
    assert isinstance(end, RunEnd) and end.run.status == "completed"


def restart(server: Server, how: signal.Signals) -> None:
    port = int(server.url.rpartition(":")[2])
    if how == signal.SIGKILL:
        server.kill()
    else:
        server.stop()
    server.start(port)


async def test_the_asynchronous_handle_does_the_same(serve: Serve, gates: Gates) -> None:
    server = serve(**gates.settings)
    async with AsyncAthena(server.url) as client:
        handle = await client.start("hello")
        parts = [part async for part in handle.stream()]
        assert add_up(parts) == ["said: hello"]
        assert (await handle.wait()).output == "said: hello"
        assert (await client.run("bye")).output == "said: bye"


def test_events_of_a_run_are_typed_and_continue_after_the_last_id(serve: Serve) -> None:
    with Athena(serve().url) as client:
        run_id = client.run("hello").run_id
        events = takewhile(lambda event: event.type != "run.completed", client.events(run_id=run_id))
        first, *more = events
        later = client.events(after=first.id, run_id=run_id)
        assert [event.id for event in takewhile(lambda event: event.type != "run.completed", later)] == [
            event.id for event in more
        ]


# The merging of live text and entries


def entry(text: str, number: int) -> TranscriptEntry:
    return TranscriptEntry(
        id=str(number),
        role="assistant",
        content=text,
        kind="message",
        metadata={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        run_id="run_1",
    )


def test_text_that_comes_again_after_a_reconnection_is_shown_once() -> None:
    merger = RunText("run_1")
    parts: list[RunPart] = []
    for text in ("Hel", "Hello", "Hel", "Hello there"):
        parts += merger.take_delta(TranscriptDelta(run_id="run_1", turn=1, offset=0, text=text))
    assert parts == [TextDelta("Hel"), TextDelta("lo"), TextDelta(" there")]


def test_an_activity_takes_no_text_back() -> None:
    merger, plan = RunText("run_1"), AgentActivity(plan=[PlanStep(text="Look", status="pending")])
    parts = [*merger.take_delta(TranscriptDelta(run_id="run_1", turn=2, offset=0, text="Hel"))]
    parts += merger.take_delta(TranscriptDelta(run_id="run_1", turn=1, activity=plan))
    parts += merger.take_delta(TranscriptDelta(run_id="run_1", turn=2, offset=3, text="lo"))
    assert parts == [TextDelta("Hel"), Activity(plan), TextDelta("lo")]


NUMBERS = st.integers(0, 6)


@given(
    texts=st.lists(st.text("ab", max_size=6), min_size=1, max_size=3),
    cuts=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans(), st.text("ab", max_size=3)), max_size=8
    ),
)
def test_whatever_live_text_comes_the_deltas_add_up_to_the_messages(
    texts: list[str], cuts: list[tuple[int, int, bool, str]]
) -> None:
    merger = RunText("run_1")
    parts: list[RunPart] = []
    for number, text in enumerate(texts):
        for begin, length, reset, wrong in cuts:
            if reset:
                delta = TranscriptDelta(run_id="run_1", turn=number, reset=True)
            else:  # a piece, perhaps repeated, beyond a gap, or of another attempt
                delta = TranscriptDelta(run_id="run_1", turn=number, offset=begin, text=text[begin:][:length] + wrong)
            parts += merger.take_delta(delta)
        parts += merger.take_delta(TranscriptDelta(run_id="run_2", turn=number, offset=0, text="of another run"))
        for _ in range(2):  # an entry may come twice
            parts += merger.take_entry(entry(text, number))
    assert add_up(parts) == texts
