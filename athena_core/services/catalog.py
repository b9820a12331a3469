"""The catalog: directives and harness profiles, created once and read by runs."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from athena_core import schema
from athena_core.clock import Ids
from athena_core.decider import Context, Key, Reader, facts_of, transact
from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import directive, profile
from athena_core.errors import ConfigError
from athena_core.event import Event, Fact, Meta
from athena_core.log.submission import Committed
from athena_core.log.writer import Log

E = TypeVar("E", bound=Event)


class Catalog:
    """Creates directives and harness profiles, and finds them for runs."""

    def __init__(
        self,
        log: Log,
        ids: Ids,
        providers: frozenset[str],
        credentials: Callable[[], frozenset[str] | None] = lambda: None,
        agents: Callable[[], Mapping[str, str] | None] = lambda: None,
        mcp_servers: Callable[[], frozenset[str] | None] = lambda: None,
        check: Callable[[HarnessSpec], None] = lambda _: None,
    ) -> None:
        """Connect the parts.

        ``credentials`` and ``mcp_servers`` return the names that exist, and ``agents`` the provider of each registered
        agent; None if another process knows them. ``check`` raises ConfigError for a profile that this server refuses.
        """
        self._check = check
        self._log = log
        self._ids = ids
        self._reader = log.reader()
        self._providers = providers
        self._credentials = credentials
        self._mcp_servers = mcp_servers
        self.agents = agents
        """Returns the provider of each registered agent; None if another process knows them."""

    async def create_directive(self, spec: directive.DirectiveSpec, meta: Meta, key: Key | None) -> Committed:
        """Create a directive; the subject of the commit is its id."""
        directive_id = self._ids.new("dir")
        command = directive.CreateDirective(directive_id=directive_id, spec=spec, shadow=False)
        create = transact(directive, directive_id, command, subject=directive_id)
        return await self._log.submit(create, meta, key, frozenset((directive_id,)))

    async def create_profile(self, spec: HarnessSpec, meta: Meta, key: Key | None) -> Committed:
        """Create a harness profile; the subject of the commit is its id. Raise ConfigError."""
        normal = profile.normalise_profile(
            spec, self._providers, schema.check, self._credentials(), self.agents(), self._mcp_servers()
        )
        self._check(normal)
        profile_id = self._ids.new("hp")
        command = profile.CreateProfile(harness_profile_id=profile_id, spec=normal)
        create = transact(profile, profile_id, command, subject=profile_id)
        return await self._log.submit(create, meta, key, frozenset((profile_id,)))

    def directive(self, directive_id: str, field: str) -> tuple[directive.DirectiveCreated, int]:
        """Return a directive with its text, and when it was created.

        Raise ConfigError naming ``field`` if it is unknown.
        """
        return self._created(directive.DirectiveCreated, directive_id, field, "directive")

    def profile(self, profile_id: str, field: str) -> tuple[HarnessSpec, int]:
        """Return a harness profile, and when it was created. Raise ConfigError naming ``field`` if it is unknown."""
        created, at = self._created(profile.HarnessProfileCreated, profile_id, field, "harness profile")
        return created.profile, at

    def _created(self, kind: type[E], record_id: str, field: str, noun: str) -> tuple[E, int]:
        for row in self._reader.stream(record_id):
            recorded = self._log.codec.decode(row)
            if isinstance(recorded.event, kind):
                return recorded.event, recorded.at
        raise ConfigError.of(field, f"no {noun} {record_id!r} exists", f"the id of a {noun}")

    def close(self) -> None:
        self._reader.close()


def directive_facts(
    reader: Reader, context: Context, directive_id: str, spec: directive.DirectiveSpec, *, shadow: bool = False
) -> tuple[Fact, ...]:
    """Return the events that create a directive."""
    command = directive.CreateDirective(directive_id=directive_id, spec=spec, shadow=shadow)
    events = directive.decide(command, reader.state(directive.DECIDER, directive_id), context)
    return facts_of(directive_id, events)
