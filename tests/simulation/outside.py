"""Models and tools of the simulated plane: a script in the input says what they do, and every effect is counted.

A script is words, one for each turn; ``+`` joins what one turn does. ``e:NAME`` calls the tool ``shell``, whose effect
is counted under NAME. ``q`` asks a question, ``c`` offers a choice. ``w:SECONDS`` waits
before the answer, and ``u:TOKENS`` is its usage. ``x`` fails, and ``r`` fails once in two calls, but may be retried.
Everything else is said. After its last word the model says "done".
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import anyio

from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from athena_core.tools import shell
from athena_core.tools.tool import ToolResult
from athena_core.values import Usage

QUESTION = {"question": "Which branch?"}
CHOICE = {"question": "Which one?", "options": ["main", "next"]}


class Outside:
    """The record of all that happened outside of the plane: effects by name, model calls and their tokens."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.effects: Counter[str] = Counter()
        self.calls = 0
        self.tokens: Counter[str] = Counter()
        """Output tokens that were reported, by provider."""
        self.begun: list[tuple[float, str]] = []
        """The second and name of each effect."""
        self._seconds = seconds
        self._failed: set[str] = set()

    def providers(self) -> Mapping[str, "ScriptedProvider"]:
        models = {"mock": "mock-model", "openai": "gpt-4o"}
        return {name: ScriptedProvider(name, model, self) for name, model in models.items()}

    def happen(self, name: str) -> None:
        self.effects[name] += 1
        self.begun.append((self._seconds(), name))

    def fails_now(self, script: str) -> bool:
        """Return True for each odd time that a script is asked for."""
        self._failed ^= {script}
        return script in self._failed

    def open_seams(self) -> None:
        """Let the tool ``shell`` count instead of starting a process."""

        async def call(tool: shell.ShellTool, arguments: Mapping[str, Any], bench: Any) -> ToolResult:
            await anyio.sleep(0.02)
            name = arguments["command"][1]
            self.happen(name)
            await anyio.sleep(0.3)
            return ToolResult(content=f"[exit 0]\n{name}")

        shell.ShellTool.call = call  # type: ignore[method-assign, assignment]


class ScriptedProvider:
    """A provider whose answers are written in the input of the run."""

    configured = True

    def __init__(self, name: str, model: str, outside: Outside) -> None:
        self.name, self.default_model, self._outside = name, model, outside

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        said = [message for message in request.messages if message.role == "user"]
        script = said[-1].content if said else ""
        turn = 0
        for message in request.messages:
            turn = 0 if message.role == "user" else turn + (message.role == "assistant")
        words = script.split()
        parts = words[turn].split("+") if turn < len(words) else []
        self._outside.calls += 1
        await anyio.sleep(0.05)
        tokens, calls, text = 10, 0, ""
        for part in parts:
            kind, _, rest = part.partition(":")
            if kind == "w":
                await anyio.sleep(float(rest))
            elif kind == "u":
                tokens = int(rest)
            elif kind == "x" or (kind == "r" and self._outside.fails_now(script)):
                raise ProviderFailure("The model fails.", worth_retrying=kind == "r")
            elif call := _call(kind, rest):
                yield ToolCallDelta(index=calls, id=f"call_{turn}_{calls}", name=call[0], arguments=json.dumps(call[1]))
                calls += 1
            else:
                text += f"{part} "
        last = turn >= len(words) or not calls
        cut = request.max_output_tokens is not None and tokens >= request.max_output_tokens
        tokens = min(tokens, request.max_output_tokens or tokens)
        yield TextDelta(text="done" if turn >= len(words) else text or "Now.")
        self._outside.tokens[self.name] += tokens
        yield UsageReport(usage=Usage(input_tokens=20, output_tokens=tokens, total_tokens=20 + tokens))
        yield Finished(reason="length" if cut else "stop" if last else "tool_calls")

    async def models(self) -> tuple[str, ...]:
        return (self.default_model,)

    async def close(self) -> None:
        """Do nothing; nothing is held."""


def _call(kind: str, rest: str) -> tuple[str, Mapping[str, Any]] | None:
    match kind:
        case "e":
            return "shell", {"command": ["touch", rest]}
        case "q":
            return "ask_user", QUESTION
        case "c":
            return "ask_user", CHOICE
        case _:
            return None
