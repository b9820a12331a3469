"""The client half under the conformance suite: ``python conforming_client.py URL`` does what a scenario asks for."""

import asyncio
import json
import os
import sys
from typing import Any

from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.listed_tool import McpTool

SECONDS = 20.0


async def resolve(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def accept(question: McpQuestion) -> dict[str, Any] | None:
    fields = question.requested_schema["properties"]
    return {name: True for name, field in fields.items() if field["type"] == "boolean" and "default" not in field}


def arguments(tool: McpTool) -> dict[str, Any]:
    """Return arguments for a tool of any scenario."""
    if tool.name == "json_schema_echo":
        return {"schema": tool.input_schema}
    values = {"number": 1, "integer": 2, "string": "text", "boolean": True, "object": {}, "array": []}
    fields = tool.input_schema.get("properties", {})
    return {name: values[fields[name].get("type", "string")] for name in tool.input_schema.get("required", ())}


async def main(url: str) -> None:
    """List the tools and call each of them."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    async with McpClient("suite", HttpWire(url, resolve=resolve), version="1", asks=True) as client:
        await client.open(SECONDS)
        tools = {tool.name: tool for tool in (await client.listing(SECONDS)).tools}
        calls = context.get("toolCalls") or [{"name": name, "arguments": arguments(tools[name])} for name in tools]
        for call in calls:
            try:
                await client.call(call["name"], call["arguments"], seconds=SECONDS, ask=accept)
            except McpFailure as failure:
                print(failure, file=sys.stderr)  # noqa: T201 - shown when a scenario fails


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
