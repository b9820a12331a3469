"""A wire: what carries requests to a server and its messages back."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Raw

from athena_core.mask import Mask
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.listed_tool import McpTool
from athena_core.rpc.peer import LINE_BYTES_MAX, OPENINGS_MAX, PeerLimits

Transport: TypeAlias = Literal["stdio", "http"]

SERVER_REQUESTS_MAX = 16
"""Maximum number of open requests of a server."""
MESSAGES_MAX = 100_000
"""Maximum number of messages of a server between two answers."""
OPEN_REQUESTS_MAX = 256
"""Maximum number of open requests of this end on one wire."""
WRITE_SECONDS = 5.0
"""Maximum time in which a server reads nothing while its input is full."""
CLOSE_SECONDS = 2.0
"""Maximum time for the last words of a conversation."""
LIMITS = PeerLimits(
    line_bytes=LINE_BYTES_MAX,
    openings=OPENINGS_MAX,
    requests=OPEN_REQUESTS_MAX,
    accepted=SERVER_REQUESTS_MAX,
    write_seconds=WRITE_SECONDS,
)
CANCELLED = "notifications/cancelled"
PROGRESS = "notifications/progress"
TOOLS_CHANGED = "notifications/tools/list_changed"
ELICIT = "elicitation/create"
PING = "ping"


class Receiver(Protocol):
    """The receiver of what a server says while it works on one request."""

    asks: bool
    """True if it answers questions."""
    token: int | None
    """The progress token of the request."""

    def progressed(self, params: Raw) -> None:
        """Note progress."""

    async def asked(self, params: Raw) -> object:
        """Answer a question for the person. Raise RequestFailed."""


class McpWire(Protocol):
    """A conversation with a server. It may be used from several tasks at a time."""

    transport: Transport
    version: str | None
    """The agreed version of the protocol, for the headers of HTTP."""

    @property
    def ended(self) -> McpFailure | None:
        """Why it can carry no more requests; None as long as it can."""

    async def open(self, name: str, mask: Mask, changed: Callable[[], None]) -> None:
        """Connect. ``mask`` is for words of the server, ``changed`` notes that its tools changed. Raise McpFailure."""

    async def reopen(self) -> bool:
        """Start a server again that ended. Return False if there is nothing to start. Raise McpFailure."""

    def note_tools(self, tools: Sequence[McpTool]) -> None:
        """Note the tools as they are listed now."""

    async def request(self, method: str, params: dict[str, Any], receiver: Receiver | None = None) -> Raw:
        """Send a request and return its result. A cancelled one is cancelled at the server. The caller has a deadline.

        Raise RequestFailed, McpFailure.
        """

    def listen(self) -> None:
        """Let the server say something between calls, if it wants to. For versions with a handshake."""

    async def notify(self, method: str) -> None:
        """Send a notification. Raise McpFailure."""

    async def close(self) -> None:
        """End the conversation, and a program with all its processes."""
