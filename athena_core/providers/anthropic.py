"""The Anthropic provider: a streaming client for Anthropic's Messages API."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from athena_core.providers.connection import ConnectionBroken, number, table, text
from athena_core.providers.prices import Frame
from athena_core.providers.provider import (
    CUT,
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

OFFICIAL_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
OUTPUT_TOKENS_DEFAULT = 8_192
"""Maximum output tokens of a call if the request has no limit. The API requires a number."""

FRAME = Frame(
    own=frozenset(("type", "id", "role", "model", "stop_reason", "service_tier", "inference_geo", "tool_use_id")),
    inner=frozenset(
        (
            "message", "content", "content_block", "delta", "usage", "cache_creation", "server_tool_use",
            "output_tokens_details",
        )
    ),
)  # fmt: skip
"""Members of answers that the vendor writes itself."""

REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": CUT,
    "model_context_window_exceeded": CUT,
    "tool_use": "tool_calls",
}
"""Anthropic's finish reasons and their OpenAI equivalents. Other reasons stay unchanged."""


class AnthropicProvider(Vendor):
    """A client of one server. ``base_url`` is the part before ``/v1/messages``. Local servers need no key."""

    name = "anthropic"
    default_model = "claude-haiku-4-5"
    official_url = OFFICIAL_URL
    path = "/v1/messages"
    models_path = "/v1/models"

    def _headers(self, key: str) -> Mapping[str, str]:
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Post the conversation and read the answer as server-sent events."""
        self._check_key()
        finish: str | None = None
        request_id: str | None = None
        counts: dict[str, Any] = {}
        try:
            async with self._connection.post(_body(request)) as answer, aclosing(answer.events()) as events:
                request_id = answer.headers.get("request-id")
                async for event in events:
                    shown = [delta for delta in (_block_start(event), _block_delta(event)) if delta]
                    for delta in with_hidden(event, FRAME, shown):
                        yield delta
                    match event.get("type"):
                        case "message_start":
                            message = table(event.get("message"))
                            request_id = request_id or text(message.get("id"))
                            counts |= counts_of(message)
                            if counts:  # input is paid from here on; the first output count is only a placeholder
                                yield UsageReport(usage=usage_of(counts | {"output_tokens": None}))
                        case "message_delta":
                            finish = text(table(event.get("delta")).get("stop_reason")) or finish
                            if found := counts_of(event):  # an old count again would hide what was written since
                                counts |= found
                                yield UsageReport(usage=usage_of(counts))
                        case "message_stop":
                            break
                        case "error":
                            raise self._broken_off(event.get("error"))
                        case _:
                            pass  # blocks, ping, and event types of later years
        except ConnectionBroken:
            if finish is None:  # after the finish the answer is complete, and was paid
                raise
        if finish is None:
            raise ProviderFailure("anthropic: truncated stream", worth_retrying=True)
        yield Finished(reason=REASONS.get(finish, finish), request_id=request_id)

    def _broken_off(self, error: object) -> ProviderFailure:
        passing = table(error).get("type") in {"overloaded_error", "api_error", "rate_limit_error", "timeout_error"}
        return self._connection.failure(
            f"the server ended the stream{self._connection.excerpt(error)}", worth_retrying=passing
        )


def _body(request: ModelRequest) -> bytes:
    """Return the request as JSON. A schema is requested in the prompt, because the API supports only some schemas."""
    system = [clean(message.content) for message in request.messages if message.role == "system" and message.content]
    if request.schema is not None:
        schema = msgspec.json.encode(request.schema).decode()
        system.append(f"Answer with JSON alone, without a fence around it, valid against this JSON Schema: {schema}")
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_output_tokens or OUTPUT_TOKENS_DEFAULT,
        "messages": _messages(request.messages, with_tools=bool(request.tools)),
        "stream": True,
    }
    if system:
        body["system"] = "\n\n".join(system)
    if request.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in request.tools
        ]
    return msgspec.json.encode(body)


def _messages(messages: Sequence[ModelMessage], *, with_tools: bool) -> list[dict[str, Any]]:
    """Return the conversation as turns. The user begins, tool results are the user's, and no turn is empty.

    If the request has no tools, the API refuses earlier tool calls, so they are rendered as text.
    """
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _blocks(message if with_tools else _as_text(message))
        role = "assistant" if message.role == "assistant" else "user"
        if message.role == "system" or not blocks:
            continue
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [{"type": "text", "text": "(The conversation continues.)"}]})
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _as_text(message: ModelMessage) -> ModelMessage:
    calls = [f"(Called {call.name}: {call.arguments})" for call in message.calls]
    return ModelMessage(role=message.role, content="\n".join([message.content, *calls]).strip())


def _blocks(message: ModelMessage) -> list[dict[str, Any]]:
    content = clean(message.content)
    blocks: list[dict[str, Any]] = [{"type": "text", "text": content}] if content.strip() else []
    if message.role == "tool" and message.tool_call_id is not None:
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        if blocks:
            result["content"] = blocks
        if message.is_error:
            result["is_error"] = True
        return [result]
    for call in message.calls:
        arguments = arguments_object(call.arguments)
        blocks.append({"type": "tool_use", "id": call.id, "name": tool_name(call.name), "input": arguments})
    return blocks


def _block_start(event: Mapping[str, Any]) -> TextDelta | ToolCallDelta | None:
    """Return the delta of a block's start: a tool call, or text from servers that send it here."""
    block = table(event.get("content_block")) if event.get("type") == "content_block_start" else {}
    if block.get("type") == "tool_use":
        given = table(block.get("input"))
        arguments = msgspec.json.encode(given).decode() if given else ""
        return ToolCallDelta(
            index=number(event.get("index")) or 0,
            id=text(block.get("id")),
            name=text(block.get("name")),
            arguments=arguments,
        )
    said = text(block.get("text")) if block.get("type") == "text" else None
    return TextDelta(text=said) if said else None


def _block_delta(event: Mapping[str, Any]) -> TextDelta | ToolCallDelta | None:
    delta = table(event.get("delta")) if event.get("type") == "content_block_delta" else {}
    match delta.get("type"):
        case "text_delta" if said := text(delta.get("text")):
            return TextDelta(text=said)
        case "input_json_delta" if piece := text(delta.get("partial_json")):
            return ToolCallDelta(index=number(event.get("index")) or 0, arguments=piece)
        case _:
            return None  # thinking, signatures, citations: not shown


def counts_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of an event. They replace earlier ones."""
    return {name: count for name, count in table(event.get("usage")).items() if count is not None}


def usage_of(counts: Mapping[str, Any]) -> Usage:
    """Convert the counts. Anthropic's input count excludes cache reads and writes; ours includes both."""
    plain = token_count(counts.get("input_tokens"))
    cached = token_count(counts.get("cache_read_input_tokens"))
    written = token_count(counts.get("cache_creation_input_tokens"))
    taken = None if plain is None else token_count(plain + (cached or 0) + (written or 0))
    given = token_count(counts.get("output_tokens"))
    return Usage(
        input_tokens=taken,
        output_tokens=given,
        total_tokens=None if taken is None or given is None else token_count(taken + given),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=token_count(table(counts.get("output_tokens_details")).get("thinking_tokens")),
    )
