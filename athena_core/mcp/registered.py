"""The MCP servers that this process knows, read again without a restart."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import anyio

from athena_core.errors import ConfigError, McpServerFailed
from athena_core.mcp.servers import McpServer, read_mcp_servers
from athena_core.system.problems import Problems

LOOP = "mcp"
"""The name of the problem of a file that cannot be read again."""


class RegisteredMcpServers:
    """The MCP servers of the file that ``ATHENA_MCP_SERVERS`` names. One that runs keeps the entry it began with."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Without a path no server is registered. Raise ConfigError. Blocks."""
        self._path = path
        self._entries = read_mcp_servers(path)
        self._reloading = anyio.Lock()

    @property
    def configured(self) -> bool:
        """True if this process has a file of MCP servers."""
        return self._path is not None

    @property
    def names(self) -> frozenset[str]:
        """The names of the servers."""
        return frozenset(self._entries)

    @property
    def entries(self) -> Mapping[str, McpServer]:
        """The servers by name."""
        return self._entries

    def find(self, name: str) -> McpServer | None:
        """Return a server, or None if the file has none of this name."""
        return self._entries.get(name)

    async def looked_at(self) -> dict[str, list[str]]:
        """Return what this machine lacks for each server, by name."""
        known = self._entries
        return await asyncio.to_thread(lambda: {name: server.missing() for name, server in known.items()})

    async def reload(self, problems: Problems) -> None:
        """Read the file again. If it is bad, the old servers stay, and the health has a problem."""
        async with self._reloading:
            try:
                self._entries = await asyncio.to_thread(read_mcp_servers, self._path)
            except ConfigError as error:
                problems.report(LOOP, McpServerFailed(error.message))  # without its traceback
                return
            problems.recovered(LOOP)
