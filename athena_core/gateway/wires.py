"""The wires: the APIs with which agents ask models, and the model calls in their requests."""

import re
from abc import ABC
from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple
from urllib.parse import quote

import msgspec

from athena_core.agents.known import AgentWire
from athena_core.gateway import references
from athena_core.gateway.answers import Answer, AnthropicAnswer, ChatAnswer, GeminiAnswer, ResponsesAnswer
from athena_core.gateway.members import MalformedMembers, Members, is_absent, plain_name
from athena_core.gateway.references import Place
from athena_core.gateway.refusals import Refusal
from athena_core.providers import openai
from athena_core.providers.connection import number, table

MODEL_CHARS_MAX = 200
GEMINI_PATH = re.compile(
    rb"/v1beta/models/([A-Za-z0-9._-]{1,%d}):(generateContent|streamGenerateContent)" % MODEL_CHARS_MAX
)
GEMINI_QUERY = {b"alt=sse", b"alt=json"}
KEY_PARAMETER = b"key="
WHOLE_NUMBER = re.compile(rb"[1-9][0-9]{0,9}")
"""Limits as every parser reads them. A limit of 0 or less means none to some servers."""
OTHER_LIMITS = ("best_of", "max_length", "max_new_tokens", "n_predict", "num_predict")
"""Members by which some servers let a model write more than the limits of the API say."""


class OutputLimit(NamedTuple):
    """The limit of a request: output tokens of each answer, None if it has none, and the number of answers.

    ``least`` is the lowest limit that the vendor accepts beside the other members.
    """

    tokens: int | None
    answers: int = 1
    least: int = 1


class ModelCall(NamedTuple):
    """A call of a model as an agent asked for it."""

    model: str
    streamed: bool
    limit: OutputLimit
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
    references: ClassVar[Place]
    """Where requests may refer to state at the vendor."""
    limits: ClassVar[tuple[str, ...]]
    """The members that limit the output. The first is written where a request has none."""
    answers: ClassVar[str] = "n"
    """The member with the number of answers."""
    others: ClassVar[tuple[str, ...]] = ()
    """Members with which the limits would not hold."""

    def is_call(self, method: bytes, path: bytes) -> bool:
        """Return True if a request is a model call."""
        return method == b"POST" and path == self.path

    def call_of(self, path: bytes, query: bytes, body: bytes) -> ModelCall:
        """Return the call in a request. Raise Refusal."""
        members = self._members(body)
        model = members.value("model")
        if not isinstance(model, str) or not 0 < len(model) <= MODEL_CHARS_MAX or not model.isprintable():
            raise Refusal("athena_model", f"The body names no model of at most {MODEL_CHARS_MAX} characters. Name one.")
        return ModelCall(
            model=model,
            streamed=members.value("stream") is True,
            limit=self._limit(members),
            query=b"&".join(part for part in query.split(b"&") if part and not part.startswith(KEY_PARAMETER)),
            members=members,
        )

    def target_of(
        self, call: ModelCall, served: str, tokens: int | None, *, official: bool = False
    ) -> tuple[str, bytes]:
        """Return the path behind the base URL, and the body.

        It changes only if another model serves the call, or to limit each answer to ``tokens``. ``official`` means the
        vendor's own server.
        """
        members = call.members
        if served != call.model:
            members = Members(members.replaced("model", served))
        return self.target, members.body if tokens is None else self._limited(members, tokens, served, official)

    def _members(self, body: bytes) -> Members:
        """Parse a body. Raise Refusal, also for a reference to state at the vendor."""
        try:
            members = Members(body)
            found = references.find_reference(members, self.references)
        except MalformedMembers as error:
            raise Refusal("athena_request", str(error)) from None
        if found is not None:
            raise Refusal("athena_request", f"{found} is not supported. Send the whole conversation without it.")
        _check_spelling(members, ("model", "stream", self.answers, *self.limits))
        given = {plain_name(name) for name in members.places if not is_absent(members.raw(name))}
        for name in self.others:
            if plain_name(name) in given:
                raise Refusal("athena_request", f"{name} is not supported. Send {self.limits[0]} instead.")
        return members

    def _limit(self, members: Members) -> OutputLimit:
        """Return the limit of a request. Raise Refusal if it could be read differently."""
        return _output_limit(members, self.limits, self.answers)

    def _limited(self, members: Members, tokens: int, served: str, official: bool) -> bytes:
        """Return the body with no limit above ``tokens``, and all its other bytes."""
        return _with_limit(members, self.limits, tokens, self.limits[0])


class OpenAIChat(Wire):
    """OpenAI's chat completions."""

    name = "openai-chat"
    provider = "openai"
    path = b"/v1/chat/completions"
    target = "/chat/completions"
    answer = ChatAnswer
    references = references.CHAT
    limits = (openai.NEWER_LIMIT, openai.OLDER_LIMIT)
    others = (*OTHER_LIMITS, "max_output_tokens")

    def _limited(self, members: Members, tokens: int, served: str, official: bool) -> bytes:
        return _with_limit(members, self.limits, tokens, openai.limit_name(served, official=official))


class OpenAIResponses(Wire):
    """OpenAI's responses."""

    name = "openai-responses"
    provider = "openai"
    path = b"/v1/responses"
    target = "/responses"
    answer = ResponsesAnswer
    references = references.RESPONSES
    limits = ("max_output_tokens",)
    others = (*OTHER_LIMITS, openai.NEWER_LIMIT, openai.OLDER_LIMIT)


class AnthropicMessages(Wire):
    """Anthropic's messages."""

    name = "anthropic"
    provider = "anthropic"
    path = b"/v1/messages"
    target = "/v1/messages"
    answer = AnthropicAnswer
    references = references.ANTHROPIC
    limits = ("max_tokens",)
    others = OTHER_LIMITS

    def _limit(self, members: Members) -> OutputLimit:
        """Return the limit of a request. It has to exceed what the request allows for thinking."""
        thinking = number(table(members.value("thinking")).get("budget_tokens")) or 0
        return super()._limit(members)._replace(least=max(thinking, 0) + 1)


class Gemini(Wire):
    """Gemini's ``generateContent``. The path names the model."""

    name = "gemini"
    provider = "gemini"
    path = b"/v1beta/models/"
    target = "/v1beta/models/"
    answer = GeminiAnswer
    references = references.GEMINI
    limits = ("maxOutputTokens", "max_output_tokens")
    answers = "candidateCount"
    config = ("generationConfig", "generation_config")

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
        members = self._members(body)
        if "model" in members.places:
            raise Refusal("athena_request", "The path names the model. Leave the member model out of the body.")
        return ModelCall(
            model=named[1].decode(),
            streamed=named[2] == b"streamGenerateContent",
            limit=self._limit(members),
            query=b"&".join(parts),
            members=members,
            method=named[2],
        )

    def target_of(
        self, call: ModelCall, served: str, tokens: int | None, *, official: bool = False
    ) -> tuple[str, bytes]:
        """Return the path behind the base URL, and the body, which changes only to limit each answer."""
        body = call.members.body if tokens is None else self._limited(call.members, tokens, served, official)
        return f"{self.target}{quote(served, safe='')}:{call.method.decode()}", body

    def _config(self, members: Members) -> tuple[str, Members]:
        """Return the member with the limits, by its name, empty if it is absent. Raise Refusal."""
        name = _one_of(members, self.config)
        try:
            found = Members(members.raw(name) if not is_absent(members.raw(name)) else b"{}")
        except MalformedMembers as error:
            raise Refusal("athena_request", f"{name}: {error}") from None
        _one_of(found, self.limits)
        return name, found

    def _limit(self, members: Members) -> OutputLimit:
        config = self._config(members)[1]
        return _output_limit(config, self.limits, _one_of(config, (self.answers, "candidate_count")))

    def _limited(self, members: Members, tokens: int, served: str, official: bool) -> bytes:
        name, config = self._config(members)
        limited = _with_limit(config, self.limits, tokens, self.limits[0])
        return members.put(name, msgspec.Raw(limited))


WIRES: Mapping[AgentWire, Wire] = {
    wire.name: wire for wire in (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini())
}


def _check_spelling(members: Members, names: Iterable[str]) -> None:
    """Raise Refusal if a member has another spelling than the API's, which some servers read all the same."""
    plain = {plain_name(name): name for name in names}
    for found in members.places:
        if found not in plain.values() and (name := plain.get(plain_name(found))):
            raise Refusal("athena_request", f"The member {found[:40]!r} is not known. Send it as {name!r}.")


def _one_of(members: Members, names: tuple[str, ...]) -> str:
    """Return the spelling of a member that stands in an object, the first if none does. Raise Refusal for several."""
    found = [name for name in members.places if plain_name(name) == plain_name(names[0])]
    if len(found) > 1 or not set(found) <= set(names):
        raise Refusal("athena_request", f"The member {found[0][:40]!r} is spelled in several ways. Send {names[0]!r}.")
    return found[0] if found else names[0]


def _output_limit(members: Members, limits: tuple[str, ...], answers: str) -> OutputLimit:
    """Return the highest of the limits of an object. Raise Refusal for one that could be read differently."""
    found = [given for name in limits if (given := _whole_number(members, name)) is not None]
    count = _whole_number(members, answers) or 1
    if count > 1 and not found:
        raise Refusal("athena_request", f"{answers} above 1 needs a limit. Send {limits[0]}, too.")
    return OutputLimit(max(found, default=None), count)


def _whole_number(members: Members, name: str) -> int | None:
    raw = members.raw(name)
    if raw in {b"", b"null"}:
        return None
    if WHOLE_NUMBER.fullmatch(raw) is None:
        raise Refusal("athena_request", f"{name} is not a whole number above 0. Correct it, or leave it out.")
    return int(raw)


def _with_limit(members: Members, names: tuple[str, ...], tokens: int, absent: str) -> bytes:
    """Return an object with no limit above ``tokens``. ``absent`` is written if it has none."""
    given = {name: found for name in names if (found := _whole_number(members, name)) is not None}
    for name, found in given.items():
        if found > tokens:
            members = Members(members.replaced(name, tokens))
    return members.body if given else members.put(absent, tokens)
