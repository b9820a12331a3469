"""Asks of outside agents that overlap: each answer is used for its own ask, and for one call."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from athena_core.agents.acp import Choice
from athena_core.agents.acp_messages import PermissionRequest
from athena_core.clock import CountingIds, FixedClock
from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.mcp.served import McpCaller, ServedCall
from athena_core.services.execution.outside.agent_transcript import AgentTranscript
from athena_core.services.execution.outside.calls.offered_tools import OfferedNames
from athena_core.services.execution.outside.permissions import Permissions
from athena_core.services.execution.outside.run_endpoint import EndpointParts, RunEndpoint
from athena_core.services.execution.progress import RunProgress, after
from athena_core.tools.tool import ToolResult
from tests.support.events.agent import AGENT_ALLOWED, AGENT_ASKED, AGENT_PERMITTED, AGENT_SPEC
from tests.support.events.ask import PERMISSION
from tests.support.events.run import CALLED, CREATED, SAID

PATIENCE_SECONDS = 5.0


class Recorder:
    """The record of a run in memory. A commit waits while ``free`` is not set."""

    def __init__(self) -> None:
        self.events: list[run.RunStep] = []
        self.free = asyncio.Event()
        self.free.set()
        self.waited = asyncio.Event()
        self.changed = asyncio.Condition()

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        self.waited.set()
        await self.free.wait()
        await self.add(*steps)
        return True

    async def add(self, *steps: run.RunStep) -> None:
        async with self.changed:
            self.events += steps
            self.changed.notify_all()

    async def answers(self, asks: frozenset[str], *_: Any) -> tuple[run.RunAnswered, ...]:
        def found() -> tuple[run.RunAnswered, ...]:
            return tuple(one for one in self.of(run.RunAnswered) if one.ask_id in asks)

        async with self.changed:
            await self.changed.wait_for(lambda: bool(found()))
        return found()

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.events if isinstance(one, kind)]


class Site:
    """The permissions of a run, whose answers are served."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        assignment: Any = SimpleNamespace(
            run_id="run_1",
            progress=RunProgress(),
            request=replace(CREATED, harness_profile_snapshot=AGENT_SPEC),
        )
        self.assignment = assignment
        recorder, mask, self.ids = cast(Any, self.recorder), Mask(()), CountingIds()
        self.clock = FixedClock()
        self.transcript = AgentTranscript(assignment, recorder, mask, self.ids, None, message_ids=False)
        rules: Any = SimpleNamespace(match=self._no_rule)
        policy = AGENT_SPEC.agent
        assert policy is not None
        self.permissions = Permissions(assignment, policy, self.transcript, recorder, rules, mask, self.clock, self.ids)

    async def __aenter__(self) -> "Site":
        self._serving = asyncio.create_task(self.permissions.serve(cast(Any, None)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    async def _no_rule(self, *_: Any) -> None:
        return None

    async def ask(self, call: str, command: str) -> "asyncio.Task[str | None]":
        """Ask for a permission as an agent does. Return the wait for the chosen option."""
        request = {
            "sessionId": "s",
            "toolCall": {"toolCallId": call, "kind": "execute", "rawInput": {"command": command}},
            "options": [{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}],
        }
        choice: Choice = await self.permissions.decide(msgspec.convert(request, PermissionRequest))
        return asyncio.ensure_future(choice())

    async def answer(self, number: int, option: str = "allow") -> None:
        """Answer the ask with a number, in their order."""
        ask = self.recorder.of(run.RunAsked)[number]
        await self.recorder.add(
            run.RunAnswered(
                ask_id=ask.ask_id, subject_sha256=ask.subject_sha256, cause="person", by="ada", option_id=option
            )
        )


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_request_that_arrives_while_another_decision_is_recorded_gets_its_own_answer() -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), Site() as site:
        for number in range(2):  # the answers come after the agent withdrew its requests, as they do after a pause
            withdrawn = await site.ask(f"before-{number}", f"command {number}")
            await settle()
            withdrawn.cancel()
            await site.answer(number)
            await settle()
        site.recorder.free.clear()
        first = await site.ask("1", "command 0")
        await settle()
        second = await site.ask("2", "command 1")
        await settle()
        site.recorder.free.set()
        assert [await first, await second] == ["yes", "yes"]
        assert len(site.recorder.of(run.RunAsked)) == 2


async def test_a_decision_that_is_being_recorded_is_not_used_for_an_equal_request() -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), Site() as site:
        first = await site.ask("1", "same")
        site.recorder.free.clear()
        site.recorder.waited.clear()
        await site.answer(0)
        await site.recorder.waited.wait()
        asking = asyncio.create_task(site.ask("2", "same"))
        await settle()
        site.recorder.free.set()
        second = await asking
        assert await first == "yes"
        await settle()
        assert not second.done(), "it has an ask of its own"
        assert len(site.recorder.of(run.RunAsked)) == 2
        await site.answer(1)
        assert await second == "yes"
        assert [one.ask_id for one in site.recorder.of(run.ToolCalled)] == [
            one.ask_id for one in site.recorder.of(run.RunAsked)
        ]


class Tool:
    """A tool that counts its calls, at a server that takes a moment to start."""

    def __init__(self) -> None:
        self.calls = 0
        self.started = asyncio.Event()
        self.names = frozenset({"shell"})
        self.tools = self.mcp = self

    def read(self, *_: Any) -> Any:
        return self, {}

    def unrecorded(self) -> tuple[run.RunStep, ...]:
        return ()

    def servers_of(self, *_: Any) -> None:
        return None

    async def prepare(self, *_: Any) -> None:
        await self.started.wait()

    async def call(self, *_: Any) -> ToolResult:
        self.calls += 1
        return ToolResult(content="done")


def endpoint_of(site: Site, tool: Tool) -> RunEndpoint:
    """Return the endpoint of a run in which a person decides about each call."""

    def steps(_profile: Any, calls: Any, turn: int, _progress: Any) -> tuple[run.RunStep, ...]:
        (call,) = calls
        number = site.ids.new("ask")
        return (replace(PERMISSION, ask_id=number, tool_call_id=call.id, turn=turn, arguments=call.arguments),)

    async def with_answers(_assignment: Any, steps: tuple[run.RunStep, ...]) -> tuple[run.RunStep, ...]:
        return steps

    def allowed(_profile: Any, ask: run.RunAsked, arguments: str) -> tuple[run.RunStep, ...]:
        return (replace(CALLED, tool_call_id=ask.tool_call_id or "", ask_id=ask.ask_id, arguments=arguments),)

    async def sync(*_: Any) -> None:
        return None

    parts = EndpointParts(
        assignment=site.assignment,
        transcript=site.transcript,
        permissions=site.permissions,
        ledger=cast(Any, SimpleNamespace(alive=lambda: None, give_up=print)),
        requested=cast(Any, SimpleNamespace(steps=steps, with_answers=with_answers, allowed=allowed)),
        mcp=cast(Any, tool),
        activity=cast(Any, SimpleNamespace(progressed=lambda *_: None)),
        completion=cast(Any, SimpleNamespace(bench=lambda *_: None, masked=lambda result: result)),
        place=cast(Any, SimpleNamespace(sandbox=SimpleNamespace(note=lambda _: None, unrecorded=tuple))),
        mask=Mask(()),
        clock=site.clock,
        ids=site.ids,
        names=OfferedNames({}),
    )
    return RunEndpoint(parts)


async def test_a_decision_of_a_call_that_was_not_recorded_yet_is_not_used_for_an_equal_call() -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), Site() as site:
        tool = Tool()
        tool.started.set()
        endpoint = endpoint_of(site, tool)

        def call() -> "asyncio.Task[Any]":
            return asyncio.create_task(endpoint.call(ServedCall("shell", {"a": 1}, McpCaller("1", modern=False))))

        first = call()
        await settle()
        tool.started.clear()
        await site.answer(0)
        await settle()
        tool.started.set()
        second = call()
        await settle()
        assert (await first).text == "done"
        assert len(site.recorder.of(run.RunAsked)) == 2, "the second call has an ask of its own"
        assert (tool.calls, second.done()) == (1, False)
        await site.answer(1, "deny")
        assert (await second).is_error
        assert tool.calls == 1


def test_words_before_a_call_that_was_allowed_are_not_the_answer() -> None:
    assert after(RunProgress(), (AGENT_ASKED, AGENT_ALLOWED, SAID)).answer == SAID.content
    assert after(RunProgress(), (AGENT_ASKED, AGENT_ALLOWED, SAID, AGENT_PERMITTED)).answer is None
