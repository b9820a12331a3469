"""The OpenAI provider: a streaming client for OpenAI's chat completions API."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from athena_core.providers.connection import ConnectionBroken, items, number, table, text
from athena_core.providers.prices import Frame
from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelMessage,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    arguments_object,
    token_count,
    tool_name,
    with_hidden,
)
from athena_core.providers.vendor import Vendor
from athena_core.text import clean
from athena_core.values import Usage

OFFICIAL_URL = "https://api.openai.com/v1"
NEWER_LIMIT, OLDER_LIMIT = "max_completion_tokens", "max_tokens"
REASONING_MODEL = re.compile(r"(?:.*/)?(?:o\d|gpt-(?:[5-9]|\d\d))")
"""Names of models that refuse the older name of the limit on every server."""

FRAME = Frame(
    own=frozenset(
        (
            "id", "object", "model", "system_fingerprint", "service_tier", "obfuscation", "provider",
            "finish_reason", "native_finish_reason", "role", "type", "severity",
        )
    ),
    inner=frozenset(
        (
            "choices", "delta", "message", "tool_calls", "function", "usage", "prompt_tokens_details",
            "completion_tokens_details", "prompt_filter_results", "content_filter_results", "hate", "self_harm",
            "sexual", "violence", "jailbreak", "profanity", "protected_material_text", "protected_material_code",
        )
    ),
)  # fmt: skip
"""Members of chunks that OpenAI and servers like it write themselves, also the verdicts of Azure's filters."""


class OpenAIProvider(Vendor):
    """A client of one server. ``base_url`` is the part before ``/chat/completions``. Local servers need no key."""

    name = "openai"
    default_model = "gpt-4o-mini"
    official_url = OFFICIAL_URL
    path = "/chat/completions"
    models_path = "/models"

    def _headers(self, key: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Post the conversation and read the answer as server-sent events."""
        self._check_key()
        finish: str | None = None
        request_id: str | None = None
        calls = ToolCallIndexer()
        try:
            async with self._connection.post(self._body(request)) as answer, aclosing(answer.events()) as chunks:
                request_id = answer.headers.get("x-request-id")
                async for chunk in chunks:
                    if error := chunk.get("error"):
                        raise self._connection.broken_off(error)
                    request_id = request_id or text(chunk.get("id"))
                    choice = next(iter(items(chunk.get("choices"))), {})
                    said = table(choice.get("delta"))
                    shown: list[TextDelta | ToolCallDelta] = []
                    if piece := text(said.get("content")) or text(said.get("refusal")):
                        shown.append(TextDelta(text=piece))
                    shown += [calls.delta(call) for call in items(said.get("tool_calls"))]
                    for delta in with_hidden(chunk, FRAME, shown):
                        yield delta
                    finish = text(choice.get("finish_reason")) or finish
                    if counts := chunk.get("usage"):
                        yield UsageReport(usage=usage_of(table(counts)))
        except ConnectionBroken:
            if finish is None:  # after the finish only usage is missing; the answer is complete, and was paid
                raise
        if finish is None:
            raise ProviderFailure("openai: truncated stream", worth_retrying=True)
        yield Finished(reason=finish, request_id=request_id)

    def _body(self, request: ModelRequest) -> bytes:
        """Return the request as JSON."""
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ]
        if request.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": request.schema},
            }
        if request.max_output_tokens is not None:
            body[limit_name(request.model, official=self._is_official)] = request.max_output_tokens
        return msgspec.json.encode(body)


class ToolCallIndexer:
    """The assignment of pieces to tool calls. Some servers send no index, or the same one for several calls."""

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[int | None, tuple[int, str | None]] = {}

    def delta(self, call: Mapping[str, Any]) -> ToolCallDelta:
        """Return a piece with its index. A new id starts a new call, and so does a name without an index."""
        index, one = number(call.get("index")), text(call.get("id"))
        function = table(call.get("function"))
        name, arguments = text(function.get("name")), function.get("arguments")
        place, known = self._places.get(index, (-1, None))
        if place < 0 or one and known and one != known or index is None and one is None and name:
            place, known = self._count, None
            self._count += 1
        self._places[index] = place, known or one
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode() if isinstance(arguments, dict) else ""
        return ToolCallDelta(index=place, id=one, name=name, arguments=arguments)


def _message(message: ModelMessage) -> dict[str, Any]:
    """Convert a message. A result without a call id is sent as the user's."""
    content = clean(message.content)
    if message.role == "tool":
        if message.tool_call_id is None:
            return {"role": "user", "content": content}
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    if not message.calls:
        return {"role": message.role, "content": content}
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": tool_name(call.name),
                "arguments": msgspec.json.encode(arguments_object(call.arguments)).decode(),
            },
        }
        for call in message.calls
    ]
    return {"role": message.role, "content": content or None, "tool_calls": calls}


def limit_name(model: str, *, official: bool) -> str:
    """Return the member that limits the output. OpenAI's models refuse the older one, most other servers the newer."""
    return NEWER_LIMIT if official or REASONING_MODEL.match(model) else OLDER_LIMIT


def usage_of(counts: Mapping[str, Any]) -> Usage:
    """Return the usage that the chat completions API reports."""
    taken = table(counts.get("prompt_tokens_details"))
    return Usage(
        input_tokens=token_count(counts.get("prompt_tokens")),
        output_tokens=token_count(counts.get("completion_tokens")),
        total_tokens=token_count(counts.get("total_tokens")),
        cached_input_tokens=token_count(taken.get("cached_tokens")),
        cache_write_tokens=token_count(taken.get("cache_write_tokens")),
        reasoning_tokens=token_count(table(counts.get("completion_tokens_details")).get("reasoning_tokens")),
    )
