"""Operations on outside agents: the registered ones, and the processes that work for this server."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from athena_api.endpoint.operation import ApiCall, NoBody, NoQuery, Noun, Operation, Reply
from athena_core.agents.known import AgentResume, AgentWire, KnownAgent
from athena_core.clock import iso
from athena_core.event import Value, says
from athena_core.values import Identity, Role

if TYPE_CHECKING:
    from athena_api.plane import ControlPlane


class RegisteredAgent(Value):
    """An outside agent in this server's file.

    ``provider`` serves its model calls. Athena orders ``mode``, and in a sandbox ``boxedMode`` if it is given.
    ``model`` is the model of profiles that `athena run --agent` makes. ``missing`` is what this machine lacks to start
    the agent, for roles that may create profiles.
    """

    name: str
    wire: Annotated[AgentWire, says("API that it asks models with.")]
    provider: Annotated[str, says("Provider that serves its model calls.")]
    resume: Annotated[
        AgentResume, says("Whether it takes up a session of a killed process: always, if it was idle, or never.")
    ]
    installed: Annotated[bool, says("True if this machine can start it.")]
    mode: Annotated[str | None, says("Mode that Athena orders.")] = None
    boxed_mode: Annotated[str | None, says("Mode that Athena orders in a sandbox; absent if it is the same.")] = None
    model: Annotated[str | None, says("Model of profiles that `athena run --agent` makes; absent if none is set.")] = (
        None
    )
    missing: Annotated[
        tuple[str, ...] | None,
        says("What this machine lacks to start it, for who may create profiles; absent if nothing."),
    ] = None


class LiveAgentProcess(Value):
    """A process of an outside agent that works on a run of this server.

    ``memoryBytes`` is its resident memory with all that it started, a few seconds ago. A process that is ``waiting``
    waits for answers of people.
    """

    agent: Annotated[str, says("Name of the agent.")]
    run_id: str
    session_id: str
    since: Annotated[str, says("When the process started.")]
    memory_bytes: Annotated[int, says("Resident memory of the process and all that it started, a few seconds ago.")]
    waiting: Annotated[bool, says("True if it waits for answers of people.")]


class AgentList(Value):
    """The outside agents of this server, and their processes, oldest first.

    ``memoryBytes`` is the memory of all processes, ``memoryBytesMax`` its limit, if there is one.
    """

    agents: Annotated[tuple[RegisteredAgent, ...], says("The registered agents, by name.")]
    live: Annotated[
        tuple[LiveAgentProcess, ...], says("Processes of agents that work on runs of this server, oldest first.")
    ]
    memory_bytes: Annotated[int, says("Memory of all processes, a few seconds ago.")]
    memory_bytes_max: Annotated[int | None, says("Limit of this memory; absent without one.")] = None


async def list_agents(plane: "ControlPlane", call: ApiCall[NoBody, NoQuery]) -> Reply:
    """List the outside agents that are registered on this server, and their living processes with their memory."""
    live, creates = plane.live_agents, call.who.role.reaches(Role.OPERATOR)
    registered = await plane.agents.looked_at()
    agents = AgentList(
        agents=tuple(_shown(plane, agent, missing, creates) for agent, missing in registered),
        live=tuple(_live(plane, call.who)),
        memory_bytes=live.memory_bytes,
        memory_bytes_max=live.bytes_max,
    )
    return Reply(data=agents, position=call.position)


def _shown(plane: "ControlPlane", agent: KnownAgent, missing: Sequence[str], creates: bool) -> RegisteredAgent:
    settings, provider = plane.settings, agent.provider
    default = settings.default_model if settings.default_provider == provider else None
    return RegisteredAgent(
        name=agent.name,
        wire=agent.wire,
        provider=provider,
        resume=agent.resume,
        installed=not missing,
        mode=agent.mode,
        boxed_mode=agent.boxed_mode,
        model=agent.model or default or None,
        missing=tuple(missing) if missing and creates else None,
    )


def _live(plane: "ControlPlane", who: Identity) -> list[LiveAgentProcess]:
    return [
        LiveAgentProcess(
            agent=one.agent,
            run_id=one.run_id,
            session_id=one.session_id,
            since=iso(one.since),
            memory_bytes=one.memory_bytes,
            waiting=one.asks.held_since is not None,
        )
        for one in plane.live_agents
        if who.scope is None or who.scope.shows(one.session_id, one.run_id)
    ]


row = Noun("core").row

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    row(
        "agents.list",
        "GET /agents",
        list_agents,
        answer=AgentList,
        command="agents list",
        narrows={"sessions", "runs"},
    ),
)
