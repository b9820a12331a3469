"""Messages to an MCP server over HTTP, of both eras, for tests that need every byte of them."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import anyio
import httpx2

from athena_core.mcp.versions import CAPABILITIES_KEY, MODERN, TASKS, VERSION_KEY
from tests.support.api import Json
from tests.support.inside import Inside

CAPABILITIES: Json = {"elicitation": {"form": {}}, "extensions": {TASKS: {}}}
ACCEPT = "application/json, text/event-stream"
NAMED = {"tools/call": "name", "resources/read": "uri"}


class McpPost(NamedTuple):
    """A POST: its header fields and its body."""

    headers: Mapping[str, str]
    body: bytes


def modern(method: str, number: int | str = 1, accept: str = ACCEPT, **params: Any) -> McpPost:
    """Return a request of 2026-07-28."""
    name = params.get(NAMED.get(method, "taskId" if method.startswith("tasks/") else ""))
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method, "accept": accept}
    if name is not None:
        headers["mcp-name"] = name
    meta = {VERSION_KEY: MODERN, CAPABILITIES_KEY: CAPABILITIES}
    return McpPost(headers, message(number, method, {"_meta": meta, **params}))


def handshake(method: str, number: int | str = 1, session: str = "", **params: Any) -> McpPost:
    """Return a request of 2025-11-25."""
    headers = {"accept": ACCEPT} | ({"mcp-session-id": session} if session else {})
    return McpPost(headers, message(number, method, params))


def message(number: int | str, method: str, params: Mapping[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def answer_of(response: httpx2.Response) -> Json:
    """Return the JSON-RPC answer of a response: its body, or the last event of its stream."""
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in response.text.split("\n") if line.startswith("data: ")]
        found: Json = json.loads(lines[-1].removeprefix("data: "))
    else:
        found = response.json()
    return found


async def send(inside: Inside, asked: McpPost, headers: Mapping[str, str]) -> httpx2.Response:
    fields = {**asked.headers, "content-type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    with anyio.fail_after(30):
        return await inside.client.post("http://plane/mcp", content=asked.body, headers=fields)


def post(inside: Inside, asked: McpPost, **headers: str) -> httpx2.Response:
    return inside.call(send, inside, asked, headers)
