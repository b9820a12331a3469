"""The answers of the wires while they pass: usage, end and errors, read beside the bytes and without changing them."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from athena_core.providers import anthropic, openai
from athena_core.providers.connection import decoded, items, table, text
from athena_core.providers.prices import VENDOR_WORD_BYTES_MAX, Frame, Meter, pieces, size_of, written
from athena_core.providers.provider import token_count
from athena_core.values import Usage

LINE_BYTES_MAX = 1_048_576
"""Maximum size of an event of a stream that is read. Larger ones pass unread."""
PLAIN_BYTES_MAX = 8_388_608
"""Maximum size of an answer in one piece that is read. Larger ones pass unread."""
EVENT_STREAM = "text/event-stream"
DATA, COMMENTS = b"data:", (b":", b"event:", b"id:", b"retry:")
"""Lines of a stream, by how they begin."""
REPEATS_KEPT = 20_000
"""Maximum number of different strings of an answer by which repetitions are found. Later ones count each time."""

TEXTS_KEPT = 100
"""Maximum number of texts in pieces of which repetitions are found."""

RESPONSES_FRAME = Frame(
    own=frozenset(
        (
            "type", "id", "object", "status", "item_id", "call_id", "event_id", "role", "model", "obfuscation", "phase",
            "service_tier", "reason", "code",
        )
    ),
    inner=frozenset(
        (
            "response", "output", "item", "part", "content", "summary", "usage", "input_tokens_details",
            "output_tokens_details", "incomplete_details", "error",
        )
    ),
)  # fmt: skip
GEMINI_FRAME = Frame(
    own=frozenset(
        (
            "role", "finishReason", "modelVersion", "responseId", "modality", "createTime", "trafficType",
            "category", "probability", "severity", "blockReason",
        )
    ),
    inner=frozenset(
        (
            "candidates", "content", "parts", "functionCall", "usageMetadata", "promptTokensDetails",
            "candidatesTokensDetails", "cacheTokensDetails", "toolUsePromptTokensDetails", "safetyRatings",
            "promptFeedback",
        )
    ),
)  # fmt: skip

BEGINNINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
ENDINGS = frozenset({"response.completed", "response.incomplete"})
"""Kinds of events of OpenAI's responses."""


class Answer(ABC):
    """The part of an answer that has passed."""

    frame: ClassVar[Frame]

    def __init__(self, media_type: str, on_text: Callable[[str], None]) -> None:
        """Read events if the type says so, else one JSON value. ``on_text`` gets the text that models say."""
        self.meter = Meter()
        self.ended = False
        """True once the server has said that the answer is complete."""
        self.problem: str | None = None
        """The error that the server reported inside of the answer."""
        self.request_id: str | None = None
        self._on_text = on_text
        self._events = media_type == EVENT_STREAM
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._skipped = self._after_return = False
        self._unread = False
        """True while a line, or the whole answer in one piece, is too large to be read."""

    def feed(self, piece: bytes) -> None:
        if self._events:
            if self._after_return:
                piece = piece.removeprefix(b"\n")
            self._after_return = piece.endswith(b"\r")
            *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
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
        before, size, found = self.meter.output_bytes, len(self._rest), decoded(bytes(self._rest))
        for part in items(found) if isinstance(found, list) else [table(found)]:
            self._count(part)
            self._plain(part)
        if self.meter.usage is None or self.meter.usage.output_tokens is None:
            self.meter.write(max(before + size - self.meter.output_bytes, 0))

    def break_off(self) -> None:
        """Count the unread rest of an answer that broke off: its last event, or an answer in one piece."""
        self.meter.write(len(self._rest) + sum(map(len, self._data)))

    def _keep(self, piece: bytes) -> None:
        most = LINE_BYTES_MAX if self._events else PLAIN_BYTES_MAX
        if self._unread or len(self._rest) + len(piece) > most:
            self.meter.write(len(self._rest) + len(piece))
            self._rest.clear()
            self._unread = self._skipped = True
        else:
            self._rest += piece

    def _line(self) -> None:
        """Take a complete line: a piece of an event, or its end. Other lines may hold output, too."""
        line = bytes(self._rest)
        self._rest.clear()
        if self._unread:
            self._unread = False
        elif not line:
            self._event()
        elif line.startswith(DATA):
            self._data_bytes += len(line)
            if self._data_bytes > LINE_BYTES_MAX:
                self.meter.write(len(line))
                self._skipped = True
            else:
                self._data.append(line[len(DATA) :])
        elif not line.startswith(COMMENTS) or len(line) > VENDOR_WORD_BYTES_MAX:
            self.meter.write(len(line))

    def _event(self) -> None:
        data, self._data, self._data_bytes = b"\n".join(self._data), [], 0
        if data.strip() == b"[DONE]":
            self._done()
        elif data:
            try:
                found = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = decoded(data)  # NaN
            if isinstance(found, dict):
                self._count(found)
                self._read(found)
            else:
                self.meter.write(len(data))

    def _done(self) -> None:
        """Take ``[DONE]``, which ends a stream of OpenAI's chat completions."""
        return

    def _plain(self, part: Mapping[str, Any]) -> None:
        self._read(part)

    @abstractmethod
    def _read(self, event: Mapping[str, Any]) -> None:
        """Read an event, or an answer in one piece."""

    def _count(self, part: Mapping[str, Any]) -> None:
        """Count the output in an event, or in an answer in one piece, whatever its members are called."""
        self.meter.write(written(part, self.frame))

    def _say(self, said: object) -> None:
        """Pass on what the model said."""
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

    frame = openai.FRAME

    def _done(self) -> None:
        self.ended = True

    def _read(self, event: Mapping[str, Any]) -> None:
        self._identify(event.get("id"))
        if error := event.get("error"):
            self._failed(error)
        for choice in items(event.get("choices")):
            part = table(choice.get("delta")) or table(choice.get("message"))
            self._say(part.get("content"))
            self.ended = self.ended or text(choice.get("finish_reason")) is not None
        if counts := table(event.get("usage")):
            self.meter.report(openai.usage_of(counts))


class PiecedText:
    """A text that comes in pieces, as a digest."""

    def __init__(self) -> None:
        self._digest = _digest("")
        self._joined: bytes | None = None
        self._grown = False

    def add(self, piece: str) -> None:
        """Add a piece, which was counted."""
        self._digest.update(piece.encode(errors="replace"))
        self._grown = True

    def join(self, counted: Counter[bytes]) -> None:
        """Count the text so far as one string, in place of its shorter forms."""
        if self._grown:
            counted[self._digest.digest()] += 1
            if self._joined is not None:
                counted[self._joined] -= 1
            self._joined, self._grown = self._digest.digest(), False


class ResponsesAnswer(Answer):
    """An answer of OpenAI's responses. The last event holds the whole response with its usage.

    Its events repeat each other: the pieces of a text, the text, its part, its item, the response. A string counts as
    often as the kind of event that has it most often.
    """

    frame = RESPONSES_FRAME

    def __init__(self, media_type: str, on_text: Callable[[str], None]) -> None:
        """Read events if the type says so, else one JSON value."""
        super().__init__(media_type, on_text)
        self._begun = False
        self._counted = Counter[bytes]()
        """How often each string was counted, by its digest."""
        self._had = Counter[tuple[str, bytes]]()
        """How often each kind of event had it."""
        self._pieced: dict[tuple[str, ...], PiecedText] = {}

    def _count(self, part: Mapping[str, Any]) -> None:
        kind = (text(part.get("type")) or "")[:VENDOR_WORD_BYTES_MAX]
        own, self._begun = not self._begun and kind in BEGINNINGS, True  # the first event repeats the request
        if kind.endswith(".delta"):
            super()._count(part)
            self._piece(kind.removesuffix(".delta"), part)
            return
        for one in self._pieced.values():
            one.join(self._counted)
        for said in pieces(part, self.frame):
            digest = _digest(said).digest()
            self._had[kind, digest] += 1
            if self._had[kind, digest] > self._counted[digest]:
                self._counted[digest] += 1
                self.meter.write(0 if own else size_of(said))
        if len(self._had) > REPEATS_KEPT:
            self._had.clear()
            self._counted.clear()
            self._pieced.clear()

    def _piece(self, kind: str, part: Mapping[str, Any]) -> None:
        """Add a piece to its text."""
        names = ("item_id", "output_index", "content_index", "summary_index")
        key = (kind, *(str(part.get(name))[:VENDOR_WORD_BYTES_MAX] for name in names))
        if isinstance(piece := part.get("delta"), str) and len(self._pieced) < TEXTS_KEPT:
            self._pieced.setdefault(key, PiecedText()).add(piece)

    def _plain(self, part: Mapping[str, Any]) -> None:
        self._whole(part)
        self.ended = self.ended or part.get("status") is None and isinstance(part.get("output"), list)

    def _read(self, event: Mapping[str, Any]) -> None:
        kind = text(event.get("type")) or ""
        if kind == "error":
            self._failed(event.get("error") or event)
        elif kind == "response.output_text.delta":
            self._say(event.get("delta"))
        self._whole(table(event.get("response")))
        self.ended = self.ended or kind in ENDINGS

    def _whole(self, response: Mapping[str, Any]) -> None:
        """Read a response: as it begins, as it ends, or in one piece."""
        self._identify(response.get("id"))
        self.ended = self.ended or response.get("status") in {"completed", "incomplete"}
        if error := response.get("error"):
            self._failed(error)
        if counts := table(response.get("usage")):
            self.meter.report(_responses_usage(counts))


class AnthropicAnswer(Answer):
    """An answer of Anthropic's messages. The first event has the input, the one before the last the output."""

    frame = anthropic.FRAME

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
            self._say(block.get("text"))
        self._report(part)
        self.ended = True

    def _read(self, event: Mapping[str, Any]) -> None:
        match event.get("type"):
            case "message_start":
                message = table(event.get("message"))
                self._identify(message.get("id"))
                self._report(message, output_tokens=None)  # the first output count is a placeholder
            case "content_block_start":
                self._say(table(event.get("content_block")).get("text"))
            case "content_block_delta":
                self._say(table(event.get("delta")).get("text"))
            case "message_delta":
                self._report(event)
            case "message_stop":
                self.ended = True
            case "error":
                self._failed(event.get("error"))
            case _:
                pass  # ping, the end of a block, and event types of later years

    def _report(self, event: Mapping[str, Any], **changed: None) -> None:
        if found := anthropic.counts_of(event):
            self._counts |= found
            self.meter.report(anthropic.usage_of(self._counts | changed))


class GeminiAnswer(Answer):
    """An answer of Gemini: chunks as events, or as a list in one piece. Each has the usage so far."""

    frame = GEMINI_FRAME

    def _read(self, event: Mapping[str, Any]) -> None:
        self._identify(event.get("responseId"))
        if error := event.get("error"):
            self._failed(error)
        if counts := table(event.get("usageMetadata")):
            self.meter.report(_gemini_usage(counts))
        if table(event.get("promptFeedback")).get("blockReason"):
            self.ended = True
        for candidate in items(event.get("candidates")):
            for part in items(table(candidate.get("content")).get("parts")):
                if not part.get("thought"):
                    self._say(part.get("text"))
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


def _digest(said: str) -> Any:
    return blake2b(said.encode(errors="replace"), digest_size=16)


def complete_usage(answer: Answer | None, request_bytes: int, output_max: int | None = None) -> tuple[Usage, bool]:
    """Return the usage of a call, and True if a part of it was estimated from the bytes that passed.

    The output of an answer that was cut off is at least what passed, whatever the server counted before. ``output_max``
    is the limit of the request.
    """
    meter = answer.meter if answer else Meter()
    return meter.counted(request_bytes, whole=answer is not None and answer.ended, output_max=output_max)
