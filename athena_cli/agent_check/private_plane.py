"""The private plane of a check: a server of its own, whose models are scripts, and which the check may kill."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import httpx2

from athena_cli.agent_check.processes import Process, alive, tree_of
from athena_cli.agent_check.scripted.model import AgentModel, Script, ScriptedAnswer, ScriptedRequest
from athena_cli.agent_check.scripted.model_server import ScriptedServer
from athena_cli.agent_check.scripted.wires import Tokens
from athena_cli.private_server import PrivateServer, free_port

Json: TypeAlias = dict[str, Any]

PREFIX = "/api/v1"
AWAY_SECONDS = 60.0
"""How long a request waits for a server that was killed."""
RETRY_SECONDS = 0.1
REQUEST_SECONDS = 30.0
POLL_SECONDS = 0.1
PAGE = 500


class ServerRefused(Exception):
    """The server refused a request. The message is its error."""


class PrivatePlane:
    """The server and the models."""

    def __init__(self, directory: Path, agents_file: Path) -> None:
        self.state_dir = directory / "state"
        self.port = free_port(0)
        self._directory = directory
        self._agents_file = agents_file
        self._models: dict[str, AgentModel] = {}
        self._strays = AgentModel(("A suggestion",))
        self._numbers = 0
        self._scripts = ScriptedServer(self._choose)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Run the server and the models meanwhile. Raise Failed."""
        (self._directory / "workspace").mkdir(parents=True)
        async with self._scripts:
            settings = {
                "STATE_DIR": str(self.state_dir),
                "WORKSPACE_ROOT": str(self._directory / "workspace"),
                "AGENTS": str(self._agents_file),
                **{f"{vendor}_BASE_URL": self._scripts.url for vendor in ("OPENAI", "ANTHROPIC", "GEMINI")},
            }
            settings = {f"ATHENA_{name}": value for name, value in settings.items()}
            self._server = server = PrivateServer(self._directory, settings, self.port)
            try:
                async with httpx2.AsyncClient(base_url=server.url, timeout=REQUEST_SECONDS, trust_env=False) as http:
                    self._http = http
                    await server.start(http)
                    yield self
            finally:
                await server.stop()

    async def kill_and_start(self) -> None:
        """Kill the server with SIGKILL, wait until nothing of its agents is left, and start it again."""
        left = self.tree
        await self._server.kill()
        until = time.monotonic() + AWAY_SECONDS
        while alive(left) and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
        await self._server.start(self._http)

    @property
    def tree(self) -> list[Process]:
        """All processes below the server."""
        process = self._server.process
        return [] if process is None else tree_of(process.pid)

    # Models

    def script(self, script: Script, tokens: Tokens, *, escalates: bool) -> tuple[str, AgentModel]:
        """Return a new task for an agent, and the model that follows the script for it."""
        self._numbers += 1
        task = f"Run the steps of the check [task-{self._numbers:05d}]."
        model = self._models[task] = AgentModel(script, tokens, escalates)
        return task, model

    def _choose(self, request: ScriptedRequest) -> ScriptedAnswer:
        model = next((model for task, model in self._models.items() if task in request.raw), self._strays)
        return model.answer(request)

    # Requests

    async def get(self, path: str, **query: str) -> Any:
        """Return the data of a GET. Raise ServerRefused."""
        return await self._request("GET", path, query, None)

    async def post(self, path: str, body: Json | None = None) -> Any:
        """Return the data of a POST that does not wait for runs. Raise ServerRefused."""
        return await self._request("POST", path, {}, body or {})

    async def events(self, run_id: str, *types: str) -> list[Json]:
        """Return the events of a run, of some types."""
        page = await self.get("/events", runId=run_id, limit=str(PAGE), **({"types": ",".join(types)} if types else {}))
        return list(page["events"])

    async def _request(self, method: str, path: str, query: Mapping[str, str], body: Json | None) -> Any:
        until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                answer = await self._http.request(
                    method, PREFIX + path, params=dict(query), json=body, headers={"prefer": "respond-async"}
                )
                break
            except httpx2.TransportError:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
        found = answer.json()
        if not found["ok"]:
            raise ServerRefused(f"{method} {path}: {found['error']['code']}: {found['error']['message']}")
        return found["data"]


class KillPoint:
    """The moment at which the server is killed: once all rows that wait for it have arrived, or are over."""

    def __init__(self, rows: Collection[object], kill: Callable[[], Awaitable[None]]) -> None:
        self._missing = set(rows)
        self._kill = kill
        self._arrived = 0
        self._killing: asyncio.Task[None] | None = None
        self._killed = asyncio.Event()

    async def arrive(self, row: object) -> None:
        """Wait until the server was killed and is back."""
        self._arrived += 1
        self.leave(row)
        await self._killed.wait()
        if self._killing is not None:
            await self._killing

    def leave(self, row: object) -> None:
        """Wait for a row no longer."""
        self._missing.discard(row)
        if not self._missing and self._arrived and self._killing is None:
            self._killing = asyncio.create_task(self._do())

    async def _do(self) -> None:
        try:
            await self._kill()
        finally:
            self._killed.set()
