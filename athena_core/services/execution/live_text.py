"""Live text: what models are writing right now, for subscribers; nothing of it is recorded.

A subscriber is a cursor into its session's open turn, not a queue. A slow one gets more text at a time; a very slow one
misses the oldest text. Of an agent's activity it gets the newest only. Every subscriber gets the finished entry from
the log. Everything runs on the event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.domain import run
from athena_core.enums import AgentToolKind
from athena_core.event import Position, Value, says
from athena_core.log.tail import Tail
from athena_core.protocols import Row
from athena_core.system.signal import Signal

LIVE_CHARS_MAX = 65_536
ACTIVITY_CHARS_MAX = 65_536
"""Maximum length of an activity as JSON, when another process sends it."""
CLOSED_MAX = 1_000
"""How many runs keep the position of their last closed turn, to recognize late text."""

SETTLED_MAX = 99
"""How many settled runs a slow subscriber keeps besides the last one."""

ENTRY_TYPES = frozenset({run.TranscriptAppended.TYPE, run.ToolCalled.TYPE})
"""The events that a transcript shows."""

ASK_TYPES = frozenset({run.RunAsked.TYPE, run.RunAnswered.TYPE})
"""The other events that a transcript shows. They close no turn: an agent may go on writing while it asks."""

ABANDONING_TYPES = frozenset({run.RunLeased.TYPE, *run.ENDING_TYPES})
"""The events that close an open turn without an entry."""

SETTLING_TYPES = frozenset({run.RunPaused.TYPE, *run.ENDING_TYPES})
"""The events after which a run writes nothing, at least until it is resumed."""


PlanStepStatus: TypeAlias = Literal["pending", "in_progress", "completed"]


class PlanStep(Value):
    """A step of an agent's plan."""

    text: Annotated[str, says("The step.")]
    status: Annotated[PlanStepStatus, says("Progress of the step.")]


class OpenCall(Value):
    """A tool call of an agent that has not ended. It is ``pending`` until it begins; a person may be asked meanwhile.

    ``output`` is the end of the output so far, ``diff`` the changes of files that the agent shows.
    """

    tool_call_id: str
    title: Annotated[str, says("Title of the call.")]
    kind: Annotated[AgentToolKind, says("Kind of the call.")]
    status: Annotated[Literal["pending", "in_progress"], says("`pending` until it begins.")]
    output: Annotated[str | None, says("End of its output so far; absent without one.")] = None
    diff: Annotated[str | None, says("Changes of files that it shows, as a unified diff; absent without one.")] = None


class AgentActivity(Value):
    """The reasoning, plan and open calls that an outside agent shows now. Nothing of it is recorded.

    ``thoughts`` is the end of its newest reasoning.
    """

    thoughts: Annotated[str | None, says("End of its newest reasoning; absent without one.")] = None
    plan: Annotated[tuple[PlanStep, ...] | None, says("Steps of its plan; absent without one.")] = None
    calls: Annotated[
        tuple[OpenCall, ...] | None, says("Newest calls that have not ended, oldest first; absent without one.")
    ] = None


class TranscriptDelta(Value):
    """The text since the last delta, from character ``offset`` of its turn on.

    A ``reset`` has no text: the client discards what it showed of the turn. An ``activity`` has no text either: it
    replaces the one before. After the last entry of a run that ended or is paused, one delta without text is
    ``settled``; its turn is 0.
    """

    run_id: str
    turn: int
    offset: Annotated[int | None, says("First character of this text in its turn.")] = None
    text: Annotated[str | None, says("Text to append; absent with `reset` and `activity`.")] = None
    reset: bool = False
    settled: Annotated[bool, says("True if the log has all text of the turn.")] = False
    activity: Annotated[AgentActivity | None, says("Replaces the activity before; absent if unchanged.")] = None


class RemoteText(Value):
    """Text that a model wrote in another process, from an offset on; without text the turn is withdrawn.

    ``born`` is the position up to which everything was recorded before the turn began. If ``activity_chars`` is set,
    the text is a part of an activity as JSON of this length; a length of 0 withdraws the activity.
    """

    run_id: str
    turn: int
    born: Position
    offset: int = 0
    text: str | None = None
    activity_chars: int | None = None


class ShownActivity:
    """The newest activity of a run, and the turn and position at which it was shown."""

    def __init__(self, run_id: str, turn: int, born: Position, activity: AgentActivity) -> None:
        self.run_id = run_id
        self.turn = turn
        self.born = born
        self.activity = activity


class OpenTurn:
    """A turn while its model writes: its newest characters. ``recorded`` means that the log has its entry."""

    def __init__(self, run_id: str, number: int, born: Position) -> None:
        """Begin without text; everything up to ``born`` was recorded before the turn."""
        self.run_id = run_id
        self.number = number
        self.born = born
        self.recorded = False
        self.end = 0
        self._kept = 0
        self._chunks: deque[str] = deque()

    @property
    def start(self) -> int:
        """The offset of the first character that is still kept."""
        return self.end - self._kept

    def add(self, text: str) -> None:
        """Append text, and drop the oldest beyond the limit."""
        self.end += len(text)
        self._chunks.append(text)
        self._kept += len(text)
        while (excess := self._kept - LIVE_CHARS_MAX) > 0:
            oldest = self._chunks.popleft()
            if len(oldest) > excess:
                self._chunks.appendleft(oldest[excess:])
            self._kept -= min(len(oldest), excess)

    def since(self, offset: int) -> str:
        """Return the text from an offset on; the offset must not be before ``start``."""
        missing = self.end - offset
        pieces: list[str] = []
        for chunk in reversed(self._chunks):
            if missing <= 0:
                break
            pieces.append(chunk[-missing:])
            missing -= len(chunk)
        return "".join(reversed(pieces))


class LiveText:
    """The open turns by session. A session has one admitted run, so at most one open turn."""

    def __init__(self, tail: Tail, signal: Signal) -> None:
        """Follow the log: an entry closes its turn, the end of a run abandons it."""
        self._tail = tail
        self._signal = signal
        self._turns: dict[str, OpenTurn] = {}
        self._activities: dict[str, ShownActivity] = {}
        self._arriving: dict[str, tuple[RemoteText, str]] = {}
        self._closed: OrderedDict[str, Position] = OrderedDict()
        self._subscribers: dict[str, list[LiveSubscriber]] = {}
        self._forward: Callable[[str], object] | None = None
        tail.subscribe(self._on_rows, ENTRY_TYPES | ASK_TYPES | ABANDONING_TYPES | SETTLING_TYPES)

    def forward(self, to: Callable[[str], object]) -> None:
        """Call ``to`` with the session whenever a model of this process writes in it."""
        self._forward = to

    def append(self, session_id: str, run_id: str, turn: int, text: str | None) -> None:
        """Append text of a model. None withdraws the text of this turn, for a new attempt or at the end.

        A turn is recorded before the next one of its run begins. An executor passes None when it leaves a run, so that
        no text of a lost run remains.
        """
        writing = self._turns.get(session_id)
        same = writing is not None and writing.run_id == run_id and writing.number == turn
        if text is None and same:
            del self._turns[session_id]
        elif text:
            if writing is None or not same:
                if writing is not None and writing.run_id == run_id:
                    writing.recorded = writing.number < turn
                writing = self._turns[session_id] = OpenTurn(run_id, turn, self._signal.position)
            writing.add(text)
        if self._forward is not None or session_id in self._subscribers:
            self._changed(session_id)

    def show(self, session_id: str, run_id: str, turn: int, activity: AgentActivity | None) -> None:
        """Show what an agent does beside its words, instead of what was shown before. None withdraws it."""
        if activity is not None:
            self._activities[session_id] = ShownActivity(run_id, turn, self._signal.position, activity)
        else:
            self._end_activity(session_id, run_id)
        self._changed(session_id)

    def _end_activity(self, session_id: str, run_id: str) -> None:
        shown = self._activities.get(session_id)
        if shown is not None and shown.run_id == run_id:
            del self._activities[session_id]

    def _changed(self, session_id: str) -> None:
        if self._forward is not None:
            self._forward(session_id)
        self._wake(session_id)

    def append_remote(self, session_id: str, heard: "RemoteText") -> None:
        """Append text of a model in another process, or withdraw it.

        Text that arrives after its turn was closed is ignored. After a gap the turn starts again with the new text.
        """
        if heard.activity_chars is not None:
            self._show_remote(session_id, heard, heard.activity_chars)
            return
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

    def _show_remote(self, session_id: str, heard: "RemoteText", chars: int) -> None:
        """Collect the pieces of an activity of another process, and show it once it is whole."""
        begun, text = self._arriving.pop(session_id, (heard, ""))
        same = (begun.run_id, begun.turn, begun.activity_chars) == (heard.run_id, heard.turn, chars)
        text = text if same and len(text) == heard.offset else ""
        if chars > ACTIVITY_CHARS_MAX or len(text) != heard.offset or self._closed.get(heard.run_id, 0) > heard.born:
            return
        text += heard.text or ""
        if len(text) < chars:
            self._arriving[session_id] = (heard, text)
            return
        if chars:
            activity = msgspec.json.decode(text, type=AgentActivity)
            self._activities[session_id] = ShownActivity(heard.run_id, heard.turn, heard.born, activity)
        else:
            self._end_activity(session_id, heard.run_id)
        self._wake(session_id)

    def _wake(self, session_id: str) -> None:
        for subscriber in self._subscribers.get(session_id, ()):
            subscriber.wake()

    def subscribe(self, session_id: str) -> "LiveSubscriber":
        """Return a subscriber to a session; ``close`` it afterwards.

        Entries that were recorded but not yet received may have closed any turn, so the subscriber waits for them.
        """
        subscriber = LiveSubscriber(self, session_id, self._tail.position)
        self._subscribers.setdefault(session_id, []).append(subscriber)
        return subscriber

    def writing(self, session_id: str) -> OpenTurn | None:
        """Return the open turn of a session."""
        return self._turns.get(session_id)

    def activity(self, session_id: str) -> ShownActivity | None:
        """Return what an agent shows beside its words in a session."""
        return self._activities.get(session_id)

    def leave(self, subscriber: "LiveSubscriber") -> None:
        subscribers = self._subscribers[subscriber.session_id]
        subscribers.remove(subscriber)
        if not subscribers:
            del self._subscribers[subscriber.session_id]

    def _on_rows(self, rows: Sequence[Row]) -> None:
        closed = self._closed
        for row in rows:
            position, session_id, run_id, kind = row.position, row.session_id or "", row.run_id or "", row.type
            subscribers = self._subscribers.get(session_id, ())
            if kind in ASK_TYPES:
                for subscriber in subscribers:
                    subscriber.hear(position)
                continue
            entry, settled = kind in ENTRY_TYPES, kind in SETTLING_TYPES
            for subscriber in subscribers if settled else ():
                subscriber.settle(run_id)
            if settled or kind in ABANDONING_TYPES:
                shown = self._activities.get(session_id)
                if shown is not None and shown.run_id == run_id and shown.born < position:
                    del self._activities[session_id]
                self._arriving.pop(session_id, None)
            if not entry and kind not in ABANDONING_TYPES:
                continue
            closed[run_id] = position
            closed.move_to_end(run_id)
            turn = self._turns.get(session_id)
            if turn is not None and turn.run_id == run_id and turn.born < position:
                turn.recorded = entry
                del self._turns[session_id]
            for subscriber in subscribers:
                if entry:
                    subscriber.hear(position)
                subscriber.wake()
        while len(closed) > CLOSED_MAX:
            closed.popitem(last=False)


class LiveSubscriber:
    """A subscriber to one session."""

    def __init__(self, live: LiveText, session_id: str, position: Position) -> None:
        """Begin with the entries up to a position, and the text so far of the open turn."""
        self.session_id = session_id
        self.heard = position
        self._live = live
        self._shown: OpenTurn | None = None
        self._offset = 0
        self._activity: ShownActivity | None = None
        self._settled: tuple[str, ...] = ()
        self._news = asyncio.Event()

    @property
    def due(self) -> Position:
        """The position up to which entries are shown before any text; later entries wait."""
        writing = self._live.writing(self.session_id)
        return self.heard if writing is None else max(self.heard, writing.born)

    def wake(self) -> None:
        self._news.set()

    def hear(self, position: Position) -> None:
        """Note that the transcript has an entry at a position, and wake the subscriber."""
        self.heard = position
        self.wake()

    def settle(self, run_id: str) -> None:
        """Note that a run ended or is paused, and wake the subscriber."""
        self._settled = (*self._settled[-SETTLED_MAX:], run_id)
        self.wake()

    async def wait(self) -> None:
        """Return once something happened since the last ``take``."""
        await self._news.wait()

    def take(self) -> list[TranscriptDelta]:
        """Return the text and activity since the last call, and the settled runs.

        First show the entries that are ``due``.
        """
        self._news.clear()
        settled = (TranscriptDelta(run_id=run_id, turn=0, settled=True) for run_id in self._settled)
        deltas = [*self._text(), *self._shown_activity(), *settled]
        self._settled = ()
        return deltas

    def _shown_activity(self) -> list[TranscriptDelta]:
        shown, now = self._activity, self._live.activity(self.session_id)
        deltas: list[TranscriptDelta] = []
        if shown is now:
            return deltas
        if shown is not None and (now is None or now.run_id != shown.run_id):
            deltas.append(TranscriptDelta(run_id=shown.run_id, turn=shown.turn, activity=AgentActivity()))
        if now is not None:
            deltas.append(TranscriptDelta(run_id=now.run_id, turn=now.turn, activity=now.activity))
        self._activity = now
        return deltas

    def _text(self) -> list[TranscriptDelta]:
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
        self._live.leave(self)
