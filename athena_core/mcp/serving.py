"""The server half of the Model Context Protocol over HTTP, in both eras and without any state between requests.

It knows no transport: a body and header fields go in, and an ``AnswerWriter`` takes the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import UNSET

from athena_core.mcp.requests import (
    SESSION_HEADER,
    VERSION_HEADER,
    McpRequest,
    McpSession,
    ServedMessage,
    fields_of,
    invalid_request,
    is_id,
    read_message,
    request_of,
    shows_forms,
)
from athena_core.mcp.served import (
    ElicitationAnswer,
    Headers,
    JsonObject,
    McpService,
    NeedsInput,
    ServedCall,
    ServedError,
    ServedResource,
    ServedResult,
    ServedTask,
    ServedTool,
    elicitation_params,
)
from athena_core.mcp.versions import (
    HANDSHAKES,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_CAPABILITY,
    MODERN,
    SERVER_KEY,
    TASKS,
)

JSON: Final = (b"content-type", b"application/json")
SSE: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
PING: Final = b": ping\n\n"
LIST_MS: Final = 60_000
"""Time in milliseconds for which a client may keep a list."""

MESSAGE_CHARS_MAX = 512
encode = msgspec.json.Encoder().encode


class AnswerWriter(Protocol):
    """The transport of one answer. The task that serves is cancelled if the client hangs up."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the header fields."""

    async def send(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body; the last one has ``more`` False."""


class McpTiming(NamedTuple):
    """When an answer becomes a stream of events, and how often a silent stream gets a comment, in seconds."""

    stream_after: float = 1.0
    ping: float = 15.0


class McpServing:
    """A server: its name, and the calls that are open in this process, so that a notification can cancel one."""

    def __init__(
        self, name: str, title: str, version: str, new_nonce: Callable[[], str], timing: McpTiming | None = None
    ) -> None:
        self._info = {"name": name, "title": title, "version": version}
        self._new_nonce = new_nonce
        self._timing = timing or McpTiming()
        self._open: dict[tuple[str, str, str | int], asyncio.Task[Any]] = {}

    async def serve(
        self, body: bytes, headers: Headers, service: McpService, answer: AnswerWriter, *, owner: str = ""
    ) -> None:
        """Answer one POST. ``owner`` names the identity, so that callers cannot cancel the calls of others."""
        request_id: str | int | None = None
        modern = False
        try:
            message = read_message(body)
            if not isinstance(message.method, str):
                await self._answered(message, service)
                await _send_empty(answer, 202)
                return
            if message.id is UNSET:
                self._notified(message, headers, owner)
                await _send_empty(answer, 202)
                return
            if is_id(message.id):
                _check_repeated("The id", message.id, service)
                request_id = message.id
            modern = _value(headers, VERSION_HEADER) == MODERN.encode()
            request = request_of(message, headers)
            modern = request.caller.modern
            if request.method == "tools/call":
                await self._call(request, headers, service, answer, owner)
                return
            more, result = await self._result(request, service)
            await send_json(answer, 200, {"jsonrpc": "2.0", "id": request.id, "result": result}, more)
        except ServedError as error:
            await send_json(
                answer, _status(error, modern=modern), error_message(request_id, error, service), error.headers
            )
        except Exception as error:
            refusal = service.refusal(error)
            await send_json(
                answer, _status(refusal, modern=modern), error_message(request_id, refusal, service), refusal.headers
            )

    # Messages that get no answer

    async def _answered(self, message: ServedMessage, service: McpService) -> None:
        """Pass on the answer to an elicitation. An answer that is an error or malformed declines it."""
        if not isinstance(message.id, str):
            raise invalid_request("Athena has sent no request with this id.")
        try:
            answer = msgspec.convert(message.result, ElicitationAnswer)
        except msgspec.ValidationError:
            answer = ElicitationAnswer("cancel")
        await service.answered(message.id, answer)

    def _notified(self, message: ServedMessage, headers: Headers, owner: str) -> None:
        """Cancel the call that a notification names, if it is open in this process. Ignore all others."""
        params = message.params if isinstance(message.params, dict) else {}
        request_id = params.get("requestId")
        if message.method != "notifications/cancelled" or not isinstance(request_id, str | int):
            return
        session = fields_of(headers).get(SESSION_HEADER)
        if session is not None:
            task = self._open.get((owner, McpSession.of(session).nonce, request_id))
            if task is not None:
                task.cancel()

    # Requests that are answered at once

    async def _result(self, request: McpRequest, service: McpService) -> tuple[Headers, JsonObject]:
        """Return the header fields and the result of a request other than a call. Raise ServedError."""
        if request.method == "initialize" and not request.caller.modern:
            return self._initialized(request, service)
        method = _METHODS.get(request.method)
        if method is None or method.modern not in (None, request.caller.modern):
            raise _no_method()
        if (method.needs == "resources" and not service.has_resources) or (
            method.needs == "tasks" and not service.has_tasks
        ):
            raise _no_method()
        if method.needs == "tasks" and not request.caller.tasks:
            required: JsonObject = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
            raise ServedError(MISSING_CAPABILITY, "Missing required client capability.", required, status=400)
        result = await method.handle(request, service)
        return (), self._complete(request, result, kept=method.kept)

    def _initialized(self, request: McpRequest, service: McpService) -> tuple[Headers, JsonObject]:
        asked = request.text("protocolVersion")
        version = asked if asked in HANDSHAKES else HANDSHAKES[0]
        forms = version >= "2025-06-18" and shows_forms(request.params.get("capabilities"))
        session = McpSession(version, forms, self._new_nonce())
        result: dict[str, Any] = {
            "protocolVersion": version,
            "capabilities": _capabilities(service, modern=False),
            "serverInfo": self._info,
        }
        if service.instructions is not None:
            result["instructions"] = service.instructions
        return ((SESSION_HEADER, session.id.encode()),), result

    def _complete(self, request: McpRequest, result: JsonObject, *, kept: bool = False) -> JsonObject:
        """Return a result with what 2026-07-28 demands of it. ``kept`` is True if a client may keep it for a while."""
        if not request.caller.modern:
            return result
        added: dict[str, Any] = {"resultType": "complete"}
        if kept:
            added |= {"ttlMs": LIST_MS, "cacheScope": "private"}
        return added | dict(result) | {"_meta": {SERVER_KEY: self._info}}

    # Calls of tools

    async def _call(
        self, request: McpRequest, headers: Headers, service: McpService, answer: AnswerWriter, owner: str
    ) -> None:
        stream = CallStream(answer, self._timing) if accepts_stream(headers) else None
        _check_repeated("params._meta.progressToken", request.meta.get("progressToken"), service)
        call = _call_of(request, stream)
        task = asyncio.create_task(self._called(request, call, service))
        place = (owner, request.session, request.id)
        if request.session:
            self._open[place] = task
        try:
            if stream is not None:
                await stream.follow(task)
            await asyncio.wait({task})
        finally:
            if self._open.get(place) is task:
                del self._open[place]
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
        status, message, more = (200, {}, ()) if task.cancelled() else task.result()
        if stream is not None and stream.begun:
            await stream.end(message or None)
        elif not message:
            await _send_empty(answer, 202)
        else:
            await send_json(answer, status, message, more)

    async def _called(
        self, request: McpRequest, call: ServedCall, service: McpService
    ) -> tuple[int, JsonObject, Headers]:
        """Return the status and the message that answer a call."""
        try:
            result = _call_result(await service.call(call))
            body = result if "resultType" in result else self._complete(request, result)
            return 200, {"jsonrpc": "2.0", "id": request.id, "result": body}, ()
        except ServedError as error:
            refusal = error
        except Exception as error:
            refusal = service.refusal(error)
        return (
            _status(refusal, modern=request.caller.modern),
            error_message(request.id, refusal, service),
            refusal.headers,
        )


class CallStream:
    """The stream of events that answers a call, once it takes long or has something to show."""

    def __init__(self, answer: AnswerWriter, timing: McpTiming) -> None:
        self._answer = answer
        self._timing = timing
        self._writing = asyncio.Lock()
        self.begun = False

    async def send(self, message: JsonObject) -> bool:
        """Send a message before the result. Return True."""
        await self._write(_event(message))
        return True

    async def follow(self, task: "asyncio.Task[Any]") -> None:
        """Wait for the result of a call, and keep the connection alive meanwhile."""
        done, _ = await asyncio.wait({task}, timeout=self._timing.stream_after)
        while not done:
            await self._write(PING)
            done, _ = await asyncio.wait({task}, timeout=self._timing.ping)

    async def end(self, message: JsonObject | None) -> None:
        """Send the result, or nothing if the call was cancelled, and end the stream."""
        async with self._writing:
            await self._answer.send(b"" if message is None else _event(message), more=False)

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            if not self.begun:
                self.begun = True
                await self._answer.start(200, SSE)
            await self._answer.send(data, more=True)


def accepts_stream(headers: Headers) -> bool:
    """Return True if a client accepts a stream of events."""
    return b"text/event-stream" in (_value(headers, b"accept") or b"").lower()


def _call_of(request: McpRequest, stream: CallStream | None) -> ServedCall:
    arguments = request.params.get("arguments")
    if arguments is not None and not isinstance(arguments, dict):
        raise ServedError(INVALID_PARAMS, "params.arguments must be an object.")
    token, state = request.meta.get("progressToken"), request.params.get("requestState")
    return ServedCall(
        request.text("name"),
        arguments or {},
        request.caller,
        key=request.key,
        answers=request.answers() if request.caller.modern else None,
        state=state if isinstance(state, str) else None,
        send=None if stream is None else stream.send,
        progress_token=token if isinstance(token, str | int) and not isinstance(token, bool) else None,
    )


def _call_result(found: ServedResult | NeedsInput | ServedTask) -> JsonObject:
    match found:
        case ServedTask():
            return {"resultType": "task"} | _task(found)
        case NeedsInput(requests, state):
            asked: dict[str, Any] = {"resultType": "input_required", "inputRequests": _input_requests(requests)}
            return asked if state is None else asked | {"requestState": state}
    return _tool_result(found)


def _tool_result(result: ServedResult) -> JsonObject:
    shown: dict[str, Any] = {"content": [{"type": "text", "text": result.text}]}
    if result.structured is not None:
        shown["structuredContent"] = result.structured
    return shown | {"isError": result.is_error}


def _input_requests(requests: Mapping[str, Any]) -> JsonObject:
    return {key: {"method": "elicitation/create", "params": elicitation_params(one)} for key, one in requests.items()}


def _task(task: ServedTask) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "taskId": task.task_id,
        "status": task.status,
        "createdAt": task.created_at,
        "lastUpdatedAt": task.updated_at,
        "ttlMs": None,
        "pollIntervalMs": task.poll_ms,
    }
    if task.message is not None:
        shown["statusMessage"] = task.message
    if task.status == "completed":
        shown["result"] = _tool_result(task.result or ServedResult(""))
    if task.status == "input_required":
        shown["inputRequests"] = _input_requests(task.requests)
    return shown


def _tool(tool: ServedTool) -> JsonObject:
    shown = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _capabilities(service: McpService, *, modern: bool) -> JsonObject:
    shown: dict[str, Any] = {"tools": {}}
    if service.has_resources:
        shown["resources"] = {}
    if service.has_tasks and modern:
        shown["extensions"] = {TASKS: {}}
    return shown


# Methods


class ServedMethod(NamedTuple):
    """A method: its handler, the era that has it (None: both), the capability it needs, and if its result is kept."""

    handle: Callable[[McpRequest, McpService], Awaitable[JsonObject]]
    modern: bool | None = None
    needs: str | None = None
    kept: bool = False


async def _ping(request: McpRequest, service: McpService) -> JsonObject:
    return {}


async def _discover(request: McpRequest, service: McpService) -> JsonObject:
    shown: dict[str, Any] = {
        "supportedVersions": [MODERN],
        "capabilities": _capabilities(service, modern=True),
    }
    return shown if service.instructions is None else shown | {"instructions": service.instructions}


async def _list_tools(request: McpRequest, service: McpService) -> JsonObject:
    _refuse_cursor(request)
    return {"tools": [_tool(tool) for tool in await service.tools()]}


async def _list_resources(request: McpRequest, service: McpService) -> JsonObject:
    _refuse_cursor(request)
    return {"resources": _resources(await service.resources(), "uri")}


async def _list_templates(request: McpRequest, service: McpService) -> JsonObject:
    _refuse_cursor(request)
    return {"resourceTemplates": _resources(await service.resource_templates(), "uriTemplate")}


async def _read_resource(request: McpRequest, service: McpService) -> JsonObject:
    found = await service.read_resource(request.text("uri"))
    return {"contents": [{"uri": found.uri, "mimeType": found.mime_type, "text": found.text}]}


async def _get_task(request: McpRequest, service: McpService) -> JsonObject:
    return _task(await service.task(request.text("taskId")))


async def _update_task(request: McpRequest, service: McpService) -> JsonObject:
    await service.update_task(request.text("taskId"), request.answers())
    return {}


async def _cancel_task(request: McpRequest, service: McpService) -> JsonObject:
    await service.cancel_task(request.text("taskId"))
    return {}


_METHODS: Final[Mapping[str, ServedMethod]] = {
    "ping": ServedMethod(_ping, modern=False),
    "server/discover": ServedMethod(_discover, modern=True, kept=True),
    "tools/list": ServedMethod(_list_tools, kept=True),
    "resources/list": ServedMethod(_list_resources, needs="resources", kept=True),
    "resources/templates/list": ServedMethod(_list_templates, needs="resources", kept=True),
    "resources/read": ServedMethod(_read_resource, needs="resources", kept=True),
    "tasks/get": ServedMethod(_get_task, modern=True, needs="tasks"),
    "tasks/update": ServedMethod(_update_task, modern=True, needs="tasks"),
    "tasks/cancel": ServedMethod(_cancel_task, modern=True, needs="tasks"),
}


def _resources(found: Sequence[ServedResource], member: str) -> list[JsonObject]:
    return [
        {member: one.uri, "name": one.name, "description": one.description, "mimeType": one.mime_type} for one in found
    ]


def _refuse_cursor(request: McpRequest) -> None:
    if request.params.get("cursor") is not None:
        raise ServedError(INVALID_PARAMS, "This list has one page only, so it has no such cursor.")


def _no_method() -> ServedError:
    return ServedError(METHOD_NOT_FOUND, "Method not found.")


# Bytes


def _status(error: ServedError, *, modern: bool) -> int:
    """Return the HTTP status of an error. Before 2026-07-28 the answer to a valid request is 200 in any case."""
    if error.status is not None:
        return error.status
    if not modern or error.code == INTERNAL_ERROR:
        return 200
    return 404 if error.code == METHOD_NOT_FOUND else 400


def error_message(request_id: str | int | None, error: ServedError, service: McpService) -> JsonObject:
    """Return the message that answers an error. Secrets in it are hidden before it is cut."""
    shown: dict[str, Any] = {"code": error.code, "message": _shown(error.message, service)}
    if error.data is not None:
        shown["data"] = {
            name: _shown(part, service) if isinstance(part, str) else part for name, part in error.data.items()
        }
    return {"jsonrpc": "2.0", "id": request_id, "error": shown}


def _shown(text: str, service: McpService) -> str:
    return service.hide(text)[:MESSAGE_CHARS_MAX]


def _check_repeated(name: str, value: object, service: McpService) -> None:
    """Raise ServedError for a value that answers repeat and that holds a secret."""
    if isinstance(value, str) and _shown(value, service) != value[:MESSAGE_CHARS_MAX]:
        raise invalid_request(f"{name} holds a token or another secret. Choose another one, and replace the secret.")


def _event(message: JsonObject) -> bytes:
    return b"event: message\ndata: %b\n\n" % encode(message)


def _value(headers: Headers, name: bytes) -> bytes | None:
    return next((value for field, value in headers if field == name), None)


async def send_json(answer: AnswerWriter, status: int, message: JsonObject, headers: Headers = ()) -> None:
    body = encode(message)
    await answer.start(status, [JSON, (b"content-length", str(len(body)).encode()), *headers])
    await answer.send(body, more=False)


async def _send_empty(answer: AnswerWriter, status: int) -> None:
    await answer.start(status, [(b"content-length", b"0")])
    await answer.send(b"", more=False)
