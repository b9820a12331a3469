"""A driver of the fake agent without a run: it starts the agent, answers its permissions and records its updates."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from athena_core.agents.acp import AcpClient, AcpDeadlines, Answers, Choice
from athena_core.agents.acp_messages import (
    FormQuestion,
    PermissionRequest,
    SessionUpdate,
    TextChunk,
    ThoughtChunk,
    ToolCallUpdate,
)
from athena_core.agents.tool_calls import ToolCalls
from athena_core.rpc.peer import PeerLimits
from athena_core.system.process import PATH, Child
from tests.support.agent_model import AgentModel

FAKE_AGENT = Path(__file__).with_name("fake_agent.py")
SOON = AcpDeadlines(initialize=20, open=20, resume=20, mode=20)
PROMPT_SECONDS = 20.0


class Driver:
    """The handler of a session, and the client. ``answer`` is the kind of the chosen option; None leaves it open."""

    def __init__(self, child: Child, deadlines: AcpDeadlines, limits: PeerLimits, *, questions: bool) -> None:
        self.child = child
        self.client = AcpClient(child, self, questions=questions, deadlines=deadlines, limits=limits)
        self.answer: Literal["allow_once", "reject_once"] | None = "allow_once"
        self.updates: list[SessionUpdate] = []
        self.calls = ToolCalls()
        self.asked: list[PermissionRequest] = []

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(
            one.text for one in self.updates if isinstance(one, TextChunk) and not isinstance(one, ThoughtChunk)
        )

    async def updated(self, update: SessionUpdate) -> None:
        self.updates.append(update)
        if isinstance(update, ToolCallUpdate):
            self.calls.update(update)

    async def permission(self, request: PermissionRequest) -> Choice:
        self.asked.append(request)
        self.calls.ask(request)
        answer = self.answer

        async def choose() -> str | None:
            if answer is None:
                await asyncio.Event().wait()
            option = request.option(answer) if answer else None
            return option.option_id if option else None

        return choose

    async def question(self, question: FormQuestion) -> Answers:
        async def answers() -> dict[str, Any] | None:
            return dict.fromkeys(question.requested_schema["properties"], "red")

        return answers

    async def begin(self, directory: Path, previous: str | None = None, mode: str | None = "default") -> str:
        """Initialize, open a session and order its mode. Return how it was opened."""
        await self.client.initialize()
        opening = await self.client.open(directory, previous)
        if mode is not None:
            await self.client.order_mode(mode)
        return opening

    async def prompt(
        self, text: str = "do it", seconds: float = PROMPT_SECONDS, silence_seconds: float | None = None
    ) -> str:
        return await self.client.prompt(text, seconds=seconds, silence_seconds=silence_seconds)


@asynccontextmanager
async def fake_agent(
    home: Path,
    model: AgentModel,
    *switches: str,
    deadlines: AcpDeadlines = SOON,
    limits: PeerLimits = PeerLimits(),  # noqa: B008 - a value
    questions: bool = False,
) -> AsyncIterator[Driver]:
    """Start the fake agent with switches. Its process and what it started are gone at the end."""
    home.mkdir(exist_ok=True)
    environment = {"PATH": PATH, "HOME": str(home), "FAKE_URL": model.url, "FAKE_KEY": "key", "FAKE_MODEL": "m"}
    child = await Child.start((sys.executable, "-I", "-S", str(FAKE_AGENT), *switches), environment)
    driver = Driver(child, deadlines, limits, questions=questions)
    try:
        async with driver.client:
            yield driver
    finally:
        await child.end()
