"""The agents that this process knows, read again without a restart."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import anyio

from athena_core.agents.known import KnownAgent, read_agents
from athena_core.errors import AgentUnavailable, ConfigError
from athena_core.system.problems import Problems

LOOP = "agents"
"""The name of the problem of a file that cannot be read again."""


class RegisteredAgents:
    """The agents of the file that ``ATHENA_AGENTS`` names. An agent that runs keeps the entry that it began with."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Without a path no agent is registered. Raise ConfigError. Blocks."""
        self._path = path
        self._entries = read_agents(path)
        self._reloading = anyio.Lock()

    @property
    def configured(self) -> bool:
        """True if this process has a file of agents."""
        return self._path is not None

    @property
    def names(self) -> frozenset[str]:
        """The names of the agents."""
        return frozenset(self._entries)

    @property
    def providers(self) -> Mapping[str, str]:
        """The provider of each agent, which is paid for its model calls."""
        return {name: agent.provider for name, agent in self._entries.items()}

    def find(self, name: str) -> KnownAgent | None:
        """Return an agent, or None if the file has none of this name."""
        return self._entries.get(name)

    async def looked_at(self) -> list[tuple[KnownAgent, list[str]]]:
        """Return the agents by name, each with what this machine lacks to start it."""
        known = sorted(self._entries.values(), key=lambda agent: agent.name)
        return await asyncio.to_thread(lambda: [(agent, agent.missing()) for agent in known])

    async def reload(self, problems: Problems) -> None:
        """Read the file again. If it is bad, the old agents stay, and the health has a problem."""
        async with self._reloading:
            try:
                self._entries = await asyncio.to_thread(read_agents, self._path)
            except ConfigError as error:
                problems.report(LOOP, AgentUnavailable(error.message))  # without its traceback
                return
            problems.recovered(LOOP)
