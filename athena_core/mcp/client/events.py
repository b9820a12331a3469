"""Server-sent events of an answer, with a limit for each."""

EVENT_LINE = b"data"


class EventTooLarge(Exception):
    """An event larger than its limit."""


class EventReader:
    """Collects the data of events from pieces of any size. Comments and other fields are dropped."""

    def __init__(self, bytes_max: int) -> None:
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

    def _take(self, events: list[bytes]) -> None:
        line = bytes(self._line)
        if not line:
            if self._size > len(self._data):  # servers begin a stream with an event without data
                events.append(b"\n".join(self._data))
            self._data, self._size = [], 0
            return
        name, _, value = line.partition(b":")
        if name == EVENT_LINE:
            value = value.removeprefix(b" ")
            self._size += len(value) + 1
            if self._size > self._bytes_max:
                raise EventTooLarge
            self._data.append(value)
