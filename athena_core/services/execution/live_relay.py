"""The relay: sends live text of this process to the other processes of the log, and receives theirs.

Nothing is recorded, and some text may be lost: the finished entry in the log replaces it.
"""

from collections.abc import Iterator
from contextlib import suppress

import anyio
import msgspec

from athena_core.log.port import Channel
from athena_core.services.execution.live_text import (
    ACTIVITY_CHARS_MAX,
    LiveText,
    OpenTurn,
    RemoteText,
    ShownActivity,
)
from athena_core.system.problems import Problems

GATHER_SECONDS = 0.1
"""How long text is gathered, because models write faster than the database sends notifications."""

PIECE_CHARS_MAX = 1_000
"""A notification holds 8,000 bytes, and a character may take six."""

PIECES_MAX = 32
"""The most pieces sent at a time; the rest waits."""

TROUBLE_SECONDS = 1.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, RemoteText]).decode


class SentTurn:
    """A turn, and how much of it was sent."""

    def __init__(self, turn: OpenTurn) -> None:
        self.turn = turn
        self.offset = turn.start


class LiveRelay:
    """Connects the live text of this process with other processes, if they share a channel."""

    def __init__(self, live: LiveText, channel: Channel | None, problems: Problems) -> None:
        self._live = live
        self._problems = problems
        self._channel = channel
        self._pending: dict[str, None] = {}
        self._sent: dict[str, SentTurn] = {}
        self._sent_activities: dict[str, ShownActivity] = {}
        self._due = anyio.Event()

    async def serve(self) -> None:
        """Send and receive until cancelled."""
        if self._channel is None:
            return
        self._live.forward(self._on_append)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._receive, self._channel)
                tasks.start_soon(self._send, self._channel)
        finally:
            with anyio.CancelScope(shield=True):
                await self._channel.close()

    def _on_append(self, session_id: str) -> None:
        self._pending[session_id] = None
        self._due.set()

    async def _send(self, channel: Channel) -> None:
        while True:
            await self._due.wait()
            await anyio.sleep(GATHER_SECONDS)
            self._due = anyio.Event()
            pieces: list[str] = []
            for session_id in list(self._pending):
                if len(pieces) >= PIECES_MAX:
                    self._due.set()
                    break
                del self._pending[session_id]
                pieces += [_encode((session_id, piece)).decode() for piece in self.pieces(session_id)]
            if pieces:
                try:
                    await channel.send(pieces)
                except Exception as error:  # the other processes read the finished entry in the log
                    self._problems.report("relay.send", error)
                else:
                    self._problems.recovered("relay.send")

    def pieces(self, session_id: str) -> Iterator[RemoteText]:
        """Yield the unsent text and activity of a session."""
        yield from self._text(session_id)
        yield from self._activity(session_id)

    def _activity(self, session_id: str) -> Iterator[RemoteText]:
        sent, now = self._sent_activities.pop(session_id, None), self._live.activity(session_id)
        if now is not None:
            self._sent_activities[session_id] = now
        if sent is now:
            return
        text = "" if now is None else msgspec.json.encode(now.activity).decode()
        shown = now or sent
        if shown is None or len(text) > ACTIVITY_CHARS_MAX:
            return
        for start in range(0, max(len(text), 1), PIECE_CHARS_MAX):
            yield RemoteText(
                run_id=shown.run_id,
                turn=shown.turn,
                born=shown.born,
                offset=start,
                text=text[start : start + PIECE_CHARS_MAX],
                activity_chars=len(text),
            )

    def _text(self, session_id: str) -> Iterator[RemoteText]:
        turn, sent = self._live.writing(session_id), self._sent.pop(session_id, None)
        if sent is not None and sent.turn is not turn and not sent.turn.recorded:
            yield RemoteText(run_id=sent.turn.run_id, turn=sent.turn.number, born=sent.turn.born)
        if turn is None:
            return
        if sent is None or sent.turn is not turn:
            sent = SentTurn(turn)
        offset = max(sent.offset, turn.start)
        text = turn.since(offset)
        for start in range(0, len(text), PIECE_CHARS_MAX):
            piece = text[start : start + PIECE_CHARS_MAX]
            yield RemoteText(run_id=turn.run_id, turn=turn.number, born=turn.born, offset=offset + start, text=piece)
        sent.offset = turn.end
        self._sent[session_id] = sent

    async def _receive(self, channel: Channel) -> None:
        while True:
            try:
                texts = await channel.receive()
            except Exception as error:
                self._problems.report("relay.receive", error)
                await anyio.sleep(TROUBLE_SECONDS)
                continue
            self._problems.recovered("relay.receive")
            for text in texts:
                with suppress(msgspec.MsgspecError):  # from a release with another format
                    self._live.append_remote(*_decode(text))
