"""Base class of vendors whose API other servers implement, too: address, key and connection."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from athena_core.mask import Mask
from athena_core.providers.connection import LIST_SECONDS, ProviderClient
from athena_core.providers.provider import ProviderFailure


class Vendor(ABC):
    """A client of one server. ``base_url`` is the part before ``path``. Local servers need no key."""

    name: str
    default_model: str
    official_url: str
    path: str
    models_path: str

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        mask: Mask | None = None,
        silence_seconds: float = 120.0,
        list_seconds: float = LIST_SECONDS,
    ) -> None:
        """Prepare the client, without a URL for the vendor's own server. No request is sent."""
        base_url = (self.official_url if base_url is None else base_url).rstrip("/")
        self._is_official = base_url == self.official_url
        self._key = api_key or ""
        self._models_url = base_url + self.models_path
        self._connection = ProviderClient(
            self.name,
            base_url + self.path,
            {"accept": "text/event-stream", **self._headers(self._key)},
            mask=mask or Mask([self._key]),
            silence_seconds=silence_seconds,
            list_seconds=list_seconds,
        )

    @abstractmethod
    def _headers(self, key: str) -> Mapping[str, str]:
        """Return the vendor's request headers. The key may be empty."""

    @property
    def configured(self) -> bool:
        """False if the vendor's own server is called without a key."""
        return bool(self._key) or not self._is_official

    async def models(self) -> tuple[str, ...]:
        """Ask the server for its models. The list may be incomplete if it has more than one page."""
        self._check_key()
        return await self._connection.models(self._models_url)

    def _check_key(self) -> None:
        """Raise ProviderFailure if the vendor's server would refuse every request."""
        if not self.configured:
            setting = f"ATHENA_{self.name.upper()}_API_KEY"
            raise ProviderFailure(f"{self.name}: no API key is set. Set {setting}", worth_retrying=False)

    async def close(self) -> None:
        await self._connection.close()
