"""The wires: the APIs with which agents ask models, and the model calls in their requests."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple
from urllib.parse import quote

from athena_core.agents.known import AgentWire
from athena_core.gateway.answers import Answer, AnthropicAnswer, ChatAnswer, GeminiAnswer, ResponsesAnswer
from athena_core.gateway.members import MalformedMembers, Members
from athena_core.gateway.refusals import Refusal
from athena_core.providers.connection import number, table

MODEL_CHARS_MAX = 200
GEMINI_PATH = re.compile(
    rb"/v1beta/models/([A-Za-z0-9._-]{1,%d}):(generateContent|streamGenerateContent)" % MODEL_CHARS_MAX
)
GEMINI_QUERY = {b"alt=sse", b"alt=json"}
KEY_PARAMETER = b"key="


class ModelCall(NamedTuple):
    """A call of a model as an agent asked for it. ``output_max`` is its own limit of output tokens, if it set one."""

    model: str
    streamed: bool
    output_max: int | None
    query: bytes
    members: Members
    method: bytes = b""
    """The method of Gemini's API."""


class Wire(ABC):
    """An API. ``provider`` is paid for its calls."""

    name: ClassVar[AgentWire]
    provider: ClassVar[str]
    path: ClassVar[bytes]
    """The path of a model call at the gateway."""
    target: ClassVar[str]
    """The path behind the provider's base URL."""
    answer: ClassVar[type[Answer]]
    kept_by_vendor: ClassVar[tuple[str, ...]] = ()
    """Members of requests that work with state of the vendor, which another customer of the key may own."""

    def is_call(self, method: bytes, path: bytes) -> bool:
        """Return True if a request is a model call."""
        return method == b"POST" and path == self.path

    def call_of(self, path: bytes, query: bytes, body: bytes) -> ModelCall:
        """Return the call in a request. Raise Refusal."""
        members = _members(body)
        for name in self.kept_by_vendor:
            if members.value(name):
                raise Refusal("athena_request", f"{name} is not supported. Send the whole conversation without it.")
        model = members.value("model")
        if not isinstance(model, str) or not 0 < len(model) <= MODEL_CHARS_MAX or not model.isprintable():
            raise Refusal("athena_model", f"The body names no model of at most {MODEL_CHARS_MAX} characters. Name one.")
        return ModelCall(
            model=model,
            streamed=members.value("stream") is True,
            output_max=self._output_max(members),
            query=b"&".join(part for part in query.split(b"&") if part and not part.startswith(KEY_PARAMETER)),
            members=members,
        )

    def target_of(self, call: ModelCall, served: str) -> tuple[str, bytes]:
        """Return the path behind the base URL, and the body. It changes only if another model serves the call."""
        body = call.members.body if served == call.model else call.members.replaced("model", served)
        return self.target, body

    @abstractmethod
    def _output_max(self, members: Members) -> int | None:
        """Return the request's limit of output tokens."""


class OpenAIChat(Wire):
    """OpenAI's chat completions."""

    name = "openai-chat"
    provider = "openai"
    path = b"/v1/chat/completions"
    target = "/chat/completions"
    answer = ChatAnswer

    def _output_max(self, members: Members) -> int | None:
        limit = _limit(members.value("max_completion_tokens"), members.value("max_tokens"))
        return _product(limit, members.value("n"))


class OpenAIResponses(Wire):
    """OpenAI's responses."""

    name = "openai-responses"
    provider = "openai"
    path = b"/v1/responses"
    target = "/responses"
    answer = ResponsesAnswer
    kept_by_vendor = ("background", "conversation", "previous_response_id")

    def _output_max(self, members: Members) -> int | None:
        return _limit(members.value("max_output_tokens"))


class AnthropicMessages(Wire):
    """Anthropic's messages."""

    name = "anthropic"
    provider = "anthropic"
    path = b"/v1/messages"
    target = "/v1/messages"
    answer = AnthropicAnswer

    def _output_max(self, members: Members) -> int | None:
        return _limit(members.value("max_tokens"))


class Gemini(Wire):
    """Gemini's ``generateContent``. The path names the model."""

    name = "gemini"
    provider = "gemini"
    path = b"/v1beta/models/"
    target = "/v1beta/models/"
    answer = GeminiAnswer

    def is_call(self, method: bytes, path: bytes) -> bool:
        """Return True if a request is a model call."""
        return method == b"POST" and GEMINI_PATH.fullmatch(path) is not None

    def call_of(self, path: bytes, query: bytes, body: bytes) -> ModelCall:
        """Return the call in a request. Raise Refusal.

        Other parameters than ``alt`` are refused, because Google's can leave the usage out of the answer.
        """
        named = GEMINI_PATH.fullmatch(path)
        if named is None:
            raise ValueError("not a model call")
        parts = [part for part in query.split(b"&") if part and not part.startswith(KEY_PARAMETER)]
        if not GEMINI_QUERY.issuperset(parts) or len(parts) > 1:
            raise Refusal("athena_request", "Only the parameter alt, with sse or json, is supported. Leave out others.")
        members = _members(body)
        if "model" in members.places:
            raise Refusal("athena_request", "The path names the model. Leave the member model out of the body.")
        return ModelCall(
            model=named[1].decode(),
            streamed=named[2] == b"streamGenerateContent",
            output_max=self._output_max(members),
            query=b"&".join(parts),
            members=members,
            method=named[2],
        )

    def target_of(self, call: ModelCall, served: str) -> tuple[str, bytes]:
        """Return the path behind the base URL, and the unchanged body."""
        return f"{self.target}{quote(served, safe='')}:{call.method.decode()}", call.members.body

    def _output_max(self, members: Members) -> int | None:
        config = table(members.value("generationConfig"))
        return _product(_limit(config.get("maxOutputTokens")), config.get("candidateCount"))


WIRES: Mapping[AgentWire, Wire] = {
    wire.name: wire for wire in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini())
}


def _members(body: bytes) -> Members:
    try:
        return Members(body)
    except MalformedMembers as error:
        raise Refusal("athena_request", str(error)) from None


def _limit(*values: object) -> int | None:
    """Return the largest of the limits that are whole numbers above zero."""
    return max((found for value in values if (found := number(value)) is not None and found > 0), default=None)


def _product(limit: int | None, answers: object) -> int | None:
    """Return the limit of several answers to one request."""
    return None if limit is None else limit * max(number(answers) or 1, 1)
