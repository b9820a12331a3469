"""The contract of a provider: a stream of deltas that ends with a finish; and ``complete``, which reads it."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Annotated, Any, Protocol, TypeAlias

import msgspec

from athena_core.enums import TranscriptRole
from athena_core.errors import ProviderError
from athena_core.event import Value, says
from athena_core.providers.prices import Frame, Meter, size_of, written
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
"""Finish reason of an answer that was cut by a token limit."""

MAX_TOOL_NAME_CHARS = 64
UNNAMEABLE = re.compile(r"[^A-Za-z0-9_-]")


class ModelMessage(Value):
    """One message of the conversation.

    An assistant message may have ``calls``. A message of role ``tool`` answers the call ``tool_call_id``.
    """

    role: Annotated[TranscriptRole, says("Role of the message.")]
    content: Annotated[str, says("Text of the message.")]
    calls: Annotated[tuple[ToolCall, ...], says("Tool calls that the model requested; absent without any.")] = ()
    tool_call_id: Annotated[str | None, says("Call that a result answers; absent otherwise.")] = None
    is_error: Annotated[bool, says("True if the result is an error.")] = False


class ModelRequest(Value):
    """One model call. The provider is asked to keep ``max_output_tokens``; Athena enforces ``max_output_chars``.

    ``schema`` requests a JSON answer, from providers that support it.
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
    """A piece of a tool call. Pieces with the same ``index`` belong to one call; their ``arguments`` are joined."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class UsageReport(Value):
    """The usage of the call so far. A later report replaces it."""

    usage: Usage


class HiddenDelta(Value):
    """Output that is not shown, in bytes: reasoning, further answers, and members without a meaning here."""

    size: int


class Finished(Value):
    """The end of the output. ``reason`` is the provider's finish reason (``stop``, ``length``, …)."""

    reason: str
    request_id: str | None = None


Delta: TypeAlias = TextDelta | ToolCallDelta | HiddenDelta | UsageReport | Finished


class Provider(Protocol):
    """A source of model output. Many tasks of one event loop may use it at once."""

    name: str
    default_model: str

    @property
    def configured(self) -> bool:
        """False if every call would fail because no key is set."""

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Start a call. Raise ProviderFailure. Cancelling the reader or closing the iterator ends the call."""

    async def models(self) -> tuple[str, ...]:
        """Return the names of the models that it offers, in the server's order. Raise ProviderFailure."""

    async def close(self) -> None:
        """Release resources that are held between calls."""


class ProviderFailure(ProviderError):
    """A failed call. ``worth_retrying`` and ``wait_seconds`` are for the caller's retry loop.

    ``attempts`` is the number of tries, ``hops`` the number of further providers. ``retryable`` is for clients: by
    default it equals ``worth_retrying``, and with several providers it is True if any of them may succeed later.
    """

    def __init__(self, message: str, *, worth_retrying: bool, wait_seconds: float | None = None) -> None:
        """Take a short message for operators, if a retry may succeed, and the delay that the provider requested."""
        super().__init__(one_line(message)[:MAX_MESSAGE_CHARS])
        self.worth_retrying = self.retryable = worth_retrying
        self.wait_seconds = wait_seconds
        self.attempts = 1
        self.hops = 0

    def after(self, earlier: "ProviderFailure | None", *, attempts: int, hops: int) -> "ProviderFailure":
        """Return this failure with the counts of its route. It is retryable if an earlier one was, too."""
        self.attempts, self.hops = attempts, hops
        self.retryable |= earlier is not None and earlier.retryable
        return self


class ModelCompletion(Value):
    """A completed call. The arguments of ``calls`` are text, ``{}`` if empty. Ids may be empty."""

    text: str
    usage: Usage | None
    reason: str
    request_id: str | None = None
    calls: tuple[ToolCall, ...] = ()
    first_token_ms: int | None = None
    """Time to the first piece of text or of a tool call, if it was measured."""


class PartialToolCall:
    """A tool call that is still being received."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.pieces: list[str] = []
        self.chars = 0


class CompletionBuilder:
    """The output and usage of a call so far, within the limits of its request."""

    def __init__(self, provider: str, chars_max: int, monotonic: Callable[[], float] | None = None) -> None:
        """Start with no output. With a clock (in seconds) measure the time to the first token from now on."""
        self._provider = provider
        self._monotonic = monotonic
        self._began = 0.0 if monotonic is None else monotonic()
        self._first_at: float | None = None
        self._chars_left = chars_max
        self._chars_max = chars_max
        self._calls: dict[int, PartialToolCall] = {}
        self._pieces: list[str] = []
        self.meter = Meter()

    @property
    def begun(self) -> bool:
        """True once there is any output."""
        return bool(self._pieces or self._calls or self.meter.output_bytes)

    def hide(self, size: int) -> None:
        """Add output that is not shown, in bytes."""
        self._spend(size)
        self.meter.write(size)

    def text(self, text: str) -> str:
        """Add a piece of text. Return it in storable form."""
        self._spend(len(text))
        self.meter.write(size_of(text))
        cleaned = clean(text)
        self._pieces.append(cleaned)
        return cleaned

    def call(self, delta: ToolCallDelta) -> None:
        """Add a piece of a tool call."""
        self._spend(len(delta.arguments))
        self.meter.write(_call_size(delta))
        call = self._calls.setdefault(delta.index, PartialToolCall())
        if len(self._calls) > MAX_CALLS:
            raise self._failure(f"the model requested more than {MAX_CALLS} tool calls at once")
        call.id = call.id or one_line(delta.id or "")[:MAX_CALL_ID_CHARS]
        call.name = call.name or one_line(delta.name or "")[:MAX_CALL_NAME_CHARS]
        call.pieces.append(delta.arguments)
        call.chars += len(delta.arguments)
        if call.chars > MAX_ARGUMENT_CHARS:
            raise self._failure(f"the arguments of a tool call exceed {MAX_ARGUMENT_CHARS} characters")

    def completion(self, reason: str, request_id: str | None = None) -> ModelCompletion:
        """Return the completed call. Calls are ordered by index; malformed arguments stay as they are."""
        calls = [
            ToolCall(id=call.id, name=call.name, arguments=clean("".join(call.pieces)).strip() or NO_ARGUMENTS)
            for _, call in sorted(self._calls.items())
        ]
        return ModelCompletion(
            text="".join(self._pieces),
            usage=self.meter.usage,
            reason=one_line(reason)[:MAX_REASON_CHARS],
            request_id=request_id and one_line(request_id)[:MAX_REQUEST_ID_CHARS],
            calls=tuple(calls),
            first_token_ms=None if self._first_at is None else round((self._first_at - self._began) * 1_000),
        )

    def _spend(self, chars: int) -> None:
        if self._first_at is None and self._monotonic is not None:
            self._first_at = self._monotonic()
        self._chars_left -= chars
        if self._chars_left < 0:
            raise self._failure(f"the output exceeds {self._chars_max} characters")

    def _failure(self, problem: str) -> ProviderFailure:
        return ProviderFailure(f"{self._provider}: {problem}", worth_retrying=False)


async def complete(
    provider: Provider,
    request: ModelRequest,
    on_text: Callable[[str], None] | None = None,
    spoken: CompletionBuilder | None = None,
) -> ModelCompletion:
    """Read one call to its end. ``on_text`` gets each piece of cleaned text as it arrives.

    ``spoken``, if given, must be new. After a failure or cancel it holds the partial output.
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
                case HiddenDelta():
                    spoken.hide(delta.size)
                case UsageReport():
                    spoken.meter.report(delta.usage)
                case Finished():
                    finished = delta
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
    if finished is None:
        raise ProviderFailure(f"{provider.name}: truncated stream", worth_retrying=True)
    return spoken.completion(finished.reason, finished.request_id)


def with_hidden(part: object, frame: Frame, shown: Sequence[TextDelta | ToolCallDelta]) -> Sequence[Delta]:
    """Return the deltas made of a part of an answer, and the size of the output in it that is not among them."""
    said = sum(size_of(delta.text) if isinstance(delta, TextDelta) else _call_size(delta) for delta in shown)
    size = written(part, frame) - said
    return (*shown, HiddenDelta(size=size)) if size > 0 else shown


def _call_size(delta: ToolCallDelta) -> int:
    return size_of(delta.name or "") + size_of(delta.arguments)


def arguments_object(arguments: str) -> dict[str, Any]:
    """Return the arguments as an object. Servers refuse a conversation with malformed ones, so these are wrapped."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"unreadable": arguments}


def tool_name(name: str) -> str:
    """Return a tool name that servers accept, even if the model invented it."""
    return UNNAMEABLE.sub("_", name)[:MAX_TOOL_NAME_CHARS] or "unnamed"


def token_count(value: object) -> int | None:
    """Return a token count sent by a server; None for anything else (NaN, negative, text, …)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, MAX_TOKENS)


def render(messages: Iterable[ModelMessage]) -> str:
    """Return the conversation as text: one ``role: content`` line per message."""
    return "\n".join([f"{message.role}: {message.content}" for message in messages])
