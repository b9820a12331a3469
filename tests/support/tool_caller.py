"""A caller of the tools of ``/mcp``: its results as data, with the progress before them."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from jsonschema_rs import validator_for

from athena_api.mcp.tools import tools
from tests.support.api import Api, Json
from tests.support.mcp_caller import McpWire, messages_of, result_of


class CalledTool(NamedTuple):
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
        """The answer, which must be an error."""
        assert self.result["isError"], self.text
        return json.loads(self.text)

    @property
    def progress(self) -> list[str]:
        return [one["params"].get("message", "") for one in self.messages if one["method"] == "notifications/progress"]


@cache
def output_schemas() -> dict[str, Any]:
    return {name: tool.served.output_schema for name, tool in tools().items()}


class ToolCaller(McpWire):
    """A client that calls tools, with a session of the handshake or without."""

    def __init__(self, api: Api, capabilities: Json | None = None, *, modern: bool = False) -> None:
        super().__init__(api, capabilities)
        if not modern:
            self.initialize()

    def tools(self) -> list[Json]:
        return list(self.ask("tools/list")["tools"])

    def use(self, tool: str, *, more: Json | None = None, **arguments: Any) -> CalledTool:
        """Call a tool, with ``more`` parameters, and wait for its result. Raise McpRefused."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}, **(more or {})}
        answer = self.post(self.message("tools/call", params))
        called = CalledTool(result_of(answer), messages_of(answer)[:-1])
        if "content" in called.result:
            self._check(tool, called)
        return called

    def _check(self, tool: str, called: CalledTool) -> None:
        """Fail unless a result for programs is that for models, as its schema says, and only errors have none."""
        structured = called.result.get("structuredContent")
        if structured is None:
            assert called.result["isError"], called.text
        else:
            assert structured == json.loads(called.text)
            validator_for(output_schemas()[tool]).validate(structured)
