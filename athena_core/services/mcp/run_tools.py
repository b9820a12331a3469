"""The tools of a run: the ones in ``config.tools`` of its profile, and the accepted ones of its MCP servers.

Nothing is started for a list of tools. It comes from the catalogue of listings.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from athena_core.definitions.mcp_tools import approval_of_tool, offered
from athena_core.definitions.profile import HarnessSpec, McpPolicy
from athena_core.enums import Approval
from athena_core.mcp.listed_tool import McpTool
from athena_core.mcp.registered import RegisteredMcpServers
from athena_core.mcp.tool_names import public_name
from athena_core.schema import Schema, SchemaRefused
from athena_core.services.mcp.catalogue import CataloguedServer, Pins
from athena_core.tools.approval import approval_of
from athena_core.tools.refusal import ToolRefused
from athena_core.tools.tool import EVIDENCE, Tool, ToolContext, ToolResult, UnknownTool, tool_evidence
from athena_core.tools.toolbox import ToolRegistry, arguments_of, unknown_tool
from athena_core.values import ToolSpec

LABEL = "evidence"
"""The argument of each tool that attaches its result as evidence."""
ACCEPT = "An operator reads what changed and accepts it: athena mcp-servers accept {server}."


class ChangedTool(ToolRefused):
    """The server offers another tool under this name than an operator has accepted."""


class ServerTool(NamedTuple):
    """A tool of an MCP server, as a run has it. Its arguments may name a label for evidence."""

    server: str
    tool: str
    spec: ToolSpec
    approval: Approval
    repeats: bool
    """True if the operator trusts the server's hint that the tool only reads."""
    labelled: bool
    """True if the argument ``evidence`` is Athena's, not the tool's own."""
    sha256: str
    """The hash of the tool as an operator accepted it."""

    def repeatable(self, arguments: Mapping[str, Any]) -> bool:
        """Return True if an interrupted call may be repeated."""
        return self.repeats

    async def call(self, arguments: Mapping[str, Any], bench: ToolContext) -> ToolResult:
        """Call the tool at its server. Raise ToolRefused."""
        if bench.servers is None:
            raise ToolRefused("MCP servers cannot be called here.")
        label = arguments.get(LABEL) if self.labelled else None
        sent = {name: value for name, value in arguments.items() if not (self.labelled and name == LABEL)}
        answer = await bench.servers.call(self.server, self.tool, sent)
        content, kind = answer.content, "text"
        if answer.structured is not None:
            content, kind = answer.structured, "json"
        return ToolResult(
            content=answer.content,
            is_error=answer.is_error,
            changed=answer.local and not self.repeats,
            truncated=answer.truncated,
            shown=tool_evidence(label, content, "json" if kind == "json" else "text", workspace=answer.local),
        )


class ServerCatalogue(Protocol):
    """The listed MCP servers, now or at another moment."""

    def find(self, name: str) -> CataloguedServer | None:
        """Return a server; None if it was never listed."""


class KnownTools(NamedTuple):
    """The tools of a run's servers by public name, and those that were not accepted, with their server."""

    tools: dict[str, tuple[ServerTool, Schema]]
    unaccepted: dict[str, str]


class RunTools:
    """The tools of one run (``ToolRegistry``)."""

    def __init__(
        self,
        toolbox: ToolRegistry,
        catalogue: ServerCatalogue,
        servers: RegisteredMcpServers,
        profile: HarnessSpec,
        pins: Pins | None,
        running: Mapping[str, Any] = {},
        failed: Mapping[str, Exception] = {},
    ) -> None:
        """``running`` are the servers that run here, with what they list; ``failed`` the errors of other ones."""
        self._toolbox = toolbox
        self._catalogue = catalogue
        self._servers = servers
        self._policies: Mapping[str, McpPolicy] = profile.mcp or {}
        self._pins = pins or {}
        self._running = running
        self._failed = failed
        self._seen: tuple[tuple[int, bool], ...] | None = None
        self._known = KnownTools({}, {})

    @property
    def names(self) -> frozenset[str]:
        """The names of all tools."""
        known = self._look()
        return frozenset((*self._toolbox.names, *known.tools, *known.unaccepted))

    def specs(self, names: Iterable[str]) -> tuple[ToolSpec, ...]:
        """Return the descriptions for the model: of the named tools that exist, and of all tools of the servers."""
        return (*self._toolbox.specs(names), *(tool.spec for tool, _ in self._look().tools.values()))

    def read(self, name: str, arguments: str, names: Iterable[str]) -> tuple[Tool, Mapping[str, Any]]:
        """Return the tool of a call and its parsed arguments. Raise UnknownTool, ChangedTool or BadArguments."""
        known, names = self._look(), tuple(names)
        if name in known.unaccepted:
            raise changed_tool(known.unaccepted[name], name)
        if name not in known.tools:
            try:
                return self._toolbox.read(name, arguments, names)
            except UnknownTool:
                raise self._unknown(name, names) from None
        tool, schema = known.tools[name]
        if not self.allowed(tool.server, tool.tool):
            raise changed_tool(tool.server, name)
        return tool, arguments_of(name, arguments, schema)

    def _unknown(self, name: str, names: Iterable[str]) -> UnknownTool:
        unlisted = (server for server in self._policies if self._catalogue.find(server) is None)
        problems = ((server, self._failed.get(server)) for server in unlisted)
        said = "".join(f"MCP server {server} has no tools: {problem} " for server, problem in problems if problem)
        return unknown_tool(name, [spec.name for spec in self.specs(names)], said)

    def find(self, name: str) -> ServerTool | None:
        """Return the tool of a server with a public name."""
        known = self._look().tools.get(name)
        return known and known[0]

    def server_of(self, name: str) -> str | None:
        """Return the server of a public name that belongs to a tool of a server, accepted or not."""
        tool = self.find(name)
        return self._look().unaccepted.get(name) if tool is None else tool.server

    def allowed(self, server: str, tool: str) -> bool:
        """Return True if a tool of a server may be called as the server describes it now."""
        found = self._catalogue.find(server)
        if found is None:
            return False
        live = self._running[server].listed if server in self._running else None
        if live is None:
            live = {name: listed.sha256 for name, listed in found.listed.items()}
        return tool in live and found.allows(tool, live[tool], self.pin(server, tool))

    def pin(self, server: str, tool: str) -> str | None:
        """Return the hash of a tool as it was accepted when the run was created."""
        return self._pins.get(server, {}).get(tool)

    def refused(self, server: str) -> tuple[str, ...]:
        """Return the tools of a server that the profile names and that must not be called now, sorted."""
        found, policy = self._catalogue.find(server), self._policies[server]
        names = set(
            (server in self._running and self._running[server].listed) or (() if found is None else found.listed)
        )
        return tuple(sorted(name for name in names if offered(policy, name) and not self.allowed(server, name)))

    def erased(self) -> tuple[str, ...]:
        """Return the public names of accepted tools of the servers whose descriptions were erased."""
        found = [server for name in self._policies if (server := self._catalogue.find(name)) is not None]
        return tuple(
            public_name(server.name, tool)
            for server in found
            for tool in server.listed
            if offered(self._policies[server.name], tool)
            and tool in server.accepted
            and server.definition(server.accepted[tool]) is None
        )

    def _look(self) -> KnownTools:
        """Return the tools of the servers. They are looked at again after the catalogue or the registry changed."""
        catalogued = [self._catalogue.find(server) for server in self._policies]
        seen = tuple(
            (0 if found is None else found.version, self._trusted(server))
            for server, found in zip(self._policies, catalogued, strict=True)
        )
        if seen != self._seen:
            self._seen = seen
            self._known = KnownTools({}, {})
            for found in catalogued:
                if found is not None:
                    self._add(found, self._policies[found.name], trusted=self._trusted(found.name))
        return self._known

    def _add(self, found: CataloguedServer, policy: McpPolicy, *, trusted: bool) -> None:
        """Add the tools of a server that the profile names. The model reads what an operator has accepted."""
        for name in found.listed:
            if not offered(policy, name):
                continue
            accepted = found.definition(found.accepted.get(name))
            tool = None if accepted is None else _server_tool(found.name, accepted, policy, trusted=trusted)
            if tool is not None:
                self._known.tools[tool[0].spec.name] = tool
            elif accepted is None:
                self._known.unaccepted[public_name(found.name, name)] = found.name

    def _trusted(self, server: str) -> bool:
        known = self._servers.find(server)
        return known is not None and known.trust_hints


def approval_of_call(tool: Tool, arguments: Mapping[str, Any], profile: HarnessSpec) -> tuple[Approval, str]:
    """Return the approval of a call, and the member of the profile that decides it."""
    if isinstance(tool, ServerTool):
        return tool.approval, f"mcp.{tool.server}"
    name = tool.spec.name
    return approval_of(name, arguments, profile.tool_policies), f"toolPolicies.{name}"


def changed_tool(server: str, name: str) -> ChangedTool:
    """Return the refusal of a call whose tool was changed, or added, after an operator accepted the server's list."""
    return ChangedTool(
        f"MCP server {server} has changed {name}, or added it, and no operator has accepted that. "
        f"The call was not made. {ACCEPT.format(server=server)}"
    )


def _server_tool(server: str, listed: McpTool, policy: McpPolicy, *, trusted: bool) -> tuple[ServerTool, Schema] | None:
    """Return a tool and its schema; None for a schema that cannot be used."""
    parameters = dict(listed.input_schema)
    properties = parameters.get("properties")
    properties = dict(properties) if isinstance(properties, dict) else {}
    labelled = LABEL not in properties
    if labelled:
        parameters["properties"] = {**properties, LABEL: EVIDENCE}
    try:
        schema = Schema(parameters)
    except SchemaRefused:
        return None
    tool = ServerTool(
        server=server,
        tool=listed.name,
        spec=ToolSpec(
            name=public_name(server, listed.name), description=listed.description or "", parameters=parameters
        ),
        approval=approval_of_tool(policy, listed.name),
        repeats=trusted and listed.read_only,
        labelled=labelled,
        sha256=listed.sha256,
    )
    return tool, schema
