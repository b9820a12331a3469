"""Requests to operations from within this process, on behalf of the caller of ``/mcp``.

They pass through the endpoint like any request of the API. So role, scope, limits, halts, idempotency, the record of a
denial and the mask of secrets are the same, and no right exists here that does not exist there.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from athena_api.edge.asgi import Message, Scope
from athena_api.edge.exchange import AnswerPort, lines_of
from athena_api.endpoint.endpoint import REPLAYED, Endpoint
from athena_api.endpoint.operation import PREFIX
from athena_api.plane import ControlPlane
from athena_core.mcp.served import ServedError
from athena_core.mcp.versions import INVALID_PARAMS
from athena_core.values import Identity

FORWARDED = frozenset((b"traceparent", b"tracestate"))


class DispatchedAnswer(NamedTuple):
    """The answer of an operation: its data, or its error with ``code``, ``message`` and so on."""

    status: int
    data: Any
    error: Mapping[str, Any] | None
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """True if the operation did what it was asked."""
        return self.error is None


class Dispatch:
    """Sends requests to operations with the identity and the trace id of one request to ``/mcp``."""

    def __init__(self, plane: ControlPlane, endpoint: Endpoint, scope: Scope) -> None:
        self.plane = plane
        self._endpoint = endpoint
        self._outer = scope
        self._forwarded = [field for field in scope["headers"] if field[0] in FORWARDED]
        self._writes: set[asyncio.Task[None]] = set()
        self.identity: Identity = scope["athena.identity"]

    def allows(self, operation: str) -> bool:
        """Return True if the role of the caller allows an operation. Nothing is recorded."""
        return self.plane.access.allows(self.identity, operation)

    async def request(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        path: str,
        names: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        key: str | None = None,
        respond_async: bool = False,
    ) -> DispatchedAnswer:
        """Send a request. ``path`` belongs to a row of the table, and ``names`` fills its parameters.

        A GET ends if this task is cancelled. Any other request is executed to its end, as it would be for a client that
        hangs up. Raise ServedError for an empty name.
        """
        headers = [*self._forwarded]
        if key is not None:
            headers.append((b"idempotency-key", key.encode("latin-1", "replace")))
        if respond_async:
            headers.append((b"prefer", b"respond-async"))
        raw_path = PREFIX + _filled(path, names or {})
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": PREFIX + _filled(path, names or {}, quoted=False),
            "raw_path": raw_path.encode(),
            "query_string": urlencode(query or {}).encode(),
            "headers": headers,
            "client": self._outer.get("client"),
            "server": self._outer.get("server"),
            "athena.identity": self.identity,
            "athena.trace": self._outer["athena.trace"],
        }
        exchange = _Exchange(b"" if body is None else msgspec.json.encode(body))
        if method == "GET":
            await self._endpoint.answer(scope, exchange.receive, exchange)
        else:
            task = asyncio.ensure_future(self._endpoint.answer(scope, exchange.receive, exchange))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
            await asyncio.shield(task)
        if "athena.run_id" in scope:
            self._outer["athena.run_id"] = scope["athena.run_id"]
        return exchange.decoded()


class _Exchange(AnswerPort):
    """The channel of one request: its body, and its answer as it arrives."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 0
        self._head = b""
        self._content = bytearray()

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            await asyncio.Event().wait()  # the client is still there; if it leaves, the task of this wait is cancelled
        return {"type": "http.request", "body": body, "more_body": False}

    async def respond(self, status: int, head: bytes, body: bytes) -> None:
        self._status, self._head = status, head
        self._content += body

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._head = message["status"], lines_of(message["headers"])
        else:
            self._content += message.get("body", b"")

    def decoded(self) -> DispatchedAnswer:
        envelope = msgspec.json.decode(bytes(self._content))
        return DispatchedAnswer(self._status, envelope.get("data"), envelope.get("error"), REPLAYED in self._head)


def _filled(path: str, names: Mapping[str, str], *, quoted: bool = True) -> str:
    """Return a path with its parameters. Each stays one segment, whatever it contains. Raise ServedError."""
    segments = []
    for segment in path.split("/"):
        if segment.startswith(":"):
            value = names[segment[1:]]
            if not value.strip("/"):
                raise ServedError(INVALID_PARAMS, f"{segment[1:]} is empty.")
            segments.append(quote(value, safe="") if quoted else value)
        else:
            segments.append(segment)
    return "/".join(segments)
