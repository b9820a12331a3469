"""Live text about the progress of a call to an MCP server, which is never recorded."""

import asyncio
from collections import deque

from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.outside_text import OutsideText
from athena_core.services.execution.live_text import AgentActivity, OpenCall
from athena_core.services.execution.performer import ShowActivity

CHANGES_A_SECOND = 5
LINES_MAX = 5
LINE_CHARS_MAX = 300


class CallProgress:
    """The newest reports of one open call. ``end`` it with the call."""

    def __init__(
        self, call: run.ToolCalled, session_id: str, run_id: str, mask: Mask, show: ShowActivity | None
    ) -> None:
        self._call = call
        self._session_id = session_id
        self._run_id = run_id
        self._mask = mask
        self._show = show
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        self._next: asyncio.TimerHandle | None = None
        self._shown = False

    def report(self, done: float, total: float | None, message: OutsideText) -> None:
        """Show a report, soon. Reports until then are shown with it."""
        if self._show is None:
            return
        share = f"{done:g}" if total is None else f"{done:g}/{total:g}"
        self._lines.append(f"{share} {message.line(self._mask, LINE_CHARS_MAX)}".rstrip())
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(1 / CHANGES_A_SECOND, self._publish)

    def _publish(self) -> None:
        self._next = None
        call = OpenCall(
            tool_call_id=self._call.tool_call_id,
            title=self._call.tool_name or "",
            kind="other",
            status="in_progress",
            output="\n".join(self._lines),
        )
        self._shows(AgentActivity(calls=(call,)))

    def _shows(self, activity: AgentActivity | None) -> None:
        self._shown = activity is not None
        if self._show is not None:
            self._show(self._session_id, self._run_id, self._call.turn, activity)

    def end(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._shown:
            self._shows(None)
