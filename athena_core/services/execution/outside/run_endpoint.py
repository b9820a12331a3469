"""The tools of Athena for the outside agent of a run: decided, made and recorded as calls of the loop are.

Athena decides about each call when it arrives, and asks a person if the profile says so. While the run is held, the
call waits for the answer. A parked run has no process, so the call is gone. The answer is used once the agent makes the
same call again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from athena_core.clock import Clock, Ids
from athena_core.definitions.profile import AskPolicy
from athena_core.domain import run
from athena_core.log.codec import SALT_BYTES
from athena_core.mask import Mask
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.served import McpService, ServedCall, ServedResult, ServedTool, unknown_tool
from athena_core.outside_text import OutsideText
from athena_core.services.execution.completion import RunCompletion
from athena_core.services.execution.mcp.elicitation import elicited, values_of
from athena_core.services.execution.mcp.forms import shown_question
from athena_core.services.execution.mcp.run_mcp import RunMcp
from athena_core.services.execution.outside.activity import LiveActivity
from athena_core.services.execution.outside.agent_transcript import AgentTranscript, RunOver
from athena_core.services.execution.outside.calls.call_records import unmade_result
from athena_core.services.execution.outside.calls.endpoint_calls import EndpointCall
from athena_core.services.execution.outside.calls.offered_tools import NAMES, OfferedNames
from athena_core.services.execution.outside.permissions import ExpiredAsk, Permissions, refusal
from athena_core.services.execution.outside.questions import answered
from athena_core.services.execution.outside.run_ledger import RunLedger
from athena_core.services.execution.progress import (
    EDITED,
    ERASED,
    RunAssignment,
    RunProgress,
    allows,
    declined_before,
    open_asks,
)
from athena_core.services.execution.requested_calls import (
    ASKS_MAX,
    RequestedCalls,
    hold_ms_of,
    tool_result,
)
from athena_core.services.execution.run_place import RunPlace
from athena_core.services.execution.verification import policy_labels, to_evidence
from athena_core.system.tasks import to_its_end
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import ToolResult, UnknownTool
from athena_core.values import ToolCall

CALLS_MAX = 16
"""The most calls at the endpoint of a run that may be open."""
TOO_MANY = f"This call was not made: at most {CALLS_MAX} calls may be open at a time. Wait for one to end."
OVER = "This call was not made: Athena has ended this work."
PROGRESS_SECONDS = 10.0
HINTS: Mapping[str, bool] = {"destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
"""Hints about the tools of Athena itself. Some agents ask no person about such tools."""
LINE_CHARS_MAX = 300
"""Maximum length of a report of progress."""
WITHDRAWN = "The call was given up before its end."


class EndpointParts(NamedTuple):
    """The parts of a run that its endpoint works with."""

    assignment: RunAssignment
    transcript: AgentTranscript
    permissions: Permissions
    ledger: RunLedger
    requested: RequestedCalls
    mcp: RunMcp
    activity: LiveActivity
    completion: RunCompletion
    place: RunPlace
    mask: Mask
    clock: Clock
    ids: Ids
    names: OfferedNames


class RunEndpoint(McpService):
    """The endpoint of one run under one lease."""

    instructions = "Tools of Athena, which runs you. It records each call, and asks a person where that is required."

    def __init__(self, parts: EndpointParts) -> None:
        profile = parts.assignment.request.harness_profile_snapshot
        tools = tuple(name for name in dict.fromkeys(profile.config.tools) if name in NAMES)
        self._parts = parts
        self._profile = replace(profile, config=replace(profile.config, tools=tools))
        self._calling = 0
        self._asking = asyncio.Lock()
        self._answers: list[tuple[run.RunAsked, run.RunAnswered]] = []

    @property
    def offers(self) -> bool:
        """True if there is a tool to offer."""
        return bool(self._profile.config.tools or self._profile.mcp)

    @property
    def busy(self) -> bool:
        """True while a call is open, also one that waits for a person."""
        return self._calling > 0

    def hide(self, text: str) -> str:
        return self._parts.mask.hide(text)

    async def tools(self) -> Sequence[ServedTool]:
        """Return the tools of the run, as its agent lists them."""
        specs, offered = self._parts.mcp.tools.specs(self._profile.config.tools), self._parts.names.offered
        return [
            ServedTool(
                offered(one.name),
                one.description,
                one.parameters,
                annotations=HINTS if one.name in NAMES else None,
            )
            for one in specs
        ]

    async def call(self, call: ServedCall) -> ServedResult:
        """Decide about a call of the agent, make it and record it."""
        if self._calling >= CALLS_MAX:
            return ServedResult(TOO_MANY, is_error=True)
        self._calling += 1
        self._parts.ledger.alive()
        made = self._parts.transcript.at_endpoint.begin(self._parts.ids.new("call"), call.tool, call.arguments)
        showing = asyncio.create_task(_show_time(call, made))
        try:
            result = await self._call(made, call.arguments)
        except RunOver:
            return ServedResult(OVER, is_error=True)
        except UnknownTool:
            raise unknown_tool(call.tool) from None
        except Exception as error:
            self._parts.ledger.give_up(error)
            return ServedResult(OVER, is_error=True)
        finally:
            self._calling -= 1
            self._parts.ledger.alive()
            showing.cancel()
        return ServedResult(result.content, is_error=result.is_error)

    async def _call(self, made: EndpointCall, arguments: Mapping[str, Any]) -> ToolResult:
        """Decide about a call; see ``call``. Raise UnknownTool, RunOver, LeaseLost, AgentBroken, AskLimit."""
        parts = self._parts
        name = OutsideText(parts.names.recorded(made.tool, parts.mcp.tools.names)).shown(parts.mask)
        await parts.mcp.prepare((name,))
        call = ToolCall(id=made.id, name=name, arguments=msgspec.json.encode(arguments).decode())
        turn = parts.transcript.begin_call()
        first, *rest = parts.requested.steps(self._profile, (call,), turn, parts.transcript.progress)
        if isinstance(first, run.RunAsked):
            return await self._ask(made, first)
        assert isinstance(first, run.ToolCalled), "a call, or an ask for one"
        return await self._begin(made, first, rest)

    async def _begin(
        self, made: EndpointCall, called: run.ToolCalled, results: list[run.RunStep], preface: str = ""
    ) -> ToolResult:
        """Record a call and make it, unless it has a result because it was refused."""
        direct = not results and called.ask_id is None and made.has(called.arguments or "{}")
        if direct and self._parts.transcript.is_recorded(made):  # allowed is the exact call
            return await self._make(made, replace(called, tool_call_id=made.id), preface)
        called = replace(called, origin="mcp", repeatable=False)
        await to_its_end(self._parts.transcript.begun(made, *self._parts.mcp.unrecorded(), called))
        if results:
            (result,) = results
            assert isinstance(result, run.TranscriptAppended), "the result of a refused call"
            await to_its_end(self._parts.transcript.ended(made, result))
            if called.refused == "unknown-tool":
                raise UnknownTool(result.content or "")
            return ToolResult(content=result.content or "", is_error=True)
        return await self._make(made, called, preface)

    async def _make(self, made: EndpointCall, called: run.ToolCalled, preface: str) -> ToolResult:
        """Make a recorded call, and record its result."""
        parts, tools = self._parts, self._profile.config.tools
        try:
            tool, arguments = parts.mcp.tools.read(called.tool_name or "", called.arguments or "", tools)
            servers = parts.mcp.servers_of(called, partial(self._elicit, made, called), partial(self._report, made))
            bench = parts.completion.bench(parts.assignment.request, parts.place, called.credentials or (), servers)
            result = parts.completion.masked(await tool.call(arguments, bench))
            parts.place.sandbox.note(result)
        except ToolRefused as refused:
            result = ToolResult(content=parts.mask.hide(str(refused)), is_error=True)
        except asyncio.CancelledError:
            if made.asking:  # its result is recorded after the answer
                raise
            withdrawn = unmade_result(made.id, WITHDRAWN, interrupted=True)
            with suppress(RunOver):
                await to_its_end(parts.transcript.ended(made, withdrawn))
            raise
        finally:
            parts.activity.progressed(made.id, made.tool, "")
        result = replace(result, content=preface + result.content)
        before = (*parts.mcp.unrecorded(), *parts.place.sandbox.unrecorded())
        steps: tuple[run.RunStep, ...] = (*before, tool_result(called, result))
        if result.shown is not None:
            labels = policy_labels(self._profile)
            steps += (to_evidence(parts.ids, result.shown, "tool", labels, tool_call_id=called.tool_call_id),)
        await to_its_end(parts.transcript.ended(made, *steps))
        return result

    # Asks

    async def _ask(self, made: EndpointCall, ask: run.RunAsked) -> ToolResult:
        """Wait for the decision about a call, which may have been made before. Then make it."""
        parts = self._parts
        asked = await self._asked(made, ask)
        known = asked.ask
        try:
            decided = await asked.chosen
            if isinstance(decided, ToolResult):
                return decided
            edited = decided.edited_sha256 is not None
            arguments = decided.arguments if edited else known.arguments
            if arguments is None:
                await parts.transcript.record(parts.transcript.answered(unmade_result(made.id, ERASED)))
                return ToolResult(content=ERASED, is_error=True)
            await parts.mcp.prepare((known.tool_name or "",))
            called, *results = parts.requested.allowed(self._profile, known, arguments)
            assert isinstance(called, run.ToolCalled), "an allowed call"
            return await self._begin(made, called, results, f"{EDITED}{arguments}\n" if edited else "")
        finally:
            asked.chosen.cancel()
            parts.permissions.claimed.discard(known.ask_id)  # if the call is not recorded, the next one may be made

    async def _asked(self, made: EndpointCall, ask: run.RunAsked) -> "AskedCall":
        """Record the ask of a call, or find the one of an earlier call, and begin to wait for its answer.

        One call after another, because two may not wait for the same ask.
        """
        parts = self._parts
        async with self._asking:
            known = parts.permissions.asked_before("mcp", ask.tool_name or "", ask.exact_arguments or "")
            if known is None:
                known = replace(ask, origin="mcp", hold_until_ms=self._hold_until_ms())
                steps = await parts.requested.with_answers(parts.assignment, (known,))
                await parts.transcript.record(*parts.transcript.words(), *steps)
            made.id = known.tool_call_id or made.id
            asked = AskedCall(known, parts.transcript)
            parts.permissions.claimed.add(known.ask_id)
            parts.permissions.wait_for(asked)
            return asked

    # Questions of MCP servers

    def remember(self, progress: RunProgress) -> None:
        """Keep the answers to questions of calls that were interrupted, for the same questions of later calls."""
        answers = {answer.ask_id: answer for answer in progress.answers}
        self._answers += [(ask, answers[ask.ask_id]) for ask in progress.elicited if ask.ask_id in answers]

    async def _elicit(self, made: EndpointCall, called: run.ToolCalled, question: McpQuestion) -> dict[str, Any] | None:
        """Ask a person for an MCP server. Return the values, None for a refusal. Raise as ``_call``."""
        parts, server = self._parts, self._parts.mcp.tools.server_of(called.tool_name or "") or ""
        salt = parts.ids.salt(SALT_BYTES).hex()
        shown = shown_question(question.message, question.requested_schema, parts.mask, salt)
        if shown is None or len(open_asks(parts.transcript.progress)) >= ASKS_MAX:
            return None
        for given in self._answers:
            ask, answer = given
            if ask.tool_name == called.tool_name and shown.is_of(ask):
                self._answers.remove(given)
                salt = ask.subject_salt or salt
                again = shown_question(question.message, question.requested_schema, parts.mask, salt)
                return values_of(again or shown, answer)
        if any(shown.is_of(ask) for ask, _ in declined_before(parts.transcript.progress, called.tool_call_id)):
            return None
        ask = elicited(called, server, shown, self._profile.asks, parts.ids, parts.clock)
        asked = Elicited(replace(ask, hold_until_ms=self._hold_until_ms()))
        made.asking = True
        await parts.transcript.record(*parts.mcp.unrecorded(), asked.ask)
        parts.permissions.wait_for(asked)
        try:
            answer = await asked.chosen
        finally:
            asked.chosen.cancel()
        made.asking = False
        return values_of(shown, answer)

    def _hold_until_ms(self) -> int:
        return self._parts.clock.now() + hold_ms_of(self._profile.asks or AskPolicy())

    def _report(self, made: EndpointCall, done: float, total: float | None, message: OutsideText) -> None:
        """Show the progress of a call, to those who watch the run and to the agent."""
        share = f"{done:g}" if total is None else f"{done:g}/{total:g}"
        made.line = message.line(self._parts.mask, LINE_CHARS_MAX)
        self._parts.activity.progressed(made.id, made.tool, f"{share} {made.line}".rstrip())


async def _show_time(call: ServedCall, made: EndpointCall) -> None:
    """Show an agent that waits for long that its call is alive."""
    seconds = 0.0
    while call.shows_progress:
        await asyncio.sleep(PROGRESS_SECONDS)
        seconds += PROGRESS_SECONDS
        await call.progress(seconds, made.line or f"Waiting for {seconds:g} s.")


class Elicited:
    """The question of an MCP server during a call (``permissions.EndpointAsk``)."""

    def __init__(self, ask: run.RunAsked) -> None:
        self.ask = ask
        self.chosen: asyncio.Future[run.RunAnswered] = asyncio.get_running_loop().create_future()

    async def decide(self, answer: run.RunAnswered) -> None:
        """Hand an answer over; see ``EndpointAsk``."""
        if answer.cause == "expiry" and self.ask.on_expiry == "cancel":
            raise ExpiredAsk
        if not self.chosen.done():
            self.chosen.set_result(answer)


class AskedCall:
    """The ask of a call (``permissions.EndpointAsk``).

    The decision is the result for the agent, or the answer that allows the call.
    """

    def __init__(self, ask: run.RunAsked, transcript: AgentTranscript) -> None:
        self.ask = ask
        self.chosen: asyncio.Future[ToolResult | run.RunAnswered] = asyncio.get_running_loop().create_future()
        self._transcript = transcript

    async def decide(self, answer: run.RunAnswered) -> None:
        """Record a decision and hand it over; see ``EndpointAsk``."""
        ask = self.ask
        if not allows(ask, answer):
            await self._settle(refusal(ask, answer), is_error=True)
        elif self.chosen.done():  # the agent withdrew its call: the answer counts for the next one
            return
        elif ask.kind == "tool-permission":
            self.chosen.set_result(answer)
        else:
            await self._settle(answered(ask, answer), is_error=False)

    async def _settle(self, result: run.TranscriptAppended, *, is_error: bool) -> None:
        await self._transcript.record(self._transcript.answered(result))
        if not self.chosen.done():
            self.chosen.set_result(ToolResult(content=result.content or "", is_error=is_error))
