"""The contract of all providers: good answers, every misbehaviour of a server, statuses, and no open connection."""

import asyncio

import pytest

from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import ModelMessage, ModelRequest, ProviderFailure, complete
from athena_core.values import INTEGER_MAX
from tests.support.stub import DIALECTS, MISBEHAVIOURS, Behaviour, Stub, client_of, refuses, says, serving

HI = ModelRequest(model="m", messages=(ModelMessage(role="user", content="hi"),))


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_good_answer_is_read(name: str) -> None:
    async with serving(says(DIALECTS[name].whole)) as stub:
        provider = client_of(name, stub.url)
        answer = await complete(provider, HI)
        await provider.close()
    assert (answer.text, answer.reason, answer.request_id) == ("Hello, wörld", "stop", "req_1")
    assert answer.usage
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 3)


@pytest.mark.parametrize("name", DIALECTS)
async def test_text_is_passed_on_as_it_arrives(name: str) -> None:
    go_on, seen, dialect = asyncio.Event(), list[str | None](), DIALECTS[name]

    async def behave(stub: Stub, writer: asyncio.StreamWriter) -> None:
        writer.write(dialect.head + dialect.start + dialect.text("one "))
        await go_on.wait()  # set only once the first piece has arrived
        writer.write(dialect.text("two") + dialect.end(1, 1))

    def on_text(piece: str | None) -> None:
        seen.append(piece)
        go_on.set()

    async with serving(behave) as stub:
        provider = client_of(name, stub.url)
        await complete(provider, HI, on_text)
        await provider.close()
    assert seen == ["one ", "two"]


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_connection_that_breaks_after_the_finish_loses_nothing(name: str) -> None:
    whole = DIALECTS[name].whole.replace(b"connection: close", b"content-length: 100000")
    async with serving(says(whole)) as stub:
        provider = client_of(name, stub.url)
        assert (await complete(provider, HI)).text == "Hello, wörld"
        await provider.close()


async def failure(name: str, behaviour: Behaviour) -> ProviderFailure:
    async with serving(behaviour) as stub:
        provider = client_of(name, stub.url)
        with pytest.raises(ProviderFailure) as caught:
            await complete(provider, HI)
        await provider.close()
    return caught.value


@pytest.mark.parametrize(
    ("status", "is_worth_retrying"),
    [(400, False), (401, False), (403, False), (404, False), (302, False), (204, False), (422, False)]
    + [(408, True), (429, True), (500, True), (502, True), (503, True), (504, True)],
)
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_status_is_retryable_or_not(name: str, status: int, is_worth_retrying: bool) -> None:
    caught = await failure(name, refuses(status, b"", "location: http://127.0.0.1:9/"))
    assert caught.message == f"{name}: HTTP {status}"
    assert (caught.worth_retrying, caught.wait_seconds) == (is_worth_retrying, None)


DATE = "date: Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["retry-after: 7"], 7.0),
        (["retry-after: 0.5"], 0.5),
        (["retry-after: 1.x"], None),
        (["retry-after: 99999999999999999999"], 86_400.0),
        (["retry-after: Wed, 21 Oct 2026 07:28:30 GMT", DATE], 30.0),
        (["retry-after: Wed, 21 Oct 2020 07:28:30 GMT", DATE], 0.0),
        (["retry-after: Wed, 21 Oct 2026 07:28:30 GMT"], None),
        (["retry-after: -1"], None),
        (["retry-after: nan"], None),
        (["retry-after: soon", DATE], None),
    ],
)
@pytest.mark.parametrize("name", DIALECTS)
async def test_the_wait_that_a_server_asks_for_is_passed_on(
    name: str, headers: list[str], seconds: float | None
) -> None:
    caught = await failure(name, refuses(429, b"", *headers))
    assert (caught.worth_retrying, caught.wait_seconds) == (True, seconds)


@pytest.mark.parametrize("name", DIALECTS)
async def test_an_error_body_that_breaks_off_still_is_its_status(name: str) -> None:
    caught = await failure(name, says(b"HTTP/1.1 503 Nope\r\ncontent-length: 9\r\nretry-after: 3\r\n\r\n{"))
    assert (caught.message, caught.worth_retrying, caught.wait_seconds) == (f"{name}: HTTP 503", True, 3.0)


@pytest.mark.parametrize("kind", [OpenAIProvider, AnthropicProvider])
async def test_without_a_key_nothing_leaves_for_the_real_server(kind: type[OpenAIProvider | AnthropicProvider]) -> None:
    provider = kind()
    with pytest.raises(ProviderFailure, match="no API key is set") as caught:
        await complete(provider, HI)
    await provider.close()
    assert not caught.value.worth_retrying


@pytest.mark.parametrize("how", [how for how, row in MISBEHAVIOURS.items() if row.outcome != "patience"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_misbehaviour_ends_in_an_answer_or_a_short_failure(name: str, how: str) -> None:
    row = MISBEHAVIOURS[how]
    async with serving(row.behave(DIALECTS[name])) as stub:
        provider = client_of(name, stub.url)
        if row.outcome == "answer":
            answer = await complete(provider, HI)
            counts = (answer.usage.input_tokens, answer.usage.output_tokens) if answer.usage else ()
            assert all(count is None or 0 <= count <= INTEGER_MAX + 1 for count in counts)
            assert "\x00" not in answer.text
            answer.text.encode()
        else:
            with pytest.raises(ProviderFailure, match=f"^{name}: ") as caught:
                await complete(provider, HI)
            assert len(caught.value.message) <= 300
            assert caught.value.message.isprintable()
            assert row.words in caught.value.message
            assert caught.value.worth_retrying or not row.words
        await stub.client_is_gone.wait()  # before the client is closed: the call itself hung up
        await provider.close()


@pytest.mark.parametrize("how", [how for how, row in MISBEHAVIOURS.items() if row.outcome == "patience"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_server_that_never_ends_is_left_at_the_deadline(name: str, how: str) -> None:
    async with serving(MISBEHAVIOURS[how].behave(DIALECTS[name])) as stub:
        provider = client_of(name, stub.url)
        calling = asyncio.create_task(complete(provider, HI))
        await stub.is_asked.wait()  # the connection exists, so the server will notice that it ends
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(calling, 0.1)
        await stub.client_is_gone.wait()
        await provider.close()


@pytest.mark.parametrize("how", ["hangs", "hangs-in-its-head", "hangs-in-mid-stream"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_silence_is_a_failure_worth_retrying(name: str, how: str) -> None:
    async with serving(MISBEHAVIOURS[how].behave(DIALECTS[name])) as stub:
        provider = client_of(name, stub.url, 0.05)
        with pytest.raises(ProviderFailure, match="the server stopped sending") as caught:
            await complete(provider, HI)
        await provider.close()
    assert caught.value.worth_retrying


@pytest.mark.parametrize("name", DIALECTS)
async def test_a_refused_connection_is_worth_retrying(name: str) -> None:
    async with serving(says()) as stub:
        pass
    provider = client_of(name, stub.url)
    with pytest.raises(ProviderFailure, match="cannot connect") as caught:
        await complete(provider, HI)
    await provider.close()
    assert caught.value.worth_retrying
