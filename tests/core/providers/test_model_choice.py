"""The model of runs that name none: the only one that a server lists; odd servers, slow ones, large lists."""

import asyncio
import re

import pytest

from athena_core.errors import ConfigError, Fault
from athena_core.mask import Mask
from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.masked import MaskedProvider
from athena_core.providers.mock import MockProvider
from athena_core.providers.model_choice import FRESH_SECONDS, RETRY_SECONDS, ModelChoice
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import Provider
from tests.support.stub import (
    Behaviour,
    client_of,
    models_listed,
    refuses,
    resets,
    says,
    says_and_waits,
    says_for_ever,
    serving,
)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def faults_of(error: ConfigError) -> list[Fault]:
    assert isinstance(error.details, list)
    return error.details


def choice_of(provider: Provider, seconds: Seconds | None = None) -> ModelChoice:
    return ModelChoice({provider.name: provider}, seconds or Seconds(), provider.name)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_the_only_model_is_taken_and_remembered_for_some_seconds(dialect: str) -> None:
    seconds = Seconds()
    async with serving(says()) as stub:
        stub.lists = says(models_listed("llama3.2"))
        choice = choice_of(client_of(dialect, stub.url), seconds)
        assert await asyncio.gather(*(choice.only(dialect) for _ in range(20))) == ["llama3.2"] * 20
        assert stub.listed == 1
        stub.lists = says(models_listed("qwen3"))
        seconds.at = FRESH_SECONDS - 1
        assert await choice.only(dialect) == "llama3.2"
        seconds.at = FRESH_SECONDS
        assert await choice.only(dialect) == "qwen3"
        assert stub.listed == 2


async def test_a_server_that_stops_answering_keeps_its_model() -> None:
    seconds = Seconds()
    async with serving(says()) as stub:
        choice = choice_of(client_of("openai", stub.url), seconds)
        assert await choice.only("openai") == "stub-model"
        stub.lists = refuses(503)
        seconds.at = FRESH_SECONDS
        assert await choice.only("openai") == "stub-model"
        stub.lists = says(models_listed("other"))
        seconds.at += RETRY_SECONDS
        assert await choice.only("openai") == "other"


async def test_a_failure_is_remembered_briefly() -> None:
    seconds = Seconds()
    async with serving(says()) as stub:
        stub.lists = refuses(503)
        choice = choice_of(client_of("openai", stub.url), seconds)
        for _ in range(3):
            with pytest.raises(ConfigError, match="HTTP 503"):
                await choice.only("openai")
        assert stub.listed == 1
        stub.lists = says(models_listed("late"))
        seconds.at = RETRY_SECONDS
        assert await choice.only("openai") == "late"


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        (says(models_listed()), "the list of provider openai has no model"),
        (says(models_listed("a", "b")), "has 2 models (a, b)"),
        (says(models_listed(*(f"m{n}" for n in range(10_000)))), "has 10000 models (m0, m1, m2, m3, m4, …)"),
        (says(models_listed("x" * 1_000, "y")), "has 2 models (" + "x" * 60 + "…, y)"),
        (says_for_ever(HEAD, b" " * 65_536, bytes_max=200 * 2**20), "larger than 2 MiB"),
        (says(models_listed("")), "malformed"),
        (says(models_listed("x" * 10_000_000)), "larger than 2 MiB"),
        (says(models_listed("red \x1b[31m")), "malformed"),
        (says(HEAD, b"<html>"), "malformed"),
        (says(HEAD, b"[" * 100_000), "malformed"),
        (says(HEAD, b'{"data": {"id": "a"}}'), "malformed"),
        (says(HEAD, b'{"data": [{"id": 7}]}'), "malformed"),
        (says(HEAD, b'{"data": [{"id": "\xff"}]}'), "malformed"),
        (says(HEAD, b'{"models": []}'), "malformed"),
        (refuses(404), "HTTP 404"),
        (refuses(401, b'{"error": {"message": "bad key sk-canary-key"}}'), "HTTP 401: bad key ***"),
        (refuses(307, b"", "location: http://127.0.0.1:9/"), "HTTP 307"),
        (resets(), "the connection broke"),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "the connection broke"),
    ],
)
async def test_without_exactly_one_model_a_run_is_refused_with_what_to_set(lists: Behaviour, words: str) -> None:
    mask = Mask(["sk-canary-key"])
    async with serving(says()) as stub:
        stub.lists = lists
        provider = MaskedProvider(OpenAIProvider(stub.url + "/v1", "sk-canary-key", mask=mask), mask)
        with pytest.raises(ConfigError, match=re.escape(words)) as caught:
            await choice_of(provider).only("openai")
        await provider.close()
    (fault,) = faults_of(caught.value)
    assert (fault.field, fault.remedy) == ("model", "name a model, or set ATHENA_DEFAULT_MODEL")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    "lists", [says_and_waits(), says_and_waits(HEAD, b'{"data": ['), says_for_ever(HEAD, b" ", pause_seconds=0.01)]
)
async def test_a_slow_server_is_given_up(lists: Behaviour) -> None:
    async with serving(says()) as stub:
        stub.lists = lists
        with pytest.raises(ConfigError, match=r"no list of models within 0\.2 s"):
            await choice_of(OpenAIProvider(stub.url + "/v1", list_seconds=0.2)).only("openai")


async def test_the_remedy_names_the_setting_only_where_it_would_help() -> None:
    provider = OpenAIProvider()
    with pytest.raises(ConfigError, match="Set ATHENA_OPENAI_API_KEY") as caught:
        await ModelChoice({"openai": provider}, Seconds(), "anthropic").only("openai")
    (fault,) = faults_of(caught.value)
    assert fault.remedy == "name a model"
    assert not provider.configured
    assert not AnthropicProvider().configured
    assert OpenAIProvider(api_key="sk-1").configured
    assert OpenAIProvider("http://127.0.0.1:9/v1").configured


async def test_the_mock_has_one_model() -> None:
    assert await choice_of(MockProvider()).only("mock") == "mock-model"
