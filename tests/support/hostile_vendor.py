"""Answers of vendors that hide what they write: drawn from a seed, within the limit of the request that they got.

What a model writes is made of the letter w, which stands nowhere else. So what passed can be counted in any encoding.
"""

import json
from random import Random
from typing import Any, NamedTuple

from athena_core.agents.known import AgentWire
from tests.support.gateway import head
from tests.support.vendors import VENDORS

MARK = b"w"
NAMES = (
    "content", "text", "refusal", "reasoning", "reasoning_content", "reasoning_details", "function_call", "arguments",
    "tool_calls", "audio", "transcript", "thinking", "signature", "input", "partial_json", "delta", "result", "blocks",
    "x_later", "", "annotations", "executableCode", "inlineData", "args", "citations", "logprobs", "output", "item",
)  # fmt: skip
HUGE = (10**7, 2**53, 2**63, 10**30, 1e300)
USAGES = ("right", "right", "missing", "negative", "huge", "twice", "late", "zero", "words", "running", "input only")
PLAIN_USAGES = tuple(usage for usage in USAGES if usage not in {"twice", "late", "running"})
COUNTS = {
    "openai-chat": ("usage", "prompt_tokens", "completion_tokens"),
    "openai-responses": ("usage", "input_tokens", "output_tokens"),
    "anthropic": ("usage", "input_tokens", "output_tokens"),
    "gemini": ("usageMetadata", "promptTokenCount", "candidatesTokenCount"),
}
BYTES_MAX = 6_000


def limit_of(wire: AgentWire, body: bytes) -> int:
    """Return the output tokens that a request allows, as a vendor reads it."""
    asked = json.loads(body)
    if wire == "gemini":
        asked = asked.get("generationConfig") or asked.get("generation_config") or {}
    limits = [asked[name] for name in asked if name.casefold().replace("_", "").startswith("max")]
    answers = asked.get("n") or asked.get("candidateCount") or asked.get("candidate_count") or 1
    assert limits, "a call without a bound has left the gateway"
    return int(max(limits)) * int(answers)


class HostileAnswer(NamedTuple):
    """An answer in pieces: its head and two of its body. ``whole``: it has the right counts, and is not cut."""

    pieces: tuple[bytes, ...]
    input_tokens: int
    output_tokens: int
    usage: str
    whole: bool


class HostileVendor:
    """A vendor that draws its answers."""

    def __init__(self, wire: AgentWire, random: Random, *, streamed: bool, tidy: bool = False) -> None:
        """``tidy`` keeps to events of the API."""
        self._wire = wire
        self._random = random
        self._streamed = streamed
        self._tidy = tidy
        self._texts = 0
        self._kind = "text/event-stream" if streamed else "application/json"

    def answer(self, body: bytes) -> HostileAnswer:
        """Return an answer to a request."""
        random, most = self._random, limit_of(self._wire, body)
        usage = random.choice(USAGES if self._streamed else PLAIN_USAGES)
        size = random.choice((0, 1, 1, 1)) * random.randint(0, min(4 * most, BYTES_MAX))
        hidden = 0 if usage in {"missing", "zero", "input only"} else random.choice((0, random.randint(0, most)))
        events, written = list[Any](), 0
        while True:
            one, marks = self._event()
            if sum(len(json.dumps(event)) + 20 for event in (*events, one)) > size - 200:
                break
            events.append(one)
            written += marks
        said = -(-written // 4)
        reports = usage in {"right", "twice", "late"}
        counted = max(said, hidden) if reports else said
        given = random.randint(-(-len(body) // 4), len(body)) if reports else -(-len(body) // 4)
        data = self._body(events, usage, given, min(counted, most))
        pieces = self._cut(data)
        whole = reports and pieces == (head(self._kind), *pieces[1:]) and pieces[1] + pieces[2] == data
        return HostileAnswer(pieces, given, min(counted, most), usage, whole)

    def _text(self) -> tuple[str, int]:
        size = self._random.choice((1, 3, 40, 400))
        self._texts += 1
        return f"{self._texts}{'w' * size}", size  # no text repeats another

    def _value(self, depth: int = 0) -> tuple[Any, int]:
        """Return a value of any shape, and the size of the text in it."""
        kind = self._random.randrange(4 if depth < 3 else 1)
        if kind <= 1:
            return self._text()
        parts = [self._value(depth + 1) for _ in range(self._random.randint(1, 3))]
        marks = sum(size for _, size in parts)
        if kind == 2:
            return [part for part, _ in parts], marks
        names = self._random.sample(NAMES, len(parts))
        return {name: part for name, (part, _) in zip(names, parts, strict=True)}, marks

    def _event(self) -> tuple[Any, int]:
        """Return an event with output in members of any name, and the size of the text in it."""
        value, marks = self._value()
        name, random = self._random.choice(NAMES), self._random
        match self._wire:
            case "openai-chat":
                part = {"role": "assistant", name: value}
                choice = {"index": random.randrange(128), "delta" if self._streamed else "message": part}
                odd: dict[str, Any] = {"choices": [{"index": 0, name: value}]}
                return random.choice(({"id": "c", "choices": [choice]}, odd, {name: value})), marks
            case "openai-responses":
                item = {"type": "message", "id": "m", name: value}
                kind = (
                    f"response.{random.choice(('text', 'args', 'later'))}.{random.choice(('delta', 'part', 'added'))}"
                )
                odd = {"type": "response.output_item.done", "item": item}
                return random.choice(({"type": kind, name: value}, odd)), marks
            case "anthropic":
                kind = random.choice(("content_block_delta", "content_block_start", "message_start", "later"))
                inner = {"content_block_delta": "delta", "content_block_start": "content_block"}.get(kind, "message")
                return {"type": kind, inner: {"type": "later", name: value}}, marks
            case "gemini":
                content = {"role": "model", "parts": [{name: value}]}
                odd = {"candidates": [{name: value}]}
                return random.choice(({"candidates": [{"content": content}]}, odd, {name: value})), marks

    def _usage(self, given: object, counted: object) -> dict[str, Any]:
        name, taken, written = COUNTS[self._wire]
        return {name: {taken: given, written: counted}}

    def _reports(self, usage: str, given: int, counted: int) -> list[dict[str, Any]]:
        """Return the counts of an answer in turn. The vendor may also lie about them."""
        random = self._random
        match usage:
            case "right" | "late":
                return [self._usage(given, counted)]
            case "twice":
                both = [self._usage(given, counted), self._usage(given // 2, counted // 2)]
                return random.sample(both, 2)
            case "negative":
                return [self._usage(-given - 1, -counted - 1)]
            case "huge":
                return [self._usage(random.choice(HUGE), random.choice(HUGE))]
            case "zero":
                return [self._usage(given, 0)]
            case "words":
                return [self._usage("many", [counted])]
            case "input only":
                return [{COUNTS[self._wire][0]: {COUNTS[self._wire][1]: given}}]
            case _:
                return []

    def _end(self, counts: dict[str, Any]) -> list[dict[str, Any]]:
        match self._wire:
            case "openai-chat":
                return [
                    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                    *([counts] if counts else []),
                ]
            case "openai-responses":
                response = {"id": "r", **({"status": "completed"} if self._random.random() < 0.5 else {}), **counts}
                return [{"type": "response.completed", "response": response}]
            case "anthropic":
                return [
                    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **counts},
                    {"type": "message_stop"},
                ]
            case "gemini":
                return [{"candidates": [{"finishReason": "STOP"}], **counts}]

    def _with(self, counts: dict[str, Any]) -> dict[str, Any]:
        """Return an event that only has counts."""
        match self._wire:
            case "openai-responses":
                return {"type": "response.in_progress", "response": counts}
            case "anthropic":
                return {"type": "message_delta", "delta": {}, **counts}
            case _:
                return counts

    def _body(self, events: list[Any], usage: str, given: int, counted: int) -> bytes:
        reports = self._reports(usage, given, counted)
        if not self._streamed:
            return self._whole(events, reports)
        if usage == "running":
            few = [self._with(self._usage(given, place // 2)) for place in range(len(events))]
            events = [part for pair in zip(few, events, strict=True) for part in pair]
        first, last = reports[:-1], reports[-1] if reports else {}
        events = [*(self._with(counts) for counts in first), *events]
        if usage == "late":
            events += [*self._end({}), self._with(last)]
        else:
            events += self._end(last)
        return b"".join(map(self._framed, events)) + (b"data: [DONE]\n\n" if self._wire == "openai-chat" else b"")

    def _framed(self, event: Any) -> bytes:
        """Return an event as a client may read it."""
        end = self._random.choice((b"\n", b"\n", b"\r\n"))
        data = json.dumps(event).encode()
        kind = self._random.randrange(12) if self._tidy or "usage" not in str(event) else 12
        if kind == 0 and not self._tidy:
            return data + end + end
        if kind == 1 and not self._tidy:
            return b"data: " + data + b"\r\r"
        if kind == 2:
            return b"data:" + data.replace(b": ", b":" + end + b"data: ", 1) + end + end
        if kind == 3:
            data = data.replace(b"ww", b"\\u0077\\u0077")
        return b"event: x" + end + b"data: " + data + end + end

    def _whole(self, events: list[Any], reports: list[dict[str, Any]]) -> bytes:
        """Return an answer in one piece."""
        counts = {name: value for report in reports for name, value in report.items()}
        match self._wire:
            case "openai-chat":
                choices = [choice for event in events for choice in event.get("choices", ())]
                whole: Any = {**_merged(events), "choices": [{"finish_reason": "stop"}, *choices], **counts}
            case "openai-responses":
                whole = {"id": "r", "object": "response", "status": "completed", "output": events, **counts}
            case "anthropic":
                whole = {"type": "message", "content": events, **counts}
            case "gemini":
                whole = [*events, *self._end(counts)]
        return json.dumps(whole).encode()

    def _cut(self, data: bytes) -> tuple[bytes, ...]:
        """Return an answer in pieces, with its head. Some are cut off."""
        random = self._random
        kind = self._kind
        if not self._tidy and random.random() < 0.05:
            kind = random.choice(("text/event-stream", "application/json", "text/plain"))
        if random.random() < 0.2:
            data = data[: random.randint(0, len(data))]
        place = random.randint(0, len(data))
        return head(kind), data[:place], data[place:]


def _merged(events: list[Any]) -> dict[str, Any]:
    """Return the members of events that are no choices, each under a name of its own."""
    found = [(name, value) for event in events for name, value in event.items() if name not in {"choices", "id"}]
    return {f"{name}_{place}": value for place, (name, value) in enumerate(found)}


def request_of(wire: AgentWire, random: Random, *, streamed: bool) -> tuple[str, bytes]:
    """Return the target and the body of a request, with or without a limit."""
    one = VENDORS[wire]
    asked = {key: value for key, value in one.plain_request.items() if key != "max_tokens"}
    limit = random.choice((None, 1, 16, 300, 3_000, 200_000))
    answers = random.choice((None, None, 1, 2, 128)) if limit and wire in {"openai-chat", "gemini"} else None
    if wire == "gemini":
        names = random.choice((("maxOutputTokens", "candidateCount"), ("max_output_tokens", "candidate_count")))
        config = {name: value for name, value in zip(names, (limit, answers), strict=True) if value}
        asked |= {random.choice(("generationConfig", "generation_config")): config} if config else {}
        return (one.target if streamed else one.plain_target), json.dumps(asked).encode()
    name = {
        "openai-chat": random.choice(("max_tokens", "max_completion_tokens")),
        "openai-responses": "max_output_tokens",
        "anthropic": "max_tokens",
    }[wire]
    asked |= {"stream": streamed} | ({name: limit} if limit else {}) | ({"n": answers} if answers else {})
    return one.target, json.dumps(asked).encode()
