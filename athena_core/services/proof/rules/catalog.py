"""Rules of things that are created once: sessions, directives, profiles, workflows, templates, notes, kept anchors.

And of MCP servers, whose tools are listed and accepted.
"""

from athena_core.definitions.mcp_tools import approval_of_tool
from athena_core.domain import anchor, directive, memory, profile, run, session, template, workflow, workflow_run
from athena_core.domain.mcp_server import McpServerAccepted, McpServerListed, stream_of
from athena_core.enums import Approval
from athena_core.event import Event
from athena_core.mcp.tool_names import public_name
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, follow, rule

CREATED: tuple[type[Event], ...] = (
    session.SessionCreated,
    directive.DirectiveCreated,
    profile.HarnessProfileCreated,
    workflow.WorkflowCreated,
    workflow_run.WorkflowRunCreated,
    template.RunTemplateCreated,
    memory.MemoryRecorded,
)


class CatalogRules(RuleSet):
    """The versions of run templates; the other nouns need only the versions of their streams."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}

    @rule(*CREATED)
    def created(self, row: Row, event: Event) -> str | None:
        """A created event is the first event of its stream."""
        return None if row.version == 1 else f"{row.type} of {row.stream}, which already existed"

    @rule(template.RunTemplateCreated, template.RunTemplateUpdated)
    def templates(self, row: Row, event: template.RunTemplateCreated | template.RunTemplateUpdated) -> str | None:
        """The versions of a run template are 1, 2, 3 and so on."""
        due = self._versions.get(row.stream, 0) + 1
        return None if event.version == due else f"{row.stream} has version {event.version}; expected {due}"

    @follow(template.RunTemplateCreated, template.RunTemplateUpdated)
    def advance(self, row: Row, event: template.RunTemplateCreated | template.RunTemplateUpdated) -> None:
        self._versions[row.stream] = event.version


class AnchorRules(RuleSet):
    """The anchors of other logs; these rules need no state."""

    @rule(*anchor.DECIDER.events)
    def anchors(self, row: Row, event: Event) -> str | None:
        """An anchor is the first event of the stream of its log and position; conflicts with it follow."""
        assert isinstance(event, anchor.AnchorKept | anchor.AnchorConflicted)
        stream = anchor.stream_of(event.log_id, event.position)
        if row.stream != stream:
            return f"{row.type} of {stream} is in stream {row.stream}"
        legal = (row.version == 1) == isinstance(event, anchor.AnchorKept)
        return None if legal else f"{row.type} is event {row.version} of {stream}; only event 1 is an anchor.kept"


class McpServerRules(RuleSet):
    """The tools that MCP servers listed and that were ever accepted, as pairs of name and SHA-256, by server.

    And the approval of each tool that an open run is bound to, by its public name.
    """

    def __init__(self) -> None:
        self._approvals: dict[str, dict[str, Approval]] = {}
        self._unasked: dict[str, set[str]] = {}
        """Calls of open runs that were not asked for, although the profile demands that."""
        self._listed: dict[str, set[tuple[str, str]]] = {}
        self._accepted: dict[str, set[tuple[str, str]]] = {}

    @rule(McpServerListed, McpServerAccepted)
    def mcp_servers(self, row: Row, event: McpServerListed | McpServerAccepted) -> str | None:
        """An MCP server has one stream, and its accepted tools were listed before."""
        if row.stream != stream_of(event.server):
            return f"{row.type} of {event.server} is in stream {row.stream}"
        if isinstance(event, McpServerAccepted):
            unknown = event.tools.items() - self._listed.get(event.server, set())
            if unknown:
                return f"{event.server} had not listed {', '.join(sorted(name for name, _ in unknown))} as accepted"
        return None

    @rule(run.RunCreated, run.RunQueued)
    def mcp_pins(self, row: Row, event: run.RunCreated | run.RunQueued) -> str | None:
        """A run is bound to tools of its profile's MCP servers that were accepted before."""
        named = event.harness_profile_snapshot.mcp or {}
        for server, tools in (event.mcp_tools or {}).items():
            if server not in named:
                return f"{row.stream} is bound to tools of the MCP server {server}, which its profile does not name"
            unknown = tools.items() - self._accepted.get(server, set())
            if unknown:
                names = ", ".join(sorted(name for name, _ in unknown))
                return f"{row.stream} is bound to tools of the MCP server {server} that were not accepted: {names}"
        return None

    @rule(run.TranscriptAppended)
    def mcp_approvals(self, row: Row, event: run.TranscriptAppended) -> str | None:
        """A call of a tool of an MCP server has a result only if the profile allows it, or a person was asked.

        A run that ends with a turn keeps the calls of that turn as they were requested, without results.
        """
        if event.kind != "tool-result" or event.tool_call_id not in self._unasked.get(row.stream, ()):
            return None
        return f"{row.stream} made the call {event.tool_call_id}, but its profile demands an ask or denies it"

    @follow(run.ToolCalled)
    def request(self, row: Row, event: run.ToolCalled) -> None:
        """Record a call that was not asked for, although the profile demands that."""
        approval = self._approvals.get(row.stream, {}).get(event.tool_name or "", "allow")
        if event.refused is None and (approval == "deny" or (approval == "ask" and event.ask_id is None)):
            self._unasked.setdefault(row.stream, set()).add(event.tool_call_id)

    @follow(run.RunCreated)
    def bind(self, row: Row, event: run.RunCreated) -> None:
        """Record the approvals of the tools that a run is bound to."""
        named = event.harness_profile_snapshot.mcp or {}
        approvals = {
            public_name(server, tool): approval_of_tool(named[server], tool)
            for server, tools in (event.mcp_tools or {}).items()
            if server in named
            for tool in tools
        }
        if approvals:
            self._approvals[row.stream] = approvals

    @follow(*run.ENDINGS)
    def end(self, row: Row, event: Event) -> None:
        self._approvals.pop(row.stream, None)
        self._unasked.pop(row.stream, None)

    @follow(McpServerListed, McpServerAccepted)
    def advance(self, row: Row, event: McpServerListed | McpServerAccepted) -> None:
        if isinstance(event, McpServerListed):
            if event.server not in self._listed:
                self._accepted.setdefault(event.server, set()).update(event.hashes.items())
            self._listed.setdefault(event.server, set()).update(event.hashes.items())
        else:
            self._accepted.setdefault(event.server, set()).update(event.tools.items())
