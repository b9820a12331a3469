"""Tests of a good call through the gateway: every byte, every count, the key, the model and the money."""

import asyncio
import base64
import json
import re
import stat
from contextlib import suppress
from urllib.parse import quote

import pytest

from athena_core.agents.known import AgentWire
from athena_core.clock import FixedClock, SystemIds
from athena_core.gateway.answers import complete_usage
from athena_core.gateway.gateway import Gateway
from athena_core.gateway.refusals import BUDGET, OTHER, CallBudgetReached, Refusal
from athena_core.gateway.upstream import model_servers
from athena_core.gateway.wires import WIRES
from athena_core.mask import Mask
from athena_core.values import Usage
from tests.support.gateway import KEYS, PRICES, FakeLedger, answers, gateway, head, request
from tests.support.stub import Stub, says_and_waits
from tests.support.vendors import VENDORS, VendorAnswer, event

ALL = pytest.mark.parametrize("wire", VENDORS)


@ALL
@pytest.mark.parametrize("boxed", [True, False])
async def test_a_streamed_call_passes_byte_for_byte_and_is_paid(wire: AgentWire, boxed: bool) -> None:
    one = VENDORS[wire]
    async with gateway(wire, answers(one.streamed), boxed=boxed) as world:
        reply = await world.ask()
    assert (reply.status, reply.whole, reply.body) == (200, True, one.streamed.body)
    assert reply.headers["content-type"] == "text/event-stream"
    assert world.vendor.bodies == [one.body()]
    assert world.vendor.target == one.upstream
    [ended] = world.ledger.ends
    assert (ended.call, ended.outcome, ended.problem.exact) == (1, "answered", "")
    assert ended.cost
    assert (ended.cost.provider, ended.cost.usage, ended.cost.estimated) == (one.provider, one.streamed.usage, False)
    assert ended.cost.request_id == one.streamed.request_id
    assert "".join(text for _, text in world.ledger.texts) == one.streamed.text


@ALL
async def test_an_answer_in_one_piece_passes_and_is_paid(wire: AgentWire) -> None:
    one = VENDORS[wire]
    sent = json.dumps(one.plain_request).encode()
    async with gateway(wire, answers(one.plain)) as world:
        reply = await world.ask(body=sent, target=one.plain_target)
    assert (reply.status, reply.body) == (200, one.plain.body)
    assert world.ledger.last.cost
    assert world.ledger.last.cost.usage == one.plain.usage
    assert (world.ledger.last.outcome, world.ledger.last.cost.request_id) == ("answered", one.plain.request_id)
    assert "".join(text for _, text in world.ledger.texts) == one.plain.text


@ALL
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_usage_does_not_depend_on_the_pieces(wire: AgentWire, size: int) -> None:
    one, texts = VENDORS[wire].streamed, list[str]()
    answer = WIRES[wire].answer(one.kind, texts.append)
    for place in range(0, len(one.body), size):
        answer.feed(one.body[place : place + size])
    answer.close()
    assert (answer.ended, answer.problem, "".join(texts)) == (True, None, one.text)
    assert complete_usage(answer, 1) == (one.usage, False)


@ALL
async def test_a_length_of_the_vendor_passes(wire: AgentWire) -> None:
    one = VENDORS[wire]
    async with gateway(wire, answers(one.streamed, f"content-length: {len(one.streamed.body)}")) as world:
        reply = await world.ask()
    assert reply.headers["content-length"] == str(len(one.streamed.body))
    assert "transfer-encoding" not in reply.headers
    assert reply.body == one.streamed.body


@ALL
@pytest.mark.parametrize("boxed", [True, False])
async def test_the_key_of_the_vendor_goes_to_the_vendor_alone(wire: AgentWire, boxed: bool) -> None:
    one = VENDORS[wire]
    key = KEYS[one.provider]
    lines: tuple[str, ...] = (
        "x-api-key: gw_x",
        "x-goog-api-key: gw_x",
        "cookie: a=b",
        "OpenAI-Organization: org-other",
        "te: gzip",
    )
    lines += ("x-goog-fieldmask: candidates", "accept-encoding: gzip", "connection: close, x-hop", "x-hop: 1")
    lines += ("anthropic-beta: one,two", "anthropic-version: 2023-06-01", "x-session-affinity: 7", "user-agent: me")
    secret = ("set-cookie: a=b", f"x-echo: {key}", "openai-organization: org-1", "x-ratelimit-remaining: 7")
    async with gateway(wire, answers(one.streamed, *secret), boxed=boxed) as world:
        reply = await world.ask(*lines)
    name = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}[one.provider]
    sent = world.vendor.heads[0].decode().lower()
    assert world.vendor.header(name) == ("Bearer " if one.provider == "openai" else "") + key
    assert "gw_" not in sent
    for gone in ("cookie:", "openai-organization:", "x-goog-fieldmask:", "x-hop:", "te:", "gzip"):
        assert gone not in sent.replace("date:", "").replace("accept-encoding: identity", "")
    for kept in lines[-4:]:
        assert f"\r\n{kept}\r\n" in sent
    assert (reply.headers["x-echo"], reply.headers["x-ratelimit-remaining"]) == ("*" * len(key), "7")
    assert not {"set-cookie", "openai-organization"} & reply.headers.keys()


@pytest.mark.parametrize("before", [0, 160, 170, 180, 190])
async def test_no_part_of_the_key_is_recorded_of_a_request_id_or_a_problem(before: int) -> None:
    key = KEYS["openai"]
    parts = [key[at : at + 8] for at in range(len(key) - 7)]
    quoted = "x" * before + key
    said = f'{{"error": {{"message": "{quoted}"}}}}'.encode()
    answer = VendorAnswer((said,), Usage(), "", "", "application/json")

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        writer.write(head(answer.kind, status=400))
        writer.write(said)

    async with gateway("openai-chat", behave) as world:
        await world.ask()
    problem = world.ledger.last.problem.line(Mask(), 200)
    async with gateway(
        "openai-chat",
        answers(VENDORS["openai-chat"].streamed, f"x-request-id: {quoted}"),
    ) as world:
        await world.ask()
    assert world.ledger.last.cost
    recorded = f"{problem} {world.ledger.last.cost.request_id}"
    assert not [part for part in parts if part in recorded]


@pytest.mark.parametrize("cut", range(0, 40, 3))
async def test_a_vendor_that_quotes_its_key_does_not_show_it(cut: int) -> None:
    key = KEYS["openai"]
    escaped = key.replace("/", "\\/")
    encoded = base64.b64encode(f"Bearer {key}".encode()).decode()
    said = f'{{"error": {{"message": "Wrong key {key}, {escaped}, {encoded} or {quote(key, safe="")}."}}}}'.encode()
    answer = VendorAnswer((said[: 20 + cut], said[20 + cut :]), Usage(), "", "", "application/json")

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        for piece in (head(answer.kind, status=400), *answer.pieces):
            writer.write(piece)
            await asyncio.sleep(0)

    async with gateway("openai-chat", behave) as world:
        reply = await world.ask()
    assert reply.status == 400
    assert len(reply.body) == len(said)
    for form in (key, escaped, quote(key, safe=""), encoded[12:-4]):
        assert form.encode() not in reply.body
    assert reply.body.startswith(b'{"error": {"message": "Wrong key *****')
    assert world.ledger.last.outcome == "failed"
    assert "key-of" not in world.ledger.last.problem.exact
    assert world.ledger.last.problem.exact.startswith("HTTP 400: Wrong key ****")
    assert world.ledger.last.cost is None


@pytest.mark.parametrize("wire", ["openai-chat", "openai-responses", "anthropic"])
async def test_a_model_is_mapped_by_its_bytes_alone(wire: AgentWire) -> None:
    one = VENDORS[wire]
    sent = b'{ "a" : [1, {"model":"inner"}],\n "model" : "asked\\u002d1" , "z": 1e0,  "stream":true}'
    async with gateway(wire, answers(one.streamed), models={"asked-1": 'served "2"'}) as world:
        assert (await world.ask(body=sent)).status == 200
    assert world.vendor.bodies == [sent.replace(b'"asked\\u002d1"', b'"served \\"2\\""')]
    assert world.ledger.last.asked == "asked-1"
    assert world.ledger.last.cost
    assert world.ledger.last.cost.model == world.ledger.reserved[0][2] == 'served "2"'
    assert world.ledger.last.cost.unpriced


async def test_the_model_of_gemini_is_mapped_in_the_path() -> None:
    one = VENDORS["gemini"]
    async with gateway("gemini", answers(one.streamed), models={"gemini-2.5-flash": "tuned/1:x"}) as world:
        assert (await world.ask("x-goog-api-key: k", target=one.target + "&key=k")).status == 200
    assert world.vendor.target == "/base/v1beta/models/tuned%2F1%3Ax:streamGenerateContent?alt=sse"
    assert world.vendor.bodies == [one.body()]


@ALL
async def test_any_model_may_be_served_by_one(wire: AgentWire) -> None:
    async with gateway(wire, answers(VENDORS[wire].streamed), models={"*": "served"}) as world:
        assert (await world.ask()).status == 200
    assert world.ledger.reserved[0][2] == "served"


@ALL
async def test_a_model_that_the_profile_does_not_name_is_refused(wire: AgentWire) -> None:
    async with gateway(wire, answers(VENDORS[wire].streamed), models={"other": "x", "": "x"}) as world:
        reply = await world.ask()
    assert (reply.status, reply.error["code"], reply.error["type"]) == (400, "athena_model", "invalid_request_error")
    assert (world.vendor.heads, world.ledger.reserved) == ([], [])
    [ended] = world.ledger.ends
    assert (ended.outcome, ended.cost) == ("refused", None)


@ALL
async def test_a_budget_refuses_this_call_and_all_later_ones_in_the_shape_that_stops_agents(wire: AgentWire) -> None:
    ledger = FakeLedger([CallBudgetReached("The budget of $1 is used up."), None])
    async with gateway(wire, answers(VENDORS[wire].streamed), ledger=ledger) as world:
        replies = [await world.ask() for _ in range(2)]
    for reply in replies:
        assert reply.status == 400
        assert reply.error == {
            "type": "invalid_request_error",
            "code": "athena_budget",
            "message": "The budget of $1 is used up.",
        }
    assert len(ledger.reserved) == 1
    assert world.vendor.heads == []
    assert [(one.call, one.outcome, one.cost) for one in ledger.ends] == [(1, "refused", None), (2, "refused", None)]


@pytest.mark.parametrize("words", ["RESOURCE_EXHAUSTED", "Rate limit reached", "Overloaded", "please try again"])
def test_a_refusal_has_no_words_for_which_agents_repeat_a_call(words: str) -> None:
    said = [json.loads(Refusal(code, words).body())["error"]["message"] for code in ("athena_budget", "athena_stopped")]
    assert said == [BUDGET, OTHER]


def _deltas(wire: AgentWire, text: str) -> bytes:
    """Return an event with a piece of text."""
    match wire:
        case "openai-chat":
            return event({"choices": [{"delta": {"content": text}}]})
        case "openai-responses":
            return event({"type": "response.output_text.delta", "delta": text})
        case "anthropic":
            return event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}})
        case "gemini":
            return event({"candidates": [{"content": {"parts": [{"text": text}]}}]})


@ALL
@pytest.mark.parametrize("begun", [True, False])
async def test_leaving_cuts_calls_off_and_records_them(wire: AgentWire, begun: bool) -> None:
    one = VENDORS[wire]
    behave = says_and_waits(*([head(one.streamed.kind) + _deltas(wire, "x" * 400)] if begun else []))
    async with gateway(wire, behave) as world:
        client = await world.begin()
        await world.vendor.asked.wait()
        if begun:
            await client.reader.readuntil(b"xxx")
    rest = await client.left()
    await world.vendor.left.wait()
    assert not rest.endswith(b"0\r\n\r\n")
    [ended] = world.ledger.ends
    assert ended.outcome == "cut"
    assert ended.cost
    assert (ended.cost.estimated, ended.cost.usage.output_tokens) == (True, 100 if begun else 0)
    assert ended.cost.cost_micro_usd


@pytest.mark.parametrize("boxed", [True, False])
async def test_key_and_endpoint_are_worth_nothing_after_the_end(boxed: bool) -> None:
    one = VENDORS["openai-chat"]
    async with gateway("openai-chat", answers(one.streamed), boxed=boxed) as world:
        open_before = await world.connect()
        assert (await world.ask()).status == 200
    with suppress(ConnectionError):
        await open_before.send(request(one.target, one.body(), key=world.gateway.key))
    assert (await open_before.rest()).status == 0
    with pytest.raises(OSError, match=r"refused|No such file|Connect"):
        await world.connect()
    assert len(world.vendor.heads) == 1
    assert world.gateway.socket is None or not world.gateway.socket.parent.parent.exists()


@pytest.mark.parametrize("carries", ["authorization: Bearer {}", "x-api-key: {}", "x-goog-api-key: {}", "?key={}"])
async def test_each_request_on_loopback_needs_the_key(carries: str) -> None:
    one = VENDORS["gemini"]

    def sent(key: str) -> bytes:
        query = f"&key={key}" if carries.startswith("?") else ""
        lines = () if query else (carries.format(key),)
        return request(one.target + query, one.body(), *lines)

    async with gateway("gemini", answers(one.streamed), boxed=False) as world:
        key = world.gateway.key
        assert (await world.raw(sent(key))).status == 200
        assert "gw_" not in world.vendor.heads[0].decode()
        for wrong in ("", key[:-1], key + "x", key.upper(), "gw_"):
            reply = await world.raw(sent(wrong))
            assert (reply.status, reply.error["code"]) == (401, "athena_key")
        for nothing in ([], ["authorization: Basic " + key], ["x-api-key: é"]):
            assert (await world.raw(request(one.target, one.body(), *nothing))).status == 401
    assert len(world.vendor.heads) == 1


def test_keys_are_long_and_differ() -> None:
    def key() -> str:
        models = model_servers()
        made = Gateway(
            "gemini",
            models["gemini"],
            FakeLedger(),
            {},
            prices=PRICES,
            clock=FixedClock(),
            ids=SystemIds(),
            boxed=False,
        )
        return made.key

    keys = {key() for _ in range(50)}
    assert len(keys) == 50
    assert all(re.fullmatch(r"gw_[A-Za-z0-9_-]{43}", one) for one in keys)


async def test_the_socket_is_private_and_its_path_short() -> None:
    async with gateway("gemini", answers(VENDORS["gemini"].streamed)) as world:
        place = world.gateway.socket
        assert place
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert len(str(place)) <= 107
        assert world.gateway.url == ""


async def test_a_gateway_that_was_stopped_refuses_further_calls_only() -> None:
    one, more = VENDORS["openai-chat"], asyncio.Event()

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        writer.write(head(one.streamed.kind))
        await more.wait()
        writer.write(one.streamed.body)

    async with gateway("openai-chat", behave) as world:
        client = await world.begin()
        await client.reader.readuntil(b"\r\n\r\n")
        world.gateway.stop("The run was cancelled.")
        reply = await world.ask()
        more.set()
        await client.left()
    assert (reply.status, reply.error["code"], reply.error["message"]) == (
        400,
        "athena_stopped",
        "The run was cancelled.",
    )
    assert sorted(ended.outcome for ended in world.ledger.ends) == ["answered", "refused"]
