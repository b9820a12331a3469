"""The registry of this plane's providers by name."""

from collections.abc import Mapping

from athena_core.mask import Mask
from athena_core.providers import anthropic, openai
from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.http import HttpProvider
from athena_core.providers.local_exec import LocalExecProvider
from athena_core.providers.masked import MaskedProvider
from athena_core.providers.mock import MockProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import Provider


def registry(
    mask: Mask,
    *,
    openai_api_key: str = "",
    openai_base_url: str = openai.OFFICIAL_URL,
    anthropic_api_key: str = "",
    anthropic_base_url: str = anthropic.OFFICIAL_URL,
    http_url: str = "",
    http_api_key: str = "",
    http_timeout_ms: int = 20_000,
    local_command: str = "/bin/cat",
    local_arguments: tuple[str, ...] = (),
) -> Mapping[str, Provider]:
    """Return all providers. The caller closes them. ``http`` exists only with a URL.

    ``mask`` applies to all providers except the mock.
    """
    outside: list[Provider] = [
        OpenAIProvider(openai_base_url, openai_api_key, mask=mask),
        AnthropicProvider(anthropic_base_url, anthropic_api_key, mask=mask),
        LocalExecProvider(local_command, local_arguments, mask=mask),
    ]
    if http_url:
        outside.append(HttpProvider(http_url, http_api_key, mask=mask, silence_seconds=http_timeout_ms / 1000))
    providers: list[Provider] = [MockProvider(), *(MaskedProvider(provider, mask) for provider in outside)]
    return {provider.name: provider for provider in providers}
