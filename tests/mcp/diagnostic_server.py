"""A server of the tools that the conformance suite calls, on the server half of MCP and a real socket."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import uvicorn

from athena_core.clock import iso
from athena_core.mcp.served import (
    Elicitation,
    ElicitationAnswer,
    Headers,
    McpService,
    NeedsInput,
    ResourceText,
    ServedCall,
    ServedError,
    ServedResource,
    ServedResult,
    ServedTask,
    ServedTool,
    unknown_resource,
    unknown_task,
    unknown_tool,
)
from athena_core.mcp.serving import McpServing
from athena_core.mcp.versions import INVALID_PARAMS, MISSING_CAPABILITY, TASKS
from tests.support.api import soon

STATIC = "test://static-text"
NAME: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
WHO = Elicitation("What is your name?", NAME)
COLOR = Elicitation("What is your favorite color?", {**NAME, "properties": {"color": {"type": "string"}}})
CONFIRM = Elicitation("Please confirm", {"type": "object", "properties": {"ok": {"type": "boolean"}}})
USER = Elicitation(
    "",
    {
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    },
)
DEFAULTS = Elicitation(
    "Review the defaults.",
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
    },
)
TITLED = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
PLAIN = ["option1", "option2", "option3"]
ENUMS = Elicitation(
    "Choose.",
    {
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": PLAIN},
            "titledSingle": {"type": "string", "oneOf": TITLED},
            "legacyEnum": {"type": "string", "enum": PLAIN, "enumNames": ["One", "Two", "Three"]},
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": PLAIN}},
            "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
        },
    },
)
FORMS = {
    "test_elicitation": USER,
    "test_elicitation_sep1034_defaults": DEFAULTS,
    "test_elicitation_sep1330_enums": ENUMS,
}
"""Tools before 2026-07-28 that show a form."""
ROUNDS: Mapping[str, tuple[Mapping[str, Elicitation], ...]] = {
    "test_input_required_result_elicitation": ({"user_name": WHO},),
    "test_input_required_result_request_state": ({"confirm": CONFIRM},),
    "test_input_required_result_multi_round": ({"step1": WHO}, {"step2": COLOR}),
    "test_input_required_result_tampered_state": ({"confirm": CONFIRM},),
    "test_input_required_result_capabilities": ({"user_name": WHO},),
    "test_streaming_elicitation": ({"user_name": WHO},),
    "test_tool_with_task": ({"user_name": WHO},),
}
"""Tools of 2026-07-28 that ask in rounds."""
STATE = "state-of-round-"
JOBS = ("slow_compute", "failing_job", "confirm_delete", "multi_input")
REQUIRED = frozenset(("failing_job",))
"""Jobs that are only for clients that know tasks."""
PLAIN_TOOLS = (
    "test_simple_text",
    "test_logging_tool",
    "test_error_handling",
    "test_tool_with_progress",
    "test_missing_capability",
    "greet",
)
EMPTY: dict[str, Any] = {"type": "object"}
NOW = iso(0)


class Job:
    """A task: when it ends, what it needs, and its result."""

    def __init__(self, result: ServedResult, seconds: float, requests: Mapping[str, Elicitation]) -> None:
        self.result = result
        self.requests = dict(requests)
        self.cancelled = False
        self.due = asyncio.get_running_loop().time() + seconds

    def shown(self, task_id: str) -> ServedTask:
        if self.cancelled:
            return ServedTask(task_id, "cancelled", NOW, NOW)
        if self.requests:
            return ServedTask(task_id, "input_required", NOW, NOW, requests=self.requests)
        if asyncio.get_running_loop().time() < self.due:
            return ServedTask(task_id, "working", NOW, NOW, poll_ms=100)
        return ServedTask(task_id, "completed", NOW, NOW, result=self.result)


class Diagnostics(McpService):
    """The tools, resources and tasks of the suite. One object serves all requests."""

    has_resources = True
    has_tasks = True

    def __init__(self) -> None:
        self._forms: dict[str, asyncio.Future[ElicitationAnswer]] = {}
        self._jobs: dict[str, Job] = {}
        self._numbers = count(1)

    async def tools(self) -> Sequence[ServedTool]:
        names = (*PLAIN_TOOLS, *FORMS, *ROUNDS, *JOBS)
        return [ServedTool(name, f"The tool {name}.", EMPTY) for name in names]

    async def call(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        name = call.arguments.get("name", "")
        match call.tool:
            case "test_simple_text" | "test_logging_tool":
                return ServedResult("This is a simple text response for testing.")
            case "greet":
                return ServedResult(f"Hello, {name}!")
            case "test_error_handling":
                return ServedResult("This tool intentionally returns an error for testing", is_error=True)
            case "test_tool_with_progress":
                for done in (0, 50, 100):
                    await call.progress(done, total=100)
                return ServedResult("It made progress.")
            case "test_missing_capability":
                raise missing({"sampling": {}})
        if call.tool in FORMS:
            return await self._form(call)
        if call.tool in ROUNDS:
            return self._round(call)
        if call.tool in JOBS:
            return self._job(call)
        raise unknown_tool(call.tool)

    async def _form(self, call: ServedCall) -> ServedResult:
        request_id = f"form-{next(self._numbers)}"
        self._forms[request_id] = asyncio.get_running_loop().create_future()
        form = FORMS[call.tool]
        shown = await call.elicit(request_id, form._replace(message=call.arguments.get("message", form.message)))
        if not shown:
            return ServedResult("The client shows no forms.", is_error=True)
        answer = await self._forms[request_id]
        return ServedResult(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")

    def _round(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        rounds = ROUNDS[call.tool]
        begun = int(call.state.removeprefix(STATE)) if call.state in {f"{STATE}{n}" for n in (0, 1, 2)} else 0
        if call.state is not None and call.state != f"{STATE}{begun}":
            raise ServedError(INVALID_PARAMS, "The state was changed.")
        if call.answers.keys() >= rounds[begun].keys():
            begun += 1
        if begun < len(rounds):
            if not call.caller.elicitation:
                return ServedResult("The client shows no forms.", is_error=True)
            return NeedsInput(rounds[begun], f"{STATE}{begun}")
        (answer,) = call.answers.values()
        said = ServedResult(f"state-ok: Hello, {(answer.content or {}).get('name')}!")
        return self._begin(said, 0.1, {}) if call.tool == "test_tool_with_task" else said

    def _job(self, call: ServedCall) -> ServedResult | ServedTask:
        seconds, requests = 0.2, dict[str, Elicitation]()
        result = ServedResult("done", is_error=call.tool == "failing_job")
        if call.tool == "slow_compute":
            seconds = call.arguments.get("seconds", 0)
        elif call.tool == "confirm_delete":
            requests = {f"confirm-{next(self._numbers)}": CONFIRM}
        elif call.tool == "multi_input":
            requests = {f"{part}-{next(self._numbers)}": WHO for part in ("first", "second")}
        if not call.caller.tasks:
            if call.tool in REQUIRED or seconds:
                raise missing({"extensions": {TASKS: {}}})
            return result
        return result if not seconds else self._begin(result, seconds, requests)

    def _begin(self, result: ServedResult, seconds: float, requests: Mapping[str, Elicitation]) -> ServedTask:
        task_id = f"task-{next(self._numbers)}"
        self._jobs[task_id] = Job(result, seconds, requests)
        return self._jobs[task_id].shown(task_id)._replace(status="working")

    async def answered(self, request_id: str, answer: ElicitationAnswer) -> None:
        self._forms[request_id].set_result(answer)

    async def resources(self) -> Sequence[ServedResource]:
        return [ServedResource(STATIC, "static-text", "A text.", "text/plain")]

    async def resource_templates(self) -> Sequence[ServedResource]:
        return [ServedResource("test://template/{id}/data", "template", "Data of an id.")]

    async def read_resource(self, uri: str) -> ResourceText:
        if uri == STATIC:
            return ResourceText(uri, "This is the content of the static text resource.", "text/plain")
        parts = uri.split("/")
        if uri.startswith("test://template/") and len(parts) == 5:
            data = {"id": parts[3], "templateTest": True, "data": f"Data for ID: {parts[3]}"}
            return ResourceText(uri, json.dumps(data))
        raise unknown_resource(uri)

    async def task(self, task_id: str) -> ServedTask:
        if task_id not in self._jobs:
            raise unknown_task()
        return self._jobs[task_id].shown(task_id)

    async def update_task(self, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
        if task_id not in self._jobs:
            raise unknown_task()
        for key in answers:
            self._jobs[task_id].requests.pop(key, None)

    async def cancel_task(self, task_id: str) -> None:
        job = self._jobs.get(task_id)
        if job is None:
            raise unknown_task()
        job.cancelled = job.shown(task_id).status != "completed"


def missing(capabilities: Mapping[str, Any]) -> ServedError:
    return ServedError(
        MISSING_CAPABILITY,
        "Missing required client capability.",
        {"requiredCapabilities": capabilities},
        status=400,
    )


class _Answer:
    def __init__(self, send: Callable[[Any], Any]) -> None:
        self._send = send

    async def start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def send(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})


@contextmanager
def diagnostic_server() -> Iterator[str]:
    """Serve in a thread. Yield the URL."""
    numbers = count(1)
    serving = McpServing("diagnostics", "Diagnostics", "1", lambda: f"nonce-{next(numbers):016d}")
    service = Diagnostics()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = _Answer(send)
        if scope["method"] != "POST":
            await answer.start(405, [(b"allow", b"POST")])
            await answer.send(b"", more=False)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await serving.serve(body, scope["headers"], service, answer)

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        for _ in soon():
            if server.started:
                break
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = True
        thread.join()
