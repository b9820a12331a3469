"""The interview: a conversation with an agent without runs, which shows what the program does without Athena's runs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from athena_cli.agent_check.checked_agent import CheckedAgent
from athena_cli.agent_check.conversation import CallNotice, Conversation
from athena_cli.agent_check.processes import Process, kill_agent
from athena_cli.agent_check.scripted.model import AgentModel, Refuses, Script, Shell, Step, Writes
from athena_cli.agent_check.scripted.model_server import ScriptedServer
from athena_core.agents.acp import ModeRefused, Opening
from athena_core.agents.acp_messages import PROTOCOL_VERSION
from athena_core.rpc.peer import Ending, PeerEnded, RequestFailed, RequestTimedOut
from athena_core.system.process import CannotStart
from athena_core.system.sandbox import SandboxRefused

SAID = "All is done."
BEGUN = "begun"
LOOKS = f"echo first; sleep 0.5; : > {BEGUN}; sleep 0.2; echo last"
"""A command that has begun for half a second when its file is there."""
EDITED = "edited.txt"
POLL_SECONDS = 0.02
THINKS_SECONDS = 1.0
"""How long the first permission is left open, for an agent that does not wait for it."""
ALONE_SECONDS = 1.0
"""How long a cancelled turn may take to end without an answer to its open permission."""


class AgentTurn(NamedTuple):
    """A turn of the agent. ``turn_calls`` are the model calls for the turn, without those for a title or the like."""

    reason: str
    """The reason for its end; ``error`` if the agent answered with an error."""
    problem: str
    text: str
    seconds: float
    model_calls: int
    turn_calls: int


class CallSeen(NamedTuple):
    """A call of the agent: its kind, whether its output is whole, and whether that stands in its result."""

    kind: str
    whole: bool
    in_result: bool


@dataclass
class Interview:
    """The findings of an interview. Those that it did not reach are None."""

    name: str = ""
    version: str = ""
    protocol_version: int | None = None
    start_seconds: float | None = None
    """From the start of the process to its first session."""
    first_mode: str | None = None
    mode: str | None = None
    broken: dict[str, Ending] = field(default_factory=dict)
    """The unexpected ends of the conversation, by stage."""
    memory_bytes: int | None = None
    look: AgentTurn | None = None
    notices: Sequence[CallNotice] = ()
    permissions: Sequence[Sequence[str]] = ()
    """The kinds of the options of each request for a permission."""
    calls: Sequence[CallSeen] = ()
    withdrawn: int = 0
    side_calls: int = 0
    """Model calls of the turn that were not for the turn."""
    spent: tuple[int, int] = (0, 0)
    own_usage: tuple[int, int] | None = None
    edited: bool = False
    late_words: int = 0
    late_calls: int = 0
    left: Sequence[Process] = ()
    """Processes that the turn left."""
    uninvited: int = 0
    strangers: int = 0
    rejected: AgentTurn | None = None
    rejected_made: bool = False
    cancelled: AgentTurn | None = None
    cancelled_left: bool = False
    usable: bool | None = None
    """Whether the session goes on after a cancelled turn."""
    ask_cancelled: AgentTurn | None = None
    needs_answer: bool | None = None
    """Whether a cancelled turn ends only once its open permission is answered."""
    refused: AgentTurn | None = None
    taken_up: Opening | None = None
    taken_up_seconds: float = 0.0
    replayed: Opening | None = None
    problems: list[str] = field(default_factory=list)
    """What the scripted model could not do with its requests."""

    @property
    def answered(self) -> bool:
        """True if the agent did what its model asked for, to the end."""
        return self.look is not None and self.look.reason == "end_turn" and SAID in self.look.text


class Unanswered(Exception):
    """The agent did not do in time what it was asked to. The message is a sentence."""


class Interviewer:
    """Interviews one agent, in a sandbox or without one."""

    def __init__(self, agent: CheckedAgent) -> None:
        self._agent = agent
        self._pace = agent.pace
        self._workspace = agent.workspace
        self._model = AgentModel((SAID,), escalates=not agent.boxed)
        self._server = ScriptedServer(self._model.answer)
        self._session: str | None = None
        self.found = Interview()

    async def hold(self) -> Interview:
        """Hold the interview. Return what it found, also if the agent broke it off."""
        self._workspace.mkdir(parents=True)
        async with self._server:
            await self._converse()
            if self._session is not None:
                await self._stage("resume", self._take_up())
                await self._stage("load", self._replay())
            self.found.problems = list(dict.fromkeys(self._server.problems))
        return self.found

    async def _converse(self) -> None:
        """Go through the stages of a session. A stage that breaks the conversation off costs a new process."""
        found, asks = self.found, [("reject", self._reject), ("ask-cancel", self._cancel_ask)]
        rest = [("cancel", self._cancel), ("refuse", self._refuse), ("kill", self._kill)]
        todo: list[tuple[str, Callable[[Conversation], Awaitable[None]]]] = [("look", self._look)]
        while todo:
            async with AsyncExitStack() as stack:
                one = await self._opened(stack)
                while one is not None and todo:
                    name, act = todo.pop(0)
                    going_on = await self._stage(name, act(one))
                    found.uninvited += one.client.ignored.pop("method", 0)
                    found.strangers += one.client.ignored.pop("session", 0)
                    if name == "look" and going_on and found.answered:
                        todo = [*(asks if found.permissions else ()), *rest]
                    if not going_on:
                        break
                if one is None:
                    return

    async def _stage(self, name: str, work: Awaitable[None]) -> bool:
        """Return True if a stage went through. What broke it is noted."""
        found = self.found
        try:
            await work
        except PeerEnded as ended:
            found.broken[name] = ended.ending
        except RequestFailed as failed:
            found.broken[name] = Ending("silent", failed.message.exact)
        except (RequestTimedOut, Unanswered, CannotStart, SandboxRefused, OSError) as problem:
            found.broken[name] = Ending("silent", str(problem))
        return name not in found.broken

    async def _start(self, stack: AsyncExitStack) -> Conversation:
        """Start a process that lives until the stack is closed."""
        one = Conversation(self._agent, self._server.url)
        await one.start(stack)
        return one

    async def _opened(self, stack: AsyncExitStack) -> Conversation | None:
        """Start a process and a session in the ordered mode. Return None if that fails."""
        found, opened, known = self.found, list[Conversation](), self._agent.known
        mode = (known.boxed_mode if self._agent.boxed else None) or known.mode

        async def start() -> None:
            began = time.monotonic()
            one = await self._start(stack)
            await one.client.open(one.directory)
            one.client.ignored.pop("session", None)  # an update before the answer that names the session
            found.start_seconds = found.start_seconds or time.monotonic() - began
            found.name, found.version = one.client.info.name, one.client.info.version
            found.protocol_version, found.first_mode = PROTOCOL_VERSION, one.client.mode
            opened.append(one)

        async def order() -> None:
            if mode is None:
                raise Unanswered("The file of agents names no mode for it.")
            try:
                await opened[0].client.order_mode(mode)
            except ModeRefused as problem:
                raise Unanswered(str(problem)) from problem
            found.mode = mode

        return opened[0] if await self._stage("start", start()) and await self._stage("mode", order()) else None

    # The stages

    async def _look(self, one: Conversation) -> None:
        """Let it run a command and write a file, and look closely."""
        found, model = self.found, self._model
        before = {process.pid for process in one.processes}
        counted = len(model.asked)
        steps = (Shell(LOOKS), Writes(EDITED, "hi\n"), SAID)
        spent = model.spent
        one.thinks = THINKS_SECONDS
        try:
            found.look = await self._prompt(one, "run the steps of the check", *steps)
        finally:
            found.notices = one.notices
            found.permissions = [[option.kind for option in asked.options] for asked in one.asked]
        found.own_usage = one.own_usage
        found.spent = model.spent[0] - spent[0], model.spent[1] - spent[1]
        found.side_calls = len(model.asked) - counted - model.turned
        with suppress(OSError):
            found.edited = (self._workspace / EDITED).read_text() == "hi\n"
        found.calls = [
            CallSeen(call.kind, "first" in output and "last" in output, output != call.terminal_text)
            for call in one.calls
            for output in (call.output.exact,)
        ]
        found.memory_bytes = one.memory_bytes
        calls = len(model.asked)
        await asyncio.sleep(self._pace.quiet)
        found.late_words = one.heard - one.heard_at_end + one.client.ignored.pop("late", 0)
        found.late_calls = len(model.asked) - calls
        found.withdrawn = len(one.asked) - one.decided
        found.left = [process for process in one.processes if process.pid not in before]
        if len(one.pipes.answers) > 1:
            raise PeerEnded(Ending("unknown-answer", "It answered a prompt twice."))
        if one.client.peer.ending is not None:
            raise PeerEnded(one.client.peer.ending)

    async def _reject(self, one: Conversation) -> None:
        found = self.found
        one.answer = "reject_once"
        found.rejected = await self._prompt(one, "run a command that is rejected", Shell(": > rejected"), SAID)
        found.rejected_made = (self._workspace / "rejected").exists()
        one.answer = "allow_once"

    async def _cancel(self, one: Conversation) -> None:
        found = self.found
        begun = self._workspace / "waits"
        steps = (Shell(": > waits; sleep 100"), SAID)
        found.cancelled = await self._cancelled(one, "run a command that waits", steps, begun.exists)
        if found.cancelled.reason == "none":
            raise Unanswered("It did not end a cancelled turn.")
        found.cancelled_left = any(b"sleep\x00100" in process.command for process in one.processes)
        again = await self._prompt(one, "answer after a cancelled turn", SAID)
        found.usable = again.reason == "end_turn" and SAID in again.text

    async def _cancel_ask(self, one: Conversation) -> None:
        one.answer = None
        steps = (Shell(": > never"), SAID)
        turn = await self._cancelled(one, "run a command that gets no answer", steps, one.waiting.is_set, alone=True)
        self.found.ask_cancelled = turn
        one.answer = "allow_once"
        if turn.reason == "none":
            raise Unanswered("It did not end a turn that was cancelled with an open permission.")

    async def _refuse(self, one: Conversation) -> None:
        self.found.refused = await self._prompt(one, "answer although the budget is spent", Refuses())

    async def _kill(self, one: Conversation) -> None:
        """Kill the agent in a call."""
        self._session, begun = one.client.session_id, self._workspace / "killed"
        steps = (Shell(": > killed; sleep 100"), SAID)
        prompting = asyncio.create_task(self._prompt(one, "run a command that is killed", *steps))
        try:
            await self._until(begun.exists, prompting)
            kill_agent(one.tree)
            await prompting
        except PeerEnded as ended:
            if ended.ending.state != "output-closed":
                raise
        finally:
            prompting.cancel()

    # The next processes

    async def _take_up(self) -> None:
        """Take the session up in a new process."""
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            one = await self._start(stack)
            one.client.capabilities.load_session = False
            self.found.taken_up = await one.client.open(one.directory, self._session)
            self.found.taken_up_seconds = time.monotonic() - began

    async def _replay(self) -> None:
        """Load the session in a new process."""
        async with AsyncExitStack() as stack:
            one = await self._start(stack)
            one.client.capabilities.session_capabilities = None
            self.found.replayed = await one.client.open(one.directory, self._session)

    # Prompts

    async def _prompt(self, one: Conversation, text: str, *steps: Step) -> AgentTurn:
        """Let it take a turn. Raise PeerEnded, RequestTimedOut."""
        one.forget()
        one.marker = self._workspace / BEGUN
        model, began = self._model, time.monotonic()
        model.script = from_here(steps)
        asked, turned = len(model.asked), model.turned
        reason, problem = "error", ""
        try:
            reason = await one.client.prompt(text, seconds=self._pace.prompt, silence_seconds=self._pace.silence)
        except RequestFailed as failed:
            problem = failed.message.exact
        return AgentTurn(
            reason,
            problem,
            "".join(one.texts),
            time.monotonic() - began,
            len(model.asked) - asked,
            model.turned - turned,
        )

    async def _cancelled(
        self,
        one: Conversation,
        text: str,
        steps: Sequence[Step],
        ready: Callable[[], bool],
        *,
        alone: bool = False,
    ) -> AgentTurn:
        """Cancel a turn once it is ready. The reason is ``none`` if it did not end in time.

        ``alone``: leave its open permission without an answer at first.
        """
        prompting = asyncio.create_task(self._prompt(one, text, *steps))
        try:
            await self._until(ready, prompting)
            began = time.monotonic()
            if alone:
                await one.client.peer.notify("session/cancel", {"sessionId": one.client.session_id})
                await asyncio.wait((prompting,), timeout=ALONE_SECONDS)
                self.found.needs_answer = not prompting.done()
            await one.client.cancel()
            await asyncio.wait((prompting,), timeout=self._pace.cancel)
            seconds = time.monotonic() - began
            if not prompting.done():
                return AgentTurn("none", "", "", seconds, 0, 0)
            return prompting.result()._replace(seconds=seconds)
        finally:
            prompting.cancel()
            await asyncio.gather(prompting, return_exceptions=True)

    async def _until(self, ready: Callable[[], bool], prompting: "asyncio.Task[AgentTurn]") -> None:
        """Wait until something is the case. Raise Unanswered, or what the prompt raises."""
        until = time.monotonic() + self._pace.prompt
        while not ready():
            if prompting.done():
                prompting.result()
                raise Unanswered("It ended the turn before it did what its model asked for.")
            if time.monotonic() >= until:
                raise Unanswered("It did not do in time what its model asked for.")
            await asyncio.sleep(POLL_SECONDS)


def from_here(steps: Sequence[Step]) -> Script:
    """Return a script whose first step answers the first request, however many turns the session has."""
    first: list[int] = []

    def script(turns: int) -> Step:
        if not first:
            first.append(turns)
        return steps[min(max(turns - first[0], 0), len(steps) - 1)]

    return script
