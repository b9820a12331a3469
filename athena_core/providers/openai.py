"""The OpenAI provider: any server that speaks OpenAI's chat completions, read as a stream over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx2
import msgspec

from athena_core.providers.provider import (
    Delta,
    Finished,
    ModelRequest,
    ProviderFailure,
    TextDelta,
    UsageReport,
    token_count,
)
from athena_core.text import clean
from athena_core.values import Usage

CONNECT_SECONDS = 10.0
WRITE_SECONDS = 30.0
ERROR_BODY_SECONDS = 5.0
MAX_ERROR_BODY_BYTES = 65_536
MAX_EVENT_BYTES = 1_048_576
MAX_EXCERPT_CHARS = 200
MAX_WAIT_SECONDS = 86_400.0
PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which a next attempt may succeed."""


class OpenAI:
    """A client of one server. ``base_url`` ends where ``/chat/completions`` begins; local servers need no key.

    ``read_idle_seconds`` bounds the silence between two bytes; how long a whole call may take is the caller's to say.
    """

    name = "openai"
    default_model = "gpt-4o-mini"

    def __init__(self, base_url: str, api_key: str | None = None, read_idle_seconds: float = 120.0) -> None:
        """Prepare the client; nothing is sent yet."""
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._key = api_key
        headers = {"accept": "text/event-stream", "accept-encoding": "identity", "content-type": "application/json"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(read_idle_seconds, connect=CONNECT_SECONDS, write=WRITE_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
            follow_redirects=False,
            trust_env=False,
        )

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Post the conversation and read the answer as server-sent events."""
        finish: str | None = None
        request_id: str | None = None
        try:
            async with self._client.stream("POST", self._url, content=_body(request)) as response:
                if response.status_code != 200:
                    await self._refuse(response)
                response.encoding = "utf-8"
                request_id = response.headers.get("x-request-id")
                async for event in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
                    if not event.data:
                        continue
                    if event.data.strip() == "[DONE]":
                        break
                    chunk = self._chunk(event.data)
                    request_id = request_id or _text(chunk.get("id"))
                    choice = _first(chunk.get("choices"))
                    if text := _text(_table(choice.get("delta")).get("content")):
                        yield TextDelta(text=text)
                    finish = _text(choice.get("finish_reason")) or finish
                    if counts := chunk.get("usage"):
                        yield UsageReport(usage=_usage(_table(counts)))
        except httpx2.SSEError:
            problem = "openai: the answer is no event stream, or an event of it is over 1 MiB"
            raise ProviderFailure(problem, worth_retrying=False) from None
        except httpx2.UnsupportedProtocol:
            raise ProviderFailure("openai: the base URL is not http or https", worth_retrying=False) from None
        except httpx2.HTTPError as error:
            if finish is None:  # after the finish only usage is missing: what was said stands, and was paid
                raise ProviderFailure(f"openai: {_words(error)}", worth_retrying=True) from None
        except httpx2.InvalidURL:
            raise ProviderFailure("openai: the base URL is malformed", worth_retrying=False) from None
        if finish is None:
            raise ProviderFailure("openai: truncated stream", worth_retrying=True)
        yield Finished(reason=finish, request_id=request_id)

    async def close(self) -> None:
        """Close idle connections."""
        await self._client.aclose()

    async def _refuse(self, response: httpx2.Response) -> NoReturn:
        """Raise what a status other than 200 means."""
        body = bytearray()
        try:
            async with asyncio.timeout(ERROR_BODY_SECONDS):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ERROR_BODY_BYTES:
                        break
        except (TimeoutError, httpx2.HTTPError):
            pass  # the status says enough
        status = response.status_code
        passing = status in PASSING
        raise ProviderFailure(
            f"openai: HTTP {status}{self._excerpt(_table(_json(bytes(body))).get('error'))}",
            worth_retrying=passing,
            wait_seconds=_wait(response.headers) if passing else None,
        )

    def _chunk(self, data: str) -> dict[str, Any]:
        """One chunk of the stream."""
        chunk = _json(data)
        if not isinstance(chunk, dict):
            raise ProviderFailure("openai: a chunk of the stream is no JSON object", worth_retrying=True)
        if error := chunk.get("error"):
            code = _table(error).get("code")
            lasting = isinstance(code, int) and 400 <= code < 500 and code not in PASSING
            problem = f"openai: the stream broke off{self._excerpt(error)}"
            raise ProviderFailure(problem, worth_retrying=not lasting)
        return chunk

    def _excerpt(self, error: object) -> str:
        """What the server says about an error, short and without the key."""
        message = _text(error) or _text(_table(error).get("message"))
        if not message:
            return ""
        if self._key:
            message = message.replace(self._key, "***")
        return ": " + message[:MAX_EXCERPT_CHARS]


def _body(request: ModelRequest) -> bytes:
    """The request as JSON. Results of tools go as the user's: without tool calls OpenAI has no other place for them."""
    messages = [
        {"role": "user" if message.role == "tool" else message.role, "content": clean(message.content)}
        for message in request.messages
    ]
    return msgspec.json.encode(
        {"model": request.model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    )


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=token_count(counts.get("prompt_tokens")),
        output_tokens=token_count(counts.get("completion_tokens")),
        total_tokens=token_count(counts.get("total_tokens")),
        cached_input_tokens=token_count(_table(counts.get("prompt_tokens_details")).get("cached_tokens")),
        reasoning_tokens=token_count(_table(counts.get("completion_tokens_details")).get("reasoning_tokens")),
    )


def _json(data: str | bytes) -> object:
    """Decode with the standard library, which takes the NaN that some servers send; None if it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: object) -> dict[str, Any]:
    return _table(value[0]) if isinstance(value, list) and value else {}


def _wait(headers: Mapping[str, str]) -> float | None:
    """The seconds of ``Retry-After``; a date counts from the server's own ``Date``."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), MAX_WAIT_SECONDS)
    try:
        until, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return min(max((until - now).total_seconds(), 0.0), MAX_WAIT_SECONDS)
    except (ValueError, TypeError):
        return None


def _words(error: httpx2.HTTPError) -> str:
    """What went wrong on the way, without the library's text (it may quote headers)."""
    match error:
        case httpx2.ConnectTimeout():
            return f"no connection within {CONNECT_SECONDS:g} s"
        case httpx2.ConnectError():
            return "cannot connect"
        case httpx2.TimeoutException():
            return "the server fell silent"
        case _:
            return f"the connection broke ({type(error).__name__})"
