"""The MCP endpoint of a gateway: who may call it, how an answer travels, and what ends a call."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from athena_core.gateway.endpoint import BODY_BYTES_MAX
from athena_core.mcp.served import McpService, ServedCall, ServedResult, ServedTool
from tests.support.gateway import World, answers, gateway, request
from tests.support.vendors import VENDORS

BEHAVE = answers(VENDORS["openai-chat"].streamed)
BOTH = "accept: application/json, text/event-stream"


class Tools(McpService):
    """One tool, which ends once it may."""

    def __init__(self) -> None:
        self.begun, self.more, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def tools(self) -> Sequence[ServedTool]:
        return (ServedTool("look", "Looks.", {"type": "object"}),)

    async def call(self, call: ServedCall) -> ServedResult:
        self.begun.set()
        try:
            await self.more.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return ServedResult(f"saw {call.arguments}")


def message(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


CALL = message("tools/call", name="look", arguments={"far": True})


async def ask(world: World, body: bytes, *lines: str, method: str = "POST") -> Any:
    return await world.ask(BOTH, *lines, body=body, target="/mcp", method=method)


@pytest.mark.parametrize("boxed", [True, False])
async def test_a_tool_is_listed_and_called(boxed: bool) -> None:
    tools = Tools()
    tools.more.set()
    async with gateway("openai-chat", BEHAVE, boxed=boxed, tools=tools) as world:
        opened = await ask(world, message("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={}))
        listed = await ask(world, message("tools/list"))
        called = await ask(world, CALL)
        noted = await ask(world, b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
    assert json.loads(opened.body)["result"]["serverInfo"]["name"] == "athena"
    assert [one["name"] for one in json.loads(listed.body)["result"]["tools"]] == ["look"]
    assert json.loads(called.body)["result"]["content"][0]["text"] == "saw {'far': True}"
    assert (noted.status, noted.body) == (202, b"")
    assert world.vendor.heads == []


async def test_a_long_call_becomes_a_stream() -> None:
    tools = Tools()
    async with gateway("openai-chat", BEHAVE, tools=tools) as world:
        client = await world.begin(BOTH, body=CALL, target="/mcp")
        await client.reader.readuntil(b": ping")
        tools.more.set()
        rest = await client.left()
    assert b"saw {'far': True}" in rest and rest.endswith(b"0\r\n\r\n")


async def test_a_client_that_hangs_up_cancels_its_call() -> None:
    tools = Tools()
    async with gateway("openai-chat", BEHAVE, tools=tools) as world:
        client = await world.begin(BOTH, body=CALL, target="/mcp")
        await tools.begun.wait()
        client.writer.close()
        await tools.left.wait()


async def test_leaving_cancels_calls_and_refuses_others() -> None:
    tools = Tools()
    async with gateway("openai-chat", BEHAVE, tools=tools) as world:
        client = await world.begin(BOTH, body=CALL, target="/mcp")
        await tools.begun.wait()
        world.gateway.stop("It is over.")
        refused = await ask(world, CALL)
    assert (refused.status, refused.error["code"]) == (400, "athena_stopped")
    assert tools.left.is_set() and b"saw" not in await client.left()


async def test_each_request_on_loopback_needs_the_key() -> None:
    tools = Tools()
    tools.more.set()
    async with gateway("openai-chat", BEHAVE, boxed=False, tools=tools) as world:
        for lines in ([], ["authorization: Bearer gw_"], [f"authorization: Bearer {world.gateway.key}x"]):
            reply = await world.raw(request("/mcp", CALL, BOTH, *lines))
            assert (reply.status, reply.error["code"]) == (401, "athena_key")
        assert not tools.begun.is_set()
        assert (await ask(world, CALL)).status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_are_refused(method: str) -> None:
    async with gateway("openai-chat", BEHAVE, tools=Tools()) as world:
        reply = await ask(world, b"", method=method)
    assert (reply.status, reply.error["code"], reply.headers["allow"]) == (405, "athena_method", "POST")


async def test_pages_of_browsers_and_large_bodies_are_refused() -> None:
    tools = Tools()
    async with gateway("openai-chat", BEHAVE, tools=tools) as world:
        page = await ask(world, CALL, "origin: http://localhost")
        large = await ask(world, b" " * BODY_BYTES_MAX + CALL)
        deep = await ask(world, b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": ' + b"[" * 100_000)
    assert (page.status, page.error["code"]) == (403, "athena_origin")
    assert (large.status, large.error["code"]) == (413, "athena_body")
    assert deep.status == 400
    assert not tools.begun.is_set()


async def test_a_run_without_tools_has_no_endpoint() -> None:
    async with gateway("openai-chat", BEHAVE) as world:
        reply = await ask(world, CALL)
    assert (reply.status, reply.error["code"]) == (404, "athena_path")
