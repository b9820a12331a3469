"""The side of Athena as an MCP server: the tools, resources and tasks that a service offers, and its answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.mcp.versions import INTERNAL_ERROR, INVALID_PARAMS

JsonObject: TypeAlias = Mapping[str, Any]
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Header fields in their order, with names in lower case."""
TaskStatus: TypeAlias = Literal["working", "input_required", "completed", "failed", "cancelled"]
ElicitationAction: TypeAlias = Literal["accept", "decline", "cancel"]


class ServedError(Exception):
    """A JSON-RPC error that answers a request.

    Without a ``status``, the HTTP status follows from the code and the version of the protocol. ``data`` is JSON.
    """

    def __init__(
        self,
        code: int,
        message: str,
        data: JsonObject | None = None,
        *,
        status: int | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status
        self.headers = headers


class ServedTool(NamedTuple):
    """A tool as a client lists it. Schemas are JSON objects, also as ``msgspec.Raw``."""

    name: str
    description: str
    input_schema: JsonObject | msgspec.Raw
    output_schema: JsonObject | msgspec.Raw | None = None
    annotations: JsonObject | msgspec.Raw | None = None
    """Hints such as ``readOnlyHint``."""
    title: str | None = None


class ServedResult(NamedTuple):
    """The result of a tool. ``structured`` is JSON for programs, and ``text`` what a model reads."""

    text: str
    structured: Any = None
    is_error: bool = False


class Elicitation(NamedTuple):
    """A form for the person at the client: a message, and a flat JSON schema of its fields."""

    message: str
    schema: JsonObject


class ElicitationAnswer(msgspec.Struct, frozen=True):
    """The answer to an elicitation. ``content`` holds the fields of an accepted form."""

    action: ElicitationAction
    content: dict[str, Any] | None = None


class NeedsInput(NamedTuple):
    """The answer to a call that needs a person, for clients of 2026-07-28. The client repeats the call with answers.

    ``state`` comes back with it. A client can change it, so it must grant nothing.
    """

    requests: Mapping[str, Elicitation]
    state: str | None = None


class ServedTask(NamedTuple):
    """A task of the extension ``io.modelcontextprotocol/tasks``. Times are ISO-8601.

    ``result`` belongs to a completed task, ``requests`` to one that needs input.
    """

    task_id: str
    status: TaskStatus
    created_at: str
    updated_at: str
    message: str | None = None
    result: ServedResult | None = None
    requests: Mapping[str, Elicitation] = {}
    poll_ms: int = 2_000


class ServedResource(NamedTuple):
    """A resource, or the template of one if ``uri`` has a variable in braces."""

    uri: str
    name: str
    description: str
    mime_type: str = "application/json"


class ResourceText(NamedTuple):
    """The content of a resource."""

    uri: str
    text: str
    mime_type: str = "application/json"


class McpCaller(NamedTuple):
    """The client of one request, as it describes itself. None of it grants anything."""

    version: str
    """The version of the protocol."""
    modern: bool
    """True from 2026-07-28 on: each request stands alone, and the server sends no requests."""
    elicitation: bool = False
    """True if it shows forms to a person."""
    tasks: bool = False
    """True if it understands a task as the answer to a call."""


class ServedCall:
    """One call of a tool.

    ``key`` makes a repeated call safe; None if the client gave nothing that makes one. ``answers`` and ``state`` are
    what a client of 2026-07-28 sends again after ``NeedsInput``.
    """

    def __init__(
        self,
        tool: str,
        arguments: dict[str, Any],
        caller: McpCaller,
        *,
        key: str | None = None,
        answers: Mapping[str, ElicitationAnswer] | None = None,
        state: str | None = None,
        send: Callable[[JsonObject], Awaitable[bool]] | None = None,
        progress_token: str | int | None = None,
    ) -> None:
        self.tool = tool
        self.arguments = arguments
        self.caller = caller
        self.key = key
        self.answers = answers or {}
        self.state = state
        self._send = send
        self._progress_token = progress_token
        self._progress = 0.0

    @property
    def shows_progress(self) -> bool:
        """True if the client wants to see progress."""
        return self._progress_token is not None and self._send is not None

    async def progress(self, done: float, message: str | None = None, total: float | None = None) -> None:
        """Show progress if the client wants to see it.

        The protocol demands that progress grows, so a value that does not is sent as a little more than the last one.
        """
        if self._progress_token is None or self._send is None:
            return
        self._progress = done if done > self._progress else self._progress + 0.001
        params = {"progressToken": self._progress_token, "progress": self._progress, "total": total, "message": message}
        given = {name: value for name, value in params.items() if value is not None}
        await self._send({"jsonrpc": "2.0", "method": "notifications/progress", "params": given})

    async def elicit(self, request_id: str, elicitation: Elicitation) -> bool:
        """Show a form at a client before 2026-07-28. Return False if that is not possible.

        The answer arrives as a request of its own, perhaps at another server: ``McpService.answered`` gets it with the
        id. So the id must say all that the answer needs.
        """
        if self._send is None or self.caller.modern or not self.caller.elicitation:
            return False
        params = elicitation_params(elicitation)
        message = {"jsonrpc": "2.0", "id": request_id, "method": "elicitation/create", "params": params}
        return await self._send(message)


class McpService:
    """The offer of a server to one caller. The transport makes one for each request."""

    instructions: str | None = None
    has_resources = False
    has_tasks = False

    async def tools(self) -> Sequence[ServedTool]:
        """Return the tools of this caller."""
        return ()

    async def call(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        """Call a tool. Raise ServedError, for example ``unknown_tool``.

        A failure that the model should read is a result with ``is_error``. The task that runs this is cancelled when
        the client hangs up or cancels the call. A ``NeedsInput`` is only for callers that are ``modern`` and show
        forms, and a ``ServedTask`` only for callers that understand ``tasks``.
        """
        raise unknown_tool(call.tool)

    async def answered(self, request_id: str, answer: ElicitationAnswer) -> None:
        """Take the answer to an elicitation that any server of this service sent."""

    async def resources(self) -> Sequence[ServedResource]:
        """Return the first resources of this caller."""
        return ()

    async def resource_templates(self) -> Sequence[ServedResource]:
        """Return the templates of resources."""
        return ()

    async def read_resource(self, uri: str) -> ResourceText:
        """Return a resource. Raise ServedError."""
        raise unknown_resource(uri)

    async def task(self, task_id: str) -> ServedTask:
        """Return a task. Raise ServedError."""
        raise unknown_task()

    async def update_task(self, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
        """Answer requests of a task, and ignore answers to others. Raise ServedError."""
        raise unknown_task()

    async def cancel_task(self, task_id: str) -> None:
        """Cancel a task. Raise ServedError."""
        raise unknown_task()

    def hide(self, text: str) -> str:
        """Return a text without secrets. What a client sent passes through it before it is repeated."""
        return text

    def refusal(self, error: Exception) -> ServedError:
        """Return the answer to an unexpected error of a method above, and report the error."""
        return ServedError(INTERNAL_ERROR, "The server failed to answer this request.")


def elicitation_params(elicitation: Elicitation) -> JsonObject:
    """Return the parameters of ``elicitation/create``."""
    return {"mode": "form", "message": elicitation.message, "requestedSchema": elicitation.schema}


def unknown_tool(name: str) -> ServedError:
    """Return the error for a tool that is not listed."""
    return ServedError(INVALID_PARAMS, f"Unknown tool: {name!r}. Call tools/list for the names.")


def unknown_resource(uri: str) -> ServedError:
    """Return the error for a resource that does not exist."""
    return ServedError(INVALID_PARAMS, f"Unknown resource: {uri!r}.", {"uri": uri})


def unknown_task() -> ServedError:
    """Return the error for a task that does not exist, or that the caller may not see."""
    return ServedError(INVALID_PARAMS, "No task has this id.")
