"""Stored events of programs that take part in a run: outside agents and MCP servers."""

from typing import Annotated, ClassVar

from athena_core.enums import AgentSessionStart, McpTransport
from athena_core.event import Event, Shows, says

FREES_NOTHING = "it occupies and frees nothing"

# Stored events. Their TYPE is storage: never rename one.


class AgentAttached(Event):
    """An outside agent took up the run: in a session of its own that is new, or that it resumed.

    ``replayed``: its old session could not be resumed, so a new one was given the recorded conversation. ``mode`` is
    the mode that Athena ordered, ``model`` the model that the agent was given.
    """

    TYPE: ClassVar[str] = "agent.attached"
    SHOWS: ClassVar[Shows] = Shows(
        explain=True,
        simulate=FREES_NOTHING,
        console=True,
    )
    agent: Annotated[str, says("Name of the agent.")]
    agent_version: str
    protocol_version: int
    agent_session_id: str
    how: AgentSessionStart
    model: str
    mode: Annotated[str | None, says("Mode of the session, in the agent's words; absent without one.")] = None


class McpAttached(Event):
    """An MCP server was started for the run, or contacted, once for each start.

    ``tools`` is the number of tools that it listed. ``shared``: one process works for all runs of its executor.
    ``refused`` are the listed tools of the profile that changed since they were accepted, or are new.
    """

    TYPE: ClassVar[str] = "mcp.attached"
    SHOWS: ClassVar[Shows] = Shows(
        views="the page of the run folds it from the run's events", explain=True, simulate=FREES_NOTHING, console=True
    )
    server: str
    transport: McpTransport
    protocol_version: str
    tools: int
    shared: bool | None = None
    refused: tuple[str, ...] | None = None
