"""The agents that this process knows, read again without a restart."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from athena_core.agents.known import KnownAgent, read_agents
from athena_core.errors import AgentUnavailable, AthenaError
from athena_core.operator_file import OperatorEntries


class RegisteredAgents(OperatorEntries[KnownAgent]):
    """The agents of the file that ``ATHENA_AGENTS`` names. An agent that runs keeps the entry that it began with."""

    LOOP = "agents"
    FAILURE: ClassVar[type[AthenaError]] = AgentUnavailable

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Without a path no agent is registered. Raise ConfigError. Blocks."""
        super().__init__(path, read_agents)

    @property
    def providers(self) -> Mapping[str, str]:
        """The provider of each agent, which is paid for its model calls."""
        return {name: agent.provider for name, agent in self.entries.items()}

    async def looked_at(self) -> list[tuple[KnownAgent, list[str]]]:
        """Return the agents by name, each with what this machine lacks to start it."""
        known = sorted(self.entries.values(), key=lambda agent: agent.name)
        return await asyncio.to_thread(lambda: [(agent, agent.missing()) for agent in known])
