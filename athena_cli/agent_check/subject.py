"""The subject of a check: one agent, in a sandbox or without one."""

import asyncio
from pathlib import Path

from athena_cli.agent_check.checked_agent import CheckedAgent, Pace
from athena_cli.agent_check.interview import Interview, Interviewer
from athena_cli.agent_check.private_plane import KillPoint, PrivatePlane
from athena_cli.agent_check.processes import Process
from athena_core.agents.known import KnownAgent


class Subject(CheckedAgent):
    """An agent that is checked. The interview is held once, when the first row needs it."""

    def __init__(self, known: KnownAgent, plane: PrivatePlane, directory: Path, pace: Pace, *, boxed: bool) -> None:
        """``directory`` is empty, and outside of the state of the plane."""
        super().__init__(known, directory, pace, boxed=boxed)
        self.plane = plane
        self.left: list[Process] = []
        """Processes that ended runs have left."""
        self.kill_point: KillPoint | None = None
        self._interview: asyncio.Task[Interview] | None = None

    async def interview(self) -> Interview:
        """Return what the interview found."""
        if self._interview is None:
            self._interview = asyncio.create_task(Interviewer(self).hold())
        return await asyncio.shield(self._interview)

    async def athena_dies(self, row: str) -> None:
        """Wait until the server was killed and is back."""
        assert self.kill_point is not None, "the stage of the row"
        await self.kill_point.arrive((self, row))
