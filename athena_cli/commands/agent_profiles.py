"""The profile of `athena run --agent`: one that exists for the outside agent, or a new one from the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from athena_cli import render
from athena_cli.exit_codes import Failed, Misused
from athena_cli.output.ask_text import visible

if TYPE_CHECKING:
    from athena_cli.transport import Transport

Record: TypeAlias = dict[str, Any]
Kind = Literal["read", "edit", "delete", "move", "search", "execute", "think", "fetch", "other", "all"]

TIMEOUT_MS, RETRY_LIMIT, BUDGET_USD = 1_800_000, 2, 5.0
BOXED_KINDS = ("read", "search", "think")
"""Kinds of calls that need no permission in a sandbox: it shows only the system and the workspace of the run."""
UNSAFE = "Warning: without a sandbox, the agent and its tools can reach everything that the server's user can reach."


@Parameter(name="*", group="Outside agent")
@dataclass(frozen=True)
class AgentOptions:
    """The outside agent of a run."""

    agent: Annotated[str | None, Parameter(metavar="NAME")] = None
    """Outside agent that works on the run, with its newest profile or a new one."""

    allow: Annotated[tuple[Kind, ...], Parameter(negative="", show_default=False)] = ()
    """Kind of tool calls to allow without a question; may be repeated."""

    sandbox: Annotated[Literal["required", "off"] | None, Parameter(show_default=False)] = None
    """`off` starts the agent without a sandbox."""


def profile_name(agent: str) -> str:
    """Return the name of profiles that this command makes."""
    return f"{agent} (athena run)"


async def profile_of(transport: "Transport", options: AgentOptions, model: str | None) -> str:
    """Return the id of the profile for a run. Raise Failed or Misused.

    Without options it is the newest profile of the agent that this command did not make. A profile that it made is used
    for equal options only, so rights that a person gave to one run are not given to the next one.
    """
    import msgspec

    name = options.agent or ""
    agent = await _agent(transport, name)
    page = msgspec.json.decode(await transport.request("listHarnessProfiles", query={"limit": "500"}))
    profiles = [profile for profile in page["items"] if (profile.get("agent") or {}).get("name") == name]
    if not options.allow and options.sandbox is None and model is None:
        for profile in profiles:
            if profile["displayName"] != profile_name(name):
                return _chosen(profile)
    wanted = _wanted(agent, options, model)
    for profile in profiles:
        if wanted.items() <= profile.items():
            return _chosen(profile)
    created = msgspec.json.decode(await transport.request("createHarnessProfile", body=wanted))
    return _chosen(created, new=True)


async def _agent(transport: "Transport", name: str) -> Record:
    """Return a registered agent. Raise Failed or Misused."""
    import msgspec

    agents: list[Record] = msgspec.json.decode(await transport.request("listAgents"))["agents"]
    for agent in agents:
        if agent["name"] == name:
            if not agent["installed"]:
                lacks = "; ".join(agent.get("missing") or ()) or "it is not installed"
                render.note(f"Warning: this server cannot start {name}: {visible(lacks)}")
            return agent
    if not agents:
        raise Failed("no outside agent is registered", "set ATHENA_AGENTS: docs/reference/agents.md")
    known = ", ".join(agent["name"] for agent in agents)
    raise Misused(f"--agent: no agent {visible(name)!r} is registered", f"give one of {known}")


def _wanted(agent: Record, options: AgentOptions, model: str | None) -> Record:
    """Return the body of a profile with the options and, where they are absent, the defaults. Raise Misused."""
    from athena_core.providers.prices import Prices

    provider, model = agent["provider"], model or agent.get("model")
    if model is None:
        remedy = f"give --model NAME, or set `model` of agents.{agent['name']} in the server's file of agents"
        raise Misused(f"no model of {provider} is set for the agent {agent['name']}", remedy)
    boxed = options.sandbox != "off"
    return {
        "displayName": profile_name(agent["name"]),
        "version": "v1",
        "config": {"provider": provider, "model": model, "tools": ["ask_user"]},
        "policies": {
            "timeoutMs": TIMEOUT_MS,
            "retryLimit": RETRY_LIMIT,
            "budgetUsd": BUDGET_USD if Prices.load().knows(provider, model) else 0,
        },
        "sandbox": {"mode": "required" if boxed else "off"},
        "workspace": "session",
        "agent": {"name": agent["name"], **_permissions(options.allow, boxed=boxed)},
    }


def _permissions(kinds: tuple[Kind, ...], *, boxed: bool) -> Mapping[str, Any]:
    """Return the rules of the calls that need no permission."""
    if "all" in kinds:
        return {"permissions": [{"match": {}, "approval": "allow"}]}
    allowed = dict.fromkeys((*(BOXED_KINDS if boxed else ()), *kinds))
    rules = [{"match": {"kind": kind}, "approval": "allow"} for kind in allowed]
    return {"permissions": rules} if rules else {}


def _chosen(profile: Record, *, new: bool = False) -> str:
    """Report the profile of the run, and return its id."""
    config, budget = profile["config"], profile["policies"]["budgetUsd"]
    mode = (profile.get("sandbox") or {}).get("mode")
    parts = (
        f"{visible(config['provider'])} {visible(config['model'])}",
        f"sandbox {mode}",
        f"budget ${budget:.2f}" if budget else "no budget",
    )
    made = "Created the profile" if new else "Profile"
    render.note(f"{made} {visible(profile['displayName'])} ({profile['id']}): {', '.join(parts)}")
    if mode == "off":
        render.note(UNSAFE)
    return str(profile["id"])
