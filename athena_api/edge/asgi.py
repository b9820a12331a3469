"""ASGI: the shapes that the layers of the application pass to each other."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HEAD_ERROR = "athena.head_error"
"""Where the protocol puts the error of a request whose head is over a limit."""
BODY_ERROR = "athena.body_error"
"""Where the protocol puts the error of a request whose body ends before it is complete."""
