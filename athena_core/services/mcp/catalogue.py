"""The catalogue of MCP servers: their last listing and the accepted tools, folded from the log in memory.

A run is bound to the accepted tools when it is created. So a server that describes a tool otherwise later, or adds one,
cannot change what a model reads and may call, until an operator accepts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from athena_core.decider import Context, Key, Outcome, Reader, facts_of
from athena_core.definitions.mcp_tools import offered
from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import mcp_server
from athena_core.domain.mcp_server import (
    MCP_SERVER_GUARD,
    AcceptTools,
    HashedTool,
    McpServerAccepted,
    McpServerListed,
    McpServerState,
    NoteListing,
)
from athena_core.enums import McpToolState
from athena_core.event import Meta, Position
from athena_core.log.codec import Codec
from athena_core.log.port import BoundedReader
from athena_core.log.submission import Committed
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.mcp.listed_tool import McpTool
from athena_core.protocols import Row

TYPES = frozenset((McpServerListed.TYPE, McpServerAccepted.TYPE))
Pins = Mapping[str, Mapping[str, str]]
"""The SHA-256 of tools, by server and tool."""


class CataloguedServer:
    """An MCP server that was listed at least once. ``version`` is the number of its events.

    Times are in milliseconds since 1970.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = 0
        self.state = McpServerState()
        self.info: Mapping[str, Any] = {}
        """What the server says about itself, such as its name and version."""
        self.listed_at = 0
        self.accepted_at: int | None = None
        self.accepted_by: str | None = None
        self.note: str | None = None
        """The note of the last acceptance."""
        self._definitions: dict[str, McpTool] = {}
        """Listed and accepted tools by their hash. Erased ones are missing."""

    @property
    def accepted(self) -> Mapping[str, str]:
        """The hash of each accepted tool."""
        return self.state.accepted

    @property
    def listed(self) -> Mapping[str, HashedTool]:
        """The tools of the last listing."""
        return {tool.name: tool for tool in self.state.listed.tools} if self.state.listed else {}

    @property
    def protocol_version(self) -> str:
        """The version of the protocol that the last listing was made with."""
        return self.state.listed.protocol_version if self.state.listed else ""

    @property
    def listing_sha256(self) -> str:
        """The hash of the last listing."""
        return mcp_server.listing_sha256(self.state.listed.tools if self.state.listed else ())

    @property
    def complete(self) -> bool:
        """False if the text of a listed tool was erased."""
        return all(tool.sha256 in self._definitions for tool in self.listed.values())

    def definition(self, sha256: str | None) -> McpTool | None:
        """Return a listed or accepted tool by its hash; None if it is unknown or erased."""
        return self._definitions.get(sha256 or "")

    def allows(self, tool: str, sha256: str, pin: str | None = None) -> bool:
        """Return True if a tool may be called that a server describes with this hash, in a run bound to ``pin``."""
        return sha256 in {pin, self.accepted.get(tool)}

    def states(self) -> dict[str, McpToolState]:
        """Return the state of each tool, listed ones first."""
        states: dict[str, McpToolState] = {}
        for name, tool in self.listed.items():
            accepted = self.accepted.get(name)
            states[name] = "new" if accepted is None else "accepted" if accepted == tool.sha256 else "changed"
        return states | {name: "removed" for name in self.accepted if name not in states}

    def take(self, event: object, version: int, at: int) -> None:
        """Apply an event with its text."""
        self.version = version
        match event:
            case McpServerListed():
                self.state = mcp_server.evolve(self.state, event)
                self.listed_at = at
                self.info = msgspec.json.decode(event.server_info or "{}", type=dict[str, Any])
                for tool in msgspec.json.decode(event.definitions or "[]", type=tuple[McpTool, ...]):
                    self._definitions[tool.sha256] = tool
            case McpServerAccepted():
                self.state = mcp_server.evolve(self.state, event)
                self.accepted_at, self.accepted_by, self.note = at, event.by, event.note
        used = {*self.accepted.values(), *(tool.sha256 for tool in self.listed.values())}
        self._definitions = {sha256: tool for sha256, tool in self._definitions.items() if sha256 in used}

    def recall(self, event: object) -> None:
        """Take the definitions of another listing that have a hash in use, for those that were erased in their own."""
        if isinstance(event, McpServerListed):
            used = {*self.accepted.values(), *(tool.sha256 for tool in self.listed.values())}
            for tool in msgspec.json.decode(event.definitions or "[]", type=tuple[McpTool, ...]):
                if tool.sha256 in used:
                    self._definitions[tool.sha256] = tool


class ServerListing(NamedTuple):
    """The answer of a server to the request for its tools."""

    protocol_version: str
    tools: Sequence[McpTool]
    info: Mapping[str, Any]

    def event(self, server: str) -> McpServerListed:
        """Return the listing as it is recorded."""
        listed = (HashedTool(name=one.name, sha256=one.sha256, read_only=one.read_only or None) for one in self.tools)
        return McpServerListed(
            server=server,
            protocol_version=self.protocol_version,
            tools=tuple(listed),
            definitions=msgspec.json.encode(self.tools).decode(),
            server_info=msgspec.json.encode(self.info).decode(),
        )


class PastCatalogue:
    """The MCP servers as they were in the log at a position. ``until`` bounds the first listing of a server."""

    def __init__(self, codec: Codec, log: BoundedReader, position: Position, until: Position) -> None:
        self._codec = codec
        self._log = log
        self._position = position
        self._until = until
        self._servers: dict[str, CataloguedServer | None] = {}

    def find(self, name: str) -> CataloguedServer | None:
        """Return a server; None if it was not listed."""
        if name not in self._servers:
            self._servers[name] = self._read(name)
        return self._servers[name]

    def _read(self, name: str) -> CataloguedServer | None:
        server = CataloguedServer(name)
        for row in self._log.stream(mcp_server.stream_of(name)):
            recorded = self._codec.decode(row)
            if row.position <= (self._position if server.version else self._until):
                server.take(recorded.event, row.version, recorded.at)
            else:
                server.recall(recorded.event)
        return server if server.version else None


class McpCatalogue:
    """The MCP servers that were listed, on the event loop. It follows the log, so each process has the same one."""

    def __init__(self, log: Log, tail: Tail) -> None:
        self._log = log
        self._reader = log.reader()
        self._servers: dict[str, CataloguedServer] = {}
        tail.subscribe(self._follow, TYPES)

    def names(self) -> list[str]:
        """Return the names of all servers that were ever listed."""
        return sorted(key for _, key, _ in self._reader.guards(MCP_SERVER_GUARD))

    def find(self, name: str) -> CataloguedServer | None:
        """Return a server; None if it was never listed. Only its first use reads the log."""
        known = self._servers.get(name)
        return self.current(name) if known is None else known

    def current(self, name: str) -> CataloguedServer | None:
        """Return a server as of the head of the log; None if it was never listed."""
        server = self._servers.get(name) or CataloguedServer(name)
        self._take(server, self._reader.stream(mcp_server.stream_of(name), server.version))
        if not server.version:
            return None
        self._servers[name] = server
        return server

    def pins(self, profile: HarnessSpec | None) -> dict[str, dict[str, str]] | None:
        """Return the accepted tools that a profile names, by server; without a server that was never listed."""
        pins = {}
        for name, policy in ((profile and profile.mcp) or {}).items():
            server = self.find(name)
            if server is not None:
                accepted = server.accepted.items()
                pins[name] = {tool: sha256 for tool, sha256 in accepted if offered(policy, tool)}
        return pins or None

    async def note(
        self, name: str, listing: ServerListing, meta: Meta, key: Key | None = None, *, limited: bool = True
    ) -> CataloguedServer:
        """Record a listing if it differs from the last one, and return the server.

        ``limited``: at most ``LISTINGS_MAX`` listings are recorded until an operator accepts one. So the last recorded
        listing may not be this one.
        """
        known = self.find(name)
        again = known is not None and not known.complete
        command = NoteListing(listed=listing.event(name), limited=limited, again=again)
        await self._submit(name, command, meta, key)
        server = self.current(name)
        if server is None:
            raise AssertionError("a listing that was recorded is in the log")
        return server

    async def accept(self, command: AcceptTools, meta: Meta, key: Key | None) -> Committed:
        """Accept tools; the subject of the commit is the server.

        Raise NotFound if it was never listed, McpListingChanged, and ConfigError for a tool that is not listed.
        """
        done = await self._submit(command.server, command, meta, key)
        self.current(command.server)
        return done

    async def _submit(self, name: str, command: NoteListing | AcceptTools, meta: Meta, key: Key | None) -> Committed:
        stream = mcp_server.stream_of(name)

        def transaction(reader: Reader, context: Context) -> Outcome:
            events = mcp_server.decide(command, reader.state(mcp_server.DECIDER, stream), context)
            return Outcome(facts=facts_of(stream, events), subject=name)

        return await self._log.submit(transaction, meta, key)

    def forget(self) -> None:
        """Forget all servers, because text was erased. They are read again from the log."""
        self._servers.clear()

    def _follow(self, rows: Sequence[Row]) -> None:
        for name in {row.stream.partition(":")[2] for row in rows} & self._servers.keys():
            known = self._servers[name]
            mine = [row for row in rows if row.stream == mcp_server.stream_of(name) and row.version > known.version]
            if mine and mine[0].version != known.version + 1:
                self._servers.pop(name)  # its next use reads the log
            else:
                self._take(known, mine)

    def _take(self, server: CataloguedServer, rows: Iterable[Row]) -> None:
        for row in rows:
            recorded = self._log.codec.decode(row)
            server.take(recorded.event, row.version, recorded.at)

    def close(self) -> None:
        self._reader.close()
