"""The four wires of model servers: requests and answers byte by byte, as the vendors send them, with their usage."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from athena_core.agents.known import AgentWire
from athena_core.values import Usage


def event(value: object, kind: str = "", end: str = "\n\n") -> bytes:
    name = f"event: {kind}{end[: len(end) // 2]}" if kind else ""
    return f"{name}data: {json.dumps(value, separators=(',', ':'))}{end}".encode()


class VendorAnswer(NamedTuple):
    """An answer: its pieces, its usage, and the text that the model says."""

    pieces: tuple[bytes, ...]
    usage: Usage
    text: str
    request_id: str
    kind: str = "text/event-stream"

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class VendorWire(NamedTuple):
    """A wire: the request for each answer, and the path behind the base URL of the tests."""

    provider: str
    target: str
    upstream: str
    request: Mapping[str, Any]
    streamed: VendorAnswer
    plain: VendorAnswer
    plain_target: str = ""
    plain_request: Mapping[str, Any] = {}

    def body(self, **changed: object) -> bytes:
        return json.dumps({**self.request, **changed}).encode()


def _chunk(delta: object = None, finish: str | None = None, usage: object = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return event(
        {
            "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
            "object": "chat.completion.chunk",
            "created": 1741570283,
            "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default",
            "system_fingerprint": "fp_fc9f1d7035",
            "choices": choices,
            "usage": usage,
            "obfuscation": "Vv3kdPr",
        }
    )


CHAT_USAGE = {
    "prompt_tokens": 1_019,
    "completion_tokens": 210,
    "total_tokens": 1_229,
    "prompt_tokens_details": {"cached_tokens": 768, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
CHAT = VendorWire(
    provider="openai",
    target="/v1/chat/completions",
    upstream="/base/chat/completions",
    request={
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Say hi, ünser Freund"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 500,
    },
    streamed=VendorAnswer(
        (
            _chunk({"role": "assistant", "content": "", "refusal": None}),
            _chunk({"content": "Grüß"}),
            _chunk({"content": " dich"}),
            _chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "ls", "arguments": ""}}
                    ]
                }
            ),
            _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"path":"."}'}}]}),
            _chunk({}, "tool_calls"),
            _chunk(usage=CHAT_USAGE),
            b"data: [DONE]\n\n",
        ),
        Usage(
            input_tokens=1_019,
            output_tokens=210,
            total_tokens=1_229,
            cached_input_tokens=768,
            reasoning_tokens=192,
        ),
        "Grüß dich",
        "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    ),
    plain=VendorAnswer(
        (
            json.dumps(
                {
                    "id": "chatcmpl-1",
                    "object": "chat.completion",
                    "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
                    ],
                    "usage": CHAT_USAGE,
                },
                indent=2,
            ).encode(),
        ),
        Usage(
            input_tokens=1_019,
            output_tokens=210,
            total_tokens=1_229,
            cached_input_tokens=768,
            reasoning_tokens=192,
        ),
        "Hi",
        "chatcmpl-1",
        "application/json",
    ),
    plain_request={"model": "gpt-4o-mini", "messages": []},
)


def _response(status: str, usage: object = None, output: object = ()) -> dict[str, Any]:
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "object": "response",
        "created_at": 1741476542,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-4o-mini-2024-07-18",
        "output": output,
        "store": False,
        "usage": usage,
    }


RESPONSES_USAGE = {
    "input_tokens": 328,
    "input_tokens_details": {"cached_tokens": 128},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 415,
}
CALL_ITEM = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "shell", "arguments": '{"cmd":"ls"}'}
RESPONSES = VendorWire(
    provider="openai",
    target="/v1/responses",
    upstream="/base/responses",
    request={"model": "gpt-4o-mini", "input": [], "stream": True, "store": False, "max_output_tokens": 500},
    streamed=VendorAnswer(
        (
            event({"type": "response.created", "response": _response("in_progress")}, "response.created"),
            event({"type": "response.output_text.delta", "item_id": "m", "delta": "Hi "}, "response.output_text.delta"),
            event(
                {"type": "response.output_text.delta", "item_id": "m", "delta": "there"}, "response.output_text.delta"
            ),
            event(
                {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"cmd":"ls"}'},
                "response.function_call_arguments.delta",
            ),
            event({"type": "response.output_item.done", "item": CALL_ITEM}, "response.output_item.done"),
            event(
                {"type": "response.completed", "response": _response("completed", RESPONSES_USAGE, [CALL_ITEM])},
                "response.completed",
            ),
        ),
        Usage(input_tokens=328, output_tokens=87, total_tokens=415, cached_input_tokens=128, reasoning_tokens=64),
        "Hi there",
        "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
    ),
    plain=VendorAnswer(
        (json.dumps(_response("completed", RESPONSES_USAGE, [CALL_ITEM])).encode(),),
        Usage(input_tokens=328, output_tokens=87, total_tokens=415, cached_input_tokens=128, reasoning_tokens=64),
        "",
        "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
        "application/json",
    ),
    plain_request={"model": "gpt-4o-mini", "input": "hi"},
)


def _anthropic(kind: str, **members: object) -> bytes:
    return event({"type": kind, **members}, kind)


ANTHROPIC = VendorWire(
    provider="anthropic",
    target="/v1/messages?beta=true",
    upstream="/base/v1/messages?beta=true",
    request={"model": "claude-haiku-4-5", "messages": [], "stream": True, "max_tokens": 500},
    streamed=VendorAnswer(
        (
            _anthropic(
                "message_start",
                message={
                    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
                    "type": "message",
                    "role": "assistant",
                    "model": "claude-haiku-4-5-20251001",
                    "content": [],
                    "stop_reason": None,
                    "usage": {
                        "input_tokens": 25,
                        "cache_creation_input_tokens": 100,
                        "cache_read_input_tokens": 2_000,
                        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
                        "output_tokens": 1,
                        "service_tier": "standard",
                    },
                },
            ),
            _anthropic("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
            _anthropic("ping"),
            _anthropic("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."}),
            _anthropic("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB"}),
            _anthropic("content_block_stop", index=0),
            _anthropic("content_block_start", index=1, content_block={"type": "text", "text": ""}),
            _anthropic("content_block_delta", index=1, delta={"type": "text_delta", "text": "Hello"}),
            _anthropic("content_block_stop", index=1),
            _anthropic(
                "content_block_start",
                index=2,
                content_block={"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
            ),
            _anthropic("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"a":1}'}),
            _anthropic("content_block_stop", index=2),
            _anthropic(
                "message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 89}
            ),
            _anthropic("message_stop"),
        ),
        Usage(
            input_tokens=2_125,
            output_tokens=89,
            total_tokens=2_214,
            cached_input_tokens=2_000,
            cache_write_tokens=100,
        ),
        "Hello",
        "msg_01XFDUDYJgAACzvnptvVoYEL",
    ),
    plain=VendorAnswer(
        (
            json.dumps(
                {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hi"}],
                    "stop_reason": "end_turn",
                    "usage": {"input_tokens": 10, "output_tokens": 2},
                }
            ).encode(),
        ),
        Usage(input_tokens=10, output_tokens=2, total_tokens=12),
        "Hi",
        "msg_1",
        "application/json",
    ),
    plain_request={"model": "claude-haiku-4-5", "messages": [], "max_tokens": 10},
)


def _gemini(parts: object, finish: str | None = None, **counts: int) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": {**counts, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}]},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
    }


GEMINI_CHUNKS = (
    _gemini(
        [{"text": "Thinking", "thought": True}], promptTokenCount=1_500, totalTokenCount=1_520, thoughtsTokenCount=20
    ),
    _gemini(
        [{"text": "Hey "}], promptTokenCount=1_500, candidatesTokenCount=2, totalTokenCount=1_522, thoughtsTokenCount=20
    ),
    _gemini(
        [{"functionCall": {"name": "ls", "args": {"path": "."}}}],
        "STOP",
        promptTokenCount=1_500,
        cachedContentTokenCount=1_024,
        candidatesTokenCount=30,
        thoughtsTokenCount=20,
        toolUsePromptTokenCount=7,
        totalTokenCount=1_557,
    ),
)
GEMINI_COUNTS = Usage(
    input_tokens=1_507, output_tokens=50, total_tokens=1_557, cached_input_tokens=1_024, reasoning_tokens=20
)
GEMINI = VendorWire(
    provider="gemini",
    target="/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    upstream="/base/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    request={"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 500}},
    streamed=VendorAnswer(
        tuple(event(chunk, end="\r\n\r\n") for chunk in GEMINI_CHUNKS),
        GEMINI_COUNTS,
        "Hey ",
        "mAitaLmkHPPlz7IPvtfUqQ4",
    ),
    plain=VendorAnswer(
        (json.dumps(GEMINI_CHUNKS[-1], indent=2).encode(),),
        GEMINI_COUNTS,
        "",
        "mAitaLmkHPPlz7IPvtfUqQ4",
        "application/json",
    ),
    plain_target="/v1beta/models/gemini-2.5-flash:generateContent",
    plain_request={"contents": []},
)
VENDORS: Mapping[AgentWire, VendorWire] = {
    "openai-chat": CHAT,
    "openai-responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
}
