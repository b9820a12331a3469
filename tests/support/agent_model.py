"""The model of outside agents: it follows a script in the wire that the agent speaks, and counts every token.

The same conversation always gets the same next turn: the number of turns that it holds already chooses the step.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from tests.support.stub import Asked, Behaviour, choosing, data, events_head, refuses, says, says_and_waits

TOKENS = (7, 20)
"""Input and output tokens of each answer."""
REFUSAL = {"type": "error", "error": {"type": "invalid_request_error", "code": "athena_budget", "message": "refused"}}


class Calls(NamedTuple):
    """A turn that calls a tool."""

    tool: str
    arguments: Mapping[str, Any]


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


Step: TypeAlias = str | Calls | Refuses | Hangs | Cuts


def shell(command: str) -> Calls:
    return Calls("shell", {"command": command})


class Wire(NamedTuple):
    """A wire: the pieces of an answer, and the number of turns in a request."""

    text: Callable[[str], bytes]
    call: Callable[[str, str, Mapping[str, Any]], bytes]
    """A call: id, tool, arguments."""
    end: Callable[[bool], bytes]
    """The end of an answer; True if it calls a tool."""
    turns: Callable[[Mapping[str, Any]], int]
    start: bytes = b""


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **fields})


def _chunk(delta: object, finish: str | None = None) -> bytes:
    return data({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


CHAT = Wire(
    text=lambda text: _chunk({"content": text}),
    call=lambda number, tool, arguments: _chunk(
        {"tool_calls": [{"index": 0, "id": number, "function": {"name": tool, "arguments": json.dumps(arguments)}}]}
    ),
    end=lambda called: (
        _chunk({}, "tool_calls" if called else "stop")
        + data({"choices": [], "usage": {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1]}})
        + b"data: [DONE]\n\n"
    ),
    turns=lambda body: sum(one["role"] == "assistant" for one in body["messages"]),
)


def _message_item(text: str) -> Mapping[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def _responses_text(text: str) -> bytes:
    item = _message_item(text)
    return (
        _event("response.output_item.added", output_index=0, item={**item, "content": [], "status": "in_progress"})
        + _event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)
        + _event("response.output_item.done", output_index=0, item=item)
    )


def _responses_call(number: str, tool: str, arguments: Mapping[str, Any]) -> bytes:
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": number, "name": tool, "status": "completed"}
    return _event("response.output_item.done", output_index=0, item={**item, "arguments": json.dumps(arguments)})


RESPONSES = Wire(
    start=_event("response.created", response={"id": "r", "object": "response", "status": "in_progress", "output": []}),
    text=_responses_text,
    call=_responses_call,
    end=lambda called: _event(
        "response.completed",
        response={
            "id": "r",
            "object": "response",
            "status": "completed",
            "output": [],
            "usage": {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1], "total_tokens": sum(TOKENS)},
        },
    ),
    turns=lambda body: sum(
        one.get("type") == "function_call" or one.get("role") == "assistant" for one in body["input"]
    ),
)
ANTHROPIC = Wire(
    start=_event(
        "message_start",
        message={
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "usage": {"input_tokens": TOKENS[0], "output_tokens": 1},
        },
    ),
    text=lambda text: (
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        + _event("content_block_stop", index=0)
    ),
    call=lambda number, tool, arguments: (
        _event(
            "content_block_start", index=1, content_block={"type": "tool_use", "id": number, "name": tool, "input": {}}
        )
        + _event(
            "content_block_delta",
            index=1,
            delta={"type": "input_json_delta", "partial_json": json.dumps(arguments)},
        )
        + _event("content_block_stop", index=1)
    ),
    end=lambda called: (
        _event(
            "message_delta",
            delta={"stop_reason": "tool_use" if called else "end_turn"},
            usage={"output_tokens": TOKENS[1]},
        )
        + _event("message_stop")
    ),
    turns=lambda body: sum(one["role"] == "assistant" for one in body["messages"]),
)
GEMINI = Wire(
    text=lambda text: data({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}),
    call=lambda number, tool, arguments: data(
        {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": tool, "args": arguments}}]}}]}
    ),
    end=lambda called: data(
        {
            "candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": TOKENS[0], "candidatesTokenCount": TOKENS[1]},
        }
    ),
    turns=lambda body: sum(one.get("role") == "model" for one in body["contents"]),
)
WIRES: Mapping[str, Wire] = {
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/messages": ANTHROPIC,
    ":streamgeneratecontent": GEMINI,
}
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
GEMINI_ROUTE = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": TOKENS[0], "candidatesTokenCount": TOKENS[1]},
}
"""The answer of the model that Gemini asks which model to use."""
TITLES = ("Give this conversation a title", "Suggest what to ask next")
"""Beginnings of the fake agent's requests that belong to no turn."""


@dataclass
class AgentModel:
    """The model. ``script`` may change between prompts."""

    script: Sequence[Step]
    url: str = ""
    answered: int = 0
    """The number of answers that it sent to their end."""
    asked: list[Asked] = field(default_factory=list)
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once an answer hangs."""

    @property
    def tokens(self) -> tuple[int, int]:
        """The input and output tokens of all answers."""
        return self.answered * TOKENS[0], self.answered * TOKENS[1]

    def choose(self, asked: Asked) -> Behaviour:
        """Return the answer to a request."""
        self.asked.append(asked)
        path = asked.path.partition("?")[0]
        if path.endswith(":generatecontent"):
            self.answered += 1
            return says(JSON_HEAD, json.dumps(GEMINI_ROUTE).encode())
        wire = next(wire for ending, wire in WIRES.items() if path.endswith(ending))
        number = wire.turns(asked.body)
        step = self.script[min(number, len(self.script) - 1)]
        if not asked.body.get("tools") or any(title in asked.raw for title in TITLES):
            step = "A title"
        if isinstance(step, Refuses):
            return refuses(step.status, json.dumps(step.body).encode(), "content-type: application/json")
        head = events_head("x-request-id: r") + wire.start
        if isinstance(step, Cuts):
            return says(head + wire.text(step.text))
        if isinstance(step, Hangs):
            self.hung.set()
            return says_and_waits(head + wire.text(step.text))
        self.answered += 1
        if isinstance(step, Calls):
            return says(head, wire.call(f"call_{number}", step.tool, step.arguments) + wire.end(True))
        words = step.split(" ")
        pieces = [word + " " * (place < len(words) - 1) for place, word in enumerate(words)]
        one = [step] if wire is RESPONSES else pieces  # an item of a response is one text
        return says(head, *map(wire.text, one), wire.end(False))


@asynccontextmanager
async def agent_model(*script: Step) -> AsyncIterator[AgentModel]:
    """Serve a scripted model in this event loop."""
    model = AgentModel(script)
    async with choosing(model.choose) as stub:
        model.url = stub.url
        yield model
