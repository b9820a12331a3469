"""Follow-up work of a command without a server: done before it ends, cancelled with it, or left and named."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import pytest

from athena_cli.commands.run_timeline import RunFollower
from athena_cli.transport import StreamItem
from athena_core.domain import message, run
from athena_core.domain import workflow_run as wr
from athena_core.event import Event
from tests.cli.conftest import Here
from tests.cli.terminal import Terminal
from tests.reliability.history import rows_of
from tests.support.api import soon
from tests.support.inside import Inside
from tests.support.records import CODEC

E = TypeVar("E", bound=Event)

LOCAL = ("--transport", "local")
ASLEEP = {"local_provider_cmd": "/bin/sleep", "local_provider_args": "1000"}
PROFILE = {
    "displayName": "Script",
    "version": "v1",
    "config": {"provider": "local-exec", "model": "script", "tools": ["none"]},
    "policies": {"timeoutMs": 60_000, "retryLimit": 1, "budgetUsd": 0},
}
ENDED = "the command that executed the run was interrupted"
ASK = {"id": "ask", "approval": {"message": "go on?"}}


def workflow(terminal: Terminal, *names: str) -> str:
    """Make a workflow of steps one after another; the step ``ask`` is an approval."""
    inside = Inside(terminal.directory)
    inside.start()

    def made(path: str, body: object) -> str:
        return str(inside.ask("POST", path, body).json()["data"]["id"])

    profile, directive = made("/harness-profiles", PROFILE), made("/directives", {"input": "hello"})
    steps = [
        ASK if name == "ask" else {"id": name, "directiveId": directive, "harnessProfileId": profile} for name in names
    ]
    edges = [{"from": one, "to": other} for one, other in zip(names, names[1:], strict=False)]
    workflow_id = made("/workflows", {"definition": {"steps": steps, "dependencies": edges}})
    inside.stop()
    return workflow_id


def told(terminal: Terminal, kind: type[E]) -> list[E]:
    """Return the events of a type, read from the log itself."""
    history = (CODEC.decode(row).event for row in rows_of(terminal.state_dir / "log.db")[1])
    return [event for event in history if isinstance(event, kind)]


def statuses(flow: dict[str, Any]) -> dict[str, str]:
    return {step_id: state["status"] for step_id, state in flow["stepStates"].items()}


def test_a_drain_is_waited_for(here: Here) -> None:
    here("work", "enqueue", "--session", "q", "--input", "hello", *LOCAL)
    assert here("work", "drain", "--session", "q", *LOCAL).data["queueDepthDelta"] == -1


def test_a_workflow_run_is_seen_through_by_the_command_that_started_it_or_approved(terminal: Terminal) -> None:
    workflow_id = workflow(terminal, "a", "b", "ask", "c")
    begun = terminal.run("workflow", "run", workflow_id, *LOCAL)
    flow = begun.data
    assert (flow["status"], statuses(flow)) == ("waiting", {"a": "ok", "b": "ok", "ask": "waiting", "c": "pending"})
    assert begun.err == "", "it is said that it waits; nothing is left for anybody else"
    asked = flow["stepStates"]["ask"]["approval"]["subjectHash"]
    approved = terminal.run("workflow", "approve", flow["id"], "ask", "--subject-hash", asked, *LOCAL)
    assert (approved.data["id"], approved.err) == (flow["id"], "")
    shown = terminal.run("work", "status", "--workflow", workflow_id, *LOCAL).out.splitlines()
    assert shown == [
        f"workflow {workflow_id}, run {flow['id']}: ok",
        "progress: 4/4 (100.0%)",
        shown[2],
        *("[OK] a: ok", "[OK] b: ok", "[OK] ask: ok", "[OK] c: ok"),
    ]
    assert shown[2].startswith("eta: completed")
    assert [event.attempt for event in told(terminal, wr.WorkflowStepStarted)] == [1, 1, 1]


def test_ctrl_c_cancels_the_workflow_run_and_a_resume_goes_on(terminal: Terminal) -> None:
    workflow_id = workflow(terminal, "a", "b")
    running = terminal.start("workflow", "run", workflow_id, *LOCAL, **ASLEEP)
    for _ in soon():
        if terminal.state_dir.joinpath("log.db").exists() and told(terminal, run.RunStarted):
            break
    result = running.end(signal.SIGINT)
    assert (result.code, result.out, result.err) == (130, "", "")
    (asked,) = told(terminal, wr.WorkflowRunCancelRequested)
    (step,) = told(terminal, wr.WorkflowStepCancelled)
    assert told(terminal, wr.WorkflowRunCancelled)
    assert (asked.note, step.step_id) == (ENDED, "a")
    resumed = terminal.run("workflow", "resume", workflow_id, *LOCAL)
    assert (resumed.data["status"], resumed.err) == ("ok", "")
    assert [state["attempt"] for state in resumed.data["stepStates"].values()] == [2, 1]


def test_a_message_is_delivered_by_the_command_that_sent_it_and_the_rest_is_named(terminal: Terminal) -> None:
    folder = terminal.directory / "personas"
    folder.mkdir()
    (folder / "bob.json").write_text(json.dumps({"schemaVersion": 1, "id": "bob"}))
    send = ("a2a", "send", "--from-persona", "bob", "--to-persona", "bob", "--payload", '"look"', *LOCAL)
    sent = terminal.run(*send)
    assert sent.err == ""
    failing = {"default_provider": "local-exec", "local_provider_cmd": "/bin/false"}
    left = terminal.run(*send, **failing)
    assert left.code == 0
    assert left.err == "Left for a server on this state directory: persona-bob\n"
    assert [event.message_id for event in told(terminal, message.MessageCompleted)] == [sent.data["messageId"]]
    attempts = [(event.message_id, event.attempt) for event in told(terminal, message.MessageStarted)]
    assert attempts == [(sent.data["messageId"], 1), (left.data["messageId"], 1)]


def test_a_follower_that_is_stopped_leaves_no_request_behind() -> None:
    """Ctrl-C on a terminal: the request that waits for the end of the run is cancelled as well."""

    class Waiting:
        asked = 0
        left = 0

        async def request(self, operation_id: str, **_: Any) -> bytes:
            if operation_id == "listEvents":
                return b'{"events":[]}'
            self.asked += 1
            if self.asked > 1:
                self.left += 1
                await asyncio.Event().wait()
            return b'{"runId":"run_1","sessionId":"s","status":"running"}'

        async def follow(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    async def work() -> int:
        transport: Any = Waiting()
        following = asyncio.create_task(RunFollower(transport, "run_1", None).follow())
        while not transport.left:
            await asyncio.sleep(0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert asyncio.run(work()) == 1


class Recorded:
    """A transport whose run ends after a stream of items; the transcript holds its last entries."""

    def __init__(self, items: list[dict[str, Any]], entries: list[dict[str, Any]]) -> None:
        self.items = items
        self.entries = entries
        self.read = asyncio.Event()

    async def request(self, operation_id: str, *, query: Mapping[str, str | None] | None = None, **_: Any) -> bytes:
        if operation_id == "listEvents":
            return b'{"events":[]}'
        if operation_id == "getSessionTranscript":
            return json.dumps({"items": self.entries}).encode()
        if query and query.get("wait"):
            await self.read.wait()
        status = "completed" if self.read.is_set() else "running"
        return json.dumps({"runId": "run_1", "sessionId": "s", "status": status}).encode()

    async def follow(self, operation_id: str, **_: Any) -> AsyncIterator[Any]:
        if operation_id == "streamSessionTranscript":
            for item in self.items:
                cursor = None if "role" not in item else "c"
                yield StreamItem(cursor, json.dumps({"runId": "run_1", **item}).encode())
            self.read.set()
        await asyncio.Event().wait()


def test_the_work_of_an_outside_agent_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    call = {"id": "2", "role": "assistant", "kind": "tool-call", "toolName": "ls", "metadata": {"kind": "execute"}}
    result = {"id": "3", "role": "tool", "kind": "tool-result", "content": "a.txt"}
    answer = {"id": "4", "role": "assistant", "kind": "message", "content": "Found a.txt. Done."}
    plan = {"plan": [{"text": "look", "status": "in_progress"}], "thoughts": "hm"}
    items: list[dict[str, Any]] = [
        {"activity": plan},
        {"text": "Found ", "offset": 0},
        {"activity": plan},
        {"text": "a.txt.", "offset": 6},
        call,  # recorded in the middle of the words
        result,
        {"text": " Done.", "offset": 12},
        answer,
    ]
    transport: Any = Recorded(items, [{"runId": "run_1", **item} for item in (call, result, answer)])
    asyncio.run(RunFollower(transport, "run_1", None).follow())
    shown = capsys.readouterr()
    assert shown.out == "Found a.txt.\n Done.\n"
    assert shown.err.splitlines()[:3] == ["plan: [>] look", "> execute ls", "  a.txt"]
