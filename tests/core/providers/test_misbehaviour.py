"""Every provider against every misbehaviour: an answer, a failure or the deadline, and no open connection."""

import anyio
import pytest

from athena_core.providers.provider import ModelMessage, ModelRequest, ProviderFailure, complete
from athena_core.values import INTEGER_MAX
from tests.support.stub import DIALECTS, MISBEHAVIOURS, client_of, says, serving

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
        await stub.client_is_gone.wait()  # before the client is closed: the call itself hung up
        await provider.close()


@pytest.mark.parametrize("how", [how for how, row in MISBEHAVIOURS.items() if row.outcome == "patience"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_a_server_that_never_ends_is_left_at_the_deadline(name: str, how: str) -> None:
    async with serving(MISBEHAVIOURS[how].behave(DIALECTS[name])) as stub:
        provider = client_of(name, stub.url)
        with anyio.move_on_after(0.3) as deadline:
            await complete(provider, HI)
        assert deadline.cancelled_caught
        await stub.client_is_gone.wait()
        await provider.close()


@pytest.mark.parametrize("how", ["hangs", "hangs-in-its-head", "hangs-in-mid-stream"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_silence_is_a_failure_worth_retrying(name: str, how: str) -> None:
    async with serving(MISBEHAVIOURS[how].behave(DIALECTS[name])) as stub:
        provider = client_of(name, stub.url, 0.05)
        with pytest.raises(ProviderFailure, match="the server fell silent") as caught:
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
