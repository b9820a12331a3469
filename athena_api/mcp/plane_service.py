"""The offer of the plane to one caller of ``/mcp``."""

from collections.abc import Callable, Mapping, Sequence

from athena_api.mcp import resources, tasks, tool_words, tools
from athena_api.mcp.asks import answer_ask_by_form
from athena_api.mcp.dispatch import Dispatch
from athena_core.mask import Mask
from athena_core.mcp.served import (
    ElicitationAnswer,
    McpService,
    NeedsInput,
    ResourceText,
    ServedCall,
    ServedError,
    ServedResource,
    ServedResult,
    ServedTask,
    ServedTool,
)

SHAPES = Mask()
"""Hides secrets with a shape, such as tokens, whatever the settings say about models."""


class PlaneService(McpService):
    """The tools, resources and tasks of a plane, as the caller of one request sees them."""

    instructions = tool_words.INSTRUCTIONS
    has_resources = True
    has_tasks = True

    def __init__(self, dispatch: Dispatch, refusal: Callable[[Exception], ServedError]) -> None:
        """``refusal`` makes an error of the protocol of any other error, and reports it."""
        self._dispatch = dispatch
        self._refusal = refusal

    def hide(self, text: str) -> str:
        """Hide secrets with a shape, and the secrets of the settings."""
        return SHAPES.hide(self._dispatch.plane.mask.hide(text))

    async def tools(self) -> Sequence[ServedTool]:
        """Return the tools that the role of the caller allows."""
        return tools.tools_of(self._dispatch)

    async def call(self, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
        """Call a tool. Raise ServedError."""
        return await tools.call_tool(self._dispatch, call)

    async def answered(self, request_id: str, answer: ElicitationAnswer) -> None:
        """Answer the ask that a form showed. Raise ServedError if the caller may not."""
        answered = await answer_ask_by_form(self._dispatch, request_id, answer)
        if answered is not None and not answered.ok:
            raise tasks.refused(answered)

    async def resources(self) -> Sequence[ServedResource]:
        """Return the newest runs."""
        return await resources.listed(self._dispatch)

    async def resource_templates(self) -> Sequence[ServedResource]:
        """Return the templates of a run and its transcript."""
        return resources.TEMPLATES

    async def read_resource(self, uri: str) -> ResourceText:
        """Return a run or its transcript. Raise ServedError."""
        return await resources.read(self._dispatch, uri)

    async def task(self, task_id: str) -> ServedTask:
        """Return the task of a run. Raise ServedError."""
        return await tasks.task(self._dispatch, task_id)

    async def update_task(self, task_id: str, answers: Mapping[str, ElicitationAnswer]) -> None:
        """Answer open asks of a run. Raise ServedError."""
        await tasks.update(self._dispatch, task_id, answers)

    async def cancel_task(self, task_id: str) -> None:
        """Cancel a run. Raise ServedError."""
        await tasks.cancel(self._dispatch, task_id)

    def refusal(self, error: Exception) -> ServedError:
        """Return the answer to an unexpected error."""
        return self._refusal(error)
