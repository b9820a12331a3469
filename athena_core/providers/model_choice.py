"""The model of runs that name none: the only one that the provider's server lists."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from athena_core.errors import ConfigError
from athena_core.providers.provider import Provider, ProviderFailure

FRESH_SECONDS = 30.0
RETRY_SECONDS = 5.0
"""Time for which a list is used, and after a failure until the server is asked again."""
NAMES_SHOWN = 5
NAME_CHARS_SHOWN = 60


class ModelsRead(NamedTuple):
    """The last list of a server, the failure of the last request, and the time until which both are used."""

    names: tuple[str, ...] | None
    failure: str | None
    until: float


class ModelChoice:
    """Chooses the model of runs that name none. Lists are read once at a time and kept for some seconds."""

    def __init__(self, providers: Mapping[str, Provider], monotonic: Callable[[], float], default: str = "") -> None:
        """Take the providers, a clock in seconds, and the setting that the error suggests, if it would help."""
        self._providers = providers
        self._monotonic = monotonic
        self._default = default
        self._reads: dict[str, ModelsRead] = {}
        self._locks = {name: asyncio.Lock() for name in providers}

    async def only(self, name: str) -> str:
        """Return the only model of a provider. Raise ConfigError naming ``model`` if there is not exactly one.

        A server that cannot be read counts as it did before, for as long as this process runs.
        """
        async with self._locks[name]:
            read = self._reads.get(name)
            if read is None or read.until <= self._monotonic():
                read = self._reads[name] = await self._read(name, read)
        if read.names is not None and len(read.names) == 1:
            return read.names[0]
        why = f"cannot be read ({read.failure})" if read.names is None else f"has {_words(read.names)}"
        remedy = "name a model, or set ATHENA_DEFAULT_MODEL" if name == self._default else "name a model"
        raise ConfigError.of("model", f"the run names none, and the list of provider {name} {why}", remedy)

    async def _read(self, name: str, earlier: ModelsRead | None) -> ModelsRead:
        try:
            names = await self._providers[name].models()
        except ProviderFailure as failure:
            kept = earlier.names if earlier else None
            return ModelsRead(kept, failure.message, self._monotonic() + RETRY_SECONDS)
        return ModelsRead(names, None, self._monotonic() + FRESH_SECONDS)


def _words(names: tuple[str, ...]) -> str:
    """Return the number of models and the first names."""
    if not names:
        return "no model"
    shown = [name if len(name) <= NAME_CHARS_SHOWN else name[:NAME_CHARS_SHOWN] + "…" for name in names[:NAMES_SHOWN]]
    return f"{len(names)} models ({', '.join(shown)}{', …' if len(names) > NAMES_SHOWN else ''})"
