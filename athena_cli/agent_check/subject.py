"""The subject of a check: one agent, in a sandbox or without one."""

import asyncio
from pathlib import Path

from athena_cli.agent_check.interview import Interview, Interviewer, Pace
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

    def __init__(self, known: KnownAgent, directory: Path, pace: Pace, *, boxed: bool) -> None:
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
