"""A client of Athena, a control plane for AI-agent runs: ``Athena`` blocks, ``AsyncAthena`` is asynchronous.

What lives here: the client library. It needs httpx2 and msgspec, and nothing of the server.
What may not: code of the server or of the command line, and policy about when to call what.
Read first: ``_async/core.py``, then ``_async/client.py``. ``_sync`` is generated from ``_async``.
"""

from athena_client._async.client import AsyncAthena
from athena_client._async.runs import AsyncRunHandle
from athena_client._sync.client import Athena
from athena_client._sync.runs import RunHandle
from athena_client.errors import AthenaError, InvalidAnswer, Unreachable
from athena_client.run_text import Message, RunEnd, RunPart, TextDelta, TextReset, ToolCall, ToolResult
from athena_client.wire import VERSION as __version__
from athena_client.wire import Answer, Page, StreamItem

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
