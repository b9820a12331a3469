"""The how-to pages of MCP: their blocks run with a real client and a real server.

A program that records its words stands in for an assistant. What it would start is started by the client of the SDK.
"""

import asyncio
import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from athena_core.mcp.servers import read_mcp_servers
from tests.support import repository
from tests.support.api import soon
from tests.support.model import acting, call
from tests.support.pages import RUN, Page, Shell, served, words_of
from tests.support.programs import BOXED, lack_of

URL = "http://127.0.0.1:8787"
SDK = importlib.util.find_spec("mcp")
GIT_SERVER = Path(sys.prefix, "bin", "mcp-server-git")


async def conversation(target: Any, **arguments: str) -> str:
    """Start a run and wait for its answer, as an assistant would. Return the answer."""
    from mcp import Client  # noqa: PLC0415 - it starts slowly

    async with Client(target) as client:
        started = await client.call_tool("start_run", {"input": "Sum up the notes", **arguments})
        assert not started.is_error, started.content
        return str(started.content)


async def by_http(url: str, token: str) -> str:
    """Start a run by HTTP, with a token."""
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415 - it starts slowly

    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        return await conversation(streamable_http_client(url, http_client=http), sessionId="assistant")


def over_stdio(shell: Shell, command: list[str], environment: dict[str, str]) -> Any:
    """Return what starts a command as a desktop app does: in another directory, with few variables."""
    from mcp import StdioServerParameters  # noqa: PLC0415 - it starts slowly

    program, *arguments = command
    few = {name: shell.environment[name] for name in ("PATH", "PYTHONPATH")} | {"HOME": str(shell.directory)}
    return StdioServerParameters(command=program, args=arguments, env=few | environment, cwd=shell.directory / "home")


def of_file(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the variables of the server in a configuration file."""
    (server,) = json.loads(text)["mcpServers"].values()
    return [server["command"], *server["args"]], server.get("env", {})


LOCKED = {
    "ATHENA_AUTH_ENABLED": "true",
    "ATHENA_AUTH_TRUSTED_PROXIES": "none",
    "ATHENA_AUTH_IDENTITY_ROLE_MAP": "ann:Admin,claude:Operator",
}
ANSWER = "The notes say hello."


@pytest.mark.heavy
@pytest.mark.skipif(SDK is None, reason=lack_of("mcp"))
def test_assistants_use_athena(tmp_path: Path) -> None:
    with acting([ANSWER]) as model, Page("docs/how-to/mcp-clients.md") as page:
        shell = Shell(tmp_path, openai_api_key="k", openai_base_url=f"{model.url}/v1", default_provider="openai")
        (tmp_path / "home").mkdir()
        serve = page.take("sh")
        with served(shell, serve):
            _connected(shell, page)
        shell.environment |= LOCKED
        with served(shell, serve):
            _locked(shell, page)


def _connected(shell: Shell, page: Page) -> None:
    """Connect each assistant to a server without authentication."""
    page.changes[URL] = here = shell.environment["ATHENA_API_BASE_URL"]
    assert words_of(shell, "claude", page.take("sh")) == [["mcp", "add", "athena", "--", "athena", "mcp"]]
    command, variables = of_file(page.take("json"))
    assert (command, variables) == (["athena", "mcp"], {})
    assert ANSWER in asyncio.run(conversation(over_stdio(shell, command, {"ATHENA_API_BASE_URL": here})))
    page.changes["/usr/local/bin/athena"] = shell.run(page.take("sh")).strip()
    desktop = of_file(page.take("json"))
    assert ANSWER in asyncio.run(conversation(over_stdio(shell, *desktop)))
    assert of_file(page.take("json")) == desktop
    codex, gemini = page.take("sh").splitlines()
    assert words_of(shell, "codex", codex) == [["mcp", "add", "athena", "--", "athena", "mcp"]]
    assert words_of(shell, "gemini", gemini) == [["mcp", "add", "athena", "athena", "mcp"]]


def _locked(shell: Shell, page: Page) -> None:
    """Connect to a server that wants tokens."""
    page.changes[URL] = here = shell.environment["ATHENA_API_BASE_URL"]
    page.changes["/etc/athena/claude-token"] = str(file := shell.directory / "claude-token")
    made = shell.run("athena tokens create --identity ann --role Admin --transport local --quiet")
    shell.environment["ATHENA_TOKEN"] = made.strip()
    token = json.loads(shell.run(page.take("sh")))["token"]
    file.write_text(token)
    file.chmod(0o600)
    ((*head, _, program, word),) = words_of(shell, "claude", page.take("sh"))
    assert head[:3] == ["mcp", "add", "athena-team"]
    variables = dict(value.split("=", 1) for flag, value in pairwise(head) if flag == "-e")
    assert variables["ATHENA_API_BASE_URL"] == here
    started = conversation(over_stdio(shell, [program, word], variables), sessionId="assistant")
    assert ANSWER in asyncio.run(started)
    ((*_, url, _, header),) = words_of(shell, "claude", page.take("sh"))
    assert header == "Authorization: Bearer ${ATHENA_TOKEN}"
    assert ANSWER in asyncio.run(by_http(url, token))
    (cursor,) = json.loads(page.take("json"))["mcpServers"].values()
    assert cursor == {"url": url, "headers": {"Authorization": "Bearer ${env:ATHENA_TOKEN}"}}
    listed, *_ = shell.run(page.take("sh")).splitlines()
    assert len(json.loads(listed)["items"]) == 2


SCRIPT = (
    call("git__git_log", repo_path=".", max_count=7),
    call("files", action="write", path="notes.md", content="One commit: take notes.\n"),
    call("git__git_add", repo_path=".", files=["notes.md"]),
    call("git__git_commit", repo_path=".", message="Sum up the week"),
    "It is committed.",
)


@pytest.mark.heavy
@BOXED
@pytest.mark.skipif(not GIT_SERVER.exists(), reason=lack_of("mcp-server-git"))
def test_agents_use_the_tools_of_a_server(tmp_path: Path) -> None:
    repository.make(tmp_path / "workspace")
    repository.commit(tmp_path / "workspace", "Take notes", notes_md="one\n")
    changes = {"/etc/athena": str(tmp_path), "/opt/mcp": sys.prefix}
    with acting(SCRIPT) as model, Page("docs/how-to/mcp-tools.md", **changes) as page:
        page.take("sh")  # the server is installed already
        shell = Shell(tmp_path, openai_api_key="k", openai_base_url=f"{model.url}/v1", workspace_root="workspace")
        shell.environment["ATHENA_CLI_API_TIMEOUT_MS"] = "60000"  # the server starts slowly on a busy machine
        (tmp_path / "mcp.toml").write_text(page.take("toml"))
        protect, export, serve = page.take("sh").splitlines()
        shell.run(protect)
        name, _, value = export.removeprefix("export ").partition("=")
        shell.environment[name] = value
        with served(shell, serve):
            _used(shell, page)
        for servers in ({"tickets", "docs"}, {"browser"}):  # test_browser.py starts the browser
            (tmp_path / "mcp.toml").write_text(page.take("toml"))
            assert set(read_mcp_servers(tmp_path / "mcp.toml")) == servers


def _used(shell: Shell, page: Page) -> None:
    """Check the server, let a run use it, and accept its tools."""
    checked, shown = shell.run(page.take("sh")).splitlines()
    assert [json.loads(one)["server"]["state"] for one in (checked, shown)] == ["current", "current"]
    (shell.directory / "historian.json").write_text(page.take("json"))
    shell.run(page.take("sh"))
    run = json.loads(shell.run(page.take("sh")))["runId"]
    listed, answer = page.take("sh").splitlines()
    for _ in soon():
        asks = json.loads(shell.run(listed))["items"]
        if asks:
            break
    assert asks[0]["toolName"] == "git__git_commit"
    shell.run(answer.replace("ask_01M87A", asks[0]["id"]))
    ended = json.loads(shell.run(f"athena runs get {run} --wait 60"))
    assert (ended["status"], ended["output"]) == ("completed", SCRIPT[-1])
    assert "mcp.attached" in shell.run(page.take("sh").replace(RUN, run))
    details = json.loads(shell.run(page.take("sh")))
    accepted = json.loads(shell.run(page.take("sh").replace("5b1e0c", details["listingSha256"])))
    assert accepted["server"]["changed"] == 0
