"""The ring: the newest frames of the feed, for the subscribers that wait for events.

Hot: a subscriber at the head gets a new piece without a turn of its task, which costs twice as much as the write.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from athena_api.streams.segments import Form, Segment
from athena_api.streams.sse import some_at_a_time
from athena_core.event import Position
from athena_core.protocols import PublicCells
from projections.engine.page import INLINE_BYTES_MAX

RING_BYTES_MAX = 16 << 20
EVENT_BYTES = 500
"""The estimated memory of an event in the ring beside its frames."""
_until = attrgetter("until")


class RingPiece(NamedTuple):
    """The events of one wake-up up to a position: rows without payloads, and the frames in the forms in use."""

    rows: Sequence[PublicCells]
    until: Position
    forms: Mapping[Form, Segment]
    size: int


TakePiece: TypeAlias = Callable[[RingPiece], bool]
"""Sends a piece at once. Returns False if the task of the stream must continue instead."""


class FrameRing:
    """The newest frames, rendered once for all subscribers. Filled only while there is a subscriber."""

    def __init__(self, position: Position) -> None:
        """Start empty after a position."""
        self._pieces: deque[RingPiece] = deque()
        self._size = 0
        self._waiting: dict[asyncio.Future[None], TakePiece | None] = {}
        self.restart(position)

    def restart(self, position: Position) -> None:
        """Drop all frames and continue after a position."""
        self._pieces.clear()
        self._size = 0
        self.position = self.last = self.after = position

    def add(self, piece: RingPiece) -> None:
        """Append a piece, and drop the oldest above the size limit."""
        self._pieces.append(piece)
        self._size += piece.size
        self.last = piece.until
        while self._size > RING_BYTES_MAX:
            oldest = self._pieces.popleft()
            self._size -= oldest.size
            self.after = oldest.until

    def pieces(self, form: Form, after: Position) -> list[RingPiece] | None:
        """Return the next pieces after a position, up to the size of a page; None if the ring does not hold them."""
        found: list[RingPiece] = []
        left = INLINE_BYTES_MAX
        for piece in islice(self._pieces, bisect_right(self._pieces, after, key=_until), None):
            if left <= 0 or form not in piece.forms:
                break
            found.append(piece)
            left -= piece.size
        return None if after < self.after or (not found and after < self.last) else found

    def wake(self, position: Position) -> None:
        """Deliver the newest piece to the waiting subscribers, or wake those that cannot take it at once."""
        self.position = position
        piece = self._pieces[-1] if self._pieces else None
        some_at_a_time(iter(list(self._waiting.items())), partial(_deliver, piece))

    async def wait(self, position: Position, take: TakePiece | None = None) -> None:
        """Wait until there is an event after a position that ``take`` did not take at once."""
        if self.position <= position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[future] = take
            try:
                await future
            finally:
                self._waiting.pop(future, None)


def _deliver(piece: RingPiece | None, waiting: tuple[asyncio.Future[None], TakePiece | None]) -> None:
    future, take = waiting
    if not future.done() and (piece is None or take is None or not take(piece)):
        future.set_result(None)
