"""The tools of ``/mcp``: rows of the table of operations that opt in, and the wait for a run."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from athena_api.document.schemas import Json
from athena_api.edge.replies import clean
from athena_api.endpoint.operation import Operation
from athena_api.mcp.asks import answer_ask_by_form, answerable_asks
from athena_api.mcp.bounded import bounded, result_of
from athena_api.mcp.dispatch import Dispatch, DispatchedAnswer
from athena_api.mcp.run_text import run_output, run_result, workflow_output, workflow_result, workflow_started
from athena_api.mcp.run_wait import ClientRunWait
from athena_api.mcp.tasks import Run, task_of
from athena_api.mcp.tool_schemas import PAGE_ITEMS_TOOL, ToolInput, inputs_of, output_of, outputs_of
from athena_api.mcp.tool_words import WAIT_SECONDS_DEFAULT, WAIT_SECONDS_MAX, WORDS, ToolWords
from athena_api.operations import OPERATIONS
from athena_core.domain import workflow_run
from athena_core.mcp.served import NeedsInput, ServedCall, ServedResult, ServedTask, ServedTool, unknown_tool

Outcome: TypeAlias = ServedResult | NeedsInput | ServedTask
Arguments: TypeAlias = dict[str, Any]

WAIT_FOR_RUN: Final = "wait_for_run"
RUN_PATH: Final = "/runs/:runId"
WORKFLOW_RUN_PATH: Final = "/workflows/run/:id"
WAITED_ON: Final = "getRun"
"""The operation whose rights the wait for a run needs."""
OF_WAIT: Final = ToolInput({"required": ["runId"]}, (), frozenset(), frozenset())
ERROR_BYTES_MAX: Final = 8_000


class ApiTool(NamedTuple):
    """A tool: its operation, the input of that, and the tool as clients list it."""

    operation: Operation[Any, Any]
    input: ToolInput
    served: ServedTool


class BadCall(Exception):
    """The arguments of a call do not fit its tool. The message is for the model."""


@cache
def tools() -> Mapping[str, ApiTool]:
    """Return all tools by name, in the order of the words. Computed once, at the first request of a client."""
    rows = {row.mcp: row for row in OPERATIONS if row.mcp is not None}
    waited_on = next(row for row in OPERATIONS if row.id == WAITED_ON)
    inputs, outputs = inputs_of([*rows.values()]), _outputs(rows)
    found: dict[str, ApiTool] = {}
    for name, words in WORDS.items():
        if name == WAIT_FOR_RUN:
            found[name] = _tool(name, waited_on, OF_WAIT, words, outputs[name])
        else:
            row = rows.pop(name)
            found[name] = _tool(name, row, inputs[row.id], words, outputs[name])
    if rows:
        raise ValueError(f"no words for the tools {', '.join(map(str, rows))}")
    return found


def _outputs(rows: Mapping[str, Operation[Any, Any]]) -> Mapping[str, Json]:
    """Return the schema of the results of each tool that are no errors of a request."""
    answers = outputs_of(rows)
    run = run_output(answers["get_run"], answers["answer_ask"])
    started, details = answers["run_workflow"], answers["get_workflow_run"]
    workflow = workflow_output(started, details)
    return {
        **{name: output_of(answer) for name, answer in answers.items()},
        **dict.fromkeys(("start_run", "retry_run", "get_run"), run),
        WAIT_FOR_RUN: {"type": "object", "anyOf": [run, workflow]},
        "run_workflow": workflow_output(started),
        "get_workflow_run": workflow,
    }


def _tool(name: str, row: Operation[Any, Any], given: ToolInput, words: ToolWords, output: Json) -> ApiTool:
    properties = {
        member: part for member, part in given.schema.get("properties", {}).items() if member not in words.without
    }
    schema: dict[str, Any] = {"type": "object", "properties": {**properties, **words.adds}}
    if required := given.schema.get("required"):
        schema["required"] = required
    changes = row.method != "GET" if words.changes is None else words.changes
    hints = {"destructiveHint": words.destroys} if changes else {"readOnlyHint": True}
    return ApiTool(row, given, ServedTool(name, words.text, schema, output, hints))


def tools_of(dispatch: Dispatch) -> list[ServedTool]:
    """Return the tools that the role of the caller allows."""
    allows, who = dispatch.plane.access.allows, dispatch.identity
    return [tool.served for tool in tools().values() if allows(who, tool.operation.id)]


async def call_tool(dispatch: Dispatch, called: ServedCall) -> Outcome:
    """Call a tool. A failure that the model should read is a result with ``is_error``. Raise ServedError."""
    tool = tools().get(called.tool)
    if tool is None:
        raise unknown_tool(called.tool)
    try:
        arguments = _checked(tool.served, called.arguments)
        own = OWN.get(called.tool)
        return await (own(dispatch, called, tool, arguments) if own else _answer(dispatch, called, tool, arguments))
    except BadCall as problem:
        return ServedResult(clean(str(problem)), is_error=True)


def _checked(tool: ServedTool, given: Mapping[str, Any]) -> Arguments:
    """Return the arguments without nulls, which stand for absent ones. Raise BadCall."""
    assert isinstance(tool.input_schema, dict)
    properties = tool.input_schema["properties"]
    arguments = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(arguments.keys() - properties.keys()):
        known = ", ".join(properties) or "no arguments"
        raise BadCall(f"{tool.name} has no argument {', '.join(unknown)}. It takes: {known}.")
    if missing := [name for name in tool.input_schema.get("required", ()) if name not in arguments]:
        raise BadCall(f"{tool.name} requires {', '.join(missing)}.")
    return arguments


async def _request(
    dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments, *, respond_async: bool = False
) -> DispatchedAnswer:
    """Send the request of a tool through the endpoint, so that all rules of the API hold. Raise BadCall."""
    row, given = tool.operation, tool.input
    names = {name: _text(name, arguments[name]) for name in given.path}
    query: dict[str, str | int] = {name: _text(name, arguments[name]) for name in given.query if name in arguments}
    if "limit" in given.query:
        query.setdefault("limit", PAGE_ITEMS_TOOL)
    if row.method == "GET":
        return await dispatch.request("GET", row.path, names, query=query)
    body = {name: arguments[name] for name in given.body if name in arguments}
    return await dispatch.request(
        row.method, row.path, names, query=query, body=body, key=called.key, respond_async=respond_async
    )


def _text(name: str, value: Any) -> str:
    """Return an argument as a part of a URL. Raise BadCall."""
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float) or value == "":
        raise BadCall(f"{name} must be a text or a number, and not empty.")
    return str(value)


async def _answer(dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments) -> ServedResult:
    answer = await _request(dispatch, called, tool, arguments)
    return _error(answer) or result_of(answer.data)


def _error(answer: DispatchedAnswer) -> ServedResult | None:
    """Return the error of an answer for the model, None if the request succeeded."""
    if answer.error is None:
        return None
    return ServedResult(bounded({"error": answer.error}, bytes_max=ERROR_BYTES_MAX), is_error=True)


# Tools with more than one request


async def _start(dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments) -> Outcome:
    """Start or retry a run, and wait for it a little. A call that is repeated with answers starts nothing."""
    seconds = _seconds(arguments)
    if called.state is not None:
        return await _wait(dispatch, called, called.state, seconds)
    answer = await _request(dispatch, called, tool, arguments, respond_async=True)
    if (error := _error(answer)) is not None:
        return error
    if called.caller.tasks:
        return task_of(answer.data)
    return await _wait(dispatch, called, answer.data["runId"], seconds)


async def _wait_for_run(dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments) -> Outcome:
    run_id = _text("runId", arguments["runId"])
    return await _wait(dispatch, called, run_id, _seconds(arguments))


async def _wait(dispatch: Dispatch, called: ServedCall, run_id: str, seconds: int) -> Outcome:
    """Wait for a run, or for a run of a workflow. Return it as it is then."""
    for shown, given in called.answers.items():
        answered = await answer_ask_by_form(dispatch, shown, given)
        if answered is not None and (error := _error(answered)) is not None:
            return error
    if workflow_run.DECIDER.owns(run_id):
        return await _wait_for_workflow(dispatch, run_id, seconds)
    before = await dispatch.request("GET", RUN_PATH, {"runId": run_id})
    if (error := _error(before)) is not None:
        return error
    needed = await ClientRunWait(dispatch, called, run_id).within(before.data["sessionId"], seconds)
    if needed is not None:
        return needed
    after = await dispatch.request("GET", RUN_PATH, {"runId": run_id})
    return _error(after) or await _shown(dispatch, after.data)


async def _shown(dispatch: Dispatch, run: Run, output_from: int = 0) -> ServedResult:
    """Return a run with its open asks that the caller may answer."""
    asks = await answerable_asks(dispatch, run["runId"]) if (run.get("waiting") or {}).get("asks") else ()
    return run_result(run, asks, output_from)


async def _wait_for_workflow(dispatch: Dispatch, run_id: str, seconds: int) -> ServedResult:
    before = await dispatch.request("GET", WORKFLOW_RUN_PATH, {"id": run_id})
    if (error := _error(before)) is not None:
        return error
    await dispatch.plane.workflows.settled(run_id, seconds)
    after = await dispatch.request("GET", WORKFLOW_RUN_PATH, {"id": run_id})
    return _error(after) or workflow_result(after.data)


async def _get_run(dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments) -> ServedResult:
    answer = await _request(dispatch, called, tool, arguments)
    if (error := _error(answer)) is not None:
        return error
    shown = await _shown(dispatch, answer.data, _whole(arguments, "outputFrom", 0))
    return shown._replace(is_error=False)


async def _run_workflow(dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments) -> ServedResult:
    answer = await _request(dispatch, called, tool, arguments, respond_async=True)
    return _error(answer) or workflow_started(answer.data)


async def _get_workflow_run(
    dispatch: Dispatch, called: ServedCall, tool: ApiTool, arguments: Arguments
) -> ServedResult:
    answer = await _request(dispatch, called, tool, arguments)
    return _error(answer) or workflow_result(answer.data)


def _seconds(arguments: Arguments) -> int:
    """Return how long to wait. More than the maximum counts as the maximum. Raise BadCall."""
    return min(_whole(arguments, "waitSeconds", WAIT_SECONDS_DEFAULT), WAIT_SECONDS_MAX)


def _whole(arguments: Arguments, name: str, default: int) -> int:
    value: object = arguments.get(name, default)
    if isinstance(value, float) and value.is_integer():  # as some models write numbers
        return _whole({name: int(value)}, name, default)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise BadCall(f"{name} must be a whole number, 0 or more.")


OwnTool: TypeAlias = Callable[[Dispatch, ServedCall, ApiTool, Arguments], Awaitable[Outcome]]
OWN: Final[Mapping[str, OwnTool]] = {
    "start_run": _start,
    "retry_run": _start,
    WAIT_FOR_RUN: _wait_for_run,
    "get_run": _get_run,
    "run_workflow": _run_workflow,
    "get_workflow_run": _get_workflow_run,
}
"""The tools that need more than one request, or show an answer in their own way."""
