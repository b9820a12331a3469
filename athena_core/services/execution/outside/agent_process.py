"""The process of an outside agent: started in the workspace of the run, with a home and a model gateway of its own."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import anyio
from anyio import to_thread

from athena_core.agents.acp import AcpClient, AcpDeadlines, AgentHandler, ModeRefused, Opening
from athena_core.agents.homes import HomeInUse
from athena_core.agents.known import AgentLaunch, AgentWire, KnownAgent
from athena_core.errors import AgentModeChanged, AgentSilent, AgentUnavailable
from athena_core.gateway.endpoint import PATH
from athena_core.mask import Mask
from athena_core.mcp.served import McpService
from athena_core.outside_text import OutsideText, last_words
from athena_core.rpc.peer import Ending, PeerEnded, RequestFailed, RequestTimedOut
from athena_core.services.execution.outside.calls.endpoint_calls import SERVER
from athena_core.services.execution.outside.run_ledger import RunLedger
from athena_core.services.execution.run_place import RunPlace
from athena_core.system.box import relay
from athena_core.system.process import CannotStart, Child
from athena_core.system.sandbox import HOME as BOX_HOME
from athena_core.system.sandbox import SandboxRefused
from athena_core.tools.tool import CommandBox, ToolResult

PROMPT_SECONDS_MAX = 30 * 86_400.0
"""Deadline of a prompt. The timeout of the run ends it before, but its time stands while it asks a person."""
PROBLEM_CHARS_MAX = 300
BOXED_URL = f"http://{relay.HOST}:{relay.GATEWAY_PORT}"
"""The base URL of the gateway in a sandbox."""


class AgentTiming(NamedTuple):
    """Times of a conversation with an agent, in seconds."""

    silence_seconds: float = 600.0
    """How long an agent may send nothing while neither a call nor a model call is open."""
    cancel_seconds: float = 2.0
    """How long a cancelled agent may take to end its turn before its process is killed."""
    deadlines: AcpDeadlines = AcpDeadlines()


class RunGateway(Protocol):
    """The model gateway of one run. It listens while it is entered."""

    key: str
    socket: Path | None
    url: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


OpenGateway: TypeAlias = Callable[[AgentWire, str, RunLedger, Mapping[str, str], bool, McpService], RunGateway]
"""Makes a gateway: the wire, the provider that is paid, the ledger, the models, if the agent has a box, and its tools.

Raises AgentUnavailable if there is none for the wire and the provider.
"""


class AgentEnded(Exception):
    """The process of the agent ended. The message is how."""


class AgentProcess:
    """The process of an agent and the conversation with it. ``end`` it in any case."""

    def __init__(
        self,
        known: KnownAgent,
        place: RunPlace,
        take_home: Callable[[], HomeInUse],
        living: Callable[[int], AbstractContextManager[None]],
        mask: Mask,
        timing: AgentTiming,
    ) -> None:
        """``take_home`` returns its home. ``living`` counts the process with a pid while it is entered."""
        self._known = known
        self._place = place
        self._take_home = take_home
        self._living = living
        self._mask = mask
        self._timing = timing
        self._stack = AsyncExitStack()
        self._child: Child | None = None
        self._prompting: asyncio.Task[str] | None = None
        self._servers: list[dict[str, Any]] = []
        self._directory = place.files.root.absolute()
        self.client: AcpClient | None = None

    async def start(
        self, gateway: RunGateway, model: str, handler: AgentHandler, *, questions: bool, tools: bool
    ) -> AcpClient:
        """Start the process and agree on the protocol. With ``tools`` the gateway has an MCP endpoint.

        Raise AgentUnavailable, AgentEnded, AgentSilent, PeerEnded.
        """
        missing = await to_thread.run_sync(self._known.missing)
        if missing:
            raise AgentUnavailable(f"agent {self._known.name!r} cannot be started: {'; '.join(missing)}")
        try:
            await self._stack.enter_async_context(gateway)
            home = await to_thread.run_sync(self._take_home)
            self._stack.push_async_callback(to_thread.run_sync, home.leave)
            launch, box = self._launch(gateway, model, home.path)
            await to_thread.run_sync(launch._replace(home=home.path).write_files)
            since = anyio.current_time()
            sandbox = None if box is None else await to_thread.run_sync(box.around, self._place.files)
            if sandbox is not None:
                self._directory = sandbox.shown
            environment, directory = launch.environment, self._directory
            self._child = await Child.start(launch.argv, environment, directory=directory, sandbox=sandbox)
            self._stack.enter_context(self._living(self._child.pid))
        except (CannotStart, SandboxRefused, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise AgentUnavailable(f"agent {self._known.name!r} cannot be started: {reason}") from error
        if sandbox is not None:
            self._place.sandbox.note(ToolResult(content="", boxed_ms=round((anyio.current_time() - since) * 1_000)))
        self.client = AcpClient(self._child, handler, questions=questions, deadlines=self._timing.deadlines)
        await self.client.__aenter__()
        try:
            await self.client.initialize()
        except RequestTimedOut as error:
            raise AgentSilent(f"the agent gave {error}") from error
        except RequestFailed as error:
            raise AgentUnavailable(f"the agent refused to start: {self._line(error.message)}") from error
        offers = self.client.capabilities.mcp_capabilities
        if tools and self._known.mcp == "session" and offers is not None and offers.http:
            self._servers = [_endpoint(gateway)]
        return self.client

    def _launch(self, gateway: RunGateway, model: str, home: Path) -> tuple[AgentLaunch, CommandBox | None]:
        """Return the start of the agent, and its box. In a box it has another home and endpoint than outside."""
        box = self._place.box
        if box is None:
            return self._known.launch(gateway.url, gateway.key, model, home), None
        if gateway.socket is None:
            raise AgentUnavailable("the model gateway of the agent has no socket for its sandbox")
        launch = self._known.launch(BOXED_URL, gateway.key, model, Path(BOX_HOME))
        return launch, box.for_agent(home, gateway.socket, self._known.read_only)

    async def open(self, client: AcpClient, previous: str | None, mode: str | None) -> Opening:
        """Open a session in the workspace and order its mode. Raise AgentUnavailable, AgentSilent, AgentModeChanged."""
        try:
            opening = await client.open(self._directory, previous, self._servers)
        except RequestTimedOut as error:
            raise AgentSilent(f"the agent gave {error}") from error
        except RequestFailed as error:
            raise AgentUnavailable(f"the agent opened no session: {self._line(error.message)}") from error
        if mode is not None:
            try:
                await client.order_mode(mode)
            except ModeRefused as error:
                raise AgentModeChanged(self._line(OutsideText(str(error)))) from error
        return opening

    def prompt(self, client: AcpClient, text: str) -> asyncio.Task[str]:
        """Send a prompt. The task returns the reason why the turn ended; ``end`` waits for it."""
        silence = self._timing.silence_seconds
        work = client.prompt(text, seconds=PROMPT_SECONDS_MAX, silence_seconds=silence)
        self._prompting = asyncio.create_task(work)
        return self._prompting

    def ending(self, ended: Ending) -> str:
        """Return how the process ended, without secrets."""
        if self._child is not None and self._child.exited.is_set():
            return self._child.ending(last_words(self._mask))
        return ended.detail

    async def end(self) -> None:
        """Cancel the open turn, then kill the process and all that it started, and close its gateway.

        It takes at most some seconds, also in a cancelled scope.
        """
        with anyio.CancelScope(shield=True):
            client, prompting = self.client, self._prompting
            if client is not None and prompting is not None and not prompting.done():
                with anyio.move_on_after(self._timing.cancel_seconds), suppress(PeerEnded):
                    await client.cancel()
                    await asyncio.wait((prompting,))
            if client is not None:
                await client.__aexit__(None, None, None)
            if self._child is not None:
                await self._child.end()
                await self._place.sync_mirror()
            if prompting is not None:
                prompting.cancel()
                await asyncio.gather(prompting, return_exceptions=True)
            self.client = self._prompting = None
            with suppress(Exception):  # the ledger keeps what broke it
                await self._stack.aclose()

    def _line(self, said: OutsideText) -> str:
        return said.line(self._mask, PROBLEM_CHARS_MAX)


def _endpoint(gateway: RunGateway) -> dict[str, Any]:
    """Return the MCP endpoint of a run for its agent."""
    return {
        "type": "http",
        "name": SERVER,
        "url": (gateway.url or BOXED_URL) + PATH.decode(),
        "headers": [{"name": "Authorization", "value": f"Bearer {gateway.key}"}],
    }
