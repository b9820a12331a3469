"""The door: ``/mcp`` as an ASGI application beside the endpoint.

A request has passed the request filter, so its host, its origin and its identity are known.
"""

import base64
from functools import partial
from typing import Any, NamedTuple

import anyio

from athena_api.edge.asgi import Receive, Scope, Send
from athena_api.edge.exchange import read_body
from athena_api.edge.replies import clean, status_of
from athena_api.endpoint.endpoint import Endpoint
from athena_api.mcp.dispatch import Dispatch
from athena_api.mcp.plane_service import PlaneService
from athena_api.plane import ControlPlane
from athena_api.streams.sse import LAST_SEND_SECONDS, OpenStream
from athena_core import __version__
from athena_core.errors import Overloaded
from athena_core.event import Meta
from athena_core.mcp.served import Headers, McpService, ServedError
from athena_core.mcp.serving import McpServing, error_message, send_json
from athena_core.mcp.versions import INTERNAL_ERROR, REFUSED
from athena_core.system.watchdog import name_operation

PATH = "/mcp"
MCP_OPERATION = "useMcp"
"""The operation of this door, for authorization. What a tool does is an operation of its own."""
NONCE_BYTES = 18
ALLOW = (b"allow", b"POST")


class McpRoute(NamedTuple):
    """The route of this door, for the counters of traffic."""

    method: str = "POST"
    path: str = PATH
    stream: bool = True


class McpDoor:
    """The application that answers ``/mcp`` in both eras of the protocol, without a session in memory."""

    def __init__(self, plane: ControlPlane, endpoint: Endpoint) -> None:
        self._plane = plane
        self._endpoint = endpoint
        self._serving = McpServing("athena", "Athena", __version__, self._nonce)

    def _nonce(self) -> str:
        return base64.urlsafe_b64encode(self._plane.ids.salt(NONCE_BYTES)).decode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["athena.operation"] = McpRoute()
        name_operation(PATH)
        plane, who = self._plane, scope["athena.identity"]
        stream = OpenStream(plane.streams, receive, who, MCP_OPERATION, counts=False)
        writer = HttpAnswer(stream, send)
        refusal = partial(self._refusal, scope)
        try:
            if scope["method"] != "POST":
                message = "Send messages by POST. This server keeps no sessions and sends nothing on its own."
                raise ServedError(REFUSED, message, status=405, headers=(ALLOW,))
            self._endpoint.limit(who.subject, MCP_OPERATION)
            meta = Meta(
                actor=who.subject,
                correlation=scope["athena.trace"],
                quiet=plane.refusal_limits.exhausted(who.subject),
            )
            await plane.access.require(who, MCP_OPERATION, meta)
            body = await read_body(scope, dict(scope["headers"]), receive, plane.settings.body_bytes_max)
        except ServedError as error:
            await writer.refuse(error)
            return
        except Exception as error:
            await writer.refuse(refusal(error))
            return
        with stream:
            service = PlaneService(Dispatch(plane, self._endpoint, scope), refusal)
            await self._serving.serve(body, scope["headers"], service, writer, owner=who.subject)
        await writer.close(refusal)

    def _refusal(self, scope: Scope, error: Exception) -> ServedError:
        """Return the error of the protocol for any other error, and report an unexpected one."""
        failed = self._endpoint.failure_of(scope["athena.trace"], error, unknown=False)
        if failed.recorded is not None:
            subject = scope["athena.identity"].subject
            self._plane.refusal_limits.refused(subject, MCP_OPERATION, recorded=failed.recorded)
        data: dict[str, Any] = {
            "code": failed.code,
            "retryable": failed.retryable,
            "traceId": scope["athena.trace"],
        }
        status = status_of(failed)
        retry = () if failed.retry_after is None else ((b"retry-after", str(failed.retry_after).encode()),)
        code = INTERNAL_ERROR if status == 500 else REFUSED
        return ServedError(code, clean(failed.message), data, status=status, headers=retry)


class HttpAnswer:
    """The answer to one request. A stream of events counts as an open stream of its caller."""

    def __init__(self, stream: OpenStream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._begun = self._ended = False

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the header fields. Raise StreamLimit or Overloaded for a stream too many."""
        if any(name == b"content-type" and value == b"text/event-stream" for name, value in headers):
            self._stream.count()
        self._begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        self._ended = not more
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def refuse(self, error: ServedError) -> None:
        """Answer an error to a request that was not read."""
        await send_json(self, error.status or 400, error_message(None, error, McpService()), error.headers)

    async def close(self, refusal: Any) -> None:
        """End an answer that was cut off, because the client left, lost its right, or the server drains."""
        if self._ended:
            return
        with anyio.move_on_after(LAST_SEND_SECONDS):
            if self._begun:
                await self.send(b"", more=False)
            else:
                await self.refuse(refusal(Overloaded("The request was cut off. Repeat it.")))
