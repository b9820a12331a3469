"""Vendors of the gateway corner: requests and answers of four wires, with odd habits, and a count of what was sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any, NamedTuple

import httpx2
import msgspec

from athena_core.agents.known import AgentWire
from tests.support.gateway import KEYS
from tests.support.vendors import VENDORS

MODELS = {
    "openai-chat": "gpt-4o-mini",
    "openai-responses": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
}
COUNTED = ("honest", "late", "running", "falling")
"""Habits of counting that are right once the whole answer has passed."""
COUNTS = (*COUNTED, "honest", "honest", "none", "none", "zero", "early", "huge", "negative", "words", "input only")
PLAIN_COUNTS = ("honest", "honest", "none", "zero", "huge", "negative", "words", "input only")
MARK = b"w"
"""What a model writes is made of this letter, which stands nowhere else in an answer."""
FLOOD_PIECES, FLOOD_BYTES = 20, 4_100
SILENCE_SECONDS = 60.0
UNLIMITED = 32_768


class Script(NamedTuple):
    """An answer: its bytes, where they are cut into pieces, and the end.

    ``fails`` names what happens before the head. ``size`` is how much of the data is sent; ``ends`` is what follows.
    """

    fails: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    data: bytes = b""
    pieces: tuple[tuple[int, float], ...] = ()
    """The ends of the pieces, and the seconds before each."""
    size: int = 0
    ends: str = "well"
    wait: float = 0.0
    """Seconds before the head."""
    counts: str = "none"
    taken: int | None = None
    given: int | None = None
    written: int = 0
    """The bytes that the model wrote, without repetitions."""
    said_max: int = 0
    """The same with all that may count beside it."""
    problem: bool = False
    """An error stands inside of the answer."""

    @property
    def whole(self) -> bool:
        return self.ends == "well" and self.size == len(self.data)

    @property
    def passes(self) -> bool:
        """True if the gateway passes the answer on."""
        return not self.fails and (200 <= self.status < 300 or self.status >= 400) and self.status not in {204, 401}

    def marks(self, size: int) -> int:
        """Return how many bytes of output are in the first bytes."""
        return min(self.data.count(MARK, 0, size), self.written)


class Asked(NamedTuple):
    """A request as a vendor reads it: the most output tokens of all its answers, and their number."""

    limit: int | None
    answers: int
    streamed: bool


def request_of(wire: AgentWire, model: str, chance: Random, *, streamed: bool, padding: int) -> tuple[str, bytes]:
    """Return the target and the body of a request."""
    one, limit = VENDORS[wire], chance.choice((None, 16, 300, 300, 3_000))
    answers = chance.choice((None, None, 2)) if limit and wire in {"openai-chat", "gemini"} else None
    asked: dict[str, Any] = {"user": "x" * padding}
    if wire == "gemini":
        config = {"maxOutputTokens": limit, "candidateCount": answers}
        asked |= {"contents": [], "generationConfig": {name: value for name, value in config.items() if value}}
        target = one.target if streamed else one.plain_target
        return target.replace(MODELS[wire], model), msgspec.json.encode(asked)
    name = {"openai-chat": chance.choice(("max_tokens", "max_completion_tokens")), "anthropic": "max_tokens"}
    asked |= {"model": model, "stream": streamed, "input" if wire == "openai-responses" else "messages": []}
    asked |= ({name.get(wire, "max_output_tokens"): limit} if limit else {}) | ({"n": answers} if answers else {})
    return one.target, msgspec.json.encode(asked)


def asked_of(wire: AgentWire, path: str, body: bytes) -> Asked:
    """Read a request as the vendor does."""
    asked = json.loads(body)
    streamed = "stream" in path if wire == "gemini" else bool(asked.get("stream"))
    if wire == "gemini":
        asked = asked.get("generationConfig") or {}
    limits = [asked[name] for name in asked if name.startswith("max")]
    answers = asked.get("n") or asked.get("candidateCount") or 1
    return Asked(max(limits) * answers if limits else None, answers, streamed)


# Answers


def _part(wire: AgentWire, chance: Random, said: str, answers: int) -> dict[str, Any]:
    """Return an event in which a model says something: text, thoughts, calls of tools, members of later years."""
    match wire:
        case "openai-chat":
            part: Any = chance.choice(
                (
                    {"content": said},
                    {"reasoning_content": said},
                    {"refusal": said},
                    {"function_call": {"arguments": said}},
                    {"tool_calls": [{"index": 0, "function": {"arguments": said}}]},
                    {"x_later": {"deep": [said]}},
                )
            )
            return {"id": "c", "choices": [{"index": chance.randrange(answers), "delta": part}]}
        case "openai-responses":
            kind = chance.choice(("output_text", "function_call_arguments", "reasoning_summary_text", "later", "item"))
            if kind == "item":
                item = {"type": "function_call", "call_id": "k", "arguments": said}
                return {"type": "response.output_item.done", "item": item}
            return {"type": f"response.{kind}.delta", "item_id": f"{kind}1", "delta": said}
        case "anthropic":
            kind = chance.choice(("text", "thinking", "partial_json", "signature", "block", "tool"))
            if kind == "block":
                return {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": said}}
            if kind == "tool":
                block = {"type": "tool_use", "id": "t", "input": {"a": said}}
                return {"type": "content_block_start", "index": 0, "content_block": block}
            return {"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: said}}
        case "gemini":
            part = chance.choice(
                (
                    {"text": said},
                    {"text": said, "thought": True},
                    {"functionCall": {"name": "f", "args": {"p": said}}},
                    {"executableCode": {"code": said}},
                    {"inlineData": {"data": said}},
                )
            )
            content = {"role": "model", "parts": [part]}
            return {"candidates": [{"index": chance.randrange(answers), "content": content}]}


def _usage(wire: AgentWire, taken: object, given: object, thought: int = 0) -> dict[str, Any]:
    """Return the counts of a call as the API writes them. Half of the input came from a cache."""
    part = taken // 2 if isinstance(taken, int) else 0
    match wire:
        case "openai-chat":
            found: dict[str, Any] = {"prompt_tokens": taken, "completion_tokens": given}
            found["prompt_tokens_details"] = {"cached_tokens": part}
        case "openai-responses":
            found = {"input_tokens": taken, "output_tokens": given, "input_tokens_details": {"cached_tokens": part}}
        case "anthropic":
            new = taken - part if isinstance(taken, int) else taken
            found = {"input_tokens": new, "cache_read_input_tokens": part, "output_tokens": given}
        case "gemini":
            written = given - thought if isinstance(given, int) else given
            found = {"promptTokenCount": taken, "candidatesTokenCount": written, "thoughtsTokenCount": thought}
            return {"usageMetadata": {name: one for name, one in found.items() if one is not None}}
    return {"usage": {name: one for name, one in found.items() if one is not None}}


def _counts(wire: AgentWire, chance: Random, habit: str, taken: int, given: int) -> dict[str, Any]:
    """Return the last counts of a vendor, true or not."""
    match habit:
        case "honest" | "running" | "late" | "falling":
            return _usage(wire, taken, given, given // 3)
        case "zero":
            return _usage(wire, taken, 0)
        case "huge":
            return _usage(wire, chance.choice((taken, 10**7, 10**19)), chance.choice((10**7, 2**63, 10**30)))
        case "negative":
            return _usage(wire, -taken, -given)
        case "words":
            return _usage(wire, "many", [given])
        case "input only":
            return _usage(wire, taken, None)
    return {}


def _with(wire: AgentWire, counts: dict[str, Any]) -> dict[str, Any]:
    """Return an event that has only counts."""
    match wire:
        case "openai-responses":
            return {"type": "response.in_progress", "response": counts}
        case "anthropic":
            return {"type": "message_delta", "delta": {}, **counts}
        case "openai-chat":
            return {"choices": [], **counts}
        case "gemini":
            return counts


def _end(wire: AgentWire, said: list[dict[str, Any]], counts: dict[str, Any], *, named: bool) -> list[dict[str, Any]]:
    """Return the last events. The wire of OpenAI's responses repeats in them what was said."""
    match wire:
        case "openai-chat":
            last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            return [last, {"choices": [], **counts}] if counts else [last]
        case "openai-responses":
            texts = dict[str, str]()
            for one in said:
                if "delta" in one:
                    texts[one["item_id"]] = texts.get(one["item_id"], "") + one["delta"]
            again: list[Any] = [{"type": "message", "content": [{"text": one}]} for one in texts.values()]
            again += [one["item"] for one in said if "item" in one]
            status = {"status": "completed"} if named else {}
            return [{"type": "response.completed", "response": {"id": "r", **status, "output": again, **counts}}]
        case "anthropic":
            return [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **counts}, {"type": "message_stop"}]
        case "gemini":
            return [{"candidates": [{"finishReason": "STOP"}], **counts}]


def _plain(wire: AgentWire, said: list[dict[str, Any]], counts: dict[str, Any]) -> bytes:
    """Return an answer in one piece."""
    match wire:
        case "openai-chat":
            choices = [choice for one in said for choice in one["choices"]]
            messages = [{"index": 0, "message": choice["delta"]} for choice in choices]
            whole: Any = {"id": "c", "choices": [*messages, {"index": 0, "finish_reason": "stop"}], **counts}
        case "openai-responses":
            output = [one.get("item") or {"type": "message", "content": [{"text": one["delta"]}]} for one in said]
            whole = {"id": "r", "object": "response", "status": "completed", "output": output, **counts}
        case "anthropic":
            blocks = [one.get("content_block") or one["delta"] for one in said]
            whole = {"type": "message", "id": "m", "content": blocks, **counts}
        case "gemini":
            candidates = [candidate for one in said for candidate in one["candidates"]]
            whole = {"candidates": [*candidates, {"finishReason": "STOP"}], **counts}
    return msgspec.json.encode(whole)


def _framed(event: dict[str, Any], end: bytes, kind: int) -> bytes:
    data = msgspec.json.encode(event)
    if kind == 0:
        data = data.replace(b'":', b'":' + end + b"data: ", 1)
    head = b"event: x" + end if kind == 1 else b": still here" + end + end if kind == 2 else b""
    return head + b"data: " + data + end + end


def _said(wire: AgentWire, chance: Random, asked: Asked, key: str) -> tuple[list[dict[str, Any]], int]:
    """Return what a model says within the limit of its request, and its size."""
    left, written, said = 4 * (asked.limit or UNLIMITED), 0, list[dict[str, Any]]()
    for number in range(chance.choice((0, 1, 2, 3, 6))):
        size = min(chance.choice((1, 3, 40, 400)), left - written - 1)
        if size > 0:
            written += size
            said.append(_part(wire, chance, f"{number}{'w' * size}{key}", asked.answers))
    return said, written


def answer_of(wire: AgentWire, chance: Random, habit: str, asked: Asked, size: int) -> Script:
    """Draw the answer of a vendor with a habit to a request of a size."""
    wait = chance.choice((0.0, 0.0, 0.02, 0.5, 4.0))
    match habit:
        case "silent" | "unreachable" | "broken head":
            return Script(fails=habit, wait=wait)
        case "odd":
            status = chance.choice((200, 204, 302, 401))
            headers = ((("content-encoding", "gzip"),) if status == 200 else ()) + (("location", "/x"),)
            return Script(fails="odd", status=status, headers=headers, wait=wait)
        case "error":
            data = b'{"error":{"message":"no"}}'
            headers = (("content-type", "application/json"), ("retry-after", "7"))
            status = chance.choice((400, 429, 429, 500, 503, 529))
            return Script("", status, headers, data, ((len(data), 0.0),), len(data), wait=wait)
    if habit == "flood" and asked.streamed:
        said = [_part(wire, chance, f"{number}{'w' * 4_000}", 1) for number in range(FLOOD_PIECES)]
        written = 4_000 * FLOOD_PIECES
    else:
        said, written = _said(wire, chance, asked, KEYS[VENDORS[wire].provider] if habit == "quotes" else "")
    counts = chance.choice(COUNTS if asked.streamed else PLAIN_COUNTS) if habit != "flood" else "none"
    tokens = max(-(-written // 4), 1)
    given = max(chance.randint(0, asked.limit or 1_000), tokens) if counts in COUNTED else tokens
    taken = chance.randint(size // 4, size)
    last = _counts(wire, chance, counts, taken, given)
    problem = False
    if asked.streamed:
        data, problem = _stream(wire, chance, said, counts, last, (taken, given))
    else:
        data = _plain(wire, said, last)
    kind = "text/event-stream" if asked.streamed else "application/json"
    framing = (("content-length", str(len(data))),) if chance.random() < 0.3 else ()
    stop, ends = len(data), "well"
    if habit == "breaks":
        stop, ends = chance.randint(0, len(data)), chance.choice(("breaks", "breaks", "well", "silent"))
        ends = "breaks" if framing and ends == "well" and stop < len(data) else ends
    own = {chance.randint(0, stop) for _ in range(chance.choice((0, 1, 2, 5)))} if habit != "flood" else set()
    if habit == "flood":
        own = set(range(FLOOD_BYTES, stop, FLOOD_BYTES))
    pieces = tuple((end, chance.choice((0.0, 0.0, 0.01, 0.3, 3.0))) for end in sorted(own | {stop}) if end)
    headers = (("content-type", kind), ("x-request-id", "req_1"), *framing)
    most = written + 60 * len(said) + 100 if asked.streamed else len(data)
    return Script("", 200, headers, data, pieces, stop, ends, wait, counts, taken, given, written, most, problem)


def _stream(
    wire: AgentWire,
    chance: Random,
    said: list[dict[str, Any]],
    counts: str,
    last: dict[str, Any],
    true: tuple[int, int],
) -> tuple[bytes, bool]:
    """Return a stream of events, and True if it has an error."""
    events = [{"type": "message_start", "message": {"id": "m", **_usage(wire, true[0], 1)}}]
    events = events if wire == "anthropic" and counts in COUNTED else []
    for number, one in enumerate(said):
        if counts == "running" or (counts == "early" and number == 1):
            events.append(_with(wire, _usage(wire, true[0], max(number * true[1] // len(said), 0))))
        events.append(one)
    problem = counts == "none" and chance.random() < 0.15
    if problem:
        events.append({"type": "error", "error": {"message": "overloaded"}})
    elif counts == "late":
        events += [*_end(wire, said, {}, named=True), _with(wire, last)]
    else:
        events += _end(wire, said, last, named=chance.random() < 0.5)
        events += [_with(wire, _usage(wire, true[0], true[1] // 2))] if counts == "falling" else []
    end = chance.choice((b"\n", b"\n", b"\r\n", b"\r"))
    data = b"".join(_framed(event, end, chance.randrange(9)) for event in events)
    return data + (b"data: [DONE]" + end + end if wire == "openai-chat" and not problem else b""), problem


# The server


class Visit(httpx2.AsyncByteStream):
    """A request at a vendor, and the sent part of its answer."""

    def __init__(
        self, headers: list[tuple[bytes, bytes]], body: bytes, asked: Asked, script: Script, patience: float
    ) -> None:
        """``patience`` is the seconds of silence after which the client gives up."""
        self.headers = headers
        self.body = body
        self.asked = asked
        self.script = script
        self._patience = patience
        self.sent = 0
        self.at = self.sent_at = asyncio.get_running_loop().time()
        """When the request came, and when the last piece was sent."""
        self.headed = self.done = False
        """True once the head, and once all of the answer was sent."""

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, self._patience))
        if seconds >= self._patience:
            raise httpx2.ReadTimeout("")

    async def answer(self) -> httpx2.Response:
        """Return the head, or raise what the library's client raises."""
        script = self.script
        await self._wait(1e9 if script.fails == "silent" else script.wait)
        if script.fails == "unreachable":
            raise httpx2.ConnectError("")
        if script.fails == "broken head":
            raise httpx2.RemoteProtocolError("")
        self.headed = True
        return httpx2.Response(script.status, headers=list(script.headers), stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for end, seconds in self.script.pieces:
            await self._wait(seconds)
            begin, self.sent, self.sent_at = self.sent, end, asyncio.get_running_loop().time()
            yield self.script.data[begin:end]
        if self.script.ends == "silent":
            await self._wait(1e9)
        elif self.script.ends == "breaks":
            raise httpx2.RemoteProtocolError("")
        self.done = True
