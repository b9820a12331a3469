"""Tests of bounds of money that clients try to pass: state at a vendor, limits, and members of a request.

What hostile vendors count and hide is played by the gateway corner of the simulator.
"""

import json
from typing import Any

import pytest

from athena_core.agents.known import AgentWire
from athena_core.gateway.ledger import EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.providers.prices import FRAME_TOKENS
from tests.support.gateway import PRICES, FakeLedger, answers, gateway, head
from tests.support.stub import says
from tests.support.vendors import VENDORS

ALL = pytest.mark.parametrize("wire", VENDORS)
"""Number of calls under one budget."""


class BudgetLedger(FakeLedger):
    """A ledger with one sum for all calls, in micro-USD."""

    def __init__(self, budget: int) -> None:
        super().__init__()
        self.budget = budget
        self.spent = 0
        self.parts: dict[int, int] = {}

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        assert most is not None
        self.reserved.append((call, provider, model, least, most))
        left = self.budget - self.spent - sum(part for other, part in self.parts.items() if other != call)
        if left < max(least, 1):
            raise CallBudgetReached
        self.parts[call] = min(most, left)
        assert self.spent + sum(self.parts.values()) <= self.budget
        return self.parts[call]

    async def ended(self, ended: EndedCall) -> None:
        self.parts.pop(ended.call, None)
        self.spent += ended.cost.cost_micro_usd or 0 if ended.cost else 0
        await super().ended(ended)


STATE: dict[AgentWire, list[dict[str, Any]]] = {
    "openai-chat": [
        {"previous_response_id": "resp_1"},
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}]},
        {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]},
    ],
    "openai-responses": [
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"id": "msg_1"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]}]},
        {
            "input": [
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]}
            ]
        },
        {"input": [{"type": "computer_call_output", "call_id": "c", "output": {"file_id": "f"}}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
        {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "file_1"}}]},
        {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "c"}}]},
    ],
    "anthropic": [
        {"container": "container_1"},
        {"container": {"id": "container_1"}},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "content": [{"type": "image", "source": {"file_id": "f"}}]}],
                }
            ]
        },
    ],
    "gemini": [
        {"cachedContent": "cachedContents/1"},
        {"cached_content": "cachedContents/1"},
        {"contents": [{"parts": [{"fileData": {"fileUri": "https://x/files/1"}}]}]},
        {"contents": [{"parts": [{"file_data": {"file_uri": "https://x/files/1"}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"parts": [{"fileData": {}}]}}]}]},
        {"system_instruction": {"parts": [{"fileData": {"fileUri": "f"}}]}},
        {"tools": [{"fileSearch": {"fileSearchStoreNames": ["s"]}}]},
    ],
}
UNREADABLE = {
    "openai-chat": b'{"model":"gpt-4o-mini","previous_response_id":1e9999}',
    "openai-responses": b'{"model":"gpt-4o-mini","conversation":{"id":1e9999,"id":"conv_x"}}',
    "anthropic": b'{"model":"claude-haiku-4-5","max_tokens":9,"container":{"id":1e9999}}',
    "gemini": b'{"cachedContent":{"a":1e9999}}',
}


@ALL
async def test_a_reference_to_state_at_the_vendor_is_refused_by_its_presence(wire: AgentWire) -> None:
    one = VENDORS[wire]
    async with gateway(wire, answers(one.streamed)) as world:
        for body in (*(one.body(**found) for found in STATE[wire]), UNREADABLE[wire]):
            reply = await world.ask(body=body)
            assert (reply.status, reply.error["code"]) == (400, "athena_request"), body
    assert world.vendor.heads == []


ALL_NAMES = {name: "x" for name in ("file_id", "container", "vector_store_ids", "fileData", "conversation", "id", "n")}
SCHEMA = {"type": "object", "properties": {name: {"type": "string"} for name in ALL_NAMES}}
HONEST: dict[AgentWire, dict[str, Any]] = {
    "openai-chat": {
        "tools": [{"type": "function", "function": {"name": "t", "parameters": SCHEMA}}],
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": json.dumps(ALL_NAMES)}}]}],
    },
    "openai-responses": {
        "background": False,
        "conversation": None,
        "tools": [
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "t", "parameters": SCHEMA}]}
        ],
        "input": [
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "t", "arguments": json.dumps(ALL_NAMES)},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"type": "message", "id": "m", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call_output", "id": "o", "call_id": "c", "output": json.dumps(ALL_NAMES)},
        ],
    },
    "anthropic": {
        "tools": [{"name": "t", "input_schema": SCHEMA}],
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "t", "input": ALL_NAMES}]}
        ],
    },
    "gemini": {
        "tools": [{"functionDeclarations": [{"name": "t", "parameters": SCHEMA}]}],
        "contents": [
            {"parts": [{"functionCall": {"name": "t", "args": ALL_NAMES}}]},
            {"parts": [{"functionResponse": {"name": "t", "response": ALL_NAMES}}]},
        ],
    },
}


@ALL
async def test_schemas_and_arguments_of_tools_may_have_members_of_any_name(wire: AgentWire) -> None:
    one = VENDORS[wire]
    body = one.body(**HONEST[wire])
    async with gateway(wire, answers(one.streamed)) as world:
        assert (await world.ask(body=body)).status == 200
    assert world.vendor.bodies == [body]


@pytest.mark.parametrize("value", ["16000.0", '"16000"', "1e3", "-1", "0", "true", "[1]", "1e9999", "1" * 30])
@ALL
async def test_a_limit_other_than_a_whole_number_is_refused(wire: AgentWire, value: str) -> None:
    one = VENDORS[wire]
    names = {
        "openai-chat": ('"max_tokens":%s', '"max_completion_tokens":%s', '"max_tokens":1,"n":%s'),
        "openai-responses": ('"max_output_tokens":%s',),
        "anthropic": ('"max_tokens":%s',),
        "gemini": (
            '"generationConfig":{"maxOutputTokens":%s}',
            '"generation_config":{"max_output_tokens":%s}',
            '"generationConfig":{"maxOutputTokens":1,"candidate_count":%s}',
        ),
    }[wire]
    model = "" if wire == "gemini" else f'"model":"{one.request["model"]}",'
    async with gateway(wire, answers(one.streamed)) as world:
        for name in names:
            reply = await world.ask(body=("{" + model + name % value + "}").encode())
            assert (reply.status, reply.error["code"]) == (400, "athena_request"), name
    assert world.vendor.heads == []


@pytest.mark.parametrize(
    ("wire", "changed"),
    [
        ("openai-chat", {"n": 2}),
        ("openai-chat", {"n": 128, "max_tokens": None}),
        ("openai-chat", {"max_tokens": 5, "N": 128}),
        ("openai-chat", {"maxTokens": 5}),
        ("openai-chat", {"max_tokens": 5, "best_of": 9}),
        ("openai-chat", {"max_tokens": 5, "n_predict": 100_000}),
        ("openai-responses", {"n": 2}),
        ("openai-responses", {"max_tokens": 5}),
        ("gemini", {"generationConfig": {"candidateCount": 8}}),
        ("gemini", {"generationConfig": {"maxOutputTokens": 5}, "generation_config": {"maxOutputTokens": 50_000}}),
        ("gemini", {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 50_000}}),
        ("gemini", {"GenerationConfig": {"maxOutputTokens": 5}}),
    ],
)
async def test_a_call_whose_bound_is_not_known_is_refused(wire: AgentWire, changed: dict[str, object]) -> None:
    one = VENDORS[wire]
    asked = {name: value for name, value in one.request.items() if not name.startswith(("max", "generation"))}
    async with gateway(wire, answers(one.streamed)) as world:
        reply = await world.ask(body=json.dumps(asked | changed).encode())
    assert (reply.status, reply.error["code"], world.vendor.heads) == (400, "athena_request", [])


@pytest.mark.parametrize(
    ("wire", "sent", "passes"),
    [
        ("openai-chat", '{ "model":"gpt-4o-mini"}', '{"max_tokens":%d, "model":"gpt-4o-mini"}'),
        ("openai-chat", '{"model":"gpt-5", "a":1e0}', '{"max_completion_tokens":%d,"model":"gpt-5", "a":1e0}'),
        ("openai-chat", '{"model":"gpt-4o-mini","max_tokens": null }', '{"model":"gpt-4o-mini","max_tokens": %d }'),
        ("openai-chat", '{"model":"gpt-4o-mini","max_tokens":9}', '{"model":"gpt-4o-mini","max_tokens":9}'),
        ("openai-responses", '{"model":"gpt-4o-mini"}', '{"max_output_tokens":%d,"model":"gpt-4o-mini"}'),
        (
            "anthropic",
            '{"model":"claude-haiku-4-5","max_tokens":90000}',
            '{"model":"claude-haiku-4-5","max_tokens":%d}',
        ),
        ("gemini", "{}", '{"generationConfig":{"maxOutputTokens":%d}}'),
        ("gemini", '{"generation_config": {"a":1e0} }', '{"generation_config": {"maxOutputTokens":%d,"a":1e0} }'),
        ("gemini", '{"generationConfig":{"max_output_tokens":90000}}', '{"generationConfig":{"max_output_tokens":%d}}'),
    ],
)
async def test_the_limit_that_the_budget_pays_for_is_the_only_member_that_changes(
    wire: AgentWire, sent: str, passes: str
) -> None:
    models = {name: name for name in ("gpt-4o-mini", "gpt-5", "claude-haiku-4-5", "gemini-2.5-flash")}
    ledger = BudgetLedger(10_000)
    async with gateway(wire, answers(VENDORS[wire].streamed), ledger=ledger, models=models) as world:
        assert (await world.ask(body=sent.encode())).status == 200
    [(_, provider, model, _, most)] = ledger.reserved
    paid = PRICES.output_tokens(provider, model, len(sent) + FRAME_TOKENS, min(most or 0, 10_000))
    assert world.vendor.bodies == [(passes % min(paid or 0, 32_768) if "%" in passes else passes).encode()]


async def test_a_limit_below_what_the_request_allows_for_thinking_is_not_written() -> None:
    body = VENDORS["anthropic"].body(max_tokens=32_000, thinking={"type": "enabled", "budget_tokens": 31_999})
    async with gateway("anthropic", answers(VENDORS["anthropic"].streamed), ledger=BudgetLedger(100_000)) as world:
        reply = await world.ask(body=body)
    assert (reply.status, reply.error["code"], world.vendor.heads) == (400, "athena_budget", [])


@pytest.mark.parametrize("response", ['{"id":"r"}', "{}", '"x"', "null"])
@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
async def test_the_kind_of_its_last_event_ends_an_answer_of_responses(kind: str, response: str) -> None:
    last = b'data: {"type":"%b","response":%b}' % (kind.encode(), response.encode()) + b"\n" * 2
    async with gateway("openai-responses", says(head("text/event-stream"), last)) as world:
        await world.ask()
    assert (world.ledger.last.outcome, world.ledger.last.problem.exact) == ("answered", "")


@ALL
async def test_only_known_headers_reach_a_vendor(wire: AgentWire) -> None:
    gone = ("x_api_key", "x-forwarded-host", "x-forwarded-for", "idempotency-key", "openai-organization", "x-new")
    kept = ("anthropic-beta", "session_id", "x-stainless-os", "x-codex-window-id", "x-goog-api-client", "user-agent")
    async with gateway(wire, answers(VENDORS[wire].streamed)) as world:
        await world.ask(*(f"{name}: 1" for name in (*gone, *kept)))
    found = {name: world.vendor.header(name) for name in (*gone, *kept)}
    assert found == dict.fromkeys(gone) | dict.fromkeys(kept, "1")
