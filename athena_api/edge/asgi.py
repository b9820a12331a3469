"""Types of ASGI that the layers of the application share."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HEAD_ERROR = "athena.head_error"
"""Key of the error of a request whose head exceeds a limit, set by the protocol."""
EXCHANGE = "athena.exchange"
"""Key of the ``HttpExchange``, which sends answers without messages. Absent without a connection."""
