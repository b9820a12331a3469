"""One process of an agent and a conversation with it, as runs have them, with everything that it says noted."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

from athena_cli.agent_check.checked_agent import CheckedAgent
from athena_cli.agent_check.processes import Process, memory_of, tree_of
from athena_core.agents.acp import AcpClient, AcpDeadlines, Answers, Choice
from athena_core.agents.acp_messages import (
    FormQuestion,
    PermissionRequest,
    SessionUpdate,
    TextChunk,
    ThoughtChunk,
    ToolCallUpdate,
)
from athena_core.agents.known import WIRE_PROVIDERS
from athena_core.agents.tool_calls import ToolCalls
from athena_core.clock import SystemClock, SystemIds
from athena_core.gateway.gateway import ANY_MODEL, Gateway
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.upstream import model_servers
from athena_core.mcp.served import McpService
from athena_core.providers.prices import Prices
from athena_core.system.box import relay
from athena_core.system.process import Child
from athena_core.system.sandbox import HOME as BOX_HOME
from athena_core.system.sandbox import WORKSPACE
from athena_core.tools.tool import CommandBox
from athena_core.tools.workspace import Workspace

THINKING_SECONDS = 0.1
"""How long the person of the check takes to answer, if nothing else is said."""
MESSAGES_MAX = 100_000
USAGE = ("inputTokens", "outputTokens")


class CallNotice(NamedTuple):
    """A message about a tool call. ``begun``: the command of the turn had begun by then."""

    call_id: str
    kind: str
    status: str | None
    begun: bool
    waiting: bool
    """The permission for the call was open by then."""


class OpenLedger:
    """A ledger of the gateway (``gateway.ledger.Ledger``) that allows everything and records nothing."""

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        """Allow any sum."""

    async def ended(self, ended: EndedCall) -> None:
        """Record nothing."""

    def live(self, call: int, text: str) -> None:
        """Show nothing."""


class TappedPipes:
    """The pipes of an agent, which note its answers to prompts. ``answered`` is called before each is handled."""

    def __init__(self, child: Child, answered: Callable[[], None]) -> None:
        self._child = child
        self._answered = answered
        self.answers: list[Mapping[str, Any]] = []

    async def read_line(self, bytes_max: int) -> bytes | None:
        line = await self._child.read_line(bytes_max)
        if line and b'"stopReason"' in line and len(self.answers) < MESSAGES_MAX:
            try:
                message = json.loads(line)
            except ValueError:
                return line
            if isinstance(message, dict) and isinstance(message.get("result"), dict):
                self.answers.append(message["result"])
                self._answered()
        return line

    async def write(self, data: bytes) -> None:
        await self._child.write(data)


class Conversation:
    """A process and its session."""

    def __init__(self, agent: CheckedAgent, model_url: str) -> None:
        self._agent = agent
        self._url = model_url
        self.directory = WORKSPACE if agent.boxed else agent.workspace
        """The directory of the session, as the agent knows it."""
        self.answer: Literal["allow_once", "reject_once"] | None = "allow_once"
        """The kind of the option that the person chooses; None: none."""
        self.marker: Path | None = None
        """The file that the command of the prompt makes first."""
        self.notices: list[CallNotice] = []
        self.asked: list[PermissionRequest] = []
        self.texts: list[str] = []
        self.calls = ToolCalls()
        self.heard_at_end = 0
        """The number of messages of the turn before its end."""
        self.thinks = THINKING_SECONDS
        """How long the person takes for the next permission."""
        self.decided = 0
        """The number of permissions that the person decided."""
        self._asking: set[str] = set()
        self.waiting = asyncio.Event()
        """Set once a permission is left open."""

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the process. It and all that it started are gone once the stack is closed.

        Raise CannotStart, SandboxRefused, OSError, and what ``initialize`` raises.
        """
        known, model, home, pace = self._agent.known, self._agent.model, self._agent.home, self._agent.pace
        url = self._url
        servers = model_servers(openai_base_url=url, anthropic_base_url=url, gemini_base_url=url)
        for server in servers.values():
            stack.push_async_callback(server.close)
        gateway = Gateway(
            known.wire,
            servers[WIRE_PROVIDERS[known.wire]],
            OpenLedger(),
            {ANY_MODEL: model},
            prices=Prices.load(),
            clock=SystemClock(),
            ids=SystemIds(),
            boxed=self._agent.boxed,
            tools=McpService(),
        )
        await stack.enter_async_context(gateway)
        home.mkdir(mode=0o700, exist_ok=True)
        workspace = self._agent.workspace
        workspace.mkdir(exist_ok=True)
        sandbox = None
        if gateway.socket is not None:
            endpoint = f"http://{relay.HOST}:{relay.GATEWAY_PORT}"
            launch = known.launch(endpoint, gateway.key, model, Path(BOX_HOME))
            box = CommandBox().for_agent(home, gateway.socket, known.read_only)
            sandbox = box.around(Workspace(workspace).own(workspace))
        else:
            launch = known.launch(gateway.url, gateway.key, model, home)
        launch._replace(home=home).write_files()
        self.child = await Child.start(launch.argv, launch.environment, directory=self.directory, sandbox=sandbox)
        stack.push_async_callback(self.child.end)
        self.pipes = TappedPipes(self.child, self._note_end)
        deadlines = AcpDeadlines(pace.start, pace.start, pace.resume, pace.cancel)
        self.client = AcpClient(self.pipes, self, deadlines=deadlines)
        await stack.enter_async_context(self.client)
        await self.client.initialize()

    @property
    def processes(self) -> list[Process]:
        """The processes of the agent, without Athena's own."""
        return [one for one in self.tree if not one.own]

    @property
    def tree(self) -> list[Process]:
        """All processes of the conversation, with Athena's own."""
        return tree_of(self.child.pid)

    @property
    def memory_bytes(self) -> int:
        """The memory of the agent's processes."""
        return memory_of(self.processes)

    @property
    def own_usage(self) -> tuple[int, int] | None:
        """The tokens that the agent itself reported for its last turn; None if it reported none."""
        usage = (self.pipes.answers[-1] if self.pipes.answers else {}).get("usage")
        if not isinstance(usage, dict) or not all(isinstance(usage.get(member), int) for member in USAGE):
            return None
        return usage["inputTokens"], usage["outputTokens"]

    # The handler of the session

    async def updated(self, update: SessionUpdate) -> None:
        if isinstance(update, ToolCallUpdate):
            self.calls.update(update)
            self._note(update.tool_call_id, "update", update.status)
        elif isinstance(update, TextChunk) and not isinstance(update, ThoughtChunk):
            self.texts.append(update.text)

    async def permission(self, request: PermissionRequest) -> Choice:
        """Note a request for a permission, and answer it as a person would."""
        self.asked.append(request)
        self.calls.ask(request)
        answer, call_id = self.answer, request.tool_call.tool_call_id
        self._note(call_id, "permission", None)
        self._asking.add(call_id)

        async def choose() -> str | None:
            try:
                if answer is None:
                    self.waiting.set()
                    await asyncio.Event().wait()
                seconds, self.thinks = self.thinks, THINKING_SECONDS
                await asyncio.sleep(seconds)
            finally:
                self._asking.discard(call_id)
            self.decided += 1
            option = request.option(answer) if answer else None
            return option.option_id if option else None

        return choose

    async def question(self, question: FormQuestion) -> Answers:
        async def decline() -> dict[str, Any] | None:
            return None

        return decline

    def _note_end(self) -> None:
        self.heard_at_end = self.heard

    @property
    def heard(self) -> int:
        """The number of messages of the turn."""
        return len(self.texts) + len(self.notices)

    def _note(self, call_id: str, kind: str, status: str | None) -> None:
        begun = self.marker is not None and self.marker.exists()
        self.notices.append(CallNotice(call_id, kind, status, begun, call_id in self._asking))

    def forget(self) -> None:
        """Forget what was noted, before the next prompt."""
        self.notices, self.asked, self.texts, self.calls = [], [], [], ToolCalls()
        self.decided, self.marker = 0, None
        self._asking.clear()
        self.waiting.clear()
