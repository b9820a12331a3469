"""The http provider: a client for your own model server, with a small JSON protocol (docs/reference/providers.md)."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

import msgspec

from athena_core.mask import Mask
from athena_core.providers.connection import (
    ConnectionBroken,
    ProviderClient,
    ProviderResponse,
    items,
    number,
    table,
    text,
)
from athena_core.providers.prices import Frame
from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    token_count,
    with_hidden,
)
from athena_core.text import clean
from athena_core.values import Usage

FRAME = Frame(own=frozenset(("finish", "requestId", "id")), inner=frozenset(("calls", "usage")))
"""Members of the protocol that are no output."""


class HttpProvider:
    """A client of one URL. The server answers with a JSON object or a stream of them."""

    name = "http"
    default_model = "default"
    configured = True

    def __init__(
        self, url: str, api_key: str | None = None, *, mask: Mask | None = None, silence_seconds: float = 20.0
    ) -> None:
        """Prepare the client without a request."""
        headers = {"accept": "application/x-ndjson, text/event-stream, application/json"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        mask = mask or Mask([api_key or ""])
        self._connection = ProviderClient(self.name, url, headers, mask=mask, silence_seconds=silence_seconds)

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Post the request and read the answer."""
        finish: str | None = None
        request_id: str | None = None
        try:
            async with self._connection.post(_body(request)) as answer, aclosing(_parts(answer)) as parts:
                async for part in parts:
                    if error := part.get("error"):
                        raise self._broken_off(error)
                    request_id = text(part.get("requestId")) or request_id
                    for delta in _deltas(part):
                        yield delta
                    finish = text(part.get("finish")) or finish
        except ConnectionBroken:
            if finish is None:  # after the finish the answer is complete
                raise
        if finish is None:
            raise ProviderFailure("http: truncated stream", worth_retrying=True)
        yield Finished(reason=finish, request_id=request_id)

    async def models(self) -> tuple[str, ...]:
        """Return ``default``: the protocol has no list of models."""
        return (self.default_model,)

    async def close(self) -> None:
        await self._connection.close()

    def _broken_off(self, error: object) -> ProviderFailure:
        problem = f"the server failed{self._connection.excerpt(error)}"
        return self._connection.failure(problem, worth_retrying=table(error).get("retryable") is True)


def _body(request: ModelRequest) -> bytes:
    """Return the request as JSON, without the limit that Athena enforces itself."""
    messages = tuple(msgspec.structs.replace(message, content=clean(message.content)) for message in request.messages)
    body = msgspec.to_builtins(msgspec.structs.replace(request, messages=messages))
    body.pop("maxOutputChars", None)
    return msgspec.json.encode(body)


async def _parts(answer: ProviderResponse) -> AsyncGenerator[dict[str, Any]]:
    """Yield the JSON objects of the answer in any of the three formats."""
    match answer.media_type:
        case "text/event-stream":
            parts = answer.events()
        case "application/x-ndjson":
            parts = answer.lines()
        case _:
            yield await answer.body()
            return
    async with aclosing(parts):
        async for part in parts:
            yield part


def _deltas(part: Mapping[str, Any]) -> Iterator[Delta]:
    shown: list[TextDelta | ToolCallDelta] = []
    if said := text(part.get("text")):
        shown.append(TextDelta(text=said))
    for place, call in enumerate(items(part.get("calls"))):
        index = number(call.get("index"))
        arguments = call.get("arguments")
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        shown.append(
            ToolCallDelta(
                index=place if index is None else index,
                id=text(call.get("id")),
                name=text(call.get("name")),
                arguments=text(arguments) or "",
            )
        )
    yield from with_hidden(part, FRAME, shown)
    if counts := table(part.get("usage")):
        yield UsageReport(
            usage=Usage(
                input_tokens=token_count(counts.get("inputTokens")),
                output_tokens=token_count(counts.get("outputTokens")),
                total_tokens=token_count(counts.get("totalTokens")),
                cached_input_tokens=token_count(counts.get("cachedInputTokens")),
                cache_write_tokens=token_count(counts.get("cacheWriteTokens")),
                reasoning_tokens=token_count(counts.get("reasoningTokens")),
            )
        )
