"""A client of Athena, a control plane for AI-agent runs: ``Athena`` blocks, ``AsyncAthena`` is asynchronous.

What lives here: the client library. It needs httpx2 and msgspec, and nothing of the server.
What may not: code of the server or of the command line, and policy about when to call it.
Read first: ``_async/core.py``, then ``_async/client.py``. ``_sync`` is generated from ``_async``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from athena_client import events, models
    from athena_client._async.client import AsyncAthena
    from athena_client._async.core import AsyncCore, AsyncPages, AsyncStream
    from athena_client._async.runs import AsyncRunHandle
    from athena_client._sync.client import Athena
    from athena_client._sync.core import Core, Pages, Stream
    from athena_client._sync.runs import RunHandle
    from athena_client.errors import AthenaError, InvalidAnswer, Unreachable
    from athena_client.run_text import Activity, Message, RunEnd, RunPart, TextDelta, TextReset, ToolCall, ToolResult
    from athena_client.wire import VERSION as __version__
    from athena_client.wire import Answer, Page, StreamItem

HOMES = {
    "AsyncAthena": "_async.client",
    "AsyncCore": "_async.core",
    "AsyncPages": "_async.core",
    "AsyncRunHandle": "_async.runs",
    "AsyncStream": "_async.core",
    "Athena": "_sync.client",
    "Core": "_sync.core",
    "Pages": "_sync.core",
    "RunHandle": "_sync.runs",
    "Stream": "_sync.core",
    "AthenaError": "errors",
    "InvalidAnswer": "errors",
    "Unreachable": "errors",
    "Activity": "run_text",
    "Message": "run_text",
    "RunEnd": "run_text",
    "RunPart": "run_text",
    "TextDelta": "run_text",
    "TextReset": "run_text",
    "ToolCall": "run_text",
    "ToolResult": "run_text",
    "Answer": "wire",
    "Page": "wire",
    "StreamItem": "wire",
}
"""The module of each name. It is imported at first use, so that a program loads only the half that it needs."""

__all__ = [
    "Activity",
    "Answer",
    "AsyncAthena",
    "AsyncCore",
    "AsyncPages",
    "AsyncRunHandle",
    "AsyncStream",
    "Athena",
    "AthenaError",
    "Core",
    "InvalidAnswer",
    "Message",
    "Page",
    "Pages",
    "RunEnd",
    "RunHandle",
    "RunPart",
    "Stream",
    "StreamItem",
    "TextDelta",
    "TextReset",
    "ToolCall",
    "ToolResult",
    "Unreachable",
    "__version__",
    "events",
    "models",
]


def __dir__() -> list[str]:
    """Return the public names, also those that are not imported yet."""
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


if not TYPE_CHECKING:  # else checkers would accept any name

    def __getattr__(name: str) -> object:
        """Return a public name, and import its module. Raise AttributeError."""
        if name in {"events", "models"}:
            return import_module(f"athena_client.{name}")
        if name == "__version__":
            return import_module("athena_client.wire").VERSION
        if name not in HOMES:
            raise AttributeError(f"module 'athena_client' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"athena_client.{HOMES[name]}"), name)
        return value
