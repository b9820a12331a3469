"""The lines of a stream of bytes, with a limit on the length of a line."""

import asyncio

CHUNK_BYTES = 65_536


class LineTooLong(Exception):
    """A line longer than its limit. The stream cannot be read any further."""


class LineReader:
    """Reads lines that end with a line feed. It holds at most one line and one chunk."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._searched = 0

    async def read(self, bytes_max: int) -> bytes | None:
        """Return the next line without its end, None at the end of the stream. Raise LineTooLong.

        A last line without a line feed is dropped: its writer ended within it. A cancelled call loses nothing.
        """
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > bytes_max:
                raise LineTooLong
            chunk = await self._stream.read(CHUNK_BYTES)
            if not chunk:
                return None
            self._buffer += chunk
        if end > bytes_max:
            raise LineTooLong
        line = bytes(memoryview(self._buffer)[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line
