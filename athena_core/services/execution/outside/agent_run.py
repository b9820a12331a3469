"""The work on one run with an outside agent, under one lease: from what was recorded to the end or a pause of the run.

The log is the truth, and the agent's own memory a cache. A process that ended is started again, takes its session up,
and is asked to go on. Calls that it had open are recorded as interrupted.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import anyio
from msgspec.structs import replace

from athena_core.agents.acp import AcpClient, Answers, Choice
from athena_core.agents.acp_messages import (
    ENDED_STATUSES,
    PROTOCOL_VERSION,
    FormQuestion,
    PermissionRequest,
    PlanUpdate,
    SessionUpdate,
    TextChunk,
    ThoughtChunk,
    ToolCallUpdate,
)
from athena_core.agents.homes import AgentHomes
from athena_core.agents.known import KnownAgent
from athena_core.clock import Clock, Ids
from athena_core.domain import run
from athena_core.enums import AgentSessionStart
from athena_core.errors import (
    AgentBroken,
    AgentGone,
    AgentModeChanged,
    AgentRefused,
    AgentSilent,
    AskRejected,
    AthenaError,
    ProviderError,
    TurnLimit,
)
from athena_core.mask import Mask
from athena_core.outside_text import OutsideText
from athena_core.rpc.peer import EndState, PeerEnded, RequestFailed
from athena_core.services.asks.rules import PermissionRules
from athena_core.services.context.compiler import ContextCompiler
from athena_core.services.execution.agent import compile_context
from athena_core.services.execution.completion import RunCompletion, runs_command
from athena_core.services.execution.mcp.run_mcp import McpParts, RunMcp
from athena_core.services.execution.outside.activity import LiveActivity
from athena_core.services.execution.outside.agent_process import (
    PROBLEM_CHARS_MAX,
    AgentProcess,
    AgentTiming,
    OpenGateway,
)
from athena_core.services.execution.outside.agent_transcript import (
    EMPTY,
    AgentTranscript,
    CallWithoutPermission,
    RunOver,
)
from athena_core.services.execution.outside.calls.call_records import unmade_result
from athena_core.services.execution.outside.calls.offered_tools import OfferedNames
from athena_core.services.execution.outside.earlier_session import EarlierSessions
from athena_core.services.execution.outside.live_agents import LiveAgents
from athena_core.services.execution.outside.permissions import (
    ExpiredAsk,
    Permissions,
    refusal,
    unused,
)
from athena_core.services.execution.outside.prompts import first_prompt, go_on_prompt, replay_prompt
from athena_core.services.execution.outside.questions import TOOL as QUESTION
from athena_core.services.execution.outside.run_endpoint import EndpointParts, RunEndpoint
from athena_core.services.execution.outside.run_ledger import RunLedger
from athena_core.services.execution.performer import (
    RunEnd,
    RunRecorder,
    ShowActivity,
    ShowText,
    run_failed,
)
from athena_core.services.execution.progress import (
    INTERRUPTED,
    INTERRUPTED_ASKING,
    RunAssignment,
    allows,
    open_asks,
    spent,
)
from athena_core.services.execution.requested_calls import RequestedCalls
from athena_core.services.execution.run_place import RunPlace

RESTARTS_MAX = 3
"""How often the process of an agent is started again under one lease."""
SESSION_ID_CHARS_MAX = 200
VERSION_CHARS_MAX = 100
WATCHES = 4
"""Looks for signs of life within the limit of silence."""

BROKEN: Mapping[EndState, type[AthenaError]] = {
    "silent": AgentSilent,
    "input-blocked": AgentSilent,
    "mode-changed": AgentModeChanged,
}
"""The error of a conversation that ended; AgentBroken for other states, except ``output-closed``."""


class AgentParts(NamedTuple):
    """The parts that all runs of this executor share. ``known`` finds a registered agent."""

    known: Callable[[str], KnownAgent | None]
    gateway: OpenGateway
    homes: AgentHomes
    earlier: EarlierSessions
    live: LiveAgents
    compiler: ContextCompiler
    mcp: McpParts
    completion: RunCompletion
    rules: PermissionRules
    mask: Mask
    clock: Clock
    ids: Ids
    show: ShowText | None
    show_activity: ShowActivity | None
    timing: AgentTiming


class Paused(Exception):
    """The run was paused, parked or ended by something else."""


class ProcessEnded(Exception):
    """The process of the agent ended in a turn, or before it. The message is how."""


class StartAgain(Exception):
    """The process was ended to park the run, but an answer was there before."""


class AgentRun:
    """The work on one run. It is the handler of the agent's session."""

    def __init__(
        self, parts: AgentParts, assignment: RunAssignment, recorder: RunRecorder, place: RunPlace, known: KnownAgent
    ) -> None:
        policy = assignment.request.harness_profile_snapshot.agent
        assert policy is not None, "the profile names an outside agent"
        self._parts = parts
        self._assignment = assignment
        self._request = assignment.request
        self._recorder = recorder
        self._place = place
        self._known = known
        self._policy = policy
        self.transcript = AgentTranscript(
            assignment, recorder, parts.mask, parts.ids, parts.show, message_ids=known.message_ids
        )
        self._activity = LiveActivity(assignment, self.transcript, parts.mask, parts.show_activity)
        self._permissions = Permissions(
            assignment, policy, self.transcript, recorder, parts.rules, parts.mask, parts.clock, parts.ids
        )
        calls_max = self._request.harness_profile_snapshot.policies.max_turns
        self._ledger = RunLedger(self.transcript, recorder, calls_max)
        self._names = OfferedNames(known.tool_names)
        self._mcp = RunMcp(parts.mcp, assignment, recorder, place)
        self._endpoint = RunEndpoint(
            EndpointParts(
                assignment=assignment,
                transcript=self.transcript,
                permissions=self._permissions,
                ledger=self._ledger,
                requested=RequestedCalls(self._mcp.tools, parts.mask, parts.ids, parts.clock, parts.rules),
                mcp=self._mcp,
                activity=self._activity,
                completion=parts.completion,
                place=place,
                mask=parts.mask,
                clock=parts.clock,
                ids=parts.ids,
                names=self._names,
            )
        )
        self._failure: OutsideText | None = None
        """The problem of the last model call of the turn."""

    async def work(self) -> RunEnd | None:
        """Work to the end of the run. Return None if it was paused, or ended by something else."""
        try:
            return await self._settle() or await self._converse()
        except ExpiredAsk:
            return RunEnd(self.transcript.left_over(), run.RunCancelled(cause="requested"))
        except CallWithoutPermission as error:
            return self._failed(AgentBroken(f"the agent broke the rules: {error}"))
        except (Paused, RunOver):
            return None

    # Before the agent

    async def _settle(self) -> RunEnd | None:
        """Finish what an earlier process left: an answer to verify, asks to wait for, calls without a result."""
        transcript = self.transcript
        if transcript.progress.answer is not None:
            return await self._judge(())
        while waits := open_asks(transcript.progress):
            hold_until_ms = 0 if transcript.progress.parks else min(ask.hold_until_ms for ask in waits)
            asks = frozenset(ask.ask_id for ask in waits)
            answers = await self._recorder.answers(asks, hold_until_ms, self._place.changes)
            if not answers:
                raise Paused
            transcript.note(answers)
        answers_of = {answer.ask_id: answer for answer in transcript.progress.answers}
        steps: list[run.RunStep] = []
        self._endpoint.remember(transcript.progress)
        asking = {ask.tool_call_id for ask in transcript.progress.elicited}
        for call in transcript.progress.pending:
            if isinstance(call, run.ToolCalled):
                why = INTERRUPTED_ASKING if call.tool_call_id in asking else INTERRUPTED
                steps.append(unmade_result(call.tool_call_id, why, interrupted=True))
            elif not allows(call, answers_of[call.ask_id]):
                steps.append(refusal(call, answers_of[call.ask_id]))
        await transcript.record(*steps)
        if spent(transcript.progress, ()):
            await self._recorder.pause(None, await self._place.changes())
            raise Paused
        return None

    # The agent

    async def _converse(self) -> RunEnd:
        """Let the agent take its turn. Its process is started again if it ends."""
        restarts = 0
        while True:
            try:
                reason = await self._live()
            except ProcessEnded as ended:
                restarts += 1
                if restarts > RESTARTS_MAX:
                    return self._failed(AgentGone(f"the agent's process ended {restarts} times: {ended}"))
                await self.transcript.record(*self.transcript.rest())
            except StartAgain:
                pass
            except PeerEnded as stop:
                error = BROKEN.get(stop.ending.state, AgentBroken)
                return self._failed(error(f"the conversation with the agent ended: {stop.ending.detail}"))
            except RequestFailed as failed:
                return self._call_failed(self._failure or OutsideText(f"the agent reports: {failed.message.exact}"))
            else:
                return await self._ended(reason)
            ended_before = await self._settle()
            if ended_before is not None:
                return ended_before

    async def _live(self) -> str:
        """Start the process, and prompt it. Return the reason why its turn ended. The process is gone afterwards."""
        parts, request = self._parts, self._request
        process = AgentProcess(
            self._known,
            self._place,
            partial(parts.homes.take, request.session_id, self._assignment.position),
            partial(
                parts.live.living, self._known.name, self._assignment.run_id, request.session_id, self._permissions
            ),
            parts.mask,
            parts.timing,
        )
        models = {request.model: request.model, **(self._policy.models or {})}
        boxed = self._place.box is not None
        gateway = parts.gateway(self._known.wire, request.provider, self._ledger, models, boxed, self._endpoint)
        self.transcript.begin_process()
        await self._mcp.list_new()
        try:
            questions = QUESTION in request.harness_profile_snapshot.config.tools
            client = await process.start(gateway, request.model, self, questions=questions, tools=self._endpoint.offers)
            self._ledger.alive = client.peer.note_activity
            prompt = await self._attach(process, client)
            reason = await self._turn(process, client, prompt)
        except PeerEnded as stop:
            if stop.ending.state != "output-closed":
                raise
            await process.end()
            raise ProcessEnded(process.ending(stop.ending)) from None
        except asyncio.CancelledError:
            self.transcript.closed = True
            raise
        finally:
            try:
                await self._end(process)
            finally:
                self._activity.end()
            self._permissions.forget_process()
        if self._ledger.broken is not None:
            raise self._ledger.broken
        return reason

    async def _attach(self, process: AgentProcess, client: AcpClient) -> str:
        """Open the agent's session and record that. Return the prompt."""
        transcript, known = self.transcript, self._known
        attached = transcript.progress.attached
        previous = attached.agent_session_id if attached and attached.agent == known.name else None
        earlier = self._earlier() if attached is None else None
        mode = self._policy.mode or (known.boxed_mode if self._place.box is not None else None) or known.mode
        opening = await process.open(client, previous or earlier, mode)
        session_id = client.session_id or ""
        if not session_id.isprintable() or len(session_id) > SESSION_ID_CHARS_MAX:
            raise AgentBroken(f"the id of the agent's session is not text of {SESSION_ID_CHARS_MAX} characters at most")
        replayed = previous is not None and opening == "new"
        how: AgentSessionStart = "replayed" if replayed else "new" if opening == "new" else "resumed"
        await transcript.record(
            run.AgentAttached(
                agent=known.name,
                agent_version=self._line(OutsideText(f"{client.info.name} {client.info.version}"), VERSION_CHARS_MAX),
                protocol_version=PROTOCOL_VERSION,
                agent_session_id=session_id,
                how=how,
                model=self._request.model,
                mode=mode,
            )
        )
        if previous is not None and not replayed:
            return go_on_prompt(self._assignment.text, transcript.progress, self._names)
        assignment = self._assignment
        if how == "resumed":  # the agent knows the session
            assignment = replace(assignment, opens=True)
        messages, _ = compile_context(self._parts.compiler, assignment, transcript.progress)
        return replay_prompt(messages, transcript.progress, self._names) if replayed else first_prompt(messages)

    def _earlier(self) -> str | None:
        """Return the id of the agent's session in the last run of the session, if it may be taken up."""
        home, known = self._parts.homes.at(self._request.session_id), self._known
        found = self._parts.earlier.find(self._assignment) if known.resume != "none" and home.exists() else None
        if found is None or (found.agent, found.model) != (known.name, self._request.model):
            return None
        return found.agent_session_id

    async def _turn(self, process: AgentProcess, client: AcpClient, prompt: str) -> str:
        """Prompt the agent. Meanwhile hand it answers to its asks, and stop it once a budget is reached."""
        prompting = process.prompt(client, prompt)
        serving = asyncio.create_task(self._permissions.serve(partial(self._before_parking, process)))
        stopping = asyncio.create_task(self._ledger.stopped.wait())
        watch = self._parts.timing.silence_seconds / WATCHES
        try:
            while not any(one.done() for one in (prompting, serving, stopping)):
                await asyncio.wait((prompting, serving, stopping), timeout=watch, return_when=asyncio.FIRST_COMPLETED)
                if self.transcript.busy or self._endpoint.busy or self._ledger.busy:
                    client.peer.note_activity()
            if self._permissions.parking or serving.done():
                await asyncio.wait((serving,))
                raise StartAgain if serving.result() else Paused
            if self._ledger.stopped.is_set():
                await self._end(process)
                await self._stop()
            self._failure = self._ledger.failure  # calls after the turn decide nothing
            return prompting.result()
        finally:
            serving.cancel()
            stopping.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.gather(serving, stopping, return_exceptions=True)

    async def _before_parking(self, process: AgentProcess) -> tuple[run.RunStep, ...]:
        """End the process of a run that will be parked. Return what it leaves to record."""
        await self._end(process)
        return *self.transcript.rest(), *self._mcp.unrecorded(), *await self._place.changes()

    async def _end(self, process: AgentProcess) -> None:
        """End the process, and the MCP servers of the run."""
        try:
            await process.end()
        finally:
            await self._mcp.close()

    async def _stop(self) -> None:
        """Pause the run of an agent that a budget stopped, or fail it at its limit of calls. Raise in any case."""
        transcript, ledger = self.transcript, self._ledger
        if ledger.broken is not None:
            raise ledger.broken
        if ledger.exhausted:
            raise TurnLimit(f"the agent made {ledger.exhausted}, and gave no answer")
        words = transcript.words(partial=True)
        steps = (*transcript.interrupted(), *transcript.unpaid())
        if ledger.spent and not spent(transcript.progress, steps):  # the rest of it buys no call
            (cut,) = words or (EMPTY,)
            words = (replace(cut, interrupted=True, partial=None),)
        await transcript.record(*words, *steps)  # before the pause, which reads that the budget cut the words off
        await self._recorder.pause(ledger.reached, await self._place.changes())
        raise Paused

    # After the agent

    async def _ended(self, reason: str) -> RunEnd:
        """Return the end of a run whose agent ended its turn."""
        transcript, failure = self.transcript, self._failure
        if failure is not None:
            return self._call_failed(failure)
        if transcript.rejected or (reason == "cancelled" and transcript.refusals):
            return self._failed(AskRejected("the agent stopped after a call was refused"))
        if reason != "end_turn":
            return self._failed(_stopped(reason))
        progress = transcript.progress
        asks = [call for call in progress.pending if isinstance(call, run.RunAsked) and call not in open_asks(progress)]
        answers = {answer.ask_id: answer for answer in progress.answers}
        results = [unused(ask, answers[ask.ask_id]) for ask in asks]  # the end closes open ones
        steps = (*transcript.interrupted(ending=True), *results, *self._mcp.unrecorded(), *transcript.answer())
        if runs_command(self._request.harness_profile_snapshot):
            await transcript.record(*steps)
            steps = ()
        transcript.note(steps)
        return await self._judge(steps)

    async def _judge(self, last: tuple[run.RunStep, ...]) -> RunEnd:
        transcript = self.transcript
        _, context = compile_context(self._parts.compiler, self._assignment, transcript.progress)
        return await self._parts.completion.end(self._request, transcript.progress, self._place, last, context)

    def _failed(self, error: AthenaError, *, retryable: bool | None = None) -> RunEnd:
        again = error.retryable if retryable is None else retryable
        return RunEnd(self.transcript.left_over(), run_failed(error.code, error.message, retryable=again))

    def _call_failed(self, why: OutsideText) -> RunEnd:
        return self._failed(ProviderError(self._line(why) or "The model call failed."), retryable=True)

    def _line(self, said: OutsideText, chars_max: int = PROBLEM_CHARS_MAX) -> str:
        return said.line(self._parts.mask, chars_max)

    # The handler of the agent's session

    async def updated(self, update: SessionUpdate) -> None:
        """Record what the agent says and does. Reasoning and plans are shown only, and its own figures are ignored."""
        match update:
            case ThoughtChunk():
                self._activity.think(update.text)
            case TextChunk():
                self.transcript.say(update)
                self._activity.speak()
            case PlanUpdate():
                self._activity.plan(update)
            case ToolCallUpdate():
                await self.transcript.updated(update)
                self._activity.calls_changed()
                if update.status in ENDED_STATUSES:
                    await self._place.sync_mirror()

    async def permission(self, request: PermissionRequest) -> Choice:
        """Decide about a call of the agent."""
        choice = await self._permissions.decide(request)
        self._activity.calls_changed()
        return choice

    async def question(self, question: FormQuestion) -> Answers:
        return await self._permissions.question(question)


def _stopped(reason: str) -> AthenaError:
    """Return the error of a turn that ended without an answer."""
    match reason:
        case "max_tokens" | "max_turn_requests":
            return TurnLimit(f"the agent reached a limit of its own ({reason})")
        case "refusal":
            return AgentRefused("the agent refused to go on")
        case "cancelled":
            return AgentBroken("the agent cancelled its turn, which Athena had not asked for")
        case _:
            return AgentBroken("the agent ended its turn for a reason that the protocol does not know")
