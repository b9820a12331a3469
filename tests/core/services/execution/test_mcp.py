"""Tools of MCP servers in the loop: started, asked for, called, refused, interrupted, and the record of that."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from athena_core.domain import run
from athena_core.domain.mcp_server import McpServerListed, stream_of
from athena_core.event import Event
from athena_core.services.execution.progress import INTERRUPTED_ASKING
from tests.core.services.execution.plane import Plane, at_work
from tests.support.api import PATIENCE_SECONDS
from tests.support.fake_mcp_http import fake_mcp_http
from tests.support.mcp_servers import FAKE_MCP, fake_server, mcp_servers_file
from tests.support.model import Profile, Step, call
from tests.support.programs import BOXED

ALL: dict[str, Any] = {"fake": {"tools": ["*"], "approval": "allow"}}
ALLOWED = Profile(tools=("files", "shell"), mcp=ALL)
ASKED = Profile(tools=("files", "shell"), mcp={"fake": {"tools": ["*"]}})
HELD = ALLOWED._replace(asks={"holdMs": 60_000})
PARKED = ALLOWED._replace(asks={"holdMs": 0})
READ: Step = call("files", action="list", path=".")
ECHO: Step = call("fake__echo", text="hi")
APPEND: Step = call("fake__append", line="once")
ASK: Step = call("fake__ask", question="Which color?")
DONE = "all done"


class McpPlane(Plane):
    """A plane with a fake MCP server."""

    directory: Path

    def switch(self, *switches: str) -> None:
        """Change what the server does, from its next message on."""
        (self.directory / "switches").write_text("\n".join((*switches, "")))

    @property
    def heard(self) -> list[dict[str, Any]]:
        """The messages that the server received, with its process id."""
        path = self.directory / "heard"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def one(self, run_id: str, kind: type[Event]) -> Any:
        (event,) = (event for event in self.events(run_id) if isinstance(event, kind))
        return event

    async def result(self, run_id: str) -> run.TranscriptAppended:
        """Return the only result of a run that completes."""
        ended = await self.ended(run_id)
        assert isinstance(ended, run.RunCompleted), ended
        (result,) = self.results(run_id)
        return result


@asynccontextmanager
async def serving(
    directory: Path, *script: Step, switches: tuple[str, ...] = (), **members: Any
) -> AsyncIterator[McpPlane]:
    """A plane whose server writes down what it hears and reads its switches from a file."""
    boxed = members.get("sandbox", False)  # then it sees no file beside its workspace
    watched = switches if boxed else (f"control={directory / 'switches'}", f"log={directory / 'heard'}", *switches)
    (directory / "switches").touch()
    file = mcp_servers_file(directory, {"fake": fake_server(*watched, **members)})
    async with at_work(directory, *script, mcp_servers=str(file)) as plane:
        made = McpPlane(plane.parts, plane.model, directory)
        made.directory = directory
        yield made


async def test_a_tool_is_offered_called_and_its_result_goes_back_to_the_model(tmp_path: Path) -> None:
    async with serving(tmp_path, call("fake__echo", text="hi", evidence="greeting"), DONE) as plane:
        run_id = await plane.start(ALLOWED)
        result = await plane.result(run_id)
        assert (result.content, result.is_error, result.tool_name) == ("hi", None, "fake__echo")
        offered = {tool["function"]["name"]: tool["function"] for tool in plane.model.requests[0]["tools"]}
        assert offered["fake__echo"]["description"] == "Return the text."
        assert set(offered["fake__echo"]["parameters"]["properties"]) == {"text", "evidence"}
        attached = plane.one(run_id, run.McpAttached)
        assert (attached.server, attached.transport, attached.refused) == ("fake", "stdio", None)
        called = plane.one(run_id, run.ToolCalled)
        assert (called.tool_name, called.refused, called.repeatable) == ("fake__echo", None, False)
        evidence = plane.one(run_id, run.EvidenceAttached)
        assert (evidence.content, evidence.free_label, evidence.tool_call_id) == ("hi", "greeting", called.tool_call_id)
        sent = [message for message in plane.heard if message["message"].get("method") == "tools/call"]
        assert [message["message"]["params"]["arguments"] for message in sent] == [{"text": "hi"}]


async def test_a_call_is_asked_for_by_default_and_made_as_edited(tmp_path: Path) -> None:
    async with serving(tmp_path, APPEND, DONE) as plane:
        run_id = await plane.start(ASKED)
        await plane.until(run_id, run.RunAsked.TYPE)
        asked = plane.one(run_id, run.RunAsked)
        assert (asked.kind, asked.origin, asked.tool_name) == ("tool-permission", "loop", "fake__append")
        (listed,) = (tool for tool in plane.one(stream_of("fake"), McpServerListed).tools if tool.name == "append")
        assert asked.tool_sha256 == listed.sha256
        await plane.answer(run_id)
        await plane.result(run_id)
        assert (tmp_path / "workspace" / "notes.txt").read_text() == "once\n"
        assert plane.one(run_id, run.ToolCalled).ask_id == asked.ask_id


@pytest.mark.parametrize(
    ("tools", "policy", "refused"),
    [
        ("fake__append", {"tools": ["echo", "add"], "approval": "allow"}, "unknown-tool"),
        pytest.param("fake__nothing", {"tools": ["*"]}, "unknown-tool", marks=pytest.mark.heavy),
        pytest.param("other__echo", {"tools": ["*"]}, "unknown-tool", marks=pytest.mark.heavy),
        ("fake__append", {"tools": ["*"], "rules": [{"match": {"tool": "app*"}, "approval": "deny"}]}, "denied"),
    ],
)
async def test_a_tool_beyond_the_profile_is_not_called(
    tmp_path: Path, tools: str, policy: dict[str, Any], refused: str
) -> None:
    async with serving(tmp_path, call(tools, line="no"), DONE) as plane:
        run_id = await plane.start(Profile(tools=("files", "shell"), mcp={"fake": policy}))
        result = await plane.result(run_id)
        assert result.is_error
        assert plane.one(run_id, run.ToolCalled).refused == refused
        assert not (tmp_path / "workspace" / "notes.txt").exists()


async def test_a_changed_tool_is_refused_until_an_operator_accepts_it(tmp_path: Path) -> None:
    async with serving(tmp_path, ECHO, DONE) as plane:
        first = await plane.start(ALLOWED)
        assert not (await plane.result(first)).is_error
        plane.switch("changed", "added")
        second = await plane.start(ALLOWED)
        result = await plane.result(second)
        assert result.is_error
        assert "athena mcp-servers accept fake" in (result.content or "")
        assert plane.one(second, run.ToolCalled).refused == "changed-tool"
        assert plane.one(second, run.McpAttached).refused == ("echo", "extra")
        described = {tool["function"]["name"]: tool["function"] for tool in plane.model.requests[-1]["tools"]}
        assert described["fake__echo"]["description"] == "Return the text.", "the model reads what was accepted"
        assert "fake__extra" not in described


async def test_a_tool_that_changes_between_two_turns_is_refused(tmp_path: Path) -> None:
    script = (ECHO, call("fake__echo", text="again"), DONE)
    async with serving(tmp_path, *script, switches=("changes-at-call",)) as plane:
        run_id = await plane.start(ALLOWED)
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        first, second = plane.results(run_id)
        assert (first.is_error, second.is_error) == (None, True)
        assert "accept fake" in (second.content or "")
        calls = [message for message in plane.heard if message["message"].get("method") == "tools/call"]
        assert len(calls) == 1


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_question_of_a_server_is_answered_by_a_person_while_the_run_is_held(tmp_path: Path, era: str) -> None:
    async with serving(tmp_path, ASK, DONE, switches=(f"era={era}",)) as plane:
        run_id = await plane.start(HELD)
        await plane.until(run_id, run.RunAsked.TYPE)
        asked = plane.one(run_id, run.RunAsked)
        called = plane.one(run_id, run.ToolCalled)
        assert (asked.kind, asked.origin, asked.server) == ("question", "mcp", "fake")
        assert (asked.tool_call_id, asked.arguments) == (called.tool_call_id, None)
        await plane.answer(run_id, "answer", values='{"color":"green"}')
        result = await plane.result(run_id)
        assert "green" in (result.content or "")
        (_, requested, _) = plane.model.requests[-1]["messages"]
        assert len(requested["tool_calls"]) == 1, "the question is no call of the model"


@pytest.mark.parametrize("profile", [HELD, PARKED], ids=["held", "parked"])
async def test_a_declined_question_is_declined_for_the_same_call_for_the_rest_of_the_run(
    tmp_path: Path, profile: Profile
) -> None:
    other: Step = call("fake__ask", question="Which shape?")
    async with serving(tmp_path, ASK, READ, ASK, other, DONE) as plane:
        run_id = await plane.start(profile)
        for asked in (1, 2):
            with anyio.fail_after(PATIENCE_SECONDS):
                while plane.types(run_id).count(run.RunAsked.TYPE) < asked:
                    await anyio.sleep(0)
            await plane.answer(run_id, "decline")
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        questions = [event.title for event in plane.events(run_id) if isinstance(event, run.RunAsked)]
        assert questions == ["Which color?", "Which shape?"]
        assert "declin" in (plane.results(run_id)[2].content or ""), "the server was called, and asked"


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_parked_question_ends_the_server_and_the_call_is_interrupted(tmp_path: Path, era: str) -> None:
    async with serving(tmp_path, ASK, DONE, switches=(f"era={era}",)) as plane:
        run_id = await plane.start(PARKED)
        await plane.until(run_id, run.RunPaused.TYPE)
        with anyio.fail_after(PATIENCE_SECONDS):
            while any(Path(f"/proc/{message['pid']}").exists() for message in plane.heard):
                await anyio.sleep(0.01)
        await plane.answer(run_id, "answer", values='{"color":"green"}')
        result = await plane.result(run_id)
        assert (result.interrupted, result.content) == (True, INTERRUPTED_ASKING)


async def test_a_repeatable_call_is_repeated_with_the_answer_after_a_park(tmp_path: Path) -> None:
    async with serving(tmp_path, ASK, DONE, trustHints=True) as plane:
        run_id = await plane.start(PARKED)
        await plane.until(run_id, run.RunPaused.TYPE)
        await plane.answer(run_id, "answer", values='{"color":"green"}')
        result = await plane.result(run_id)
        assert "green" in (result.content or "")
        assert len([event for event in plane.events(run_id) if isinstance(event, run.RunAsked)]) == 1


async def test_a_cancelled_run_cancels_its_call_at_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path, call("fake__slow", seconds=30), DONE) as plane:
        run_id = await plane.start(ALLOWED)
        with anyio.fail_after(PATIENCE_SECONDS):
            while not any(message["message"].get("method") == "tools/call" for message in plane.heard):
                await anyio.sleep(0.01)
        await plane.command(run_id, run.CancelRun(by_run=run_id))
        assert isinstance(await plane.ended(run_id), run.RunCancelled)
        with anyio.fail_after(PATIENCE_SECONDS):
            while any(Path(f"/proc/{message['pid']}").exists() for message in plane.heard):
                await anyio.sleep(0.01)


@pytest.mark.heavy
async def test_progress_is_live_text_and_is_withdrawn_with_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path, call("fake__slow", seconds=1), DONE) as plane:
        run_id = await plane.start(ALLOWED, session_id="s")
        shown: list[str] = []
        with anyio.fail_after(PATIENCE_SECONDS):
            while not shown:
                activity = plane.parts.live.activity("s")
                shown = [one.output or "" for one in (activity.activity.calls or ())] if activity else []
                await anyio.sleep(0.01)
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        assert plane.parts.live.activity("s") is None


async def test_a_shared_server_is_one_process_for_all_runs(tmp_path: Path) -> None:
    async with serving(tmp_path, ECHO, DONE, shared=True) as plane:
        runs = [await plane.start(ALLOWED) for _ in range(2)]
        for run_id in runs:
            assert (await plane.result(run_id)).content == "hi"
            assert plane.one(run_id, run.McpAttached).shared
        assert len({message["pid"] for message in plane.heard}) == 1


@BOXED
async def test_a_boxed_server_works_in_the_workspace_of_the_run_without_a_network(tmp_path: Path) -> None:
    members: dict[str, Any] = {"sandbox": True, "readOnly": [str(FAKE_MCP), *sorted({sys.prefix, sys.base_prefix})]}
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    script = (APPEND, call("fake__connect", host="127.0.0.1", port=port), DONE)
    async with listener, serving(tmp_path, *script, **members) as plane:
        run_id = await plane.start(ALLOWED)
        assert isinstance(await plane.ended(run_id), run.RunCompleted)
        wrote, connected = plane.results(run_id)
        assert (tmp_path / "workspace" / "notes.txt").read_text() == "once\n", wrote
        assert (connected.content or "").startswith("refused")


@pytest.mark.parametrize("era", [pytest.param("legacy", marks=pytest.mark.heavy), "modern"])
async def test_a_server_behind_a_url_is_called_and_asks(tmp_path: Path, era: str) -> None:
    with fake_mcp_http(f"era={era}", "sse") as fake:
        file = mcp_servers_file(tmp_path, {"fake": {"url": fake.url, "private": True}})
        async with at_work(tmp_path, ASK, DONE, mcp_servers=str(file)) as plane:
            run_id = await plane.start(HELD)
            await plane.until(run_id, run.RunAsked.TYPE)
            await plane.answer(run_id, "answer", values='{"color":"green"}')
            assert isinstance(await plane.ended(run_id), run.RunCompleted)
            (result,) = plane.results(run_id)
            assert "green" in (result.content or "")
            assert not result.changed, "a server elsewhere does not change the workspace"
