"""Partial output over HTTP: what a model had written when its run was cut off is kept, and its cost is estimated."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import anyio
import pytest

from athena_core.services.erasure.redaction import redact, text_of_run
from tests.conftest import Serve
from tests.support.api import Api, Frame
from tests.support.model import Profile, turn_of
from tests.support.records import META
from tests.support.server import Server
from tests.support.stub import OPENAI, Asked, Behaviour, Stub, says, says_and_waits, standing

PIECES = ("Half an ", "answer about otters")
HALF = "".join(PIECES)
WRITTEN = OPENAI.head + OPENAI.start + b"".join(map(OPENAI.text, PIECES))
OUTPUT_TOKENS = -(-len(HALF) // 4)
ENDS = {"cancel": "run.cancelled", "timeout": "run.timed-out", "cut": "run.failed"}


def writing(asked: Asked) -> Behaviour:
    """Write a whole answer; or a part of it and then wait or hang up, if the user's message asks for that."""
    said = str(asked.body["messages"][-1]["content"])
    if "hang up" in said:
        return says(WRITTEN)
    return says_and_waits(WRITTEN) if "slowly" in said else turn_of("whole", 1)


class Writer(NamedTuple):
    server: Server
    model: Stub

    @property
    def api(self) -> Api:
        return self.server.api

    def profile(self, **fields: Any) -> str:
        return str(self.api.post("/harness-profiles", Profile(**fields).body)["id"])

    def begin(self, said: str, session: str, parent: str | None = None, **fields: Any) -> str:
        """Start a run of the model. Return its id."""
        body = {"sessionId": session, "harnessProfileId": self.profile(**fields), "parentRunId": parent}
        return str(self.api.start(said, **{name: value for name, value in body.items() if value})["runId"])


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, shared_store: dict[str, str]) -> Iterator[Writer]:
    settings = {"memory_enabled": "true", "memory_include_transcripts": "true"} | shared_store
    with (
        standing(writing) as model,
        Server(tmp_path_factory.mktemp("writer"), openai_base_url=model.url, **settings) as server,
    ):
        yield Writer(server, model)


def await_text(frames: Iterator[Frame]) -> None:
    """Read deltas until all that the model wrote was shown."""
    shown = ""
    for frame in frames:
        if frame.event == "transcript.delta":
            shown += frame.data["data"].get("text", "")
        if shown == HALF:
            return


def cut_off(writer: Writer, how: str) -> tuple[str, list[Frame]]:
    """Cut a run off in mid-stream. Return its id, and what its stream showed afterwards."""
    api = writer.api
    with api.stream(f"/sessions/{how}/transcript/stream") as frames:
        if how == "cut":
            run_id = writer.begin("otters, then hang up", how)
        else:
            run_id = writer.begin("otters, slowly", how, timeout_ms=3_000 if how == "timeout" else 600_000)
            await_text(frames)
        if how == "cancel":
            api.post(f"/run-control/by-run/{run_id}/cancel", {"reason": "enough"})
        assert api.await_ending(run_id) == ENDS[how]
        after = []
        for frame in frames:
            after.append(frame)
            if frame.event == "transcript.delta" and frame.data["data"].get("settled"):
                return run_id, after
    raise AssertionError


@pytest.mark.both
@pytest.mark.parametrize("how", ENDS)
def test_output_of_a_run_that_is_cut_off_is_kept_as_partial_and_its_cost_is_estimated(writer: Writer, how: str) -> None:
    api = writer.api
    run_id, after = cut_off(writer, how)
    events = api.events(runId=run_id)
    said, usage, end = events[-3:]
    assert [said["type"], usage["type"], end["type"]] == ["transcript.appended", "usage.recorded", ENDS[how]]
    assert said["payload"] == {"role": "assistant", "kind": "message", "chars": len(HALF), "partial": True}
    paid = usage["payload"]
    assert (paid["failed"], paid["estimated"], paid["turn"]) == (True, True, 1)
    assert paid["usage"]["outputTokens"] == OUTPUT_TOKENS
    assert paid["costMicroUsd"] > 0

    record = api.get(f"/runs/{run_id}")
    assert (record["output"], record["partial"]) == (HALF, True)
    assert (record["usage"], record["costMicroUsd"]) == (paid["usage"] | {"estimated": True}, paid["costMicroUsd"])
    (listed,) = api.get("/runs", sessionId=how)["items"]
    assert (listed["outputPreview"], listed["partial"]) == (HALF, True)

    entry = api.get(f"/sessions/{how}/transcript")["items"][-1]
    assert (entry["content"], entry["partial"], entry["runStatus"]) == (HALF, True, record["status"])
    shown = [frame.data["data"] for frame in after]
    assert not any(data.get("reset") for data in shown), "the text does not vanish"
    assert next(data for data in shown if data.get("role") == "assistant")["partial"] is True
    causes = [cause["says"] for cause in api.get(f"/runs/{run_id}/explain")["causes"]]
    assert f"the model wrote {len(HALF)} characters, a partial answer" in causes
    (spend,) = [one for one in api.get("/fleet/summary")["costSummary"]["sessionBreakdown"] if one["sessionId"] == how]
    assert round(spend["estimatedSpendUsd"] * 1e6) == paid["costMicroUsd"]


def test_partial_output_is_neither_context_of_later_runs_nor_memory(writer: Writer) -> None:
    api = writer.api
    with api.stream("/sessions/later/transcript/stream") as frames:
        run_id = writer.begin("write about otters, slowly", "later")
        await_text(frames)
        api.post(f"/run-control/by-run/{run_id}/cancel")
        assert api.await_ending(run_id) == "run.cancelled"
    done = writer.begin("and now at once", "later")
    assert api.await_ending(done) == "run.completed"
    assert HALF not in writer.model.asked[-1].raw
    assert [entry.get("partial") for entry in api.get("/sessions/later/transcript")["items"]] == [
        None,
        True,
        None,
        None,
    ]
    assert "partial" not in api.get(f"/runs/{done}")
    found = api.get("/memory/search", query="otters answer")
    assert found, "the question is in the memory"
    assert all("Half an answer" not in passage["snippet"] for passage in found)


def test_erased_partial_output_is_gone_from_the_run_and_the_transcript(writer: Writer) -> None:
    run_id = writer.begin("write, then hang up", "erased")
    assert writer.api.await_ending(run_id) == "run.failed"
    with writer.server.opened_log() as log, closing(log.reader()) as reader:
        anyio.run(redact, log, reader, text_of_run(reader, log.codec, run_id), "asked to", META)
    record = writer.api.get(f"/runs/{run_id}")
    assert (record.get("output"), record["partial"], record["redacted"]) == (None, True, True)
    entry = writer.api.get("/sessions/erased/transcript")["items"][-1]
    assert (entry["content"], entry["partial"], entry["redacted"]) == (None, True, True)


# Several processes


def once_slowly(stub: Stub) -> Behaviour:
    return says_and_waits(WRITTEN) if len(stub.asked) == 1 else turn_of("whole", 1)


@pytest.fixture
def interrupted(serve: Serve) -> Iterator[tuple[Server, str]]:
    """A server whose model has written half an answer, and the run."""
    with standing(lambda asked: once_slowly(model)) as model:
        server = serve(openai_base_url=model.url)
        run_id = Writer(server, model).begin("go", "s")
        with server.api.stream("/sessions/s/transcript/stream") as frames:
            await_text(frames)
        yield server, run_id


def test_a_server_that_stops_in_mid_stream_books_the_call_and_another_one_asks_again(
    interrupted: tuple[Server, str],
) -> None:
    server, run_id = interrupted
    assert server.stop() == 0
    api = server.start().api
    assert api.await_ending(run_id) == "run.completed"
    usages = [event["payload"] for event in api.events(runId=run_id, types="usage.recorded")]
    assert [(one.get("failed"), one.get("estimated"), one["turn"]) for one in usages] == [
        (True, True, 1),
        (None, None, 1),
    ]
    assert [entry["content"] for entry in api.get("/sessions/s/transcript")["items"]] == ["go", "whole"]
    record = api.get(f"/runs/{run_id}")
    assert (record["output"], record["usage"]["estimated"]) == ("whole", True)
    assert record["costMicroUsd"] == sum(one["costMicroUsd"] for one in usages)


@pytest.mark.both
def test_a_cancel_at_another_server_keeps_the_output_in_the_commit_that_ends_the_run(
    interrupted: tuple[Server, str], serve: Serve
) -> None:
    server, run_id = interrupted
    other = serve(server.directory, executor="off").api
    other.post(f"/run-control/by-run/{run_id}/cancel")
    assert other.await_ending(run_id) == "run.cancelled"
    record = other.get(f"/runs/{run_id}")
    assert (record["output"], record["partial"], record["usage"]["estimated"]) == (HALF, True, True)
    with server.opened_log() as log, closing(log.reader()) as reader:
        commits = [row.command_id for row in reader.stream(run_id)]
    assert len(set(commits[-3:])) == 1, "a crash keeps the output and the end, or neither"
