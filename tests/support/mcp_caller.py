"""A client of ``/mcp`` for tests: messages of both eras over real HTTP, as they stand on the wire."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

import httpx2

from tests.support.api import Api, Json

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
MODERN = "2026-07-28"
TASKS: Json = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
FORMS: Json = {"elicitation": {"form": {}}}
ACCEPT = "application/json, text/event-stream"
NAMED = {"tools/call": "name", "resources/read": "uri", "tasks/get": "taskId"}
NAMED |= {"tasks/update": "taskId", "tasks/cancel": "taskId"}


class McpRefused(Exception):
    """An error of JSON-RPC."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Json = error.get("data") or {}


class McpWire:
    """A client of one server. With a ``session`` it speaks the handshake, else 2026-07-28."""

    def __init__(self, api: Api, capabilities: Mapping[str, Any] | None = None, **headers: str) -> None:
        self._http = api.http
        self.url = api.url + "/mcp"
        self.capabilities = dict(capabilities or {})
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self._ids = count(1)
        self.session: str | None = None

    def initialize(self, version: str = "2025-11-25") -> Json:
        """Begin a session of the handshake. Return the result."""
        self.session = ""
        client = {"name": "test", "version": "1"}
        params = {"protocolVersion": version, "capabilities": self.capabilities, "clientInfo": client}
        answer = self.post(self.message("initialize", params))
        self.session = answer.headers["mcp-session-id"]
        self.headers["mcp-session-id"] = self.session
        self.headers["mcp-protocol-version"] = version
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        return result_of(answer)

    def message(self, method: str, params: Json | None = None, request_id: int | str | None = None) -> Json:
        """Return a request."""
        given = dict(params or {})
        if self.session is None:
            given["_meta"] = {VERSION: MODERN, CAPABILITIES: self.capabilities, **given.get("_meta", {})}
        number = next(self._ids) if request_id is None else request_id
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": given}

    def fields(self, message: Json) -> dict[str, str]:
        """Return the header fields of a message."""
        fields = {"accept": ACCEPT, "content-type": "application/json", **self.headers}
        method = message.get("method")
        if self.session is None and method is not None:
            fields |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            if (name := NAMED.get(method)) is not None:
                fields["mcp-name"] = message["params"][name]
        return fields

    def post(self, message: Any, **headers: str) -> httpx2.Response:
        """Send a message, or bytes."""
        fields = self.fields(message) if isinstance(message, dict) else {"accept": ACCEPT, **self.headers}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self._http.request("POST", self.url, content=content, headers=fields)

    def ask(self, method: str, params: Json | None = None) -> Json:
        """Send a request. Return its result. Raise McpRefused."""
        return result_of(self.post(self.message(method, params)))

    def call(self, tool: str, **arguments: Any) -> Json:
        """Call a tool. Return its result. Raise McpRefused."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})


def messages_of(answer: httpx2.Response) -> list[Json]:
    """Return the messages of an answer, which is JSON or a stream of events."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = answer.text.split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    return [answer.json()]


def result_of(answer: httpx2.Response) -> Json:
    """Return the result of an answer. Raise McpRefused."""
    last = messages_of(answer)[-1]
    if "error" in last:
        raise McpRefused(answer.status_code, last["error"])
    result: Json = last["result"]
    return result
