"""The wait for a run on behalf of an MCP client: its live text as progress, and its asks as forms."""

import asyncio
from collections.abc import Sequence
from contextlib import closing, suppress

from athena_api.mcp.asks import Ask, answerable_asks, forms_of
from athena_api.mcp.dispatch import Dispatch
from athena_core.mcp.served import NeedsInput, ServedCall
from athena_core.services.execution.live_text import LiveSubscriber, TranscriptDelta

HEARTBEAT_SECONDS = 10.0
"""How long a wait shows no progress at most. Some clients end calls without any after 60 seconds."""
PROGRESS_SECONDS = 0.5
"""Shortest time between two messages of progress."""
MESSAGE_CHARS = 200


class ClientRunWait:
    """The wait of one call for the end, a pause or an ask of a run."""

    def __init__(self, dispatch: Dispatch, call: ServedCall, run_id: str) -> None:
        self._plane = dispatch.plane
        self._dispatch = dispatch
        self._call = call
        self._run_id = run_id
        self._asked = set(call.answers)
        self._chars = 0
        self._line = ""

    async def within(self, session_id: str, seconds: float) -> NeedsInput | None:
        """Return once the run has ended, is paused, asks what the caller may answer, or took too long.

        Return the forms of its asks if the client shows them to its user and repeats the call with the answers.
        """
        clock = asyncio.get_running_loop().time
        begun = progressed = clock()
        ends, heard = begun + seconds, -1
        with closing(self._plane.transcripts.live.subscribe(session_id)) as subscriber:
            while True:
                now = clock()
                if subscriber.heard != heard or now - progressed >= HEARTBEAT_SECONDS:
                    heard = subscriber.heard
                    state = self._plane.runs.state(self._run_id)
                    if not state.open or (state.paused not in (None, "ask")):
                        return None
                    if state.asks and (asks := await answerable_asks(self._dispatch, self._run_id)):
                        needed, waits = await self._show(asks)
                        if not waits:
                            return needed
                if now >= ends:
                    return None
                wait = max(progressed + HEARTBEAT_SECONDS, now + PROGRESS_SECONDS) - now
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, ends - now)):
                        await subscriber.wait()
                if self._read(subscriber):
                    heard = -1
                if clock() - progressed >= (PROGRESS_SECONDS if self._line else HEARTBEAT_SECONDS):
                    progressed = clock()
                    await self._call.progress(progressed - begun, self._line or "The run goes on.")
                    self._line = ""

    async def _show(self, asks: Sequence[Ask]) -> tuple[NeedsInput | None, bool]:
        """Show the open asks to the person at the client, each once.

        Return the forms that end the call for that, and True if the call can wait for the answers.
        """
        caller = self._call.caller
        if not caller.elicitation:
            return None, False
        new = {name: form for name, form in forms_of(asks).items() if name not in self._asked}
        if caller.modern:
            return (NeedsInput(new, self._run_id) if new else None), False
        self._asked |= new.keys()
        shown = [await self._call.elicit(name, form) for name, form in new.items()]
        return None, all(shown)

    def _read(self, subscriber: LiveSubscriber) -> bool:
        """Keep the end of the new text of the run. Return True if it may have ended or paused."""
        settled = False
        for delta in subscriber.take():
            if delta.run_id == self._run_id:
                settled = settled or delta.settled
                self._line = _line_of(delta, self._line)
        return settled


def _line_of(delta: TranscriptDelta, before: str) -> str:
    """Return the end of the text that is written now, or what an outside agent does, as one line."""
    if delta.reset:
        return ""
    if delta.text:
        return " ".join((before + delta.text).split())[-MESSAGE_CHARS:]
    activity = delta.activity
    if activity is not None and activity.calls:
        return " ".join(activity.calls[-1].title.split())[:MESSAGE_CHARS]
    return before
