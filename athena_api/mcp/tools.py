"""The tools of ``/mcp``, computed from the table of operations."""

from collections.abc import Sequence

from athena_api.mcp.dispatch import Dispatch
from athena_core.mcp.served import NeedsInput, ServedCall, ServedResult, ServedTask, ServedTool, unknown_tool
from athena_core.values import Identity

INSTRUCTIONS = (
    "Athena runs AI agents and records all that they do. Start a run, wait for it, read its answer and its transcript."
)


def tools_of(who: Identity) -> Sequence[ServedTool]:
    """Return the tools that an identity may use."""
    return ()


async def call_tool(dispatch: Dispatch, call: ServedCall) -> ServedResult | NeedsInput | ServedTask:
    """Call a tool as the caller of ``dispatch``. Raise ServedError."""
    raise unknown_tool(call.tool)
