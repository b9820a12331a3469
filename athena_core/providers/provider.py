"""The contract of a provider: a stream of deltas that ends with a finish, and ``complete``, which drives one."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from athena_core.errors import ProviderError
from athena_core.event import Value
from athena_core.text import clean, one_line
from athena_core.values import ToolCall, ToolSpec, Usage

MAX_TOKENS = 2**53
MAX_MESSAGE_CHARS = 300
MAX_REASON_CHARS = 64
MAX_REQUEST_ID_CHARS = 200
MAX_CALLS = 128
MAX_CALL_NAME_CHARS = 200
MAX_CALL_ID_CHARS = 200
MAX_ARGUMENT_CHARS = 256_000
NO_ARGUMENTS = "{}"
CUT = "length"
"""The reason of an answer that ends where a limit of tokens was reached."""

MAX_TOOL_NAME_CHARS = 64
UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]")


class ModelMessage(Value):
    """One entry of the conversation that is sent.

    An assistant may have asked for ``calls``; a message of role ``tool`` answers the call ``tool_call_id``.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    is_error: bool = False


class ModelRequest(Value):
    """One call of a model. ``max_output_tokens`` is asked of the provider, ``max_output_chars`` is enforced here.

    ``schema`` asks for an answer in JSON that fits it, of providers that can.
    """

    model: str
    messages: tuple[ModelMessage, ...]
    tools: tuple[ToolSpec, ...] = ()
    schema: dict[str, Any] | None = None
    max_output_tokens: int | None = None
    max_output_chars: int = 1_000_000


class TextDelta(Value):
    """The next piece of the output."""

    text: str


class ToolCallDelta(Value):
    """A piece of a tool call: pieces of one ``index`` belong together, ``arguments`` are appended."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class UsageReport(Value):
    """The usage of the call; a later report replaces an earlier one."""

    usage: Usage


class Finished(Value):
    """The output is complete; ``reason`` is the provider's word (``stop``, ``length``, ...)."""

    reason: str
    request_id: str | None = None


Delta: TypeAlias = TextDelta | ToolCallDelta | UsageReport | Finished


class Provider(Protocol):
    """A source of model output. It may be used by many tasks at once, all of one event loop."""

    name: str
    default_model: str

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Start one call; raises ``ProviderFailure``. Cancelling the reader, or closing the iterator, ends the call."""

    async def close(self) -> None:
        """Give back what is held between calls."""


class ProviderFailure(ProviderError):
    """A call that failed. ``worth_retrying`` and ``wait_seconds`` are for the caller's retry loop.

    ``attempts`` and ``hops`` tell how often it tried, and at how many further providers; ``retryable`` is for clients.
    """

    def __init__(self, message: str, *, worth_retrying: bool, wait_seconds: float | None = None) -> None:
        """Carry short operator text, whether a next attempt may succeed, and how long the provider asked to wait."""
        super().__init__(one_line(message)[:MAX_MESSAGE_CHARS])
        self.worth_retrying = worth_retrying
        self.wait_seconds = wait_seconds
        self.attempts = 1
        self.hops = 0


class ModelCompletion(Value):
    """A finished call. The arguments of ``calls`` are text, ``{}`` where the model wrote none; ids may be empty."""

    text: str
    usage: Usage | None
    reason: str
    request_id: str | None = None
    calls: tuple[ToolCall, ...] = ()


class PartialToolCall:
    """A tool call that is being said."""

    def __init__(self) -> None:
        """Nothing of it was said."""
        self.id = self.name = ""
        self.pieces: list[str] = []
        self.chars = 0


class CompletionBuilder:
    """What a call has said and reported so far, within the limits of its request."""

    def __init__(self, provider: str, chars_max: int) -> None:
        """Nothing was said."""
        self._provider = provider
        self._chars_left = chars_max
        self._chars_max = chars_max
        self._calls: dict[int, PartialToolCall] = {}
        self._pieces: list[str] = []
        self.usage: Usage | None = None

    def text(self, text: str) -> str:
        """Take a piece of text; the piece as it may be stored."""
        self._spend(len(text))
        cleaned = clean(text)
        self._pieces.append(cleaned)
        return cleaned

    def call(self, delta: ToolCallDelta) -> None:
        """Take a piece of a tool call."""
        self._spend(len(delta.arguments))
        call = self._calls.setdefault(delta.index, PartialToolCall())
        if len(self._calls) > MAX_CALLS:
            raise self._failure(f"more than {MAX_CALLS} tool calls at once")
        call.id = call.id or one_line(delta.id or "")[:MAX_CALL_ID_CHARS]
        call.name = call.name or one_line(delta.name or "")[:MAX_CALL_NAME_CHARS]
        call.pieces.append(delta.arguments)
        call.chars += len(delta.arguments)
        if call.chars > MAX_ARGUMENT_CHARS:
            raise self._failure(f"arguments of a tool call over {MAX_ARGUMENT_CHARS} characters")

    def completion(self, reason: str, request_id: str | None = None) -> ModelCompletion:
        """All of it; calls in the order of their indexes, broken arguments as they are."""
        calls = [
            ToolCall(id=call.id, name=call.name, arguments=clean("".join(call.pieces)).strip() or NO_ARGUMENTS)
            for _, call in sorted(self._calls.items())
        ]
        return ModelCompletion(
            text="".join(self._pieces),
            usage=self.usage,
            reason=one_line(reason)[:MAX_REASON_CHARS],
            request_id=request_id and one_line(request_id)[:MAX_REQUEST_ID_CHARS],
            calls=tuple(calls),
        )

    def _spend(self, chars: int) -> None:
        self._chars_left -= chars
        if self._chars_left < 0:
            raise self._failure(f"output over {self._chars_max} characters")

    def _failure(self, problem: str) -> ProviderFailure:
        return ProviderFailure(f"{self._provider}: {problem}", worth_retrying=False)


async def complete(
    provider: Provider,
    request: ModelRequest,
    on_text: Callable[[str], None] | None = None,
    spoken: CompletionBuilder | None = None,
) -> ModelCompletion:
    """Drive one call to its finish; ``on_text`` sees every piece of (clean) text as it arrives.

    ``spoken``, if given, is new; it tells what came of a call that failed or was cancelled.
    """
    spoken = spoken or CompletionBuilder(provider.name, request.max_output_chars)
    finished: Finished | None = None
    deltas = provider.stream(request)
    try:
        async for delta in deltas:
            match delta:
                case TextDelta():
                    text = spoken.text(delta.text)
                    if on_text:
                        on_text(text)
                case ToolCallDelta():
                    spoken.call(delta)
                case UsageReport():
                    spoken.usage = delta.usage
                case Finished():
                    finished = delta
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
    if finished is None:
        raise ProviderFailure(f"{provider.name}: truncated stream", worth_retrying=True)
    return spoken.completion(finished.reason, finished.request_id)


def arguments_object(arguments: str) -> dict[str, Any]:
    """The arguments of a call as an object: servers refuse a conversation in which a model once wrote broken ones."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"unreadable": arguments}


def tool_name(name: str) -> str:
    """A name that servers accept, also where a model made one up."""
    return UNNAMEABLE.sub("_", name)[:MAX_TOOL_NAME_CHARS] or "unnamed"


def token_count(value: object) -> int | None:
    """A number of tokens as a server sent it; None for everything that is no count (NaN, negative, text, ...)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, MAX_TOKENS)


def render(messages: Iterable[ModelMessage]) -> str:
    """The conversation as text: ``role: content``, one message after another."""
    return "\n".join([f"{message.role}: {message.content}" for message in messages])
