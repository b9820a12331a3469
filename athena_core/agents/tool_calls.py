"""The tool calls of a turn, merged from updates that each say only a part.

Agents may use the id of a call that ended again: its next ``tool_call``, or request for a permission, is another call.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from athena_core.agents.acp_messages import ENDED_STATUSES, PermissionRequest, ToolCallUpdate, text_of_block
from athena_core.mask import HELD_CHARS_MAX
from athena_core.outside_text import OutsideText
from athena_core.rpc.peer import ProtocolBroken

CALLS_MAX = 10_000
"""Maximum number of calls in a turn."""
BEGINNINGS = ("tool_call", None)
"""The kinds of messages that may begin a call. None is a request for a permission."""
TERMINAL_CHARS_MAX = 65_536
"""Maximum number of characters that are shown of the output of a terminal."""


class FileChange(NamedTuple):
    """The change of a file that an agent reports. ``before`` is None for a new file."""

    path: str
    before: str | None
    after: str


@dataclass
class AgentToolCall:
    """A call as known so far. ``asked``: the agent asked for a permission."""

    id: str
    title: str = ""
    kind: str = "other"
    status: str = "pending"
    asked: bool = False
    raw_input: Any = None
    raw_output: Any = None
    content: list[dict[str, Any]] = field(default_factory=list)
    terminal_text: str = ""
    """The end of the output of its terminal, and before it the characters that the mask needs."""

    @property
    def ended(self) -> bool:
        """True once the call completed or failed."""
        return self.status in ENDED_STATUSES

    @property
    def ran(self) -> bool:
        """True once an update shows that the call began: it has an output, or it ended.

        The status ``in_progress`` does not show it: some agents send it before they ask for the permission.
        """
        return self.ended or self.raw_output is not None or bool(self.terminal_text)

    @property
    def output(self) -> OutsideText:
        """The text of the result: its content, else the raw output, else the end of the output of its terminal."""
        pieces = [text_of_block(item["content"]) for item in self.content if isinstance(item.get("content"), dict)]
        text = "\n".join(filter(None, pieces))
        if not text and self.raw_output is None:
            return OutsideText(self.terminal_text, start=max(len(self.terminal_text) - TERMINAL_CHARS_MAX, 0))
        if not text:
            raw = self.raw_output
            text = raw if isinstance(raw, str) else msgspec.json.encode(raw).decode()
        return OutsideText(text)

    @property
    def changes(self) -> Iterator[FileChange]:
        """The changes of files that the agent reports in the call."""
        for item in self.content:
            path, before, after = item.get("path"), item.get("oldText"), item.get("newText")
            if item.get("type") == "diff" and isinstance(path, str) and isinstance(after, str):
                yield FileChange(path, before if isinstance(before, str) else None, after)


class ToolCalls:
    """The calls of a turn by their ids, in the order of their first mention. Of an id, it is the last call."""

    def __init__(self) -> None:
        self._calls: dict[str, AgentToolCall] = {}

    def __iter__(self) -> Iterator[AgentToolCall]:
        return iter(self._calls.values())

    def update(self, update: ToolCallUpdate) -> AgentToolCall:
        """Merge an update, also of an id that was not mentioned before. Return the call."""
        call = self._calls.get(update.tool_call_id)
        if call is None or (call.ended and update.session_update in BEGINNINGS):
            if len(self._calls) >= CALLS_MAX:
                raise ProtocolBroken("invalid-message", f"It made more than {CALLS_MAX} tool calls in a turn.")
            call = self._calls[update.tool_call_id] = AgentToolCall(update.tool_call_id)
        if update.title is not None:
            call.title = update.title
        if update.kind is not None:
            call.kind = update.kind
        if update.status is not None and not call.ended:
            call.status = update.status
        if update.raw_input is not None:
            call.raw_input = update.raw_input
        if update.raw_output is not None:
            call.raw_output = update.raw_output
        if update.content is not None:
            call.content = update.content
        elif update.raw_output is not None:  # what stood there before is a description of the call
            call.content = [item for item in call.content if item.get("type") == "diff"]
        call.terminal_text = (call.terminal_text + update.terminal_text)[-TERMINAL_CHARS_MAX - HELD_CHARS_MAX :]
        return call

    def ask(self, request: PermissionRequest) -> AgentToolCall:
        """Merge the call that a permission is asked for. Return it."""
        call = self.update(request.tool_call)
        call.asked = True
        return call
