"""The scripted models of the demo: an OpenAI-compatible server on a loopback address.

The same conversation always gets the same next turn. Nothing that the server receives is kept or sent on.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from athena_cli.demo import script
from athena_cli.demo.script import Turn, turns_of
from athena_cli.private_server import LoopbackModel

Wait = Callable[[float], Awaitable[None]]
"""Let seconds pass: with the machine's clock, or with the clock of the demo's history."""

THINKING_SECONDS, WORD_SECONDS = 0.8, 0.07
BODY_BYTES_MAX = 8 << 20
SYSTEM_TOKENS = 900  # more than the texts of the demo need, as agents' prompts are longer
CHARS_PER_TOKEN = 4

WORDS = re.compile(r"\s*\S+\s*$|\s*\S+")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"


class ScriptedModel(LoopbackModel):
    """A model server. It takes the time that ``wait`` lets pass before and, with ``streams``, between the words."""

    def __init__(self, wait: Wait = asyncio.sleep, *, streams: bool = True) -> None:
        super().__init__()
        self._wait = wait
        self._streams = streams

    async def start(self) -> str:
        """Listen on a free loopback port. Return the base URL."""
        return f"{await self.listen()}/v1"

    async def respond(self, head: str, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if 0 < size <= BODY_BYTES_MAX:
            await self._answer(Request.of(json.loads(await reader.readexactly(size))), writer)

    async def _answer(self, request: "Request", writer: asyncio.StreamWriter) -> None:
        turn = request.turn()
        if turn.error:
            await self._wait(THINKING_SECONDS)
            said = json.dumps({"error": {"message": turn.error}}).encode()
            writer.write(REFUSED % len(said) + said)
            await writer.drain()
            return
        writer.write(HEAD)
        await self._wait(THINKING_SECONDS + (0 if self._streams else WORD_SECONDS * len(turn.text.split())))
        for piece in WORDS.findall(turn.text) if self._streams else [turn.text]:
            writer.write(_chunk({"content": piece}))
            await writer.drain()
            if self._streams:
                await self._wait(WORD_SECONDS * turn.slowness)
        for index, (tool, arguments) in enumerate(turn.calls):
            call = {"name": tool, "arguments": json.dumps(arguments)}
            place = {"index": index, "id": f"call_{request.number}_{index}", "type": "function", "function": call}
            writer.write(_chunk({"tool_calls": [place]}))
        writer.write(_chunk({}, "tool_calls" if turn.calls else "stop"))
        usage = {"prompt_tokens": request.tokens, "completion_tokens": turn.tokens}
        writer.write(_data({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
        await writer.drain()


class Request(NamedTuple):
    """A request of a model call: the last text of the user, the turns since then, the offered tools, and its size.

    ``result`` is the last tool result since then.
    """

    said: str
    number: int
    tools: frozenset[str]
    tokens: int
    result: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Request":
        """Read the JSON body of a request. Raise ValueError if it has another shape."""
        try:
            messages: Sequence[Mapping[str, Any]] = body["messages"]
            last = max((at for at, one in enumerate(messages) if one["role"] == "user"), default=-1)
            number = sum(1 for one in messages[last + 1 :] if one["role"] == "assistant" and one.get("tool_calls"))
            tools = frozenset(tool["function"]["name"] for tool in body.get("tools", ()))
            chars = sum(len(str(one.get("content") or "")) for one in messages)
            said = str(messages[last]["content"]) if last >= 0 else ""
            results = [str(one.get("content") or "") for one in messages[last + 1 :] if one["role"] == "tool"]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"not a conversation: {error}") from error
        return cls(said, number, tools, SYSTEM_TOKENS + chars // CHARS_PER_TOKEN, results[-1] if results else "")

    def turn(self) -> Turn:
        """Return the next turn. Turns that call a tool which is not offered are left out."""
        turns = [turn for turn in turns_of(self.said) if all(tool in self.tools for tool, _ in turn.calls)]
        turn = turns[min(self.number, len(turns) - 1)] if turns else Turn(script.UNKNOWN)
        return turn.after(self.result)


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _chunk(delta: object, finish: str | None = None) -> bytes:
    return _data({"id": "chatcmpl-demo", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
