"""A client of Athena, a control plane for AI-agent runs: ``Athena`` blocks, ``AsyncAthena`` is asynchronous.

What lives here: the client library. It needs httpx2 and msgspec, and nothing of the server.
What may not: code of the server or of the command line, and policy about when to call what.
Read first: ``_async/core.py``, then ``_async/client.py``. ``_sync`` is generated from ``_async``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from athena_client.errors import AthenaError, InvalidAnswer, Unreachable
from athena_client.run_text import Message, RunEnd, RunPart, TextDelta, TextReset, ToolCall, ToolResult
from athena_client.wire import VERSION as __version__
from athena_client.wire import Answer, Page, StreamItem

if TYPE_CHECKING:
    from athena_client._async.client import AsyncAthena
    from athena_client._async.runs import AsyncRunHandle
    from athena_client._sync.client import Athena
    from athena_client._sync.runs import RunHandle
else:
    HALVES = {
        "AsyncAthena": "_async.client",
        "AsyncRunHandle": "_async.runs",
        "Athena": "_sync.client",
        "RunHandle": "_sync.runs",
    }

    def __getattr__(name: str) -> object:
        """Load a half when it is first used, so that programs do not wait for the other one."""
        if name not in HALVES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"athena_client.{HALVES[name]}"), name)


__all__ = [
    "Answer",
    "AsyncAthena",
    "AsyncRunHandle",
    "Athena",
    "AthenaError",
    "InvalidAnswer",
    "Message",
    "Page",
    "RunEnd",
    "RunHandle",
    "RunPart",
    "StreamItem",
    "TextDelta",
    "TextReset",
    "ToolCall",
    "ToolResult",
    "Unreachable",
    "__version__",
]
