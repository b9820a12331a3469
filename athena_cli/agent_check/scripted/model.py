"""A scripted model for agents: it speaks the wire that it is asked in, and counts every token.

The same conversation always gets the same next turn: the number of turns that it holds already chooses the step.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from athena_cli.agent_check.scripted.agent_tools import ToolCallWords, call_offered, run_command, write_file
from athena_cli.agent_check.scripted.wires import GEMINI_ROUTE_PATH, WIRES, Body, Tokens, gemini_route

TOKENS: Tokens = (7, 20)
"""Input and output tokens of each answer, unless a script has others."""
REFUSAL: Body = {
    "type": "error",
    "error": {"type": "invalid_request_error", "code": "athena_budget", "message": "refused"},
}
SIDE_REQUESTS = ("Give this conversation a title", "Suggest what to ask next")
"""Beginnings of requests with tools that belong to no turn."""
SIDE_ANSWER = "A title"


class Calls(NamedTuple):
    """A turn that calls a tool by its name."""

    tool: str
    arguments: Mapping[str, Any]


class Offers(NamedTuple):
    """A turn that calls a tool of an MCP server by its name there."""

    tool: str
    arguments: Mapping[str, Any]


class Shell(NamedTuple):
    """A turn that runs a command, with the tool that the agent has for it."""

    command: str


class Writes(NamedTuple):
    """A turn that writes a file of the workspace, with the tool that the agent has for it."""

    path: str
    text: str


class Refuses(NamedTuple):
    """A refused call of the model."""

    status: int = 400
    body: Mapping[str, Any] = REFUSAL


class Hangs(NamedTuple):
    """A turn that begins with a text and never ends."""

    text: str


class Cuts(NamedTuple):
    """A turn that begins with a text and is cut off."""

    text: str


Step: TypeAlias = str | Calls | Offers | Shell | Writes | Refuses | Hangs | Cuts
Script: TypeAlias = Sequence[Step] | Callable[[int], Step]
"""The steps by the number of turns before; the last one is repeated."""


class ScriptedRequest(Protocol):
    """A request: its path in lower case, its body as text and as JSON."""

    @property
    def path(self) -> str:
        """The path, in lower case."""

    @property
    def raw(self) -> str:
        """The text of the body."""

    @property
    def body(self) -> dict[str, Any]:
        """The body."""


class ScriptedAnswer(NamedTuple):
    """The bytes of an answer after its head, piece by piece. One that ``hangs`` stays open after them."""

    pieces: Sequence[bytes]
    status: int = 200
    kind: str = "text/event-stream"
    hangs: bool = False


@dataclass
class AgentModel:
    """The model. ``script`` may change between prompts."""

    script: Script
    tokens: Tokens = TOKENS
    escalates: bool = False
    """True if commands ask to leave the agent's own sandbox."""
    answered: int = 0
    """The number of answers that it sent to their end."""
    turned: int = 0
    """The number of requests for a turn of the conversation, not for a title or the like."""
    asked: list[ScriptedRequest] = field(default_factory=list)
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once an answer hangs."""

    _calls: dict[int, int] = field(default_factory=dict)

    _last: dict[str, int] = field(default_factory=dict)

    @property
    def spent(self) -> Tokens:
        """The input and output tokens of all answers."""
        return self.answered * self.tokens[0], self.answered * self.tokens[1]

    def answer(self, request: ScriptedRequest) -> ScriptedAnswer:
        """Return the answer to a request. Raise NoTool."""
        self.asked.append(request)
        path = request.path.partition("?")[0]
        if path.endswith(GEMINI_ROUTE_PATH):
            self.answered += 1
            return ScriptedAnswer((gemini_route(self.tokens),), kind="application/json")
        wire = next(wire for ending, wire in WIRES.items() if path.endswith(ending))
        number = wire.turns(request.body)
        if not request.body.get("tools") or any(side in request.raw for side in SIDE_REQUESTS):
            step: Step = SIDE_ANSWER
        else:
            self.turned += 1
            step = self.script(number) if callable(self.script) else self.script[min(number, len(self.script) - 1)]
        start = wire.start(self.tokens, f"msg_{len(self.asked)}")
        match step:
            case Refuses():
                return ScriptedAnswer((json.dumps(step.body).encode(),), step.status, "application/json")
            case Cuts():
                return ScriptedAnswer((start + wire.text(step.text),))
            case Hangs():
                self.hung.set()
                return ScriptedAnswer((start + wire.text(step.text),), hangs=True)
        call = self._call(step, request)
        self.answered += 1
        if call is not None:
            said = wire.call(self._call_id(number), call.tool, call.arguments) + wire.end(True, self.tokens)
            return ScriptedAnswer((start, said))
        self._last[str(step)] = len(self.asked)
        words = str(step).split(" ")
        pieces = [word + " " * (place < len(words) - 1) for place, word in enumerate(words)]
        texts = [str(step)] if wire.whole_texts else pieces
        return ScriptedAnswer((start, *map(wire.text, texts), wire.end(False, self.tokens)))

    def was_asked_with(self, text: str) -> bool:
        """Return True if the last request has a text."""
        return bool(self.asked) and text in self.asked[-1].raw

    def after(self, text: str) -> int:
        """Return the number of requests after the one that a text answered."""
        return len(self.asked) - self._last.get(text, len(self.asked))

    def _call_id(self, number: int) -> str:
        """Return an id for a call, another one each time."""
        self._calls[number] = again = self._calls.get(number, 0) + 1
        return f"call_{number}" if again == 1 else f"call_{number}_{again}"

    def _call(self, step: Step, request: ScriptedRequest) -> ToolCallWords | None:
        match step:
            case Calls():
                return ToolCallWords(step.tool, step.arguments)
            case Offers():
                return call_offered(request.body, step.tool, step.arguments)
            case Shell():
                return run_command(request.body, step.command, escalates=self.escalates)
            case Writes():
                return write_file(request.body, request.raw, step.path, step.text, escalates=self.escalates)
        return None
