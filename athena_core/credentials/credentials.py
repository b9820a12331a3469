"""The credentials of a process: their secrets as they are now, and the reload of their file."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import anyio

from athena_core.clock import SystemClock
from athena_core.credentials.credentials_file import CredentialDefinition, read_definitions
from athena_core.credentials.host_pattern import normal
from athena_core.credentials.sources import CommandSource, FileSource, SecretUnavailable, Source, read_once
from athena_core.credentials.template import TemplateConflict
from athena_core.errors import ConfigError
from athena_core.mask import Mask
from athena_core.system.problems import Problems

__all__ = ["Credential", "CredentialUnavailable", "Credentials", "TemplateConflict"]

LOOP = "credentials"
RETRY_SECONDS = 10.0
"""Time after a failed command before it runs again."""


class CredentialUnavailable(ConfigError):
    """A credential whose secret cannot be had now. The message is a sentence without the secret."""

    retryable = True


class Secret:
    """The secret of one credential: its current value and the source that it is read from again.

    A secret that cannot be read again stays in use, and is a problem in the health.
    """

    def __init__(
        self, definition: CredentialDefinition, owner: "Credentials", value: str | None, monotonic: Callable[[], float]
    ) -> None:
        self.source: Source = definition.source
        self._name = definition.name
        self._owner = owner
        self._value = value
        self._reason = ""
        self._due = 0.0
        self._monotonic = monotonic
        self._lock = anyio.Lock()

    async def value(self) -> str:
        """Return the secret as it is now. Raise CredentialUnavailable."""
        match self.source:
            case FileSource():
                await self._read()
            case CommandSource() if self._monotonic() >= self._due:
                async with self._lock:
                    if self._monotonic() >= self._due:
                        await self._read()
        if self._value is None:
            raise CredentialUnavailable(f"Credential {self._name!r}: {self._reason}")
        return self._value

    async def _read(self) -> None:
        source = self.source
        try:
            value = await read_once(source)
        except SecretUnavailable as error:
            self._reason = str(error)
            self._due = self._monotonic() + RETRY_SECONDS
            self._owner.failed(self._name, str(error))
            return
        self._owner.learn(self._name, value)
        if isinstance(source, CommandSource):
            self._due = self._monotonic() + source.refresh_seconds
        self._value = value
        self._owner.works(self._name)


class Credential:
    """A named secret with its place in a request and the hosts that it may be sent to."""

    def __init__(self, definition: CredentialDefinition, secret: Callable[[], Awaitable[str]]) -> None:
        """Take the entry of the file, and the function that returns the secret as it is now."""
        self.name = definition.name
        self.private = definition.private
        """True if it may go to an address that is not public, and there over plain http."""
        self.header = definition.template.header
        """The header that it sets, in lower case; None for a parameter of the query."""
        self.parameter = definition.template.parameter
        """The parameter of the query that it sets; None for a header."""
        self._definition = definition
        self._secret = secret

    def covers(self, scheme: str, host: str, port: int) -> bool:
        """Return True if it may be sent there: over https, or with ``private`` over http.

        The caller must check that a plain http request goes to an address that is not public.
        """
        if scheme != "https" and not (scheme == "http" and self.private):
            return False
        found = normal(host)
        return found is not None and any(one.covers(scheme, found, port) for one in self._definition.hosts)

    async def secret(self) -> str:
        """Return the secret as it is now. Raise CredentialUnavailable with a sentence without the secret."""
        return await self._secret()

    def apply(self, secret: str, headers: Mapping[str, str], path: str) -> tuple[dict[str, str], str]:
        """Return headers and path (with the query) of a request that carries the secret. Raise TemplateConflict."""
        return self._definition.template.apply(secret, headers, path)


class Credentials:
    """The credentials of a process. Each secret that was read is masked, also after its rotation."""

    def __init__(
        self, path: Path | None = None, mask: Mask | None = None, *, monotonic: Callable[[], float] | None = None
    ) -> None:
        """Read the credentials file, its secret files and variables. Commands run with the first use.

        Without a path there are no credentials. Raise ConfigError.
        """
        self._path = path
        self._mask = mask or Mask()
        self._monotonic = monotonic or SystemClock().monotonic
        self._problems: Problems | None = None
        self._close: Callable[[Iterable[Path]], object] = lambda paths: None
        self._entries: dict[str, tuple[CredentialDefinition, Secret]] = {}
        self._reloading = anyio.Lock()
        if path is not None:
            self._entries = self._loaded(read_definitions(path))

    @property
    def configured(self) -> bool:
        """True if this process has a credentials file."""
        return self._path is not None

    @property
    def names(self) -> frozenset[str]:
        """The names of the credentials."""
        return frozenset(self._entries)

    @property
    def files(self) -> tuple[Path, ...]:
        """The credentials file and the secret files, which tools may not reach."""
        secrets = (secret.source for _, secret in self._entries.values())
        return (*([self._path] if self._path else []), *(one.path for one in secrets if isinstance(one, FileSource)))

    def find(self, name: str) -> Credential | None:
        """Return a credential, or None if the file has none of this name."""
        found = self._entries.get(name)
        return None if found is None else Credential(found[0], found[1].value)

    def connect(self, problems: Problems, close: Callable[[Iterable[Path]], object]) -> None:
        """Report failures to ``problems``, and files that tools may not reach to ``close``, now and after reloads."""
        self._problems, self._close = problems, close
        close(self.files)

    async def reload(self) -> None:
        """Read the file again. If it is bad, the old credentials stay, and the health has a problem."""
        path = self._path
        if path is None:
            return
        async with self._reloading:
            try:
                entries = await asyncio.to_thread(lambda: self._loaded(read_definitions(path)))
            except ConfigError as error:
                self.failed("", error.message)
                return
            for name in self._entries.keys() - entries.keys():
                self.works(name)
            self._entries = entries
            self._close(self.files)
            self.works("")

    def _loaded(
        self, definitions: Mapping[str, CredentialDefinition]
    ) -> dict[str, tuple[CredentialDefinition, Secret]]:
        """Return the entries. A source that has not changed keeps its secret. Raise ConfigError."""
        entries = {}
        for name, definition in definitions.items():
            known = self._entries.get(name)
            if known is not None and known[0].source == definition.source:
                entries[name] = (definition, known[1])
                continue
            value = None
            if not isinstance(definition.source, CommandSource):
                try:
                    value = definition.source.read()
                except SecretUnavailable as error:
                    raise ConfigError(f"ATHENA_CREDENTIALS_FILE: credentials.{name}.secret: {error}") from None
                self.learn(name, value)
            entries[name] = (definition, Secret(definition, self, value, self._monotonic))
        return entries

    def learn(self, name: str, value: str) -> None:
        """Mask a secret from now on."""
        self._mask.learn(f"credential:{name}", value)

    def failed(self, key: str, reason: str) -> None:
        """Report that a credential, or with an empty key the file, could not be read."""
        if self._problems is not None:
            place = f"Credential {key!r}: {reason}" if key else reason
            self._problems.report(LOOP, CredentialUnavailable(place), key)

    def works(self, key: str) -> None:
        """Report that a credential, or with an empty key the file, was read."""
        if self._problems is not None:
            self._problems.recovered(LOOP, key)
