"""A caller of ``/mcp`` without the SDK: one request for each message, in both eras of the protocol."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import httpx2

from athena_core.mcp.versions import CAPABILITIES_KEY, MODERN, VERSION_KEY

Json = dict[str, Any]
FORMS: Json = {"elicitation": {"form": {}}}


class Called(NamedTuple):
    """The outcome of a call of a tool: its result, and the messages that came before."""

    result: Json
    messages: Sequence[Json]

    @property
    def text(self) -> str:
        return str(self.result["content"][0]["text"])

    @property
    def data(self) -> Any:
        """The answer, which must not be an error."""
        assert not self.result["isError"], self.text
        return json.loads(self.text)

    @property
    def failed(self) -> Any:
        """The answer to a run without success."""
        assert self.result["isError"], self.text
        return json.loads(self.text)

    @property
    def progress(self) -> list[str]:
        return [one["params"].get("message", "") for one in self.messages if one["method"] == "notifications/progress"]


class McpCaller:
    """A client. ``post`` sends a body with header fields to ``/mcp``."""

    def __init__(
        self,
        post: Callable[[Json, Mapping[str, str]], httpx2.Response],
        *,
        modern: bool = False,
        capabilities: Json | None = None,
    ) -> None:
        self._post = post
        self._modern = modern
        self._capabilities = capabilities or {}
        self._numbers = count(1)
        self._session: dict[str, str] = {}
        self.instructions = ""
        if not modern:
            info = {"name": "tests", "version": "1"}
            begin = {"protocolVersion": "2025-11-25", "capabilities": self._capabilities, "clientInfo": info}
            answer = self.send("initialize", begin)
            self._session = {"mcp-session-id": answer.headers["mcp-session-id"]}
            self.instructions = answer.json()["result"]["instructions"]

    def send(self, method: str, params: Mapping[str, Any], number: int | str | None = None) -> httpx2.Response:
        """Send a request. Return the answer as it is."""
        headers = {"accept": "application/json, text/event-stream", **self._session}
        params = dict(params)
        if self._modern:
            meta = {VERSION_KEY: MODERN, CAPABILITIES_KEY: self._capabilities, **params.get("_meta", {})}
            params["_meta"] = meta
            headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            if "name" in params:
                headers["mcp-name"] = params["name"]
        identifier = next(self._numbers) if number is None else number
        return self._post({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}, headers)

    def answer(self, request_id: str, content: Json) -> None:
        """Answer an elicitation of a server before 2026-07-28."""
        body = {"jsonrpc": "2.0", "id": request_id, "result": {"action": "accept", "content": content}}
        assert self._post(body, self._session).status_code == 202

    def result(self, method: str, params: Mapping[str, Any] | None = None) -> Json:
        """Return the result of a request."""
        return dict(messages_of(self.send(method, params or {}))[-1]["result"])

    def tools(self) -> list[Json]:
        return list(self.result("tools/list")["tools"])

    def call(self, tool: str, number: int | str | None = None, _params: Json | None = None, **arguments: Any) -> Called:
        """Call a tool, and wait for its result."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}, **(_params or {})}
        *before, last = messages_of(self.send("tools/call", params, number))
        return Called(last["result"], before)


def messages_of(answer: httpx2.Response) -> list[Json]:
    """Return the messages of an answer, whether it is JSON or a stream of events."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/json"):
        return [answer.json()]
    return [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
