"""The parts of a run as a client shows them: text, tool calls, and the end; no input or output."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from athena_client.models import AgentActivity, Run, TranscriptDelta, TranscriptEntry


class TextDelta(NamedTuple):
    """Text that follows the text so far of the current message."""

    text: str


class TextReset(NamedTuple):
    """The text so far of the current message is not part of the run, because its model call failed. Discard it."""


class Message(NamedTuple):
    """A message of the model is recorded. ``text`` is the text of all its deltas.

    ``entry.partial`` is True if the run was cut off before the model had finished.
    """

    text: str
    entry: TranscriptEntry


class ToolCall(NamedTuple):
    """The model called a tool. ``arguments`` is JSON as the model wrote it, or None if it was redacted."""

    name: str
    arguments: str | None
    entry: TranscriptEntry


class ToolResult(NamedTuple):
    """The result of a tool call. ``content`` is None if it was redacted."""

    name: str
    content: str | None
    is_error: bool
    entry: TranscriptEntry


class Activity(NamedTuple):
    """An outside agent shows its reasoning, its plan or its open calls. It replaces the activity before.

    It is live only. An activity without members shows nothing any more.
    """

    activity: AgentActivity


class RunEnd(NamedTuple):
    """The run has ended or is paused. It is the last part."""

    run: Run


RunPart: TypeAlias = TextDelta | TextReset | Message | ToolCall | ToolResult | Activity | RunEnd


class RunText:
    """The text of a run so far. Turns live text and recorded entries into parts, each exactly once.

    Live text may come twice or with a gap after a reconnection. The recorded entry of a message settles it: the deltas
    since the last reset always add up to its text.
    """

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._seen: set[str] = set()
        self._turn = 0
        self._text = ""

    def take_delta(self, delta: TranscriptDelta) -> Iterator[RunPart]:
        """Yield the parts that live text adds."""
        if delta.run_id != self._run_id or delta.settled:
            return
        if delta.activity is not None:
            yield Activity(delta.activity)
            return
        if (delta.reset or delta.turn != self._turn) and self._text:
            yield from self._reset()
        self._turn = delta.turn
        text, offset = delta.text or "", delta.offset or 0
        if offset > len(self._text):
            return  # a gap: the recorded entry fills it
        shown = self._text[offset:]
        if not text.startswith(shown) and not shown.startswith(text):  # another attempt of the turn
            yield from self._reset()
            if offset:
                return
            shown = ""
        if more := text[len(shown) :]:
            self._text += more
            yield TextDelta(more)

    def take_entry(self, entry: TranscriptEntry) -> Iterator[RunPart]:
        """Yield the parts that a recorded entry adds."""
        if entry.run_id != self._run_id or entry.id in self._seen:
            return
        self._seen.add(entry.id)
        content = entry.content
        if entry.kind == "tool-call":
            yield ToolCall(entry.tool_name or "", content, entry)
        elif entry.kind == "tool-result":
            yield ToolResult(entry.tool_name or "", content, bool(entry.is_error), entry)
        elif entry.role == "assistant":
            whole = content or ""
            if not whole.startswith(self._text):
                yield from self._reset()
            if more := whole[len(self._text) :]:
                yield TextDelta(more)
            self._text = ""
            yield Message(whole, entry)

    def end(self, run: Run) -> Iterator[RunPart]:
        """Yield the last parts."""
        if self._text:
            yield from self._reset()
        yield RunEnd(run)

    def _reset(self) -> Iterator[RunPart]:
        self._text = ""
        yield TextReset()
