"""The MCP server: the tools that it listed, and the ones that an operator accepted."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import msgspec
from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.errors import ConfigError, McpListingChanged, NotFound
from athena_core.event import Event, Guard, Recorded, Shows, Text, Value, says

LISTINGS_MAX = 20
"""Maximum number of listings that runs record of a server after the last acceptance. An operator's check adds more."""

MCP_SERVER_GUARD = "mcp-server"
"""The guard kind of servers that were listed. Its rows hold the position of the server's last event, by server."""

IN_MEMORY = "the catalogue of MCP servers, in memory, serves it"

# Stored events. Their TYPE is storage: never rename one.


class HashedTool(Value):
    """A listed tool. ``sha256`` covers its name, description, schemas and annotations; ``read_only`` is a hint."""

    name: str
    sha256: str
    read_only: bool | None = None


class McpServerListed(Event):
    """An MCP server listed other tools than before. The first list counts as accepted, as the operator registered it.

    ``definitions`` are the tools, and ``server_info`` the name and version of the server, both as JSON by the server.
    """

    TYPE: ClassVar[str] = "mcp-server.listed"
    SHOWS: ClassVar[Shows] = Shows(views=IN_MEMORY, console=True)
    server: str
    protocol_version: str
    tools: tuple[HashedTool, ...]
    definitions: Text = None
    server_info: Text = None

    @property
    def hashes(self) -> dict[str, str]:
        """The SHA-256 of each tool, by name."""
        return {tool.name: tool.sha256 for tool in self.tools}


class McpServerAccepted(Event):
    """An identity accepted tools of an MCP server. ``tools`` are all that are accepted since, as SHA-256 by name."""

    TYPE: ClassVar[str] = "mcp-server.accepted"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    server: str
    tools: dict[str, str]
    by: Annotated[str, says("Identity that accepted the tools.")]
    note: Text = None


# State


class McpServerState(Value):
    """The last listing without its text, and the accepted tools as SHA-256 by name.

    ``listings`` counts those since the last acceptance.
    """

    listed: McpServerListed | None = None
    accepted: dict[str, str] = {}
    listings: int = 0


def evolve(state: McpServerState, event: Event) -> McpServerState:
    match event:
        case McpServerListed():
            accepted = event.hashes if state.listed is None else state.accepted
            listed = replace(event, definitions=None, server_info=None)
            return replace(state, listed=listed, accepted=accepted, listings=state.listings + 1)
        case McpServerAccepted():
            return replace(state, accepted=event.tools, listings=0)
        case _:
            return state


def stream_of(server: str) -> str:
    """Return the stream of a server."""
    return f"mcp:{server}"


def listing_sha256(tools: Iterable[HashedTool]) -> str:
    """Return the hash of a listing, in hex, by which an operator names what he saw. Any order of tools has the same."""
    pairs = sorted((tool.name, tool.sha256) for tool in tools)
    return hashlib.sha256(msgspec.json.encode(pairs)).hexdigest()


# Guards


def _guard(recorded: Recorded[McpServerListed] | Recorded[McpServerAccepted]) -> tuple[Guard, ...]:
    return (Guard(kind=MCP_SERVER_GUARD, key=recorded.event.server, value=(recorded.position,)),)


# Commands


class NoteListing(Value):
    """Record a listing if it differs from the last one. ``limited`` is False for the check of an operator.

    ``again``: record it anyhow, because the text of the last one was erased.
    """

    listed: McpServerListed
    limited: bool = True
    again: bool = False


class AcceptTools(Value):
    """Accept the tools of the last listing, which has this hash; with ``names`` only these, beside the others."""

    server: str
    listing_sha256: str
    by: str
    names: tuple[str, ...] | None = None
    note: str | None = None


def decide(command: NoteListing | AcceptTools, state: McpServerState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it changes nothing.

    Raise NotFound if the server was never listed, McpListingChanged, and ConfigError for a tool that is not listed.
    """
    match command:
        case NoteListing(listed=listed):
            last = state.listed
            same = last is not None and (last.hashes, last.protocol_version) == (
                listed.hashes,
                listed.protocol_version,
            )
            if (same and not command.again) or (command.limited and state.listings >= LISTINGS_MAX):
                return ()
            return (listed,)
        case AcceptTools():
            return _accept(command, state)


def _accept(command: AcceptTools, state: McpServerState) -> tuple[Event, ...]:
    listed = state.listed
    if listed is None:
        raise NotFound(f"MCP server {command.server!r} was never listed")
    if listing_sha256(listed.tools) != command.listing_sha256:
        raise McpListingChanged(f"MCP server {command.server!r} lists other tools since. Look at them, then accept.")
    hashes: Mapping[str, str] = listed.hashes
    if command.names is None:
        tools = dict(hashes)
    else:
        for index, name in enumerate(command.names):
            if name not in hashes:
                raise ConfigError.of(f"tools[{index}]", f"{name!r} is not listed", "use names of the list")
        tools = state.accepted | {name: hashes[name] for name in command.names}
    if tools == state.accepted:
        return ()
    return (McpServerAccepted(server=command.server, tools=tools, by=command.by, note=command.note),)


DECIDER: Decider[McpServerState] = Decider(
    category="mcp",
    events=(McpServerListed, McpServerAccepted),
    initial=McpServerState(),
    evolve=evolve,
    occupies={McpServerListed: _guard, McpServerAccepted: _guard},
)
