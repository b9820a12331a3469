"""Live text: what models are writing at this moment, shown to whoever listens; nothing of it is recorded.

A subscriber is a cursor into the turn that its session's model writes, not a queue: who is slow gets more at a time,
who is too slow misses the oldest text, and everybody gets the finished entry from the log. All on the event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from athena_core.domain import run
from athena_core.event import Position, Value
from athena_core.log.tail import Tail
from athena_core.protocols import Row
from athena_core.system.signal import Signal

LIVE_CHARS_MAX = 65_536
CLOSED_MAX = 1_000
"""Of how many runs it is remembered where their last turn ended: what is heard later of it is late."""

ENTRY_TYPES = frozenset({run.TranscriptAppended.TYPE, run.ToolCalled.TYPE})
"""What a transcript shows."""

ABANDONING_TYPES = frozenset({run.RunLeased.TYPE, *run.ENDING_TYPES})
"""What leaves an open turn without an entry."""


class TranscriptDelta(Value):
    """What was written since the last one, from character ``offset`` of its turn on.

    With ``reset`` there is no text: what was shown of the turn so far is to be forgotten.
    """

    run_id: str
    turn: int
    offset: int | None = None
    text: str | None = None
    reset: bool = False


class RemoteText(Value):
    """What a model of another process wrote of a turn, from an offset on; without text the turn is taken back.

    ``born`` is the position up to which everything was recorded before the turn began.
    """

    run_id: str
    turn: int
    born: Position
    offset: int = 0
    text: str | None = None


class OpenTurn:
    """A turn while its model writes: the newest characters of it. ``recorded`` tells that the log has its entry."""

    def __init__(self, run_id: str, number: int, born: Position) -> None:
        """Nothing was written yet; whatever was recorded up to ``born`` came before the turn."""
        self.run_id = run_id
        self.number = number
        self.born = born
        self.recorded = False
        self.end = 0
        self._kept = 0
        self._chunks: deque[str] = deque()

    @property
    def start(self) -> int:
        """The offset of the first character that is still there."""
        return self.end - self._kept

    def add(self, text: str) -> None:
        """Append text, and let go of the oldest over the limit."""
        self.end += len(text)
        self._chunks.append(text)
        self._kept += len(text)
        while (excess := self._kept - LIVE_CHARS_MAX) > 0:
            oldest = self._chunks.popleft()
            if len(oldest) > excess:
                self._chunks.appendleft(oldest[excess:])
            self._kept -= min(len(oldest), excess)

    def since(self, offset: int) -> str:
        """What was written from an offset on, which is not before ``start``."""
        missing = self.end - offset
        pieces: list[str] = []
        for chunk in reversed(self._chunks):
            if missing <= 0:
                break
            pieces.append(chunk[-missing:])
            missing -= len(chunk)
        return "".join(reversed(pieces))


class LiveText:
    """The turns that models write now, by session; a session has one admitted run, hence one such turn."""

    def __init__(self, tail: Tail, signal: Signal) -> None:
        """Follow the log: an entry closes the turn it belongs to, the end of a run abandons it."""
        self._tail = tail
        self._signal = signal
        self._turns: dict[str, OpenTurn] = {}
        self._closed: OrderedDict[str, Position] = OrderedDict()
        self._subscribers: dict[str, list[LiveSubscriber]] = {}
        self._forward: Callable[[str], object] | None = None
        tail.subscribe(self._on_rows, ENTRY_TYPES | ABANDONING_TYPES)

    def forward(self, to: Callable[[str], object]) -> None:
        """Call ``to`` with the session, whenever a model of this process wrote in it."""
        self._forward = to

    def append(self, session_id: str, run_id: str, turn: int, text: str | None) -> None:
        """A model wrote some more; None takes back what it wrote of this turn (a new attempt, or there is none).

        A turn is recorded before the next one of its run begins. Whoever executes a run says None when it leaves the
        run, so that nothing stays behind of a run that was lost.
        """
        writing = self._turns.get(session_id)
        same = writing is not None and writing.run_id == run_id and writing.number == turn
        if text is None:
            if same:
                del self._turns[session_id]
        elif text:
            if writing is None or not same:
                if writing is not None and writing.run_id == run_id:
                    writing.recorded = writing.number < turn
                writing = self._turns[session_id] = OpenTurn(run_id, turn, self._signal.position)
            writing.add(text)
        if self._forward is not None:
            self._forward(session_id)
        self._wake(session_id)

    def append_remote(self, session_id: str, heard: "RemoteText") -> None:
        """A model of another process wrote some more, or what it wrote is taken back.

        It may come late, when the log told of the end of the turn already; where some of it was lost, the turn begins
        anew at what came.
        """
        if self._closed.get(heard.run_id, 0) > heard.born:
            return
        writing = self._turns.get(session_id)
        same = writing is not None and writing.run_id == heard.run_id and writing.number == heard.turn
        if heard.text is None:
            if same:
                del self._turns[session_id]
        else:
            if writing is None or not same or writing.end != heard.offset:
                if writing is not None and writing.run_id == heard.run_id:
                    writing.recorded = writing.number < heard.turn
                writing = self._turns[session_id] = OpenTurn(heard.run_id, heard.turn, heard.born)
                writing.end = heard.offset
            writing.add(heard.text)
        self._wake(session_id)

    def _wake(self, session_id: str) -> None:
        for subscriber in self._subscribers.get(session_id, ()):
            subscriber.wake()

    def subscribe(self, session_id: str) -> "LiveSubscriber":
        """Somebody who wants to know; ``close`` it.

        Of what was recorded and not yet heard of it is not known which turn it closed: entries of it are to wait.
        """
        subscriber = LiveSubscriber(self, session_id, self._tail.position)
        self._subscribers.setdefault(session_id, []).append(subscriber)
        return subscriber

    def writing(self, session_id: str) -> OpenTurn | None:
        """The turn that is written now."""
        return self._turns.get(session_id)

    def leave(self, subscriber: "LiveSubscriber") -> None:
        """Forget a subscriber."""
        subscribers = self._subscribers[subscriber.session_id]
        subscribers.remove(subscriber)
        if not subscribers:
            del self._subscribers[subscriber.session_id]

    def _on_rows(self, rows: Sequence[Row]) -> None:
        closed = self._closed
        for row in rows:
            position, session_id, run_id = row.position, row.session_id or "", row.run_id or ""
            entry = row.type in ENTRY_TYPES
            if not entry and row.type not in ABANDONING_TYPES:
                continue
            closed[run_id] = position
            closed.move_to_end(run_id)
            turn = self._turns.get(session_id)
            if turn is not None and turn.run_id == run_id and turn.born < position:
                turn.recorded = entry
                del self._turns[session_id]
            for subscriber in self._subscribers.get(session_id, ()):
                if entry:
                    subscriber.heard = position
                subscriber.wake()
        while len(closed) > CLOSED_MAX:
            closed.popitem(last=False)


class LiveSubscriber:
    """Somebody who follows one session."""

    def __init__(self, live: LiveText, session_id: str, position: Position) -> None:
        """Begin with what was recorded up to a position, and with what was written so far of the open turn."""
        self.session_id = session_id
        self.heard = position
        self._live = live
        self._shown: OpenTurn | None = None
        self._offset = 0
        self._news = asyncio.Event()

    @property
    def due(self) -> Position:
        """The position up to which entries are to be shown before any text; those beyond are to wait."""
        writing = self._live.writing(self.session_id)
        return self.heard if writing is None else max(self.heard, writing.born)

    def wake(self) -> None:
        """Something happened."""
        self._news.set()

    async def wait(self) -> None:
        """Return once something happened since the last ``take``."""
        await self._news.wait()

    def take(self) -> list[TranscriptDelta]:
        """What was written since the last time; ask only after showing the entries that are ``due``."""
        self._news.clear()
        deltas: list[TranscriptDelta] = []
        turn, shown = self._live.writing(self.session_id), self._shown
        if shown is not None and (shown is not turn or self._offset < shown.start):
            if not shown.recorded:
                deltas.append(TranscriptDelta(run_id=shown.run_id, turn=shown.number, reset=True))
            self._shown = None
        if turn is None:
            return deltas
        offset = turn.start if self._shown is None else self._offset
        text = turn.since(offset)
        if text:
            deltas.append(TranscriptDelta(run_id=turn.run_id, turn=turn.number, offset=offset, text=text))
        self._shown, self._offset = turn, turn.end
        return deltas

    def close(self) -> None:
        """Follow no more."""
        self._live.leave(self)
