"""The client side of the Agent Client Protocol, version 1: one session of one agent.

The client offers no files and no terminals: agents use their own tools, in their box. Methods that were not offered are
refused, and the agent goes on. The mode of a session is ordered, never left to the agent. If the agent leaves it, the
conversation ends as ``mode-changed``.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from athena_core.agents.acp_messages import (
    PROTOCOL_VERSION,
    UPDATES,
    AgentCapabilities,
    AgentInfo,
    ConfigAnswer,
    ConfigOption,
    ConfigUpdate,
    FormQuestion,
    Initialized,
    ModeUpdate,
    PermissionRequest,
    PromptAnswer,
    SessionNotice,
    SessionOpened,
    SessionUpdate,
    TextChunk,
    UpdateTag,
    mode_option,
)
from athena_core.rpc.peer import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    PARSE_ERRORS,
    EndState,
    Later,
    Peer,
    PeerEnded,
    PeerLimits,
    Pipes,
    ProtocolBroken,
    RequestFailed,
    RequestTimedOut,
    TooManyRequests,
)
from athena_core.text import one_line

Opening: TypeAlias = Literal["new", "resumed", "replayed"]
"""How a session was opened: begun, taken up by ``session/resume``, or by ``session/load``, which replays it."""
Ignored: TypeAlias = Literal["method", "notification", "session", "update", "replay", "late"]
"""Traffic that is counted and has no effect.

Unknown methods, sessions and updates, the replay of a session, and words after the end of a turn.
"""
Choice: TypeAlias = Callable[[], Awaitable[str | None]]
"""Waits for the id of the chosen option, None if the person gave none."""
Answers: TypeAlias = Callable[[], Awaitable[dict[str, Any] | None]]
"""Waits for the values of a form, None if the person declines."""

MESSAGE = TypeVar("MESSAGE")
ANSWER = TypeVar("ANSWER")


class ModeRefused(Exception):
    """The agent does not have the ordered mode, or refuses it. The message is a sentence."""


class AgentHandler(Protocol):
    """The receiver of a session. An exception ends the conversation and is raised by ``AcpClient.prompt``."""

    async def updated(self, update: SessionUpdate) -> None:
        """Handle an update, in its order. The agent waits meanwhile."""

    async def permission(self, request: PermissionRequest) -> Choice:
        """Note a request for a permission, in its order, and return the wait for the choice.

        The wait is cancelled, or not begun, once the agent or this end ends the turn or the request.
        """

    async def question(self, question: FormQuestion) -> Answers:
        """Note a question to a person, in its order, and return the wait for the answers."""


class AcpDeadlines(NamedTuple):
    """Seconds within which an agent answers each request, except a prompt."""

    initialize: float = 60.0
    open: float = 60.0
    resume: float = 30.0
    mode: float = 15.0


class AcpClient:
    """A conversation with an agent. Enter it, then ``initialize``, ``open``, ``order_mode`` and ``prompt``."""

    def __init__(
        self,
        pipes: Pipes,
        handler: AgentHandler,
        *,
        version: str = "",
        questions: bool = False,
        deadlines: AcpDeadlines = AcpDeadlines(),  # noqa: B008 - a value
        limits: PeerLimits = PeerLimits(),  # noqa: B008 - a value
    ) -> None:
        """Take the version of Athena for the agent, and whether the handler answers ``questions``."""
        self.peer = Peer(pipes, self, limits)
        self.info = AgentInfo()
        self.capabilities = AgentCapabilities()
        self.session_id: str | None = None
        self.mode: str | None = None
        self.ignored: Counter[Ignored] = Counter()
        self._handler = handler
        self._version = version
        self._questions = questions
        self._deadlines = deadlines
        self._modes: Sequence[str] = ()
        self._mode_option: str | None = None
        self._ordered: str | None = None
        self._ordering = False
        self._reported: str | None = None
        self._opening: str | None = None
        self._turn: asyncio.Event | None = None
        """Set once the waits for answers of the open turn are void; None between turns."""

    async def __aenter__(self) -> Self:
        await self.peer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.peer.__aexit__(kind, error, trace)

    async def initialize(self) -> AgentInfo:
        """Agree on the version of the protocol. Return the name and version of the agent.

        An agent that speaks another version ends the conversation as ``protocol-version``. Raise as ``Peer.request``.
        """
        capabilities: dict[str, object] = {
            "fs": {"readTextFile": False, "writeTextFile": False},
            "terminal": False,
        }
        if self._questions:
            capabilities["elicitation"] = {"form": {}}
        params = {
            "protocolVersion": PROTOCOL_VERSION,
            "clientCapabilities": capabilities,
            "clientInfo": {"name": "athena", "title": "Athena", "version": self._version},
        }
        found = await self._call("initialize", params, Initialized, self._deadlines.initialize)
        if found.protocol_version != PROTOCOL_VERSION:
            detail = f"It speaks version {found.protocol_version} of the protocol, not {PROTOCOL_VERSION}."
            raise self._end("protocol-version", detail)
        self.info = found.agent_info or self.info
        self.capabilities = found.agent_capabilities or self.capabilities
        return self.info

    async def open(
        self, directory: Path, previous: str | None = None, mcp_servers: Sequence[dict[str, Any]] = ()
    ) -> Opening:
        """Take up the session with the id ``previous``, or begin one. Return how it was opened.

        A session that the agent cannot take up, or not in time, is replaced by a new one. Raise as ``Peer.request``.
        """
        params: dict[str, object] = {"cwd": str(directory), "mcpServers": list(mcp_servers)}
        if previous is not None:
            ways: list[tuple[str, Opening]] = []
            if self.capabilities.resume_session:
                ways.append(("session/resume", "resumed"))
            if self.capabilities.load_session:
                ways.append(("session/load", "replayed"))
            for method, opening in ways:
                try:
                    await self._open(method, {"sessionId": previous, **params}, previous, self._deadlines.resume)
                except (RequestFailed, RequestTimedOut):
                    continue
                return opening
        await self._open("session/new", params, None, self._deadlines.open)
        return "new"

    async def _open(self, method: str, params: dict[str, object], known: str | None, seconds: float) -> None:
        self._opening = known
        try:
            opened = await self._call(method, params, SessionOpened, seconds)
        finally:
            self._opening = None
        self.session_id = known or opened.session_id
        if not self.session_id:
            raise self._end("invalid-message", f"Its answer to {method} names no session.")
        self._mode_option, self._ordered = None, None
        option = mode_option(opened.config_options)
        if opened.modes is not None:
            self.mode = opened.modes.current_mode_id
            self._modes = [mode.id for mode in opened.modes.available_modes or ()]
        elif option is not None:
            self.mode, self._modes, self._mode_option = _value(option), option.values, option.id
        else:
            self.mode, self._modes = None, ()

    async def order_mode(self, mode: str) -> None:
        """Set the mode of the session, and check it from then on. Raise ModeRefused, and as ``Peer.request``.

        Agents that were taken up again begin in their own mode, so order it after each opening.
        """
        if mode not in self._modes:
            known = ", ".join(map(one_line, self._modes)) or "no modes"
            raise ModeRefused(f"The agent has no mode {mode!r}. It offers {known}.")
        self._ordering = True
        try:
            await self._set_mode(mode)
        except (RequestFailed, RequestTimedOut) as error:
            words = error.message.exact if isinstance(error, RequestFailed) else str(error)
            raise ModeRefused(f"The agent refused the mode {mode!r}: {one_line(words)}") from error
        finally:
            self._ordering = False
        if self._reported not in {None, mode}:
            raise ModeRefused(f"The agent accepted the mode {mode!r} but reports {one_line(str(self._reported))!r}.")
        self.mode = self._ordered = mode

    async def _set_mode(self, mode: str) -> None:
        self._reported = None
        if self._mode_option is None:  # its answer says nothing; some agents report the mode before it, some do not
            params: dict[str, object] = {"sessionId": self.session_id, "modeId": mode}
            await self.peer.request("session/set_mode", params, seconds=self._deadlines.mode)
            return
        params = {"sessionId": self.session_id, "configId": self._mode_option, "value": mode}
        answer = await self._call("session/set_config_option", params, ConfigAnswer, self._deadlines.mode)
        self._read_mode(answer.config_options)

    async def prompt(self, text: str, *, seconds: float, silence_seconds: float | None = None) -> str:
        """Send a prompt and return the reason why the turn ended (``end_turn``, ``cancelled``, …).

        Only one prompt may be open. Its end voids the open waits for answers. Raise as ``Peer.request``, and what the
        handler raised.
        """
        if self._turn is not None:
            raise TooManyRequests("a prompt is open")
        self._turn = asyncio.Event()
        params = {"sessionId": self.session_id, "prompt": [{"type": "text", "text": text}]}
        try:
            answer = await self._call("session/prompt", params, PromptAnswer, seconds, silence_seconds)
        finally:
            self._turn.set()
            self._turn = None
        return answer.stop_reason

    async def cancel(self) -> None:
        """Cancel the open turn: answer open permissions with ``cancelled``. The prompt returns once the agent agrees.

        Some agents never do, so give the prompt a deadline. Raise PeerEnded.
        """
        if self._turn is not None:
            self._turn.set()
            await self.peer.notify("session/cancel", {"sessionId": self.session_id})

    # The methods of the agent

    async def request(self, method: str, params: Raw) -> Later:
        """Accept a request of the agent."""
        if method == "session/request_permission":
            asked = self._decode(params, PermissionRequest, method)
            self._check_session(asked.session_id)
            turn = self._open_turn()
            return self._permission(_none if turn.is_set() else await self._handler.permission(asked), turn)
        if method == "elicitation/create" and self._questions:
            question = self._decode(params, FormQuestion, method)
            self._check_session(question.session_id)
            turn = self._open_turn()
            return self._question(_none if turn.is_set() else await self._handler.question(question), turn)
        self.ignored["method"] += 1
        raise RequestFailed(METHOD_NOT_FOUND, f"Method not found: {one_line(method)[:100]}")

    async def notification(self, method: str, params: Raw) -> None:
        """Handle a notification of the agent."""
        if method != "session/update":
            self.ignored["notification"] += 1
            return
        notice = self._decode(params, SessionNotice, method)
        if notice.session_id != (self.session_id or self._opening):
            self.ignored["session"] += 1
            return
        if self._opening is not None:
            self.ignored["replay"] += 1
            return
        kind = self._decode(notice.update, UpdateTag, method).session_update
        if kind not in UPDATES:
            self.ignored["update"] += 1
            return
        update = self._decode(notice.update, UPDATES[kind], f"an update {kind}")
        if isinstance(update, ModeUpdate):
            self._report_mode(update.current_mode_id)
        elif isinstance(update, ConfigUpdate):
            self._read_mode(update.config_options)
        if isinstance(update, TextChunk) and not self.peer.asking:
            self.ignored["late"] += 1
            return
        await self._handler.updated(update)

    def _permission(self, choice: Choice, turn: asyncio.Event) -> Later:
        async def wait() -> object:
            chosen = await _unless(turn, choice)
            return {
                "outcome": {"outcome": "cancelled"} if chosen is None else {"outcome": "selected", "optionId": chosen}
            }

        return wait

    def _question(self, answers: Answers, turn: asyncio.Event) -> Later:
        async def wait() -> object:
            values = await _unless(turn, answers)
            if values is not None:
                return {"action": "accept", "content": values}
            return {"action": "cancel" if turn.is_set() else "decline"}

        return wait

    def _open_turn(self) -> asyncio.Event:
        if self._turn is None:
            raise RequestFailed(INVALID_PARAMS, "No prompt is open.")
        return self._turn

    def _check_session(self, session_id: str) -> None:
        if session_id != self.session_id:
            self.ignored["session"] += 1
            raise RequestFailed(INVALID_PARAMS, "Unknown session.")

    def _read_mode(self, options: list[ConfigOption] | None) -> None:
        option = mode_option(options)
        mode = _value(option) if option is not None else None
        if mode is not None:
            self._report_mode(mode)

    def _report_mode(self, mode: str) -> None:
        self.mode = self._reported = mode
        if self._ordered is not None and mode != self._ordered and not self._ordering:
            self.peer.end("mode-changed", f"It left the mode {self._ordered!r}, which Athena had ordered.")

    async def _call(
        self,
        method: str,
        params: object,
        kind: type[MESSAGE],
        seconds: float,
        silence_seconds: float | None = None,
    ) -> MESSAGE:
        result = await self.peer.request(method, params, seconds=seconds, silence_seconds=silence_seconds)
        try:
            return msgspec.json.decode(result, type=kind)
        except PARSE_ERRORS:
            raise self._end("invalid-message", f"Its answer to {method} has another shape than the protocol.") from None

    def _decode(self, data: Raw, kind: type[MESSAGE], place: str) -> MESSAGE:
        try:
            return msgspec.json.decode(data, type=kind)
        except PARSE_ERRORS:
            raise ProtocolBroken("invalid-message", f"It sent {place} of another shape than the protocol.") from None

    def _end(self, state: EndState, detail: str) -> PeerEnded:
        """End the conversation, and return the error to raise."""
        self.peer.end(state, detail)
        assert self.peer.ending is not None
        return PeerEnded(self.peer.ending)


async def _unless(void: asyncio.Event, wait: Callable[[], Awaitable[ANSWER | None]]) -> ANSWER | None:
    """Wait for an answer. Return None, and cancel the wait, once ``void`` is set."""
    if void.is_set():
        return None
    waiting, voided = asyncio.ensure_future(wait()), asyncio.ensure_future(void.wait())
    try:
        await asyncio.wait((waiting, voided), return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()
        voided.cancel()
        await asyncio.gather(waiting, voided, return_exceptions=True)


async def _none() -> None:
    """Answer nothing."""


def _value(option: ConfigOption) -> str | None:
    return option.current_value if isinstance(option.current_value, str) else None
