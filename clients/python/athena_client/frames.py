"""The parser of server-sent events: bytes in, frames out; no input or output."""

import re
from typing import NamedTuple

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"


class Frame(NamedTuple):
    """A frame of a stream. ``id`` is None if the frame has none of its own; without ``data`` it only moves the id."""

    id: str | None
    event: str
    data: bytes


class FrameTooLarge(Exception):
    """A frame is larger than the limit."""


class FrameParser:
    """The state between two chunks of a stream. A frame that the stream does not finish is dropped."""

    def __init__(self, bytes_max: int) -> None:
        """Accept frames of up to ``bytes_max`` bytes."""
        self._bytes_max = bytes_max
        self._rest = bytearray()
        self._scanned = 0
        self._begun = False
        self._clear()

    def _clear(self) -> None:
        self._id: str | None = None
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0

    @property
    def idle(self) -> bool:
        """True between two frames."""
        return not (self._rest or self._size)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that a chunk completes. Raise FrameTooLarge."""
        self._rest += chunk
        if not self._begun and len(self._rest) >= len(BOM):
            self._begun = True
            if self._rest.startswith(BOM):
                del self._rest[: len(BOM)]
        frames: list[Frame] = []
        start = 0
        # a CR at the end may be the first half of CR LF, so it waits for the next chunk
        for end in LINE_END.finditer(self._rest, self._scanned):
            if end.group() == b"\r" and end.end() == len(self._rest):
                break
            self._take(bytes(self._rest[start : end.start()]), frames)
            start = end.end()
        self._begun = self._begun or start > 0
        del self._rest[:start]
        self._scanned = max(len(self._rest) - 1, 0)
        self._check(len(self._rest))
        return frames

    def _take(self, line: bytes, frames: list[Frame]) -> None:
        if not line:
            if self._data or self._id is not None:
                frames.append(Frame(self._id, self._event or "message", b"\n".join(self._data)))
            self._clear()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        self._size += len(line) if name else 0
        self._check(0)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")

    def _check(self, pending: int) -> None:
        if self._size + pending > self._bytes_max:
            raise FrameTooLarge(f"a frame of the stream is larger than {self._bytes_max} bytes")
