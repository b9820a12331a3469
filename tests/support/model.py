"""The model of agent tests: it follows a script: the same conversation always gets the same next turn."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from tests.support.stub import OPENAI, Asked, Behaviour, Stub, says, standing

Step = str | tuple[tuple[str, Mapping[str, Any] | str], ...]
"""One turn: the answer, or calls (the tool's name and its arguments)."""

TOKENS = (1_000, 100)


def call(tool: str, **arguments: Any) -> Step:
    """Return a turn with one call."""
    return ((tool, arguments),)


def turn_of(step: Step, number: int, tokens: tuple[int, int] = TOKENS) -> Behaviour:
    """Return a turn as an OpenAI-compatible server sends it."""
    if isinstance(step, str):
        return says(OPENAI.head + OPENAI.start + OPENAI.text(step) + OPENAI.end(*tokens))
    pieces = []
    for index, (tool, arguments) in enumerate(step):
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        piece = OPENAI.call(f"call_{number}_{index}", tool, text)
        pieces.append(piece.replace(b'"tool_calls": [{"index": 0', b'"tool_calls": [{"index": %d' % index))
    return says(OPENAI.head + OPENAI.start + b"".join(pieces) + OPENAI.end(*tokens))


class Model:
    """A server with a script of turns. It counts the requests for each turn and takes some time to answer."""

    def __init__(self, script: Sequence[Step], pause_seconds: float) -> None:
        self.script = script
        self.url = ""
        self.turns: Counter[int] = Counter()
        self.requests: list[dict[str, Any]] = []
        self._pause_seconds = pause_seconds

    def forget(self) -> None:
        self.turns.clear()
        self.requests.clear()

    def choose(self, asked: Asked) -> Behaviour:
        """Return the next turn of a conversation, by its number of assistant calls."""
        messages = asked.body["messages"]
        number = sum(1 for message in messages if message["role"] == "assistant" and message.get("tool_calls"))
        self.turns[number + 1] += 1
        self.requests.append(asked.body)
        answer = turn_of(self.script[min(number, len(self.script) - 1)], number + 1)

        async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(self._pause_seconds)
            await answer(stub, writer)

        return behave


@contextmanager
def acting(script: Sequence[Step], pause_seconds: float = 0.0) -> Iterator[Model]:
    model = Model(script, pause_seconds)
    with standing(model.choose) as stub:
        model.url = stub.url
        yield model


class Profile(NamedTuple):
    """A profile for the model; ``gpt-4o-mini`` has a price."""

    tools: tuple[str, ...] = ("files", "shell", "memory", "evidence")
    budget_usd: float = 0
    max_turns: int | None = None
    retry_limit: int = 1
    timeout_ms: int = 600_000
    commands: tuple[tuple[str, ...], ...] = (("/bin/sh",), ("touch",))
    write: bool = True
    verification: tuple[Mapping[str, Any], ...] = ()
    approval: str | None = None
    """The approval of ``shell``."""
    asks: Mapping[str, Any] | None = None
    mcp: Mapping[str, Any] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """Return the body that creates it."""
        policies = {"timeoutMs": self.timeout_ms, "retryLimit": self.retry_limit, "budgetUsd": self.budget_usd}
        shell = {"commands": self.commands} | ({"approval": self.approval} if self.approval else {})
        named = {"asks": self.asks, "mcp": self.mcp}
        return {name: dict(member) for name, member in named.items() if member is not None} | {
            "displayName": "Agent",
            "version": "v1",
            "config": {"provider": "openai", "model": "gpt-4o-mini", "tools": self.tools},
            "policies": policies | ({"maxTurns": self.max_turns} if self.max_turns else {}),
            "toolPolicies": ({"shell": shell} if "shell" in self.tools else {}) | {"files": {"write": self.write}},
            "verificationPolicies": list(self.verification),
        }
