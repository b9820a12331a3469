"""The subject of a check: one agent, in a sandbox or without one."""

import asyncio
from pathlib import Path

from athena_cli.agent_check.interview import Interview, Interviewer, Pace
from athena_cli.agent_check.private_plane import KillPoint, PrivatePlane
from athena_cli.agent_check.processes import Process
from athena_core.agents.known import AgentWire, KnownAgent

MODELS: dict[AgentWire, str] = {
    "openai-chat": "gpt-4o-mini",
    "openai-responses": "gpt-5-mini",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
}
"""Models with known prices. No request reaches them."""


class Subject:
    """An agent that is checked. The interview is held once, when the first row needs it."""

    def __init__(self, known: KnownAgent, plane: PrivatePlane, directory: Path, pace: Pace, *, boxed: bool) -> None:
        """``directory`` is empty, and outside of the state of the plane."""
        self.plane = plane
        self.left: list[Process] = []
        """Processes that ended runs have left."""
        self.kill_point: KillPoint | None = None
        self.known = known
        self.boxed = boxed
        self.pace = pace
        self.model = MODELS[known.wire]
        self._interviewer = Interviewer(known, self.model, directory, pace, boxed=boxed)
        self._interview: asyncio.Task[Interview] | None = None

    async def interview(self) -> Interview:
        """Return what the interview found."""
        if self._interview is None:
            self._interview = asyncio.create_task(self._interviewer.hold())
        return await asyncio.shield(self._interview)

    async def athena_dies(self, row: str) -> None:
        """Wait until the server was killed and is back."""
        assert self.kill_point is not None, "the stage of the row"
        await self.kill_point.arrive((self, row))
