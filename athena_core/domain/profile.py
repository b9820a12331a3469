"""The harness profile: an immutable set of a model, its tools and its limits."""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.definitions.profile import (
    AGENT_PROVIDERS,
    AgentMatch,
    AgentPolicy,
    AgentRule,
    Egress,
    FilesMatch,
    FilesPolicy,
    FilesRule,
    HarnessConfig,
    HarnessSpec,
    HttpMatch,
    HttpPolicy,
    HttpRule,
    McpPolicy,
    SandboxPolicy,
    ShellMatch,
    ShellPolicy,
    ShellRule,
    ToolPolicies,
    ToolPolicy,
    VerificationPolicy,
)
from athena_core.errors import ConfigError
from athena_core.event import Event, Shows, Value

HOST = re.compile(r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
RUNS_ANYTHING = re.compile(
    r"(ba|da|z|k|c|tc|fi|a)?sh|git|python[\d.]*|pypy[\d.]*|node(js)?|deno|bun|perl|ruby|php|lua|tclsh|[gm]?awk|sed|osascript"
    r"|env|xargs|nice|nohup|timeout|setsid|stdbuf|sudo|su|doas|ssh|find|make|npm|npx|pnpm|yarn|uv|uvx|pipx?[\d.]*|go|cargo"
    r"|docker|podman|kubectl|busybox|vim?|emacs|less|man|tar"
)
"""Programs that can run any other program, by their arguments or by files of the workspace. No rule may allow them."""


FIELDS: Mapping[str, tuple[str, ...]] = {
    "require-evidence": (),
    "command": ("command",),
    "json-schema": ("schema",),
    "contains": ("contains",),
}
"""The field that each kind of verification policy requires. Only the first kind may have ``evidenceType``."""

OF_THE_KERNEL = ("/proc", "/sys", "/dev", "/run", "/tmp")
"""Directories of which a sandbox has its own; the host's are never shown."""

CREDENTIAL_TOOL = "http"
"""The tool whose requests carry the credentials of a profile."""

SchemaFault = Callable[[Mapping[str, Any]], str | None]
"""A function that returns the problem of a JSON Schema, or None."""

# Stored events. Their TYPE is storage: never rename one.


class HarnessProfileCreated(Event):
    """A harness profile was created."""

    TYPE: ClassVar[str] = "harness-profile.created"
    SHOWS: ClassVar[Shows] = Shows()
    harness_profile_id: str
    version: str
    provider: str
    model: str
    profile: HarnessSpec


# State


class ProfileState(Value):
    """The profile; None before it is created."""

    profile: HarnessSpec | None = None


def evolve(state: ProfileState, event: Event) -> ProfileState:
    match event:
        case HarnessProfileCreated():
            return ProfileState(profile=event.profile)
        case _:
            return state


# Commands


class CreateProfile(Value):
    """Create a harness profile under a new id."""

    harness_profile_id: str
    spec: HarnessSpec


def normalise_profile(
    spec: HarnessSpec,
    providers: frozenset[str],
    schema_fault: SchemaFault,
    credentials: frozenset[str] | None = None,
    agents: Mapping[str, str] | None = None,
    mcp_servers: frozenset[str] | None = None,
) -> HarnessSpec:
    """Return the profile with unique tools and credentials, lower-case hosts, and the defaults of an outside agent.

    ``credentials`` and ``mcp_servers`` are the names that exist, and ``agents`` the provider of each registered agent;
    None if another process knows them. Raise ConfigError.
    """
    provider = spec.config.provider
    if spec.agent is not None:
        spec = _with_agent(spec, spec.agent, agents)
    elif provider not in providers:
        reason, known = f"no provider {provider!r} is registered", ", ".join(sorted(providers))
        if provider in AGENT_PROVIDERS:
            reason = f"provider {provider!r} serves outside agents only, and the profile names no agent"
        raise ConfigError.of("config.provider", reason, f"use one of {known}")
    egress = _normal_egress(spec.allowed_egress or ())
    policies = spec.verification_policies or ()
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        field = f"verificationPolicies[{index}]"
        if policy.id in seen:
            raise ConfigError.of(f"{field}.id", f"{policy.id!r} is used twice", "use unique ids")
        seen.add(policy.id)
        _check_verification(policy, field, spec.tool_policies, schema_fault)
    tools = tuple(dict.fromkeys(spec.config.tools))
    if spec.tool_policies is not None:
        _check_tools(spec.tool_policies, tools, any(policy.command for policy in policies))
    if spec.sandbox is not None:
        _check_sandbox(spec.sandbox, egress)
    config = replace(spec.config, tools=tools, credentials=_normal_credentials(spec.config, credentials))
    mcp = {name: _normal_mcp(name, policy, mcp_servers) for name, policy in (spec.mcp or {}).items()}
    return replace(
        spec, config=config, allowed_egress=egress or None, verification_policies=policies or None, mcp=mcp or None
    )


def _normal_mcp(server: str, policy: McpPolicy, known: frozenset[str] | None) -> McpPolicy:
    """Return the tools of an MCP server with unique patterns. Raise ConfigError."""
    if known is not None and server not in known:
        remedy = f"use one of {', '.join(sorted(known))}" if known else "set ATHENA_MCP_SERVERS on the server"
        raise ConfigError.of(f"mcp.{server}", f"no MCP server {server!r} is registered", remedy)
    patterns = [(f"tools[{index}]", pattern) for index, pattern in enumerate(policy.tools)]
    patterns += [(f"rules[{index}].match.tool", rule.match.tool) for index, rule in enumerate(policy.rules or ())]
    for place, pattern in patterns:
        if not pattern.isprintable() or " " in pattern:
            remedy = "use names of tools, or patterns like read_*"
            raise ConfigError.of(f"mcp.{server}.{place}", "has spaces or control characters", remedy)
    return replace(policy, tools=tuple(dict.fromkeys(policy.tools)), rules=policy.rules or None)


def _with_agent(spec: HarnessSpec, agent: AgentPolicy, known: Mapping[str, str] | None) -> HarnessSpec:
    """Return the profile with the sandbox and the workspace of its outside agent. Raise ConfigError.

    Its provider has to serve the wire of the agent. If another process knows that, the executor checks it.
    """
    if known is not None and agent.name not in known:
        remedy = f"use one of {', '.join(sorted(known))}" if known else "set ATHENA_AGENTS on the server"
        raise ConfigError.of("agent.name", f"no agent {agent.name!r} is registered", remedy)
    serving = AGENT_PROVIDERS if known is None else {known[agent.name]}
    if spec.config.provider not in serving:
        reason = f"provider {spec.config.provider!r} does not serve the models of agent {agent.name!r}"
        raise ConfigError.of("config.provider", reason, f"use {' or '.join(sorted(serving))}")
    if agent.mode is not None and not agent.mode.isprintable():
        raise ConfigError.of("agent.mode", "has control characters", "remove them")
    for index, rule in enumerate(agent.permissions or ()):
        field, kind = f"agent.permissions[{index}]", rule.match.kind
        if rule.match.command is not None and kind not in {None, "execute"}:
            remedy = "use kind 'execute', or leave command out"
            raise ConfigError.of(f"{field}.match.command", f"calls of kind {kind!r} have no command", remedy)
        _check_rule(rule, field)
    return replace(
        spec,
        agent=replace(agent, models=agent.models or None, permissions=agent.permissions or None),
        sandbox=spec.sandbox or SandboxPolicy(mode="required"),
        workspace=spec.workspace or "session",
    )


def _normal_credentials(config: HarnessConfig, known: frozenset[str] | None) -> tuple[str, ...] | None:
    """Return the unique names of credentials, None without any. Raise ConfigError."""
    names = tuple(dict.fromkeys(config.credentials or ()))
    if names and CREDENTIAL_TOOL not in config.tools:
        raise ConfigError.of(
            "config.credentials",
            f"only requests of tool {CREDENTIAL_TOOL!r} carry credentials, and it is not in config.tools",
            f"add {CREDENTIAL_TOOL!r} to config.tools, or leave credentials out",
        )
    for index, name in enumerate(names):
        if known is not None and name not in known:
            remedy = f"use one of {', '.join(sorted(known))}" if known else "set ATHENA_CREDENTIALS_FILE on the server"
            raise ConfigError.of(f"config.credentials[{index}]", f"no credential {name!r} exists here", remedy)
    return names or None


def _check_verification(
    policy: VerificationPolicy, field: str, tools: ToolPolicies | None, schema_fault: SchemaFault
) -> None:
    """Check that a policy has exactly the field of its kind, an allowed command and a usable schema."""
    needed = FIELDS[policy.kind]
    for name in ("command", "schema", "contains"):
        given = getattr(policy, name) is not None
        if given and name not in needed:
            raise ConfigError.of(f"{field}.{name}", f"is not allowed for kind {policy.kind!r}", "remove it")
        if not given and name in needed:
            raise ConfigError.of(f"{field}.{name}", f"is required by kind {policy.kind!r}", "add it")
    if policy.evidence_type is not None and policy.kind != "require-evidence":
        raise ConfigError.of(f"{field}.evidenceType", f"is not allowed for kind {policy.kind!r}", "remove it")
    if policy.command is not None:
        allowed = tools.shell.commands if tools is not None and tools.shell is not None else ()
        if not any(policy.command[: len(prefix)] == prefix for prefix in allowed):
            remedy = "add the command, or its first words, to toolPolicies.shell.commands"
            raise ConfigError.of(f"{field}.command", "is not allowed by toolPolicies.shell.commands", remedy)
    fault = None if policy.schema is None else schema_fault(policy.schema)
    if fault is not None:
        raise ConfigError.of(f"{field}.schema", fault, "use a JSON Schema within the limits")


def _check_tools(policies: ToolPolicies, tools: tuple[str, ...], verifies: bool) -> None:
    """Check that each tool with a policy is enabled (``shell`` also for verification) and stays in the workspace."""
    for name in ToolPolicies.__struct_fields__:
        policy: ToolPolicy | None = getattr(policies, name)
        if policy is None:
            continue
        field = f"toolPolicies.{name}"
        if name not in tools and not (name == "shell" and verifies):
            raise ConfigError.of(field, f"tool {name!r} is not in config.tools", f"add {name!r} to config.tools")
        if isinstance(policy, ShellPolicy | FilesPolicy):
            _check_inside(f"{field}.directory", policy.directory)
        if isinstance(policy, ShellPolicy | HttpPolicy | FilesPolicy):
            rules: tuple[ShellRule | HttpRule | FilesRule, ...] = policy.rules or ()
            for index, rule in enumerate(rules):
                _check_rule(rule, f"{field}.rules[{index}]")


def _check_rule(rule: ShellRule | HttpRule | FilesRule | AgentRule, field: str) -> None:
    """Check that an approval rule can match, and that it allows no program that runs other programs."""
    match rule.match:
        case ShellMatch(command=command) | AgentMatch(command=tuple(command)):
            program = PurePosixPath(command[0]).name
            if rule.approval == "allow" and RUNS_ANYTHING.fullmatch(program):
                remedy = "remove the rule: a person may remember an exact call when it asks"
                raise ConfigError.of(f"{field}.approval", f"a rule may not allow {program!r}", remedy)
        case HttpMatch(host=host):
            if host is not None and not HOST.fullmatch(host):
                remedy = "use a host name, an IPv4 address, or a pattern like *.example.org"
                raise ConfigError.of(f"{field}.match.host", f"{host!r} is not a host", remedy)
        case FilesMatch(path=path):
            _check_inside(f"{field}.match.path", path)


def _check_sandbox(policy: SandboxPolicy, egress: tuple[Egress, ...]) -> None:
    """Check that ``egress`` has hosts, and that the paths are plain, absolute and not below a directory of the box."""
    if policy.network == "egress" and not egress:
        remedy = "list the hosts in allowedEgress, or use network none"
        raise ConfigError.of("sandbox.network", "egress needs hosts, and allowedEgress is empty", remedy)
    for index, text in enumerate(policy.read_only or ()):
        path, field = PurePosixPath(text), f"sandbox.readOnly[{index}]"
        plain = str(path) == text and path.is_absolute() and ".." not in path.parts and text.isprintable()
        if not plain or text == "/" or text.startswith("//"):
            remedy = "use a path like /opt/tools: absolute, without .., and not / itself"
            raise ConfigError.of(field, f"{text[:100]!r} is not a plain absolute path", remedy)
        if any(path.is_relative_to(own) for own in OF_THE_KERNEL):
            remedy = f"use a path outside of {', '.join(OF_THE_KERNEL)}"
            raise ConfigError.of(field, "a sandbox has its own directory there", remedy)


def _check_inside(field: str, path: str | None) -> None:
    if path is not None and not _is_inside(path):
        remedy = "use a path relative to the workspace, without .."
        raise ConfigError.of(field, f"{path!r} is not inside the workspace", remedy)


def _is_inside(directory: str) -> bool:
    path = PurePosixPath(directory)
    return not path.is_absolute() and ".." not in path.parts


def _normal_egress(entries: tuple[Egress, ...]) -> tuple[Egress, ...]:
    normal: dict[tuple[str, int | None], Egress] = {}
    for index, entry in enumerate(entries):
        if not HOST.fullmatch(entry.host):
            remedy = "use a host name, an IPv4 address, or a pattern like *.example.org"
            raise ConfigError.of(f"allowedEgress[{index}].host", f"{entry.host!r} is not a host", remedy)
        host = entry.host.lower()
        if (host, entry.port) in normal:
            raise ConfigError.of(f"allowedEgress[{index}]", f"{host}:{entry.port} is listed twice", "remove one")
        normal[host, entry.port] = Egress(host=host, port=entry.port)
    return tuple(normal.values())


def decide(command: CreateProfile, state: ProfileState, context: Context) -> tuple[Event, ...]:
    if state.profile is not None:
        return ()
    spec = command.spec
    return (
        HarnessProfileCreated(
            harness_profile_id=command.harness_profile_id,
            version=spec.version,
            provider=spec.config.provider,
            model=spec.config.model,
            profile=spec,
        ),
    )


DECIDER: Decider[ProfileState] = Decider(
    category="hp", events=(HarnessProfileCreated,), initial=ProfileState(), evolve=evolve
)
