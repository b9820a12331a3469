"""The transcript of an outside agent: its words and calls in their order, recorded under the lease of the run.

Words are recorded before the next call, and at the end of a turn. A call is recorded before its permission is given. If
the agent asked for none, it is recorded at the first sign that it began.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from athena_core.agents.acp_messages import PermissionRequest, TextChunk, ToolCallUpdate
from athena_core.agents.tool_calls import AgentToolCall, ToolCalls
from athena_core.clock import Ids
from athena_core.domain import run
from athena_core.errors import AgentBroken
from athena_core.event import Event
from athena_core.mask import Mask, StreamMask
from athena_core.outside_text import OutsideText
from athena_core.services.execution.outside.calls.call_records import call_result, tool_called, unmade_result
from athena_core.services.execution.outside.calls.endpoint_calls import EndpointCall, EndpointCalls, is_report
from athena_core.services.execution.performer import RunRecorder, ShowText
from athena_core.services.execution.progress import INTERRUPTED, RunAssignment, after
from athena_core.system.tasks import to_its_end
from athena_core.text import clean

TEXT_CHARS_MAX = 1_000_000
"""Maximum number of characters that an agent may say between two calls; more is dropped."""
EVENTS_MAX, CHARS_MAX = 20_000, 100_000_000
"""Maximum size of the record of what an agent did in one run: words, calls, asks and results."""
EMPTY = run.TranscriptAppended(role="assistant", kind="message", chars=0, content="")
ASKED_AGAIN = "The agent asked for a permission again before this call ended."
CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RunOver(Exception):
    """The run has ended or is paused, so nothing can be recorded any more."""


class CallWithoutPermission(Exception):
    """The agent made a call that it was not allowed to make."""


@dataclass
class TranscriptCall:
    """A call of the agent, and the state of its record."""

    call: AgentToolCall
    id: str
    """Its id in the log."""
    recorded: bool = False
    finished: bool = False
    waits: bool = False
    """True while its permission is open."""
    elsewhere: bool = False
    """True if it is the agent's report of a call at the endpoint of the run, which has the record."""

    @property
    def open(self) -> bool:
        """True if the record has the call and no result of it."""
        return self.recorded and not self.finished


class AgentTranscript:
    """The record of a run that an outside agent executes. ``progress`` includes what was recorded here."""

    def __init__(
        self,
        assignment: RunAssignment,
        recorder: RunRecorder,
        mask: Mask,
        ids: Ids,
        show: ShowText | None,
        *,
        message_ids: bool,
    ) -> None:
        """Words without a message id are left out if the agent has ``message_ids``: they are notices of its program."""
        self.progress = assignment.progress
        self.turn = assignment.progress.turns + 1
        self.closed = False
        """True once the run is being stopped: nothing is recorded, and ``left_over`` returns the rest."""
        self.rejected = False
        """True if the last event of the turn is a refused call."""
        self.refusals = 0
        """Refused calls of the living process."""
        self.calls_mentioned = 0
        """Tool calls that the agent asked for or reported."""
        self._assignment = assignment
        self._recorder = recorder
        self._mask = mask
        self._ids = ids
        self._show = show
        self._message_ids = message_ids
        self._lock = asyncio.Lock()
        self.at_endpoint = EndpointCalls()
        """The calls of Athena's tools that the agent makes at the endpoint of the run."""
        self._calls = ToolCalls()
        self._entries: list[TranscriptCall] = []
        self._entry_of: dict[str, TranscriptCall] = {}
        """The last call of each id of the agent."""
        self._chunks: list[str] = []
        self._chars = 0
        self._stream = StreamMask(mask)
        self._turn_ended = False
        self._shown = False
        self._unpaid: list[run.UsageRecorded | run.BudgetReserved] = []
        self._taken = {
            event.tool_call_id for event in self.progress.events if isinstance(event, run.ToolCalled | run.RunAsked)
        }
        """The ids of the calls of the run."""
        self._events = self._recorded_chars = 0
        self._count(self.progress.events)

    # The record

    async def record(self, *steps: run.RunStep) -> None:
        """Record steps in one commit. Raise RunOver, LeaseLost, AgentBroken, or AskLimit for steps that ask.

        A task that is cancelled meanwhile waits for the commit, so that ``progress`` has all that was recorded.
        """
        if not steps:
            return
        self._count(steps)
        if self._events > EVENTS_MAX or self._recorded_chars > CHARS_MAX:
            most = f"{EVENTS_MAX} events or {CHARS_MAX} characters"
            raise AgentBroken(f"the record of a run of an agent has at most {most}. Divide the task.")
        await to_its_end(self._record(steps))

    async def _record(self, steps: tuple[run.RunStep, ...]) -> None:
        async with self._lock:
            if self.closed:
                raise RunOver
            if not await self._recorder.record(steps):
                raise RunOver
            self.note(step for step in steps if not isinstance(step, run.RunAnswered))  # its rule may be revoked

    def _count(self, events: Iterable[Event]) -> None:
        """Count what the record of the agent's work holds."""
        for event in events:
            if isinstance(event, run.TranscriptAppended | run.ToolCalled | run.RunAsked):
                self._events += 1
                self._recorded_chars += event.chars

    def note(self, steps: Iterable[run.RunStep]) -> None:
        """Follow steps that were recorded."""
        self.progress = after(self.progress, steps)

    async def pay(self, settled: run.UsageRecorded | run.BudgetReserved) -> None:
        """Record the usage of a model call, or the end of one that costs nothing.

        Its turn is the number of the answered call. If the run is being stopped, it is left for ``left_over``.
        """
        self._unpaid.append(settled)
        async with self._lock:
            if self.closed or not self._unpaid:
                return
            steps = self.unpaid()
            if not await self._recorder.record(steps):
                raise RunOver
            self.note(steps)

    def unpaid(self) -> tuple[run.RunStep, ...]:
        """Return the usage that is not recorded, once."""
        unpaid, self._unpaid = self._unpaid, []
        steps, turn = list[run.RunStep](), self.progress.calls + 1
        for settled in unpaid:
            steps.append(replace(settled, turn=turn))
            turn += isinstance(settled, run.UsageRecorded) and not settled.failed
        return tuple(steps)

    def left_over(self) -> tuple[run.RunStep, ...]:
        """Return the rest of the record of a run that is being stopped. Nothing is recorded here any more."""
        self.closed = True
        self._unmark()
        return *self.words(partial=True), *self.interrupted(ending=True), *self.unpaid()

    def _unmark(self) -> None:
        """Take back the marks of steps that waited for the record when it was closed."""
        pending = {call.tool_call_id for call in self.progress.pending if isinstance(call, run.ToolCalled)}
        for entry in self._entries:
            if entry.finished and not entry.elsewhere:
                entry.finished = entry.id not in pending
            elif entry.open:
                entry.recorded = entry.id in pending

    def rest(self) -> tuple[run.RunStep, ...]:
        """Return what a process that was ended leaves to record, once: words, results of open calls, and usage."""
        return *self.words(partial=True), *self.interrupted(), *self.unpaid()

    # Words

    def say(self, chunk: TextChunk) -> None:
        """Take a piece of the answer, and show it to those who watch."""
        if self._message_ids and chunk.message_id is None:
            return
        text = clean(chunk.text)[: max(TEXT_CHARS_MAX - self._chars, 0)]
        if not text:
            return
        self._begin()
        self._chars += len(text)
        self._chunks.append(text)
        self.rejected = False
        self._shows(self._stream.more(text))

    def words(self, *, partial: bool = False) -> tuple[run.TranscriptAppended, ...]:
        """Return the record of what was said since the last one, once."""
        is_cut = self._chars >= TEXT_CHARS_MAX
        text = OutsideText("".join(self._chunks), is_cut=is_cut).shown(self._mask)
        if not is_cut:  # otherwise the rest may be a part of a secret
            self._shows(self._stream.rest())
        self._chunks, self._chars, self._stream = [], 0, StreamMask(self._mask)
        if not text.strip():
            return ()
        self._turn_ended = True
        return (
            run.TranscriptAppended(
                role="assistant", kind="message", chars=len(text), partial=partial or None, content=text
            ),
        )

    def answer(self) -> tuple[run.RunStep, ...]:
        """Return the record of the answer, which is the words after the last call; an empty one without any."""
        return self.words() or (EMPTY,)

    def withdraw(self) -> None:
        """Withdraw the shown text of the open turn."""
        if self._shown and self._show is not None:
            request = self._assignment.request
            self._show(request.session_id, self._assignment.run_id, self.turn, None)
        self._shown = False

    def _shows(self, text: str) -> None:
        if text and self._show is not None:
            self._shown = True
            self._show(self._assignment.request.session_id, self._assignment.run_id, self.turn, text)

    def _begin(self) -> None:
        """Begin a turn, if the last one is recorded."""
        if self._turn_ended:
            self.turn += 1
            self._turn_ended = self._shown = False

    # Calls

    def begin_process(self) -> None:
        """Forget the calls of an earlier process of the agent: another one may use their ids again."""
        self._calls, self._entries, self._entry_of = ToolCalls(), [], {}
        self.at_endpoint.forget()
        self.rejected, self.refusals = False, 0

    @property
    def busy(self) -> bool:
        """True while a call of the agent's own tools is open that began."""
        return any(entry.open or (entry.call.status == "in_progress" and not entry.finished) for entry in self._entries)

    def open_calls(self) -> list[TranscriptCall]:
        """Return the calls that have not ended, oldest first."""
        return [entry for entry in self._entries if not (entry.finished or entry.call.ended)]

    async def updated(self, update: ToolCallUpdate) -> None:
        """Record what an update says about a call. Raise CallWithoutPermission, and as ``record``."""
        entry = self.entry(self._calls.update(update))
        call = entry.call
        if self.closed or entry.elsewhere:  # ``left_over`` reads it, or the endpoint has recorded it
            return
        if entry.waits and call.status == "completed":
            raise CallWithoutPermission("It made a call before its permission was given.")
        if entry.finished:
            if not entry.recorded and call.status == "completed":
                raise CallWithoutPermission("It made a call that was refused.")
            return
        steps: tuple[run.RunStep, ...] = ()
        if not entry.recorded and not entry.waits and call.ran:
            if self._made_elsewhere(entry):
                return
            steps = (*self.words(), self.called(entry))
        if entry.recorded and call.ended:
            steps = (*steps, self.finished(entry, call_result(call, self._mask, entry.id)))
        await self.record(*steps)

    def ask(self, request: PermissionRequest) -> TranscriptCall:
        """Return the entry of the call that a permission is asked for."""
        return self.entry(self._calls.ask(request))

    def asked_again(self, entry: TranscriptCall) -> tuple[run.RunStep, ...]:
        """Let a call begin anew whose permission is asked again after it began or ended. Return what to record."""
        if not (entry.recorded or entry.finished):
            return ()
        steps = (self.finished(entry, unmade_result(entry.id, ASKED_AGAIN)),) if entry.open else ()
        entry.id = self._ids.new("call")
        entry.recorded = entry.finished = entry.elsewhere = False
        return steps

    def entry(self, call: AgentToolCall) -> TranscriptCall:
        """Return the entry of a call."""
        entry = self._entry_of.get(call.id)
        if entry is None or entry.call is not call:
            fits = CALL_ID.fullmatch(call.id) and call.id not in self._taken
            call_id = call.id if fits else self._ids.new("call")
            self._taken.add(call_id)
            self.calls_mentioned += 1
            entry = self._entry_of[call.id] = TranscriptCall(call, call_id)
            self._entries.append(entry)
        return entry

    def _made_elsewhere(self, entry: TranscriptCall) -> bool:
        """Return True if an entry without a record is the agent's report of a call at the endpoint of the run."""
        if self.at_endpoint.reports(entry.call):
            entry.elsewhere = entry.finished = True
        return entry.elsewhere

    def called(self, entry: TranscriptCall, *, ask_id: str | None = None) -> run.ToolCalled:
        """Return the record of a call that begins, and note it."""
        self._begin()
        entry.recorded, entry.waits = True, False
        self.rejected = False
        return tool_called(entry.call, self._mask, turn=self.turn, call_id=entry.id, ask_id=ask_id)

    def finished(self, entry: TranscriptCall, result: run.TranscriptAppended) -> run.TranscriptAppended:
        """Note the result of a call, and return it."""
        entry.finished, entry.waits = True, False
        self._turn_ended = True
        return result

    def answered(self, result: run.TranscriptAppended) -> run.TranscriptAppended:
        """Note the answer to a question, and return it."""
        self._turn_ended = True
        return result

    def refused(self, entry: TranscriptCall, why: str, *, too_long: bool = False) -> tuple[run.RunStep, ...]:
        """Return the record of a call that is refused without a person, with its result."""
        self._begin()
        called = tool_called(entry.call, self._mask, turn=self.turn, call_id=entry.id, refused=True, too_long=too_long)
        result = self.finished(entry, unmade_result(entry.id, why))
        self.reject()
        return called, result

    def reject(self) -> None:
        """Note that a call was refused. The agent may end its turn because of that."""
        self.rejected, self.refusals = True, self.refusals + 1

    def interrupted(self, *, ending: bool = False) -> tuple[run.RunStep, ...]:
        """Return the results of open calls of a process that was ended, once.

        A call that ended meanwhile has its own. One that may have begun, and was not recorded, is recorded with it. A
        call whose MCP server asks a person stays open until the answer, unless the run is ``ending``.
        """
        steps: list[run.RunStep] = []
        for entry in self._entries:
            call = entry.call
            if entry.finished or entry.waits:
                continue
            if not entry.recorded:
                if call.status != "in_progress" or self._made_elsewhere(entry):
                    continue
                steps.append(self.called(entry))
            result = call_result(call, self._mask, entry.id) if call.ended else None
            steps.append(self.finished(entry, result or unmade_result(entry.id, INTERRUPTED, interrupted=True)))
        for made in self.at_endpoint.open:
            if made.asking and not ending:
                continue
            self.at_endpoint.ended(made)
            steps.append(self.answered(unmade_result(made.id, INTERRUPTED, interrupted=True)))
        return tuple(steps)

    # Calls at the endpoint of the run

    def begin_call(self) -> int:
        """Return the turn of a call that arrives at the endpoint."""
        self._begin()
        self.rejected = False
        self.calls_mentioned += 1
        return self.turn

    def is_recorded(self, made: EndpointCall) -> bool:
        """Return True if the agent asked for the permission of a call at the endpoint, so that the record has it.

        The result is then recorded for that call.
        """
        for entry in self._entries:
            if entry.open and entry.call.asked and is_report(entry.call, made):
                entry.finished = entry.elsewhere = made.open = made.reported = True
                made.id = entry.id
                return True
        return False

    async def begun(self, made: EndpointCall, *steps: run.RunStep) -> None:
        """Record that a call at the endpoint begins, before it does. Raise as ``record``."""
        await self.record(*self.words(), *steps)
        made.open = True

    async def ended(self, made: EndpointCall, *steps: run.RunStep) -> None:
        """Record the result of a call at the endpoint. Raise as ``record``."""
        self._turn_ended = True
        await self.record(*steps)
        self.at_endpoint.ended(made)
