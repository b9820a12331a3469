"""The answers of the wires while they pass: usage, end and errors, read beside the bytes and without changing them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from athena_core.providers import anthropic, openai
from athena_core.providers.connection import decoded, items, table, text
from athena_core.providers.prices import BYTES_PER_TOKEN
from athena_core.providers.provider import token_count
from athena_core.values import Usage

LINE_BYTES_MAX = 1_048_576
"""Maximum size of an event of a stream that is read. Larger ones pass unread."""
PLAIN_BYTES_MAX = 8_388_608
"""Maximum size of an answer in one piece that is read. Larger ones pass unread."""
EVENT_STREAM = "text/event-stream"


class Answer(ABC):
    """The part of an answer that has passed. ``output_bytes`` is the size of all that the model wrote."""

    def __init__(self, media_type: str, on_text: Callable[[str], None]) -> None:
        """Read events if the type says so, else one JSON value. ``on_text`` gets the text that models say."""
        self.usage: Usage | None = None
        self.ended = False
        """True once the server has said that the answer is complete."""
        self.problem: str | None = None
        """The error that the server reported inside of the answer."""
        self.request_id: str | None = None
        self.output_bytes = 0
        self._on_text = on_text
        self._events = media_type == EVENT_STREAM
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._skipped = False
        self._unread = False
        """True while a line, or the whole answer in one piece, is too large to be read."""

    def feed(self, piece: bytes) -> None:
        """Read a piece."""
        if self._events:
            *lines, rest = piece.split(b"\n")
            for line in lines:
                self._keep(line)
                self._line()
            self._keep(rest)
        else:
            self._keep(piece)

    def close(self) -> None:
        """Read the rest at the end of the connection. An end that was too large to be read counts as one."""
        self.ended = self.ended or self._skipped
        if self._events:
            self._line()
            self._event()
            return
        found = decoded(bytes(self._rest))
        before = self.output_bytes
        for part in items(found) if isinstance(found, list) else [table(found)]:
            self._plain(part)
        if self.usage is None:
            self.output_bytes = max(self.output_bytes, before + len(self._rest))

    def _keep(self, piece: bytes) -> None:
        most = LINE_BYTES_MAX if self._events else PLAIN_BYTES_MAX
        if self._unread or len(self._rest) + len(piece) > most:
            self.output_bytes += len(self._rest) + len(piece)
            self._rest.clear()
            self._unread = self._skipped = True
        else:
            self._rest += piece

    def _line(self) -> None:
        """Take a complete line: a piece of an event, or the empty line at its end."""
        line = bytes(self._rest).removesuffix(b"\r")
        self._rest.clear()
        if self._unread:
            self._unread = False
        elif not line:
            self._event()
        elif line.startswith(b"data:"):
            self._data_bytes += len(line)
            if self._data_bytes > LINE_BYTES_MAX:
                self.output_bytes += len(line)
                self._skipped = True
            else:
                self._data.append(line[5:])

    def _event(self) -> None:
        data, self._data, self._data_bytes = b"\n".join(self._data), [], 0
        if data.strip() == b"[DONE]":
            self._done()
        elif data:
            try:
                found = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = decoded(data)  # NaN
            self._read(table(found))

    def _done(self) -> None:
        """Take ``[DONE]``, which ends a stream of OpenAI's chat completions."""
        return

    def _plain(self, part: Mapping[str, Any]) -> None:
        self._read(part)

    @abstractmethod
    def _read(self, event: Mapping[str, Any]) -> None:
        """Read an event, or an answer in one piece."""

    def _wrote(self, *texts: object) -> None:
        """Count what the model wrote, as a stream or in one piece."""
        for written in texts:
            self.output_bytes += len(written.encode(errors="replace")) if isinstance(written, str) else 0

    def _said(self, said: object) -> None:
        """Count and pass on what the model said."""
        self._wrote(said)
        if isinstance(said, str) and said:
            self._on_text(said)

    def _failed(self, error: object) -> None:
        words = text(error) or text(table(error).get("message")) or text(table(error).get("type")) or "an error"
        self.problem = words

    def _identify(self, value: object) -> None:
        if self.request_id is None and (found := text(value)):
            self.request_id = found


class ChatAnswer(Answer):
    """An answer of OpenAI's chat completions. The last chunk has the usage, if the client asked for it."""

    def _done(self) -> None:
        self.ended = True

    def _read(self, event: Mapping[str, Any]) -> None:
        self._identify(event.get("id"))
        if error := event.get("error"):
            self._failed(error)
        for choice in items(event.get("choices")):
            part = table(choice.get("delta")) or table(choice.get("message"))
            self._said(part.get("content"))
            self._wrote(part.get("refusal"), part.get("reasoning_content"), part.get("reasoning"))
            for call in items(part.get("tool_calls")):
                function = table(call.get("function"))
                self._wrote(function.get("name"), function.get("arguments"))
            self.ended = self.ended or text(choice.get("finish_reason")) is not None
        if counts := table(event.get("usage")):
            self.usage = openai.usage_of(counts)


class ResponsesAnswer(Answer):
    """An answer of OpenAI's responses. The last event holds the whole response with its usage."""

    _counted = 0
    """The output up to the last complete item."""

    def _plain(self, part: Mapping[str, Any]) -> None:
        self._whole(part)

    def _read(self, event: Mapping[str, Any]) -> None:
        kind = text(event.get("type")) or ""
        if kind == "error":
            self._failed(event.get("error") or event)
        elif kind == "response.output_text.delta":
            self._said(event.get("delta"))
        elif kind.endswith(".delta"):
            self._wrote(event.get("delta"))
        elif kind == "response.output_item.done":
            if self.output_bytes == self._counted:  # the item came without deltas
                self.output_bytes += len(msgspec.json.encode(event.get("item")))
            self._counted = self.output_bytes
        elif response := table(event.get("response")):
            self._whole(response)

    def _whole(self, response: Mapping[str, Any]) -> None:
        """Read a response: as it begins, as it ends, or in one piece."""
        self._identify(response.get("id"))
        self.ended = response.get("status") in {"completed", "incomplete"}
        if error := response.get("error"):
            self._failed(error)
        if counts := table(response.get("usage")):
            self.usage = _responses_usage(counts)


class AnthropicAnswer(Answer):
    """An answer of Anthropic's messages. The first event has the input, the one before the last the output."""

    def __init__(self, media_type: str, on_text: Callable[[str], None]) -> None:
        """Read events if the type says so, else one JSON value."""
        super().__init__(media_type, on_text)
        self._counts: dict[str, Any] = {}

    def _plain(self, part: Mapping[str, Any]) -> None:
        if part.get("type") != "message":
            self._read(part)
            return
        self._identify(part.get("id"))
        for block in items(part.get("content")):
            self._block(block)
        self._count(part)
        self.ended = True

    def _read(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                message = table(event.get("message"))
                self._identify(message.get("id"))
                self._count(message)
                if self.usage is not None:  # the first output count is a placeholder
                    self.usage = anthropic.usage_of(self._counts | {"output_tokens": None})
            case "content_block_start":
                self._block(table(event.get("content_block")))
            case "content_block_delta":
                delta = table(event.get("delta"))
                self._said(delta.get("text"))
                self._wrote(delta.get("partial_json"), delta.get("thinking"))
            case "message_delta":
                self._count(event)
            case "message_stop":
                self.ended = True
            case "error":
                self._failed(event.get("error"))
            case _:
                pass  # ping, the end of a block, and event types of later years

    def _block(self, block: Mapping[str, Any]) -> None:
        self._said(block.get("text"))
        self._wrote(block.get("name"), block.get("thinking"))
        if given := table(block.get("input")):
            self.output_bytes += len(msgspec.json.encode(given))

    def _count(self, event: Mapping[str, Any]) -> None:
        if found := anthropic.counts_of(event):
            self._counts |= found
            self.usage = anthropic.usage_of(self._counts)


class GeminiAnswer(Answer):
    """An answer of Gemini: chunks as events, or as a list in one piece. Each has the usage so far."""

    def _read(self, event: Mapping[str, Any]) -> None:
        self._identify(event.get("responseId"))
        if error := event.get("error"):
            self._failed(error)
        if counts := table(event.get("usageMetadata")):
            self.usage = _gemini_usage(counts)
        if table(event.get("promptFeedback")).get("blockReason"):
            self.ended = True
        for candidate in items(event.get("candidates")):
            for part in items(table(candidate.get("content")).get("parts")):
                (self._wrote if part.get("thought") else self._said)(part.get("text"))
                if call := table(part.get("functionCall")):
                    self.output_bytes += len(msgspec.json.encode(call))
            self.ended = self.ended or text(candidate.get("finishReason")) is not None


def _responses_usage(counts: Mapping[str, Any]) -> Usage:
    """Convert the counts of OpenAI's responses."""
    return Usage(
        input_tokens=token_count(counts.get("input_tokens")),
        output_tokens=token_count(counts.get("output_tokens")),
        total_tokens=token_count(counts.get("total_tokens")),
        cached_input_tokens=token_count(table(counts.get("input_tokens_details")).get("cached_tokens")),
        reasoning_tokens=token_count(table(counts.get("output_tokens_details")).get("reasoning_tokens")),
    )


def _gemini_usage(counts: Mapping[str, Any]) -> Usage:
    """Convert Gemini's counts. Its output excludes thoughts and its input the results of tools; ours include both."""
    given = _sum(counts, "candidatesTokenCount", "thoughtsTokenCount")
    taken = _sum(counts, "promptTokenCount", "toolUsePromptTokenCount")
    return Usage(
        input_tokens=taken,
        output_tokens=given,
        total_tokens=None if taken is None or given is None else token_count(taken + given),
        cached_input_tokens=token_count(counts.get("cachedContentTokenCount")),
        reasoning_tokens=token_count(counts.get("thoughtsTokenCount")),
    )


def _sum(counts: Mapping[str, Any], *names: str) -> int | None:
    """Return the sum of the counts that are there."""
    found = [count for name in names if (count := token_count(counts.get(name))) is not None]
    return token_count(sum(found)) if found else None


def tokens_in(size: int) -> int:
    """Return the estimated tokens of a text of ``size`` bytes."""
    return -(-size // BYTES_PER_TOKEN)


def complete_usage(answer: Answer | None, request_bytes: int) -> tuple[Usage, bool]:
    """Return the usage of a call, and True if a part of it was estimated from the bytes that passed.

    The output of an answer that was cut off is at least what passed, whatever the server counted before.
    """
    usage = (answer.usage if answer else None) or Usage()
    taken, given = usage.input_tokens, usage.output_tokens
    if answer is not None and answer.ended and taken is not None and given is not None:
        total = taken + given if usage.total_tokens is None else usage.total_tokens
        return msgspec.structs.replace(usage, total_tokens=total), False
    passed = tokens_in(answer.output_bytes) if answer else 0
    taken = tokens_in(request_bytes) if taken is None else taken
    if given is None or answer is None or not answer.ended:
        given = max(passed, given or 0)
    return msgspec.structs.replace(usage, input_tokens=taken, output_tokens=given, total_tokens=taken + given), True
