"""The servers behind the gateway: the address and the key of each provider, which agents never get."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from athena_core.mask import MIN_KEY_CHARS, forms
from athena_core.providers import anthropic, openai
from athena_core.providers.connection import RawAnswer, RawClient

SILENCE_SECONDS = 600.0
"""Read timeout. A model that thinks may send nothing for minutes if its answer is not streamed."""
GEMINI_URL = "https://generativelanguage.googleapis.com"

HOP = frozenset(
    (
        b"connection", b"expect", b"host", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip
"""Headers of one connection."""
REQUEST_PASSED = frozenset(
    (
        b"accept", b"accept-language", b"anthropic-beta", b"anthropic-dangerous-direct-browser-access",
        b"anthropic-version", b"content-type", b"conversation_id", b"http-referer", b"openai-beta", b"originator",
        b"sec-fetch-mode", b"session-id", b"session_id", b"thread-id", b"traceparent", b"tracestate", b"user-agent",
        b"version", b"x-app", b"x-client-request-id", b"x-gemini-api-privileged-user-id", b"x-goog-api-client",
        b"x-session-affinity", b"x-session-id", b"x-title",
    )
)  # fmt: skip
REQUEST_PREFIXES = (b"x-claude-code-", b"x-codex-", b"x-openai-internal-codex-", b"x-stainless-")
"""Headers of requests that reach a vendor, by name and by beginning: agents describe themselves and their sessions with
them, or choose versions. None says who pays, whose request it is, or what the answer leaves out.
"""
ANSWER_DROPPED = HOP | frozenset(
    (b"alt-svc", b"anthropic-organization-id", b"content-length", b"openai-organization", b"openai-project",
     b"set-cookie", b"strict-transport-security", b"www-authenticate")
)  # fmt: skip
"""Headers of answers that stay here: those that name the operator's account, or concern the vendor's host."""


class AuthHeader(NamedTuple):
    """The header that carries a provider's key."""

    name: bytes
    prefix: bytes = b""


class ModelServer:
    """The server of a provider. All gateways of a process share it, and with it its connections."""

    def __init__(
        self,
        provider: str,
        base_url: str,
        key: str,
        auth: AuthHeader,
        official_url: str,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Prepare without a request. ``base_url`` is the part before the path of a wire."""
        self.provider = provider
        self._base_url = base_url.rstrip("/")
        self.official = self._base_url == official_url
        self._auth = [(auth.name, auth.prefix + key.encode())] if key else []
        self.configured = bool(key) or not self.official
        """False if the vendor's own server would refuse every call."""
        password = unquote(urlsplit(self._base_url).password or "")
        self.secrets = SecretBytes([key, password])
        self._client = RawClient(provider, silence_seconds=silence_seconds)

    @asynccontextmanager
    async def post(
        self, path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> AsyncIterator[RawAnswer]:
        """Send a request of an agent with this server's key. Raise ProviderFailure or ConnectionBroken."""
        url = self._base_url + path + (f"?{query.decode('latin-1')}" if query else "")
        kept = [*_allowed(headers), (b"accept-encoding", b"identity"), *self._auth]
        async with self._client.post(url, kept, body) as answer:
            yield answer

    async def close(self) -> None:
        await self._client.close()


def model_servers(
    *,
    openai_api_key: str = "",
    openai_base_url: str = openai.OFFICIAL_URL,
    anthropic_api_key: str = "",
    anthropic_base_url: str = anthropic.OFFICIAL_URL,
    gemini_api_key: str = "",
    gemini_base_url: str = GEMINI_URL,
    silence_seconds: float = SILENCE_SECONDS,
) -> Mapping[str, ModelServer]:
    """Return the servers by provider. The caller closes them. ``gemini`` serves outside agents only."""
    bearer, anthropic_key, google_key = (
        AuthHeader(b"authorization", b"Bearer "),
        AuthHeader(b"x-api-key"),
        AuthHeader(b"x-goog-api-key"),
    )
    found = (
        ModelServer("openai", openai_base_url, openai_api_key, bearer, openai.OFFICIAL_URL, silence_seconds),
        ModelServer(
            "anthropic", anthropic_base_url, anthropic_api_key, anthropic_key, anthropic.OFFICIAL_URL, silence_seconds
        ),
        ModelServer("gemini", gemini_base_url, gemini_api_key, google_key, GEMINI_URL, silence_seconds),
    )
    return {one.provider: one for one in found}


def passed(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers that are passed on: not those dropped, and not those that ``Connection`` names."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = b",".join(value.lower() for name, value in pairs if name == b"connection").split(b",")
    dropped = dropped.union(map(bytes.strip, named))
    return [pair for pair in pairs if pair[0] not in dropped]


def _allowed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a request that reach a vendor."""
    kept = passed(headers, HOP)
    return [pair for pair in kept if pair[0] in REQUEST_PASSED or pair[0].startswith(REQUEST_PREFIXES)]


class SecretBytes:
    """Secrets that no answer may carry to an agent, for servers that quote the request that they refuse."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Take secrets; short ones are ignored, because they would hide ordinary text."""
        found = {form.encode() for one in secrets if len(one) >= MIN_KEY_CHARS for form in forms(one)}
        self._forms = sorted((form for form in found if len(form) >= MIN_KEY_CHARS), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)) or b"(?!)")
        self._first = re.compile(b"|".join(re.escape(form[:1]) for form in self._forms) or b"(?!)")
        self._longest = max(map(len, self._forms), default=1)

    def hide(self, data: bytes) -> bytes:
        """Return the bytes with stars in place of secrets. Their number stays."""
        return self._pattern.sub(lambda found: b"*" * len(found[0]), data)

    def held(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a secret."""
        for found in self._first.finditer(data, max(len(data) - self._longest + 1, 0)):
            rest = data[found.start() :]
            if any(form.startswith(rest) for form in self._forms):
                return len(rest)
        return 0


class HiddenSecrets:
    """The bytes of an answer without secrets. Only the possible beginning of one is held back."""

    def __init__(self, secrets: SecretBytes) -> None:
        self._secrets = secrets
        self._rest = b""

    def more(self, piece: bytes) -> bytes:
        """Add a piece. Return the bytes that may be passed on."""
        data = self._secrets.hide(self._rest + piece)
        held = 0 if data.endswith(b"\n") else self._secrets.held(data)
        self._rest = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """Return the rest at the end of the answer."""
        rest, self._rest = self._rest, b""
        return rest
