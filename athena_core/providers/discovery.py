"""Model servers on this machine and vendors whose keys are in the environment, for ``athena init``."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from athena_core.providers import anthropic, openai
from athena_core.providers.anthropic import AnthropicProvider
from athena_core.providers.mock import MockProvider
from athena_core.providers.openai import OpenAIProvider
from athena_core.providers.provider import Provider, ProviderFailure

LOOK_SECONDS = 2.0
LOCAL_PORTS: Mapping[str, int] = {"Ollama": 11434, "LM Studio": 1234, "vLLM": 8000, "llama.cpp": 8080}
"""The usual ports of servers with OpenAI's API, on the loopback address."""


class ModelSource(NamedTuple):
    """A server or vendor: its name, provider and base URL, the key it needs, and its models if they were listed."""

    name: str
    provider: str
    base_url: str = ""
    key: str = ""
    models: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Host and port of the server; empty for the mock."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def slug(self) -> str:
        """The name as an option: lower case, without spaces."""
        return self.name.lower().replace(" ", "-")

    @property
    def suggested(self) -> str:
        """The model to suggest if the server lists it."""
        return (AnthropicProvider if self.provider == "anthropic" else OpenAIProvider).default_model

    def client(self, seconds: float) -> Provider:
        """Return a client that waits ``seconds`` for a list of models. The caller closes it."""
        match self.provider:
            case "openai":
                return OpenAIProvider(self.base_url, self.key, list_seconds=seconds)
            case "anthropic":
                return AnthropicProvider(self.base_url, self.key, list_seconds=seconds)
            case _:
                return MockProvider()

    async def listed(self, seconds: float) -> "ModelSource":
        """Return the source with the models that it lists. Raise ProviderFailure."""
        client = self.client(seconds)
        try:
            return self._replace(models=chat_models(await client.models()))
        finally:
            await client.close()


MOCK = ModelSource("mock", "mock", models=(MockProvider.default_model,))


def local_sources(ports: Mapping[str, int] = LOCAL_PORTS, ollama_host: str = "") -> list[ModelSource]:
    """Return the places where model servers usually listen. ``ollama_host`` is the variable of Ollama."""
    places = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    if ollama_host:
        places["Ollama"] = _ollama_url(ollama_host)
    return [ModelSource(name, "openai", f"{url}/v1") for name, url in places.items()]


def vendor_sources(variables: Mapping[str, str]) -> list[ModelSource]:
    """Return the vendors whose keys are among the variables. Nothing is sent to them."""
    found = []
    if key := variables.get("OPENAI_API_KEY"):
        url = variables.get("OPENAI_BASE_URL", openai.OFFICIAL_URL).rstrip("/")
        found.append(ModelSource("OpenAI", "openai", url, key))
    if key := variables.get("ANTHROPIC_API_KEY"):
        found.append(ModelSource("Anthropic", "anthropic", anthropic.OFFICIAL_URL, key))
    return found


async def answering(sources: Iterable[ModelSource], seconds: float = LOOK_SECONDS) -> list[ModelSource]:
    """Return the sources that list at least one model, with their models. All are asked at once."""

    async def look(source: ModelSource) -> ModelSource | None:
        try:
            found = await source.listed(seconds)
        except ProviderFailure:
            return None
        return found if found.models else None

    return [source for source in await asyncio.gather(*map(look, sources)) if source is not None]


def chat_models(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names without embedding models, if any others are left."""
    return tuple(name for name in names if "embed" not in name.lower()) or names


def _ollama_url(host: str) -> str:
    """Return the base URL for ``OLLAMA_HOST``: a host, a host and port, or a URL; 0.0.0.0 is this machine."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    name = parts.hostname or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - it is only called
    shown = f"[{name}]" if ":" in name else name
    try:
        port = parts.port or (443 if parts.scheme == "https" else LOCAL_PORTS["Ollama"])
    except ValueError:
        port = LOCAL_PORTS["Ollama"]
    return f"{parts.scheme}://{shown}:{port}"
