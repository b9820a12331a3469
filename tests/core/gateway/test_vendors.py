"""Tests of model servers that misbehave: hang, break off, flood, redirect, answer rubbish or another protocol."""

import gzip
import json
import random

import pytest

from athena_core.agents.known import AgentWire
from athena_core.gateway.answers import LINE_BYTES_MAX, complete_usage
from athena_core.gateway.upstream import HiddenSecrets, SecretBytes, model_servers
from athena_core.gateway.wires import WIRES
from athena_core.values import INTEGER_MAX, Usage
from tests.support.gateway import KEYS, answers, gateway, head
from tests.support.stub import Behaviour, refuses, resets, says, says_and_waits, says_for_ever
from tests.support.vendors import ANTHROPIC, CHAT, GEMINI, RESPONSES, VENDORS, VendorAnswer, event

ALL = pytest.mark.parametrize("wire", VENDORS)
STREAM = head("text/event-stream")


def tokens(usage: Usage) -> tuple[int | None, int | None]:
    return usage.input_tokens, usage.output_tokens


@pytest.mark.parametrize(
    ("behave", "status", "code"),
    [
        pytest.param(says_and_waits(), 504, "athena_server_silent", id="hangs"),
        pytest.param(says_and_waits(STREAM[:30]), 504, "athena_server_silent", id="hangs in its head"),
        pytest.param(says(), 502, "athena_server", id="hangs up"),
        pytest.param(resets(), 502, "athena_server", id="resets"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), 502, "athena_server", id="another protocol"),
        pytest.param(says(random.Random(1).randbytes(10_000)), 502, "athena_server", id="noise"),
        pytest.param(
            says_for_ever(b"HTTP/1.1 200 OK\r\n", b"x: " + b"x" * 1_000 + b"\r\n"), 502, "athena_server", id="long head"
        ),
        pytest.param(refuses(307, b"", "location: http://127.0.0.1:9/"), 400, "athena_server_odd", id="redirects"),
        pytest.param(refuses(302, b"", "location: /x"), 400, "athena_server_odd", id="redirects to itself"),
        pytest.param(refuses(401, b'{"error":{"message":"log in"}}'), 400, "athena_server_odd", id="refuses the key"),
        pytest.param(refuses(403), 400, "athena_server_odd", id="forbids"),
        pytest.param(says(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n"), 400, "athena_server_odd", id="no content"),
    ],
)
@ALL
async def test_a_vendor_without_an_answer(wire: AgentWire, behave: Behaviour, status: int, code: str) -> None:
    patience = 0.1 if code == "athena_server_silent" else 20.0
    async with gateway(wire, behave, silence_seconds=patience) as world:
        reply = await world.ask()
    assert (reply.status, reply.error["code"], reply.whole) == (status, code, True)
    assert reply.error["message"]
    assert "127.0.0.1" not in reply.error["message"]
    assert len(world.vendor.heads) == 1
    [ended] = world.ledger.ends
    assert (ended.outcome, ended.problem.exact) == ("failed", reply.error["message"])
    assert ended.cost is None or code == "athena_server_odd"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/base", "ftp://127.0.0.1/", "nowhere"])
async def test_a_vendor_that_is_not_there(url: str) -> None:
    async with gateway("openai-chat", says(), url=lambda _: url) as world:
        reply = await world.ask()
    assert (reply.status, reply.error["code"]) in {(502, "athena_server"), (400, "athena_server_odd")}
    assert world.ledger.last.outcome == "failed"
    assert world.ledger.last.cost is None


@pytest.mark.parametrize("ends", ["says", "resets", "short"])
@ALL
async def test_an_answer_that_breaks_off_is_cut_for_the_client_and_paid(wire: AgentWire, ends: str) -> None:
    one = VENDORS[wire].streamed
    behaviours = {
        "says": says(STREAM, *one.pieces[:2]),
        "resets": resets(STREAM, *one.pieces[:2]),
        "short": says(head(one.kind, "content-length: 100000"), *one.pieces[:2]),
    }
    async with gateway(wire, behaviours[ends]) as world:
        reply = await world.ask()
    assert reply.status == 200
    assert reply.whole == (ends in {"says", "resets"})  # the end of the connection is all that the vendor promised
    assert one.body.startswith(reply.body)
    ended = world.ledger.last
    assert (ended.outcome, ended.problem.exact != "") == ("failed", True)
    assert ended.cost
    assert ended.cost.estimated


UNFINISHED = {
    "line": ("text/event-stream", b'data: {"later": "' + b"w" * 400),
    "event": ("text/event-stream", b'data: {"later":\ndata: "' + b"w" * 400 + b'"\n'),
    "in one piece": ("application/json", b'{"later": "' + b"w" * 400),
}


@pytest.mark.parametrize("kind", UNFINISHED)
@ALL
async def test_output_of_an_event_that_breaks_off_is_paid(wire: AgentWire, kind: str) -> None:
    media_type, said = UNFINISHED[kind]
    async with gateway(wire, says(head(media_type, "content-length: 100000"), said)) as world:
        reply = await world.ask()
    assert reply.body == said
    cost = world.ledger.last.cost
    assert cost
    assert 100 <= (cost.usage.output_tokens or 0) <= len(said) // 4 + 1


async def test_an_error_of_responses_without_a_response_fails_the_call() -> None:
    async with gateway(
        "openai-responses", says(STREAM, event({"type": "error", "message": "no", "code": "x"}))
    ) as world:
        await world.ask()
    assert (world.ledger.last.outcome, world.ledger.last.problem.exact) == ("failed", "no")


@pytest.mark.parametrize("encoding", ["gzip", "br"])
async def test_a_compressed_answer_is_not_passed_on(encoding: str) -> None:
    bomb = gzip.compress(bytes(2**20))
    async with gateway("openai-chat", says(head("text/event-stream", f"content-encoding: {encoding}"), bomb)) as world:
        reply = await world.ask()
    assert (reply.status, reply.error["code"]) == (400, "athena_server_odd")
    assert world.vendor.header("accept-encoding") == "identity"
    assert world.ledger.last.outcome == "failed"
    assert world.ledger.last.cost
    assert world.ledger.last.cost.estimated


@ALL
async def test_an_event_above_the_limit_passes_unread(wire: AgentWire) -> None:
    one = VENDORS[wire].streamed
    huge = b"data: " + b"x" * (LINE_BYTES_MAX + 1) + b"\n\n"
    many = b"data: x\n" * (LINE_BYTES_MAX // 4) + b"\n"
    async with gateway(wire, says(STREAM, huge, many, *one.pieces)) as world:
        reply = await world.ask()
    assert reply.body == huge + many + one.body
    assert world.ledger.last.cost
    assert (world.ledger.last.cost.usage, world.ledger.last.outcome) == (one.usage, "answered")


def test_memory_of_an_endless_line_is_bounded() -> None:
    answer = WIRES["openai-chat"].answer("text/event-stream", lambda _: None)
    for _ in range(100):
        answer.feed(b"x" * 100_000)
    assert len(answer._rest) <= LINE_BYTES_MAX
    assert answer.meter.output_bytes >= 8_000_000


async def test_a_plain_answer_above_the_limit_passes_and_is_estimated() -> None:
    body = b'{"choices": [{"message": {"content": "' + b"x" * 9_000_000 + b'"}}], "usage": {"prompt_tokens": 1}}'
    async with gateway("openai-chat", answers(VendorAnswer((body,), Usage(), "", "", "application/json"))) as world:
        reply = await world.ask(body=json.dumps(CHAT.plain_request).encode())
    assert len(reply.body) == len(body)
    assert world.ledger.last.cost
    assert world.ledger.last.cost.estimated
    assert (world.ledger.last.cost.usage.output_tokens or 0) >= 2_000_000


RUBBISH = [
    b"", b"null", b"[]", b'"x"', b"{}", b"<html>", b"\xff\xfe", b"[" * 10_000, b'{"usage": 5}', b'{"choices": 5}',
    b'{"choices": [5, {"delta": 7}, {"delta": {"content": 7, "tool_calls": [1, {"function": 2}]}}]}',
    b'{"candidates": [{"content": {"parts": [1, {"functionCall": "x"}]}}], "usageMetadata": [1]}',
    b'{"type": "message_start", "message": 5}', b'{"type": "response.completed", "response": 5}',
    b'{"type": "content_block_start", "content_block": {"input": [1]}}', b'{"type": 5}', b'{"error": 5}',
    b'{"error": true}', b'{"id": 7, "responseId": [], "response": {"id": {}}}',
]  # fmt: skip


@pytest.mark.parametrize("data", RUBBISH, ids=lambda data: repr(data[:30]))
def test_rubbish_breaks_no_reader(data: bytes) -> None:
    for wire in WIRES.values():
        for kind in ("text/event-stream", "application/json", "", "image/png"):
            answer = wire.answer(kind, lambda _: None)
            for piece in (b"data: ", data, b"\n\n") if kind == "text/event-stream" else (data,):
                answer.feed(piece)
            answer.close()
            usage, estimated = complete_usage(answer, 100)
            assert tokens(usage)[0] == 25
            assert estimated


NUMBERS = ["NaN", "Infinity", "-7", "1e400", str(10**30), '"many"', "null", "[]", "2.0"]


@pytest.mark.parametrize("number", NUMBERS)
def test_odd_counts_are_estimated_or_bounded(number: str) -> None:
    usages = {
        "openai-chat": '{"usage": {"prompt_tokens": %s, "completion_tokens": %s}}',
        "openai-responses": '{"response": {"status": "completed", "usage": {"input_tokens": %s, "output_tokens": %s}}}',
        "anthropic": '{"type": "message_delta", "usage": {"input_tokens": %s, "output_tokens": %s}}',
        "gemini": '{"usageMetadata": {"promptTokenCount": %s, "candidatesTokenCount": %s}}',
    }
    for wire, text in usages.items():
        answer = WIRES[wire].answer("text/event-stream", lambda _: None)  # type: ignore[index]
        answer.feed(b"data: " + (text % (number, number)).encode() + b"\n\n")
        usage, _ = complete_usage(answer, 100)
        taken, given = tokens(usage)
        assert taken is not None
        assert given is not None
        assert 0 <= taken <= INTEGER_MAX + 1
        assert 0 <= given <= INTEGER_MAX + 1


@pytest.mark.parametrize(
    ("wire", "pieces", "usage"),
    [
        pytest.param(
            "openai-chat",
            [
                event({"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 5, "completion_tokens": n}})
                for n in (1, 2)
            ]
            + [event({"choices": [{"finish_reason": "stop"}]})],
            (5, 2),
            id="usage in each chunk: the last one counts",
        ),
        pytest.param("anthropic", ANTHROPIC.streamed.pieces[:-2], (2_125, 6), id="cut before the output was counted"),
        pytest.param("gemini", GEMINI.streamed.pieces[:-1], (1_500, 22), id="cut after chunks with usage"),
        pytest.param(
            "gemini",
            [
                event(
                    {
                        "candidates": [{"content": {"parts": [{"text": "x" * 400}]}}],
                        "usageMetadata": {"candidatesTokenCount": 9},
                    }
                )
            ],
            (25, 100),
            id="cut after a chunk that counts less than it says",
        ),
        pytest.param("openai-responses", RESPONSES.streamed.pieces[:-1], (25, 7), id="cut before the usage"),
        pytest.param(
            "openai-responses", RESPONSES.streamed.pieces[4:5], (25, 5), id="an item without deltas is counted"
        ),
        pytest.param("openai-chat", CHAT.streamed.pieces[:-2], (25, 7), id="the usage was not asked for"),
        pytest.param("gemini", [event({"promptFeedback": {"blockReason": "SAFETY"}})], (25, 0), id="blocked"),
    ],
)
def test_usage_of_odd_streams(wire: AgentWire, pieces: list[bytes], usage: tuple[int, int]) -> None:
    answer = WIRES[wire].answer("text/event-stream", lambda _: None)
    for piece in pieces:
        answer.feed(piece)
    answer.close()
    assert tokens(complete_usage(answer, 100)[0]) == usage


async def test_a_stream_of_gemini_without_events_is_a_list() -> None:
    body = b"[" + b",\r\n".join(piece.removeprefix(b"data: ").strip() for piece in GEMINI.streamed.pieces) + b"]"
    one = VendorAnswer((body[:70], body[70:]), GEMINI.streamed.usage, "", "", "application/json")
    async with gateway("gemini", answers(one)) as world:
        reply = await world.ask(target=GEMINI.target.partition("?")[0])
    assert reply.body == body
    assert world.ledger.last.cost
    assert (world.ledger.last.cost.usage, world.ledger.last.outcome) == (one.usage, "answered")


def test_the_beginning_of_a_key_is_held_back_only_until_it_is_none() -> None:
    hidden = HiddenSecrets(SecretBytes([KEYS["openai"]]))
    assert hidden.more(b"a key-of-open") == b"a "
    assert hidden.more(b"ness, key-of-openai") == b"key-of-openness, "
    assert hidden.more(b"/0") == b""
    assert hidden.more(b"1.\n") == b"*" * 16 + b".\n"
    assert hidden.more(b"ke") == b""
    assert hidden.rest() == b"ke"
    assert HiddenSecrets(SecretBytes(["", "short"])).more(b"short s") == b"short s"


@pytest.mark.parametrize(
    ("settings", "configured"),
    [
        ({}, (False, False, False)),
        ({"gemini_api_key": "k"}, (False, False, True)),
        ({"openai_base_url": "http://127.0.0.1:8000/v1/"}, (True, False, False)),
    ],
)
def test_a_server_without_a_key_is_configured_only_if_it_is_another(
    settings: dict[str, str], configured: tuple[bool, ...]
) -> None:
    servers = model_servers(**settings)  # type: ignore[arg-type]
    assert tuple(server.configured for server in servers.values()) == configured
