"""Real MCP servers through the client: everything (both transports), filesystem, git and time."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from athena_core.mcp.client.client import McpClient
from athena_core.mcp.client.failure import McpFailure
from athena_core.mcp.client.http import HttpWire
from athena_core.mcp.client.listing import Listing
from athena_core.mcp.client.questions import McpQuestion
from athena_core.mcp.client.stdio import StdioWire
from athena_core.mcp.tool_names import public_name
from athena_core.mcp.versions import HANDSHAKES, MODERN
from athena_core.system.process import Child
from tests.support import real_mcp

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

SECONDS = 60.0


@asynccontextmanager
async def opened(argv: tuple[str, ...], directory: Path) -> AsyncIterator[tuple[McpClient, Listing]]:
    """Start a server, list its tools and end it."""
    if reason := real_mcp.missing(argv):
        pytest.skip(reason)

    async def start() -> Child:
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        return await Child.start(argv, environment, directory=directory)

    async with McpClient("real", StdioWire(start), version="1", asks=True) as client:
        await client.open(SECONDS)
        yield client, await client.listing(SECONDS)


def names(listing: Listing) -> set[str]:
    """Return the names of its tools, all of which providers take."""
    assert listing.skipped == 0
    found = {tool.name for tool in listing.tools}
    assert {public_name("real", name) for name in found} == {f"real__{name}" for name in found}
    return found


async def text(client: McpClient, tool: str, arguments: Mapping[str, Any] = {}) -> str:
    result = await client.call(tool, dict(arguments), seconds=SECONDS)
    assert not result.is_error, result.text
    return result.text.exact


async def test_time(tmp_path: Path) -> None:
    async with opened(real_mcp.clock(), tmp_path) as (client, listing):
        assert client.protocol_version == MODERN
        assert names(listing) == {"get_current_time", "convert_time"}
        assert all(tool.read_only for tool in listing.tools)
        assert '"timezone": "Europe/Berlin"' in await text(client, "get_current_time", {"timezone": "Europe/Berlin"})
        refused = await client.call("get_current_time", {"timezone": "Mars/Olympus"}, seconds=SECONDS)
        assert refused.is_error
        hashes = {tool.sha256 for tool in listing.tools}
    async with opened(real_mcp.clock(), tmp_path) as (_, again):
        assert {tool.sha256 for tool in again.tools} == hashes


async def test_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "plan.md").write_text("# Plan\n")
    async with opened(real_mcp.git(tmp_path), tmp_path) as (client, listing):
        assert {"git_status", "git_diff", "git_log", "git_add", "git_commit"} <= names(listing)
        assert {tool.name for tool in listing.tools if not tool.read_only} >= {"git_add", "git_commit"}
        assert "plan.md" in await text(client, "git_status", {"repo_path": str(tmp_path)})
        await text(client, "git_add", {"repo_path": str(tmp_path), "files": ["plan.md"]})
    staged = subprocess.run(["git", "-C", tmp_path, "diff", "--cached", "--name-only"], check=True, capture_output=True)
    assert staged.stdout == b"plan.md\n"


async def test_filesystem(tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text("# Plan\n")
    async with opened(real_mcp.filesystem(tmp_path), tmp_path) as (client, listing):
        assert client.protocol_version in {MODERN, HANDSHAKES[0]}
        assert {"read_text_file", "write_file", "list_directory"} <= names(listing)
        assert await text(client, "read_text_file", {"path": str(tmp_path / "plan.md")}) == "# Plan\n"
        await text(client, "write_file", {"path": str(tmp_path / "done.md"), "content": "done"})
        outside = await client.call("read_text_file", {"path": "/etc/passwd"}, seconds=SECONDS)
        assert outside.is_error
        assert "root:" not in outside.text.exact
    assert (tmp_path / "done.md").read_text() == "done"


async def check_everything(client: McpClient, listing: Listing) -> None:
    """Try text, structure, pictures, progress, a question, and a call that is cancelled."""
    assert {"echo", "get-structured-content", "get-tiny-image", "trigger-elicitation-request"} <= names(listing)
    assert await text(client, "echo", {"message": "hi"}) == "Echo: hi"
    weather = await client.call("get-structured-content", {"location": "New York"}, seconds=SECONDS)
    assert set(weather.structured) == {"temperature", "conditions", "humidity"}
    picture = await client.call("get-tiny-image", {}, seconds=SECONDS)
    assert picture.omitted == 1
    assert "[image image/png is not shown]" in picture.text.exact

    steps: list[float] = []
    await client.call(
        "trigger-long-running-operation",
        {"duration": 0.2, "steps": 4},
        seconds=SECONDS,
        on_progress=lambda done, *_: steps.append(done),
    )
    assert steps == [1.0, 2.0, 3.0, 4.0]

    async def answer(question: McpQuestion) -> dict[str, Any] | None:
        assert "name" in question.requested_schema["properties"]
        return {"name": "Ada", "check": True}

    asked = await client.call("trigger-elicitation-request", {}, seconds=SECONDS, ask=answer)
    assert "Ada" in asked.text.exact
    with pytest.raises(McpFailure) as caught:
        await client.call("trigger-long-running-operation", {"duration": 60, "steps": 60}, seconds=0.5)
    assert caught.value.code == "silent"
    assert await text(client, "echo", {"message": "still here"}) == "Echo: still here"


async def test_everything(tmp_path: Path) -> None:
    async with opened(real_mcp.everything(), tmp_path) as (client, listing):
        await check_everything(client, listing)
        assert client.transport == "stdio"


async def test_everything_over_http(tmp_path: Path) -> None:
    if reason := real_mcp.missing(real_mcp.everything()):
        pytest.skip(reason)

    async def resolve(host: str, port: int) -> list[str]:
        return [host]

    with real_mcp.everything_over_http(tmp_path / "log") as url:
        async with asyncio.timeout(SECONDS):
            while True:
                client = McpClient("real", HttpWire(url, resolve=resolve), version="1", asks=True)
                try:
                    await client.open(SECONDS)
                    break
                except McpFailure as failure:
                    assert failure.code == "connection", failure
                    await asyncio.sleep(0.05)
        async with client:
            await check_everything(client, await client.listing(SECONDS))
            assert client.transport == "http"
