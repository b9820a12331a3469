"""Coding agents as callers of ``/mcp``: their configurations, over HTTP and over standard streams."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from athena_core.agents.known import templates
from tests.support.process import ROOT
from tests.support.real_agents import REAL_AGENTS

TASK = "Start a run and read its answer."
SECONDS_MAX = 240
TOKEN = "ATHENA_TOKEN"  # noqa: S105 - the name of a variable


class Doorway(NamedTuple):
    """The way to ``/mcp``: the URL of the server and a token, with ``athena mcp`` in between or not."""

    url: str
    token: str
    stdio: bool

    @property
    def command(self) -> tuple[str, ...]:
        """The command that serves on standard streams."""
        return (sys.executable, "-m", "athena_cli", "mcp")

    @property
    def environment(self) -> dict[str, str]:
        """The settings of that command."""
        path = f"{ROOT}{os.pathsep}{ROOT / 'clients' / 'python'}"
        return {"ATHENA_API_BASE_URL": self.url, TOKEN: self.token, "PYTHONPATH": path}

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def server(self, kind: str, **others: Any) -> dict[str, Any]:
        """Return the server in the words that several clients share; ``kind`` is how they call HTTP."""
        if self.stdio:
            program, *arguments = self.command
            return {"command": program, "args": arguments, "env": self.environment, **others}
        return {kind: f"{self.url}/mcp", "headers": self.headers, **others}


class Invocation(NamedTuple):
    """The start of a client."""

    argv: Sequence[str]
    environment: Mapping[str, str]


def run_agent(name: str, home: Path, door: Doorway, model_url: str) -> "subprocess.CompletedProcess[str]":
    """Let an agent do the task without a person, with the model at ``model_url``. Return its output."""
    template, agent = templates()[name], REAL_AGENTS[name]

    def filled(text: str) -> str:
        return text.replace("{gateway}", model_url).replace("{key}", "k").replace("{model}", agent.model)

    entry: Any = agent.entry()
    given: Mapping[str, str] = template.get("env", {})
    environment = {key: filled(text) for key, text in given.items()} | entry["env"]
    environment |= {"HOME": str(home), "LANG": "C.UTF-8", TOKEN: door.token, "ENABLE_TOOL_SEARCH": "false"}
    files: Mapping[str, str] = template.get("files", {})
    for path, text in files.items():
        put(home / path, filled(text))
    argv, more = CONFIGURE[name](home, door, environment)
    work = home / "work"
    work.mkdir()
    return subprocess.run(
        [str(agent.packages / argv[0]), *argv[1:]],
        cwd=work,
        env={**environment, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def codex(home: Path, door: Doorway, environment: Mapping[str, str]) -> Invocation:
    config = home / ".codex" / "config.toml"
    program, *arguments = door.command
    variables = ", ".join(f"{name} = {json.dumps(value)}" for name, value in door.environment.items())
    if door.stdio:
        server = f"command = {json.dumps(program)}\nargs = {json.dumps(arguments)}\nenv = {{ {variables} }}\n"
    else:
        server = f'url = "{door.url}/mcp"\nbearer_token_env_var = "{TOKEN}"\n'
    # Without "required" its first request to the model does not wait for the tools.
    text = config.read_text().partition("[mcp_servers.athena]")[0]  # the endpoint of a run is another server
    put(config, f"{text}\n[mcp_servers.athena]\n{server}required = true\n")
    return Invocation(
        (
            "@openai/codex/bin/codex.js",
            "exec",
            "--skip-git-repo-check",
            "--dangerously-bypass-approvals-and-sandbox",
            TASK,
        ),
        {},
    )


def opencode(home: Path, door: Doorway, environment: Mapping[str, str]) -> Invocation:
    config = json.loads(environment["OPENCODE_CONFIG_CONTENT"])
    if door.stdio:
        server: dict[str, Any] = {"type": "local", "command": list(door.command), "environment": door.environment}
    else:
        server = {"type": "remote", "url": f"{door.url}/mcp", "headers": door.headers, "oauth": False}
    config |= {"permission": {"*": "allow"}, "mcp": {"athena": server}}
    return Invocation(("opencode-linux-x64/bin/opencode", "run", TASK), {"OPENCODE_CONFIG_CONTENT": json.dumps(config)})


def claude(home: Path, door: Doorway, environment: Mapping[str, str]) -> Invocation:
    server = door.server("url", **({} if door.stdio else {"type": "http"}))
    put(home / "mcp.json", json.dumps({"mcpServers": {"athena": server}}))
    program = "@anthropic-ai/claude-agent-sdk-linux-x64/claude"
    config = ("--mcp-config", str(home / "mcp.json"), "--strict-mcp-config")
    return Invocation((program, "-p", TASK, *config, "--allowedTools", "mcp__athena__start_run"), {})


def gemini(home: Path, door: Doorway, environment: Mapping[str, str]) -> Invocation:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "mcpServers": {"athena": door.server("httpUrl", trust=True)},
    }
    put(home / ".gemini" / "settings.json", json.dumps(settings))
    return Invocation((".bin/gemini", "-p", TASK, "-y", "--allowed-mcp-server-names", "athena"), {})


CONFIGURE: Mapping[str, Callable[[Path, Doorway, Mapping[str, str]], Invocation]] = {
    "codex": codex,
    "opencode": opencode,
    "claude": claude,
    "gemini": gemini,
}
"""The configuration and the start of each agent."""
