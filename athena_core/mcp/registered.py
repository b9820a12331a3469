"""The MCP servers that this process knows, read again without a restart."""

import asyncio
from pathlib import Path
from typing import ClassVar

from athena_core.errors import AthenaError, McpServerFailed
from athena_core.mcp.servers import McpServer, read_mcp_servers
from athena_core.operator_file import OperatorEntries


class RegisteredMcpServers(OperatorEntries[McpServer]):
    """The MCP servers of the file that ``ATHENA_MCP_SERVERS`` names. One that runs keeps the entry it began with."""

    LOOP = "mcp"
    FAILURE: ClassVar[type[AthenaError]] = McpServerFailed

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Without a path no server is registered. Raise ConfigError. Blocks."""
        super().__init__(path, read_mcp_servers)

    async def looked_at(self) -> dict[str, list[str]]:
        """Return what this machine lacks for each server, by name."""
        known = self.entries
        return await asyncio.to_thread(lambda: {name: server.missing() for name, server in known.items()})
