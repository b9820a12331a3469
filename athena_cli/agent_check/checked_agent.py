"""The agent of a check: its place, in a sandbox or without one, and the deadlines for it."""

from pathlib import Path
from typing import NamedTuple

from athena_core.agents.known import AgentWire, KnownAgent

MODELS: dict[AgentWire, str] = {
    "openai-chat": "gpt-4o-mini",
    "openai-responses": "gpt-5-mini",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
}
"""Models with known prices. No request reaches them."""


class Pace(NamedTuple):
    """Deadlines of the check, in seconds."""

    start: float = 60.0
    resume: float = 20.0
    prompt: float = 45.0
    silence: float = 30.0
    cancel: float = 10.0
    quiet: float = 0.6
    """How long an agent is watched after a turn."""
    row: float = 90.0
    """Of a row that is tried by runs."""
    interview: float = 400.0


class CheckedAgent:
    """An agent with a workspace and a home of its own."""

    def __init__(self, known: KnownAgent, directory: Path, pace: Pace, *, boxed: bool) -> None:
        """``directory`` is empty, and gets the workspace and the home of the agent."""
        self.known = known
        self.pace = pace
        self.boxed = boxed
        self.model = MODELS[known.wire]
        self.workspace = directory / "workspaces" / "check" / "files"
        self.home = directory / "home"
