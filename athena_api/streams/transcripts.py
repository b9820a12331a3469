"""Transcript streams: the entries of a session, each once and in order, with the text that a model is writing."""

from types import TracebackType
from typing import Self

import anyio
from msgspec.json import encode

from athena_api.streams.feed import Feed
from athena_api.streams.sse import FrameNames, Subscription, frame
from athena_core.errors import NotCaughtUp
from athena_core.event import Position
from athena_core.services.execution.live_text import LiveSubscriber, LiveText
from projections import sessions
from projections.engine.cursor import parse_cursor
from projections.engine.page import INLINE_BYTES_MAX
from projections.engine.views import ViewsReader

PAGE_ENTRIES = 50
STANDSTILL_SECONDS = 1.0
VIEWS = ("sessions",)


class Transcripts:
    """Factory of the transcript streams."""

    def __init__(self, feed: Feed, live: LiveText, views: ViewsReader, log_id: str) -> None:
        """Use ``views`` in this event loop only."""
        self.live = live
        self.views = views
        self.log_id = log_id
        self._feed = feed

    def open(
        self, session_id: str, after: str | None, last_event_id: str | None, frames: FrameNames = "event"
    ) -> "TranscriptSubscription":
        """Return a subscription, also to a session that does not exist yet. Raise CURSOR errors."""
        return TranscriptSubscription(self, session_id, self._feed.start_of(after, last_event_id), frames)


class TranscriptSubscription(Subscription):
    """The entries of a session after a position. An entry comes before the text that is written after it."""

    retry = b"retry: 1500\n"

    def __init__(self, transcripts: Transcripts, session_id: str, position: Position, frames: FrameNames) -> None:
        self._frames: FrameNames = frames
        self._transcripts = transcripts
        self._session_id = session_id
        self._position = position
        self._subscriber: LiveSubscriber

    def __enter__(self) -> Self:
        self._subscriber = self._transcripts.live.subscribe(self._session_id)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._subscriber.close()

    def take(self) -> tuple[list[bytes], bool]:
        """Return a page of entries, and after the last one the text written since."""
        frames: list[bytes] = []
        due = self._subscriber.due
        if self._position < due:
            try:
                entries, reached, more = self._entries(due)
            except NotCaughtUp:  # the views are being replaced, or lag
                return [], False
            frames = [frame("transcript.entry", encode(entry), entry.id, self._frames) for entry in entries]
            if more:
                return frames, True
            self._position = max(self._position, min(due, reached))
            if reached < due:
                return frames, False
        frames += [frame("transcript.delta", encode(delta), None, self._frames) for delta in self._subscriber.take()]
        return frames, False

    def _entries(self, due: Position) -> tuple[list[sessions.TranscriptEntry], Position, bool]:
        """Return the next entries that are due, the position of the views, and True if more are due.

        The stream continues after the last entry.
        """
        page, reached = self._transcripts.views.query(
            VIEWS,
            lambda rows: sessions.transcript(
                rows,
                self._transcripts.log_id,
                self._session_id,
                after=self._position,
                limit=PAGE_ENTRIES,
                bytes_max=INLINE_BYTES_MAX,
            ),
        )
        places = [(parse_cursor(entry.id).position, entry) for entry in page.items]
        entries = [entry for place, entry in places if place <= due]
        if entries:
            self._position = places[len(entries) - 1][0]
        return entries, reached, page.next_cursor is not None and len(entries) == len(page.items)

    async def wait(self) -> None:
        """Wait until there is new text, or the views show a new entry."""
        if self._position < self._subscriber.due:
            try:
                await self._transcripts.views.wait(VIEWS, self._subscriber.due)
            except NotCaughtUp:  # a new request would get the error; an open stream waits
                await anyio.sleep(STANDSTILL_SECONDS)
        else:
            await self._subscriber.wait()
