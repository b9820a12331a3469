"""The registry: the providers of this plane by name."""

from collections.abc import Mapping

from athena_core.providers.local_exec import LocalExec
from athena_core.providers.mock import Mock
from athena_core.providers.openai import OpenAI
from athena_core.providers.provider import Provider


def registry(
    *,
    openai_api_key: str | None = None,
    openai_base_url: str = "https://api.openai.com/v1",
    local_command: str = "/bin/cat",
    local_arguments: tuple[str, ...] = (),
) -> Mapping[str, Provider]:
    """Every provider, ready to use; whoever asked closes them."""
    providers: tuple[Provider, ...] = (
        Mock(),
        OpenAI(openai_base_url, openai_api_key),
        LocalExec(local_command, local_arguments),
    )
    return {provider.name: provider for provider in providers}
