"""The relay: carries what models write here to the other processes on the log, and theirs to whoever listens here.

Nothing of it is recorded, and some may be lost: the finished entry, which everybody reads in the log, takes its place.
"""

from collections.abc import Iterator
from contextlib import suppress

import anyio
import msgspec

from athena_core.log.port import Channel
from athena_core.services.execution.live_text import LiveText, OpenTurn, RemoteText
from athena_core.system.problems import Problems

GATHER_SECONDS = 0.1
"""For how long what is written is gathered: models write faster than the database likes to be told."""

PIECE_CHARS_MAX = 1_000
"""A notification has room for 8,000 bytes, and a character may take six."""

PIECES_MAX = 32
"""How many pieces are told at a time; what is over waits."""

TROUBLE_SECONDS = 1.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, RemoteText]).decode


class SentTurn:
    """A turn, and how much of it the others were told."""

    def __init__(self, turn: OpenTurn) -> None:
        """Nothing yet."""
        self.turn = turn
        self.offset = turn.start


class LiveRelay:
    """Between the live text of this process and that of others, if there is a channel between them."""

    def __init__(self, live: LiveText, channel: Channel | None, problems: Problems) -> None:
        """Take both ends."""
        self._live = live
        self._problems = problems
        self._channel = channel
        self._spoken: dict[str, None] = {}
        self._told: dict[str, SentTurn] = {}
        self._due = anyio.Event()

    async def serve(self) -> None:
        """Carry, for ever."""
        if self._channel is None:
            return
        self._live.spoken = self._speak
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hear, self._channel)
                tasks.start_soon(self._tell, self._channel)
        finally:
            with anyio.CancelScope(shield=True):
                await self._channel.close()

    def _speak(self, session_id: str) -> None:
        self._spoken[session_id] = None
        self._due.set()

    async def _tell(self, channel: Channel) -> None:
        while True:
            await self._due.wait()
            await anyio.sleep(GATHER_SECONDS)
            self._due = anyio.Event()
            pieces: list[str] = []
            for session_id in list(self._spoken):
                if len(pieces) >= PIECES_MAX:
                    self._due.set()
                    break
                del self._spoken[session_id]
                pieces += [_encode((session_id, piece)).decode() for piece in self.pieces(session_id)]
            if pieces:
                try:
                    await channel.send(pieces)
                except Exception as error:  # the others read the finished entry in the log
                    self._problems.report("relay.send", error)
                else:
                    self._problems.recovered("relay.send")

    def pieces(self, session_id: str) -> Iterator[RemoteText]:
        """What was written in a session that the others were not told."""
        turn, told = self._live.writing(session_id), self._told.pop(session_id, None)
        if told is not None and told.turn is not turn and not told.turn.recorded:
            yield RemoteText(run_id=told.turn.run_id, turn=told.turn.number, born=told.turn.born)
        if turn is None:
            return
        if told is None or told.turn is not turn:
            told = SentTurn(turn)
        offset = max(told.offset, turn.start)
        text = turn.since(offset)
        for start in range(0, len(text), PIECE_CHARS_MAX):
            piece = text[start : start + PIECE_CHARS_MAX]
            yield RemoteText(run_id=turn.run_id, turn=turn.number, born=turn.born, offset=offset + start, text=piece)
        told.offset = turn.end
        self._told[session_id] = told

    async def _hear(self, channel: Channel) -> None:
        while True:
            try:
                texts = await channel.receive()
            except Exception as error:
                self._problems.report("relay.receive", error)
                await anyio.sleep(TROUBLE_SECONDS)
                continue
            self._problems.recovered("relay.receive")
            for text in texts:
                with suppress(msgspec.MsgspecError):  # of a release that says something else
                    self._live.overheard(*_decode(text))
