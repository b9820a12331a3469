"""A provider whose vendor runs a server of its own, and that others imitate: its address, its key, its connection."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from athena_core.providers.connection import ProviderClient
from athena_core.providers.mask import Mask
from athena_core.providers.provider import ProviderFailure


class Vendor(ABC):
    """A client of one server. ``base_url`` ends where ``path`` begins; local servers need no key."""

    name: str
    default_model: str
    official_url: str
    path: str

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        mask: Mask | None = None,
        silence_seconds: float = 120.0,
    ) -> None:
        """Prepare the client, of the vendor's own server without a URL; nothing is sent yet."""
        base_url = (self.official_url if base_url is None else base_url).rstrip("/")
        self._is_official = base_url == self.official_url
        self._key = api_key or ""
        self._connection = ProviderClient(
            self.name,
            base_url + self.path,
            {"accept": "text/event-stream", **self._headers(self._key)},
            mask=mask or Mask([self._key]),
            silence_seconds=silence_seconds,
        )

    @abstractmethod
    def _headers(self, key: str) -> Mapping[str, str]:
        """What the vendor wants to be told with each request; without a key it is empty."""

    def _check_key(self) -> None:
        """Raise ProviderFailure where the vendor would refuse every request."""
        if self._is_official and not self._key:
            setting = f"ATHENA_{self.name.upper()}_API_KEY"
            raise ProviderFailure(f"{self.name}: no key is set ({setting})", worth_retrying=False)

    async def close(self) -> None:
        """Close idle connections."""
        await self._connection.close()
