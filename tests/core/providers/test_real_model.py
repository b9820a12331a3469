"""Tests of the OpenAI provider against a real language model: real tokens, real latency, a real hang-up."""

import asyncio
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import ModelMessage, ModelRequest, ProviderFailure, complete
from examples.real_model.model_server import MODEL, missing_packages

TOKENS = 100
"""Where a long answer is cut: a loaded machine may take a second for a few of them."""

pytestmark = [
    pytest.mark.heavy,  # CI installs the packages before its second round
    pytest.mark.skipif(bool(missing_packages()), reason=f"not installed: {', '.join(missing_packages())}"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "examples.real_model.model_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
    assert process.returncode == 0


def says(text: str) -> ModelRequest:
    return ModelRequest(model=MODEL, messages=(ModelMessage(role="user", content=text),))


def metric(url: str, name: str) -> int:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        found = re.search(rf"^llamacpp:{name} (\d+)$", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


async def test_a_model_streams_its_answer_and_counts_its_tokens(url: str) -> None:
    provider = OpenAIProvider(f"{url}/v1")
    seen: list[str] = []
    answer = await complete(provider, says("What is the capital of France? One short sentence."), seen.append)
    await provider.close()
    assert "Paris" in answer.text
    assert len(seen) > 3
    assert "".join(seen) == answer.text
    assert answer.reason == "stop"
    assert answer.request_id
    assert answer.usage
    assert answer.usage.input_tokens
    assert answer.usage.output_tokens
    assert answer.usage.output_tokens >= len(seen) - 1
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


async def test_cancelling_in_mid_stream_stops_the_model(url: str) -> None:
    provider = OpenAIProvider(f"{url}/v1")
    story = replace(says("Write a long story about a fox."), max_output_tokens=TOKENS)
    whole = await complete(provider, story)
    assert whole.reason == "length"  # it was not done
    assert whole.usage
    assert whole.usage.output_tokens == TOKENS

    before = metric(url, "tokens_predicted_total")
    started = asyncio.Event()
    call = asyncio.create_task(complete(provider, story, lambda piece: started.set()))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # The server has one slot: it takes this question once the cancelled one has left.
    answer = await complete(provider, replace(says("Say yes."), max_output_tokens=10))
    await provider.close()
    assert answer.usage
    assert answer.usage.output_tokens
    spent = metric(url, "tokens_predicted_total") - before - answer.usage.output_tokens
    assert spent < TOKENS // 2


async def test_a_question_over_the_models_context_is_refused_with_the_servers_words(url: str) -> None:
    provider = OpenAIProvider(f"{url}/v1")
    with pytest.raises(ProviderFailure, match=r"openai: HTTP 400: .*context size") as caught:
        await complete(provider, says("word " * 20_000))
    await provider.close()
    assert not caught.value.worth_retrying
