"""Canaries in all that an MCP server sends: no part of a credential is shown, wherever it stands in a word."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec
import pytest
from msgspec import Raw

from athena_core.credentials.credentials import Credentials
from athena_core.domain import run
from athena_core.mask import Mask
from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.result import RESULT_BYTES_MAX
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.client.wire import McpWire, Receiver
from athena_core.mcp.listed_tool import McpTool
from athena_core.rpc.peer import RequestFailed
from athena_core.services.execution.live_text import AgentActivity
from athena_core.services.execution.mcp.call_progress import CallProgress
from athena_core.services.execution.mcp.run_mcp import RunMcp
from athena_core.services.mcp.starting import McpStarter
from athena_core.system.process import Child, environment

KEY = "canary-4711-Zq8wLr2xVt5yNb7mKd3fHs6jGp"
PART = 8
"""The number of characters of the credential that may not be seen in a row."""
MASK = Mask({KEY: "server"})
OFFSETS = range(0, 1_300, 7)
"""Places of the credential. A cut shows a part of it from 30 neighbouring ones. The last cut is at 1,200 characters."""
FORM = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"name": "t", "inputSchema": FORM}
CALL = run.ToolCalled(turn=1, tool_call_id="call_1", tool_name="s__t", chars=2, repeatable=True, arguments="{}")


def parts(text: str) -> set[str]:
    """Return the parts of the credential that a text shows."""
    return {KEY[at : at + PART] for at in range(len(KEY) - PART + 1) if KEY[at : at + PART] in text}


def word(offset: int, before: str = "x") -> str:
    """Return words with the credential at a place."""
    return f"{before * offset}{KEY} and more words"


class SpeakingWire:
    """A wire to a server that sends these answers: a result, or the error to raise."""

    transport = "http"

    def __init__(self, **answers: Any) -> None:
        self.version: str | None = None
        self.ended: McpFailure | None = None
        self._answers: dict[str, Any] = {
            "initialize": {"protocolVersion": "2025-11-25"},
            "list": {"tools": [TOOL]},
        } | answers

    async def open(self, name: str, mask: Mask, changed: Callable[[], None]) -> None:
        pass

    async def reopen(self) -> bool:
        return True

    def note_tools(self, tools: Sequence[McpTool]) -> None:
        pass

    async def request(self, method: str, params: dict[str, Any], receiver: Receiver | None = None) -> Raw:
        answer = self._answers.get(method.rpartition("/")[2], RequestFailed(-32601, "Method not found"))
        if isinstance(answer, Exception):
            raise answer
        if receiver is not None and (message := answer.get("progress")) is not None:
            receiver.progressed(Raw(msgspec.json.encode({"progressToken": 1, "progress": 1, "message": message})))
            await asyncio.sleep(0)
        return Raw(msgspec.json.encode(answer))

    def listen(self) -> None:
        pass

    async def notify(self, method: str) -> None:
        pass

    async def close(self) -> None:
        pass


def error(message: str, data: Any = None, code: int = -32603) -> RequestFailed:
    return RequestFailed(code, message, data)


def content(**members: Any) -> dict[str, Any]:
    return {"call": {"content": [members]}}


def listed(**members: Any) -> dict[str, Any]:
    return {"list": {"tools": [{**TOOL, **members}]}}


WORDS: dict[str, Callable[[str], dict[str, Any]]] = {
    "protocolVersion": lambda w: {"initialize": {"protocolVersion": w}},
    "supportedVersions": lambda w: {"discover": error("no", {"supported": [w]}, -32022)},
    "serverInfo.name": lambda w: {"initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"name": w}}},
    "serverInfo.title": lambda w: {"initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"title": w}}},
    "serverInfo.version": lambda w: {"initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"version": w}}},
    "instructions": lambda w: {"initialize": {"protocolVersion": "2025-11-25", "instructions": w}},
    "error of initialize": lambda w: {"initialize": error(w, {"said": w})},
    "error of tools/list": lambda w: {"list": error(w, {"said": w})},
    "error of tools/call": lambda w: {"call": error(w, {"said": w})},
    "tool name": lambda w: listed(name=w[-110:].replace(" ", "-")),
    "tool title": lambda w: listed(title=w),
    "tool description": lambda w: listed(description=w),
    "tool schema": lambda w: listed(inputSchema={**FORM, "description": w, "properties": {w: {"enum": [w]}}}),
    "tool output schema": lambda w: listed(outputSchema={**FORM, "title": w, "$comment": w}),
    "tool annotations": lambda w: listed(annotations={"title": w, w: w}),
    "tool icons": lambda w: listed(icons=[{"src": w, "mimeType": w}]),
    "text": lambda w: content(type="text", text=w),
    "image": lambda w: content(type="image", mimeType=w, data=""),
    "audio": lambda w: content(type="audio", mimeType=w, data=""),
    "link name": lambda w: content(type="resource_link", name=w, uri="u", title=w, mimeType=w),
    "link uri": lambda w: content(type="resource_link", name="n", uri=w, description=w),
    "resource uri": lambda w: content(type="resource", resource={"uri": w, "blob": "", "mimeType": w}),
    "resource text": lambda w: content(type="resource", resource={"uri": "u", "text": w}),
    "kind of a part": lambda w: content(type=w, text=w),
    "structuredContent": lambda w: {"call": {"structuredContent": {w: [w, {"a": w}]}}},
    "question": lambda w: {
        "discover": {"supportedVersions": ["2026-07-28"]},
        "call": {"resultType": "input_required", "inputRequests": {w: {"method": w, "params": {}}}},
    },
    "progress": lambda w: {"call": {"content": [], "progress": w}},
}


async def shown(wire: McpWire, mask: Mask = MASK) -> str:
    """Return all that a check and a call of a run show of a server."""
    said: list[str] = []

    def note(session_id: str, run_id: str, turn: int, activity: AgentActivity | None) -> None:
        said.append(str(activity))

    progress = CallProgress(CALL, "s", "run_1", mask, note)
    client = McpClient("fake", wire, version="1", mask=mask)
    try:
        await client.open(60)
        listing = McpStarter(Credentials(), mask).listing_of(await client.listing(60))
        said.append(str(listing.event("fake")))
        result = await client.call("t", {}, seconds=60, on_progress=progress.report)
        said.append(str(RunMcp._answer(cast("Any", _Run(mask)), result, local=False)))
    except McpFailure as failure:
        said += [str(failure), repr(failure), failure.detail]
    progress._publish()
    progress.end()
    await client.close()
    return "\n".join(said)


class _Run:
    """The part of a run that its answers need."""

    def __init__(self, mask: Mask) -> None:
        self._parts = type("Parts", (), {"mask": mask})


@pytest.mark.parametrize("before", "x ")
@pytest.mark.parametrize("name", WORDS)
async def test_no_part_of_a_credential_is_shown(name: str, before: str) -> None:
    for offset in OFFSETS:
        text = await shown(cast("McpWire", SpeakingWire(**WORDS[name](word(offset, before)))))
        assert not parts(text), (name, offset, parts(text))


@pytest.mark.parametrize("offset", range(0, len(KEY) + 1))
@pytest.mark.parametrize("kind", ["text", "structuredContent"])
async def test_no_part_of_a_credential_is_shown_at_the_end_of_a_long_result(kind: str, offset: int) -> None:
    said = word(RESULT_BYTES_MAX - offset)
    answer = content(type="text", text=said) if kind == "text" else {"call": {"structuredContent": said}}
    text = await shown(cast("McpWire", SpeakingWire(**answer)))
    assert not parts(text)


@pytest.mark.parametrize("after", [0, 150, 180, 195, 4_060, 4_090])
async def test_no_part_of_a_credential_is_shown_of_the_error_output_of_a_program(after: int) -> None:
    code = f"import sys; sys.exit({KEY!r} + 'x' * {after})"

    async def start() -> Child:
        return await Child.start((sys.executable, "-c", code), environment())

    text = await shown(StdioWire(start))
    assert "exit status 1" in text
    assert not parts(text)
