"""The protocol: uvicorn's HTTP/1.1 with limits on what is sent to it, and on how long that may take."""

from typing import Any, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from athena_api.gate import LATE, REFUSED
from athena_api.replies import status_of
from athena_core.errors import AthenaError, ConfigError, HeadersTooLarge, RequestTimeout, UriTooLong

TAKEN_BYTES_MIN = 16 << 10  # what a client that is waited for has to take within the time of an answer


class Limits(NamedTuple):
    """What a client may send, in bytes and fields, and how long it may take, in seconds."""

    header_bytes: int
    headers: int
    url_bytes: int
    header_seconds: float
    body_seconds: float
    send_seconds: float


class Protocol(HttpToolsProtocol):
    """A connection.

    ``due`` is the moment of the loop's clock by which the head, or the body, must be there; None while it is our turn.
    Moments are looked at once a second, all in one go, so that a request costs no timer.
    """

    # slots, because with as many attributes as this in a ``__dict__`` each connection would take 1 KiB more
    __slots__ = (
        "_begun",
        "_body",
        "_edge",
        "_limits",
        "_piece",
        "_received",
        "_stalled_bytes",
        "_stalled_since",
        "due",
    )

    def __init__(self, config: Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        """Take the limits from the application."""
        super().__init__(config, server_state, app_state, _loop)
        self._edge = cast(Any, config.app)
        self._limits: Limits = self._edge.limits
        self.due: float | None = None
        self._begun = False
        """Whether a part of a head is there."""
        self._body = False
        """Whether a head is there, and a part of its body is not."""
        self._received = 0
        """Bytes that came since the piece in which the head began."""
        self._piece = 0
        """Bytes that came last, in one piece."""
        self._stalled_since = 0.0
        self._stalled_bytes = 0

    # What comes in

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take some bytes; a head that does not end is refused."""
        self._piece = len(data)
        if self._begun:
            self._received += len(data)
        super().data_received(data)
        if self._begun and self._received > self._limits.header_bytes + self._limits.url_bytes:
            self.refuse(HeadersTooLarge(f"the header fields are over {self._limits.header_bytes} bytes"))

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._begun = True
        self._received = 0

    def on_headers_complete(self) -> None:
        """Hand the request on, as one that is refused where its head is over a limit; begin to wait for its body."""
        error = self._excess()
        if error is not None:
            self._mark(REFUSED, error)
        self._begun, self._body = False, True
        self.due = self.loop.time() + self._limits.body_seconds
        super().on_headers_complete()
        if error is not None:
            self.cycle.keep_alive = False

    def _mark(self, key: str, value: object) -> None:
        """Tell the application something about this request."""
        scope: Any = self.scope
        scope[key] = value

    def _excess(self) -> AthenaError | None:
        limits = self._limits
        if len(self.url) > limits.url_bytes:
            return UriTooLong(f"the path and query are over {limits.url_bytes} bytes")
        if len(self.headers) > limits.headers:
            return HeadersTooLarge(f"there are more than {limits.headers} header fields")
        if self._received + self._piece > limits.header_bytes:  # which is no less
            size = sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
            if size > limits.header_bytes:
                return HeadersTooLarge(f"the header fields are over {limits.header_bytes} bytes")
        return None

    def on_message_complete(self) -> None:
        """The request is whole; it is our turn, unless it was answered before it was whole."""
        super().on_message_complete()
        self._body = False
        if not self.cycle.response_complete:
            self.due = None

    def on_response_complete(self) -> None:
        """Wait for the next head, or go on with a request that is there already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._await_head()
        elif self._body:  # its body was not read meanwhile
            self.due = self.loop.time() + self._limits.body_seconds

    def _await_head(self) -> None:
        self._body = False
        self.due = self.loop.time() + self._limits.header_seconds

    # What has taken too long

    def check(self, now: float) -> None:
        """Refuse what is overdue, and let go of a client that takes nothing."""
        if self.due is not None and now > self.due and not self.flow.read_paused:
            self.due = None
            if self._body:
                self._mark(LATE, True)
                self.cycle.keep_alive = False
                self.cycle.message_event.set()  # whoever waits for the body looks at the scope
            elif self._begun:
                self.refuse(RequestTimeout("the head of the request did not come in time"))
            else:
                self.transport.close()
        if not self.flow.write_paused:
            self._stalled_since = 0.0
        elif not self._stalled_since:
            self._stalled_since, self._stalled_bytes = now, self.transport.get_write_buffer_size()
        elif now - self._stalled_since > self._limits.send_seconds:
            left = self.transport.get_write_buffer_size()
            if self._stalled_bytes - left < TAKEN_BYTES_MIN:
                self.transport.abort()
            self._stalled_since, self._stalled_bytes = now, left

    # What is no request

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read."""
        self.refuse(ConfigError("what was sent is not HTTP/1.1 as this server reads it"))

    def refuse(self, error: AthenaError) -> None:
        """Answer in the place of the application, unless it has begun to, and close the connection."""
        cycle: Any = self.cycle
        answering = cycle is not None and cycle.response_started and not cycle.response_complete
        if not self.transport.is_closing() and not answering and not self.pipeline:
            body, headers = self._edge.refusal(error)
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self.transport.write(b"".join((STATUS_LINE[status_of(error)], *lines, b"\r\n", body)))
        self.transport.close()
