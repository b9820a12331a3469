"""Parts of the plane that stand in for files, servers and programs around an outside agent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from athena_core.domain import run
from athena_core.mcp.client.questions import McpQuestion
from athena_core.services.execution.completion import RunCompletion
from athena_core.services.mcp.run_tools import ServerTool
from athena_core.tools.tool import ServerAnswer, Tool, ToolResult
from athena_core.tools.toolbox import toolbox
from athena_core.values import ToolSpec
from tests.simulation.agent_judge import TOOLS

TOOLBOX = toolbox()


class Tools:
    """The tools of the run: ``ask_user``, and four of a server whose calls are effects (``ToolRegistry``)."""

    names = frozenset((*TOOLBOX.names, *TOOLS))

    def __init__(self) -> None:
        schema = {"type": "object"}
        self._tools = {
            name: ServerTool(
                "server",
                name,
                ToolSpec(name=name, description="", parameters=schema),
                approval,
                repeats=False,
                labelled=False,
                sha256="00",
            )
            for name, approval in TOOLS.items()
        }

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        return (*TOOLBOX.specs(names), *(tool.spec for tool in self._tools.values()))

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        if name in self._tools:
            return self._tools[name], msgspec.json.decode(arguments)
        return TOOLBOX.read(name, arguments, names)

    def server_of(self, name: str) -> str | None:
        return "server" if name in self._tools else None


class Mcp:
    """The MCP servers of a run (``RunMcp``). Starting one takes a moment."""

    tools = Tools()

    def __init__(self, world: Any, *_: Any) -> None:
        self._world = world

    async def list_new(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def unrecorded(self) -> tuple[run.RunStep, ...]:
        return ()

    async def prepare(self, names: Iterable[str]) -> None:
        if self._world.chance.random() < 0.4:
            await asyncio.sleep(self._world.chance.choice((0, 0.01, 2)))

    def servers_of(self, called: run.ToolCalled, ask: Callable[[McpQuestion], Awaitable[Any]], report: Any) -> Any:
        async def call(server: str, tool: str, arguments: Mapping[str, Any]) -> ServerAnswer:
            made: ServerAnswer = await self._world.tool_effect(called, tool, arguments, ask)
            return made

        return SimpleNamespace(call=call)


class Place:
    """The place of a run, without files (``RunPlace``)."""

    box = None

    def __init__(self) -> None:
        self.files = SimpleNamespace(root=Path("/work"))
        self.sandbox = SimpleNamespace(note=lambda _: None, unrecorded=tuple)

    async def changes(self) -> tuple[run.RunStep, ...]:
        return ()

    last_changes = changes

    async def sync_mirror(self) -> None:
        await asyncio.sleep(0)


class Completion(RunCompletion):
    """Completes runs without a workspace."""

    def __init__(self) -> None:
        pass

    def bench(self, request: Any, place: Any, carries: Any = (), servers: Any = None) -> Any:
        return SimpleNamespace(servers=servers)

    def masked(self, result: ToolResult) -> ToolResult:
        return result


class Known:
    """A registered agent (``known.KnownAgent``)."""

    name, wire, resume, mcp = "codex", "openai-chat", "exact", "session"
    mode = boxed_mode = model = None
    message_ids, tool_names, read_only, provider = False, {}, (), "openai"  # type: ignore[var-annotated]

    def missing(self) -> list[str]:
        return []

    def launch(self, *_: Any) -> Any:
        return SimpleNamespace(argv=(), environment={}, _replace=lambda **_: SimpleNamespace(write_files=lambda: None))


KNOWN = Known()
