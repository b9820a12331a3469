"""``athena mcp`` with the Python SDK as its client, in both eras, with a server and without."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client

from tests.conftest import Serve
from tests.support.process import ROOT
from tests.support.token_server import TOKENS_ONLY, put_token


@asynccontextmanager
async def program(directory: Path, era: Literal["auto", "legacy"], **settings: str) -> AsyncIterator[Any]:
    """Yield an SDK client of ``athena mcp`` in a directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ATHENA_")}
    given = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    path = f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python'}"
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "athena_cli", "mcp"],
        env={**kept, **given, "PYTHONPATH": path},
        cwd=directory,
    )
    async with Client(started, mode=era) as client:
        yield client


@pytest.mark.heavy
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_client_of_the_sdk_uses_the_program_with_a_server_and_without(
    serve: Serve, tmp_path: Path, era: Literal["auto", "legacy"]
) -> None:
    server = serve()
    token = put_token(server).text
    server.stop()
    server.start(0, **TOKENS_ONLY)
    remote = {"api_base_url": server.url, "token": token}
    local = {"state_dir": str(tmp_path / "server" / "state"), "api_base_url": "", "cli_transport": "local"}
    for settings in (remote, local):
        async with program(tmp_path, era, **settings) as client:
            assert len((await client.list_tools()).tools) >= 15
            called = await client.call_tool("start_run", {"input": "pears"})
            assert json.loads(called.content[0].text)["output"] == "Echo: user: pears"
        if settings is remote:
            assert server.client(authorization=f"Bearer {token}").items("/runs")
            server.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["server"], "it created no state elsewhere"
