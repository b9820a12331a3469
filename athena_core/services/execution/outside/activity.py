"""The activity of an outside agent beside its words: reasoning, its plan, and calls that have not ended.

It is live only: nothing of it is recorded, and it ends with the process of the agent. It is bounded, and changes at
most ``CHANGES_A_SECOND`` times a second, however much the agent sends.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast, get_args

from athena_core.agents.acp_messages import PlanUpdate
from athena_core.agents.tool_calls import AgentToolCall
from athena_core.definitions.agent_permissions import tool_kind
from athena_core.mask import HELD_CHARS_MAX, Mask, StreamMask
from athena_core.outside_text import OutsideText
from athena_core.services.execution.live_text import AgentActivity, OpenCall, PlanStep, PlanStepStatus
from athena_core.services.execution.outside.agent_transcript import AgentTranscript, TranscriptCall
from athena_core.services.execution.outside.calls.call_records import diffs_of, title_of
from athena_core.services.execution.performer import ShowActivity
from athena_core.services.execution.progress import RunAssignment
from athena_core.text import clean

CHANGES_A_SECOND = 4
THOUGHTS_CHARS_MAX = 2_000
PLAN_STEPS_MAX = 30
STEP_CHARS_MAX = 200
CALLS_MAX = 4
"""Maximum number of open calls that are shown, the newest."""
OUTPUT_CHARS_MAX = 1_000
DIFF_CHARS_MAX = 4_000
DIFF_LINES_MAX = 300
CUT_CHARS = THOUGHTS_CHARS_MAX + HELD_CHARS_MAX
"""Characters at the end of a piece of reasoning that are searched for secrets. The shown ones are the last of them."""
SEEN_DIFF_CHARS_MAX = 100_000
"""Maximum size of changed files whose difference is shown live."""


class LiveActivity:
    """The activity of the agent of one run, from one process of it to the next."""

    def __init__(
        self, assignment: RunAssignment, transcript: AgentTranscript, mask: Mask, show: ShowActivity | None
    ) -> None:
        self._assignment = assignment
        self._transcript = transcript
        self._mask = mask
        self._show = show
        self._thoughts = ""
        self._stream = StreamMask(mask)
        self._thinks = False
        """True while a piece of reasoning follows the one before."""
        self._plan: tuple[PlanStep, ...] = ()
        self._diffs: dict[str, tuple[Sequence[Any], str]] = {}
        self._reports: dict[str, tuple[str, str]] = {}
        """The tools and the last progress of calls at the endpoint of the run."""
        self._shown = AgentActivity()
        self._next: asyncio.TimerHandle | None = None

    def think(self, text: str) -> None:
        """Take a piece of reasoning. It replaces the reasoning before, if something else happened in between."""
        if not self._thinks:
            self._thoughts, self._stream = "", StreamMask(self._mask)
        self._thinks = True
        if len(text) > CUT_CHARS:
            self._thoughts, self._stream = "", StreamMask(self._mask)
            self._stream.more(clean(text[-CUT_CHARS:-THOUGHTS_CHARS_MAX]))
            text = text[-THOUGHTS_CHARS_MAX:]
        self._thoughts = (self._thoughts + self._stream.more(clean(text)))[-THOUGHTS_CHARS_MAX:]
        self._changed()

    def speak(self) -> None:
        """End the reasoning: the agent speaks."""
        if self._thoughts:
            self._changed()
        self._thoughts, self._thinks = "", False

    def plan(self, update: PlanUpdate) -> None:
        self._plan = tuple(
            PlanStep(text=OutsideText(entry.content).line(self._mask, STEP_CHARS_MAX), status=_status(entry.status))
            for entry in update.entries[:PLAN_STEPS_MAX]
        )
        self._changed()

    def calls_changed(self) -> None:
        """Note that a call began, changed or ended."""
        self._thinks = False
        self._changed()

    def progressed(self, call_id: str, tool: str, line: str) -> None:
        """Take the progress of a call at the endpoint of the run; an empty line ends it."""
        if line:
            self._reports[call_id] = tool, line
        elif self._reports.pop(call_id, None) is None:
            return
        self._changed()

    def end(self) -> None:
        """Withdraw everything: the process of the agent ends."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._thoughts, self._thinks, self._plan = "", False, ()
        self._diffs.clear()
        self._reports.clear()
        if self._shown != AgentActivity():
            self._shows(None)

    def _changed(self) -> None:
        """Show the change, soon. Later changes until then are shown with it."""
        if self._show is not None and self._next is None:
            self._next = asyncio.get_running_loop().call_later(1 / CHANGES_A_SECOND, self._publish)

    def _publish(self) -> None:
        self._next = None
        entries = self._transcript.open_calls()[-CALLS_MAX:]
        calls = (*map(self._call, entries), *map(self._reported, list(self._reports)[-CALLS_MAX:]))
        self._diffs = {entry.id: self._diffs[entry.id] for entry in entries if entry.id in self._diffs}
        activity = AgentActivity(thoughts=self._thoughts.strip() or None, plan=self._plan or None, calls=calls or None)
        if activity != self._shown:
            self._shows(None if activity == AgentActivity() else activity)

    def _shows(self, activity: AgentActivity | None) -> None:
        self._shown = activity or AgentActivity()
        if self._show is not None:
            request = self._assignment.request
            self._show(request.session_id, self._assignment.run_id, self._transcript.turn, activity)

    def _reported(self, call_id: str) -> OpenCall:
        tool, line = self._reports[call_id]
        return OpenCall(tool_call_id=call_id, title=tool, kind="other", status="in_progress", output=line)

    def _call(self, entry: TranscriptCall) -> OpenCall:
        call = entry.call
        begun = entry.recorded or (call.status == "in_progress" and not entry.waits)
        output = call.output.tail(self._mask, OUTPUT_CHARS_MAX).strip("\n")
        return OpenCall(
            tool_call_id=entry.id,
            title=title_of(call, self._mask),
            kind=tool_kind(call.kind),
            status="in_progress" if begun else "pending",
            output=output or None,
            diff=self._diff(entry.id, call) or None,
        )

    def _diff(self, call_id: str, call: AgentToolCall) -> str:
        """Return the changes that a call shows. They are compared once for each content that the agent sends."""
        content, diff = self._diffs.get(call_id, (None, ""))
        if content is not call.content:
            size = sum(len(change.before or "") + len(change.after) for change in call.changes)
            found = "\n".join(diffs_of(call, self._mask, DIFF_LINES_MAX if size <= SEEN_DIFF_CHARS_MAX else 0))
            diff = OutsideText(found).shown(self._mask, DIFF_CHARS_MAX)
            self._diffs[call_id] = call.content, diff
        return diff


def _status(word: str) -> PlanStepStatus:
    """Return the status of a step. Words that the protocol does not know count as pending."""
    return cast(PlanStepStatus, word) if word in get_args(PlanStepStatus) else "pending"
