"""The wires of models: the pieces of a streamed answer, as agents read them, and the turns in a request."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

Tokens: TypeAlias = tuple[int, int]
"""Input and output tokens of an answer."""
Body: TypeAlias = Mapping[str, Any]


class ModelWire(NamedTuple):
    """A wire: the pieces of an answer, and the number of turns in a request."""

    text: Callable[[str], bytes]
    call: Callable[[str, str, Body], bytes]
    """A call: id, tool, arguments."""
    end: Callable[[bool, Tokens], bytes]
    """The end of an answer; True if it calls a tool."""
    turns: Callable[[Body], int]
    start: Callable[[Tokens, str], bytes] = lambda tokens, name: b""
    """The beginning of an answer, with its tokens and a name that no other answer has."""
    whole_texts: bool = False
    """True if a text is one item, which is not sent word by word."""


def data(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **fields})


def _chunk(delta: object, finish: str | None = None) -> bytes:
    return data({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


CHAT = ModelWire(
    text=lambda text: _chunk({"content": text}),
    call=lambda number, tool, arguments: _chunk(
        {"tool_calls": [{"index": 0, "id": number, "function": {"name": tool, "arguments": json.dumps(arguments)}}]}
    ),
    end=lambda called, tokens: (
        _chunk({}, "tool_calls" if called else "stop")
        + data({"choices": [], "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}})
        + b"data: [DONE]\n\n"
    ),
    turns=lambda body: sum(one["role"] == "assistant" for one in body["messages"]),
)


def _message_item(text: str) -> Body:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def _responses_text(text: str) -> bytes:
    item = _message_item(text)
    return (
        _event("response.output_item.added", output_index=0, item={**item, "content": [], "status": "in_progress"})
        + _event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text)
        + _event("response.output_item.done", output_index=0, item=item)
    )


def _responses_call(number: str, tool: str, arguments: Body) -> bytes:
    namespace, _, name = tool.rpartition("::")
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": number, "name": name, "status": "completed"}
    item |= {"namespace": namespace} if namespace else {}
    return _event("response.output_item.done", output_index=0, item={**item, "arguments": json.dumps(arguments)})


RESPONSES = ModelWire(
    start=lambda tokens, name: _event(
        "response.created", response={"id": "r", "object": "response", "status": "in_progress", "output": []}
    ),
    text=_responses_text,
    call=_responses_call,
    end=lambda called, tokens: _event(
        "response.completed",
        response={
            "id": "r",
            "object": "response",
            "status": "completed",
            "output": [],
            "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)},
        },
    ),
    whole_texts=True,
    turns=lambda body: sum(
        one.get("type") == "function_call" or one.get("role") == "assistant" for one in body["input"]
    ),
)


def _blocks(message: Body) -> int:
    """Return the number of answers in a message of the model: agents may join several."""
    content = message["content"]
    return max(1, sum(one.get("type") == "tool_use" for one in content)) if isinstance(content, list) else 1


ANTHROPIC = ModelWire(
    start=lambda tokens, name: _event(
        "message_start",
        message={
            "id": name,
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "usage": {"input_tokens": tokens[0], "output_tokens": 1},
        },
    ),
    text=lambda text: (
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        + _event("content_block_stop", index=0)
    ),
    call=lambda number, tool, arguments: (
        _event(
            "content_block_start", index=1, content_block={"type": "tool_use", "id": number, "name": tool, "input": {}}
        )
        + _event(
            "content_block_delta",
            index=1,
            delta={"type": "input_json_delta", "partial_json": json.dumps(arguments)},
        )
        + _event("content_block_stop", index=1)
    ),
    end=lambda called, tokens: (
        _event(
            "message_delta",
            delta={"stop_reason": "tool_use" if called else "end_turn"},
            usage={"output_tokens": tokens[1]},
        )
        + _event("message_stop")
    ),
    turns=lambda body: sum(_blocks(one) for one in body["messages"] if one["role"] == "assistant"),
)
GEMINI = ModelWire(
    text=lambda text: data({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}}]}),
    call=lambda number, tool, arguments: data(
        {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": tool, "args": arguments}}]}}]}
    ),
    end=lambda called, tokens: data(
        {
            "candidates": [{"content": {"role": "model", "parts": []}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1]},
        }
    ),
    turns=lambda body: sum(one.get("role") == "model" for one in body["contents"]),
)
WIRES: Mapping[str, ModelWire] = {
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/messages": ANTHROPIC,
    ":streamgeneratecontent": GEMINI,
}
"""The wires by the end of the path of a model call, in lower case."""
GEMINI_ROUTE_PATH = ":generatecontent"


def gemini_route(tokens: Tokens) -> bytes:
    """Return the answer of the model that Gemini asks which model to use."""
    return json.dumps(
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": "{}"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1]},
        }
    ).encode()
