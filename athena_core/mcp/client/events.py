"""Server-sent events of an answer, with a limit for each."""

ID_BYTES_MAX = 1_024
RETRY_SECONDS_MAX = 10.0
"""Longest wait before a stream is taken up again, whatever the server says."""


class EventTooLarge(Exception):
    """An event larger than its limit."""


class EventReader:
    """Collects the data of events from pieces of any size. Comments and other fields are dropped."""

    def __init__(self, bytes_max: int) -> None:
        self.last_id = ""
        """The id of the last event that has one. With it the stream can be taken up again."""
        self.retry_seconds = 1.0
        """Wait before the stream is taken up again."""
        self._bytes_max = bytes_max
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False

    def more(self, piece: bytes) -> list[bytes]:
        """Add a piece. Return the data of the events that it completes. Raise EventTooLarge."""
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        if piece:
            self._after_return = piece.endswith(b"\r")
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        events: list[bytes] = []
        for line in lines:
            self._line += line
            self._take(events)
            self._line.clear()
        self._line += rest
        if len(self._line) + self._size > self._bytes_max:
            raise EventTooLarge
        return events

    def restart(self) -> None:
        """Forget an event that was not complete: the stream broke."""
        self._line.clear()
        self._data, self._size = [], 0

    def _take(self, events: list[bytes]) -> None:
        line = bytes(self._line)
        if not line:
            if self._size > len(self._data):  # servers begin a stream with an event without data
                events.append(b"\n".join(self._data))
            self._data, self._size = [], 0
            return
        name, _, found = line.partition(b":")
        value = found.removeprefix(b" ")
        match name:
            case b"data":
                self._size += len(value) + 1
                if self._size > self._bytes_max:
                    raise EventTooLarge
                self._data.append(value)
            case b"id" if len(value) <= ID_BYTES_MAX and value.decode(errors="replace").isprintable():
                self.last_id = value.decode(errors="replace") if value.isascii() else ""
            case b"retry" if value.isdigit():
                self.retry_seconds = min(int(value[:9]) / 1_000, RETRY_SECONDS_MAX)
            case _:
                pass
