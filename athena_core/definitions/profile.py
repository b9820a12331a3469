"""The parts of a harness profile: its model, its tools and its limits."""

from typing import Annotated, Any, TypeAlias

import msgspec

from athena_core.enums import (
    AgentToolKind,
    Approval,
    ApproverRole,
    AskExpiry,
    EvidenceType,
    FilesAction,
    HarnessVersion,
    HttpMethod,
    SandboxMode,
    SandboxNetwork,
    VerificationKind,
    WorkspaceKind,
    WorkspaceMode,
)
from athena_core.event import says
from athena_core.values import (
    ASK_EXPIRES_MS_MAX,
    ASK_EXPIRES_MS_MIN,
    ASK_HOLD_MS_MAX,
    CLAIM_DELAYS_MAX,
    LIST_ITEMS_MAX,
    TOOL_BYTES_MAX,
    Body,
    ClientId,
    Dollars,
    Label,
    LongText,
    Milliseconds,
)

CREDENTIALS_MAX = 16
"""Maximum number of credentials of a profile."""
READ_ONLY_MAX = 32
"""Maximum number of paths that a profile adds to the sandbox of its commands."""
PATH_CHARS_MAX = 1_024
"""Maximum length of such a path."""

AGENT_MODELS_MAX = 32
"""Maximum number of models that a profile maps for an outside agent."""
MODE_CHARS_MAX = 100
"""Maximum length of a mode of an outside agent."""


class HarnessConfig(Body):
    """The model and the tools of a harness profile, and the names of the credentials that its requests may carry."""

    provider: Label
    model: Label
    tools: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)]
    credentials: Annotated[
        Annotated[tuple[ClientId, ...], msgspec.Meta(max_length=CREDENTIALS_MAX)] | None,
        says("Names of credentials that requests of `http` to their hosts carry; absent: none."),
    ] = None


class HarnessPolicies(Body):
    """The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget), and model calls."""

    timeout_ms: Annotated[Milliseconds, says("Timeout of a run in milliseconds.")]
    retry_limit: Annotated[int, msgspec.Meta(ge=1, le=100), says("Most attempts of a model call.")]
    budget_usd: Annotated[Dollars, says("Budget of a run in dollars; 0: none.")]
    max_turns: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=CLAIM_DELAYS_MAX)] | None,
        says("Most model calls of a run; absent: the default."),
    ] = None


class Egress(Body):
    """A host, and optionally a port, that tool ``http`` may reach."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253), says("Host name.")]
    port: Annotated[Annotated[int, msgspec.Meta(ge=1, le=65535)] | None, says("Port; absent: any.")] = None


Words: TypeAlias = Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)]


class ShellMatch(Body):
    """Commands that begin with these words."""

    command: Annotated[Words, says("First words of the command.")]


class ShellRule(Body):
    """The approval of the commands that match."""

    match: ShellMatch
    approval: Annotated[Approval, says("`allow` (the default), `ask` a person before a call, or `deny`.")]


class HttpMatch(Body):
    """Requests to a host (or ``*.`` and its parent) with one of these methods; without a field, to any."""

    host: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=253)] | None,
        says("Host name, or `*.` and its parent; absent: any."),
    ] = None
    methods: Annotated[
        Annotated[tuple[HttpMethod, ...], msgspec.Meta(min_length=1, max_length=6)] | None,
        says("Only these methods; absent: all."),
    ] = None


class HttpRule(Body):
    """The approval of the requests that match."""

    match: HttpMatch
    approval: Annotated[Approval, says("`allow` (the default), `ask` a person before a call, or `deny`.")]


class FilesMatch(Body):
    """Calls on a path or below it, relative to the tool's directory, with one of these actions; any without a field."""

    path: Annotated[Label | None, says("The path, or a directory above it; absent: any.")] = None
    actions: Annotated[
        Annotated[tuple[FilesAction, ...], msgspec.Meta(min_length=1, max_length=5)] | None,
        says("Only these actions; absent: all."),
    ] = None


class FilesRule(Body):
    """The approval of the calls that match."""

    match: FilesMatch
    approval: Annotated[Approval, says("`allow` (the default), `ask` a person before a call, or `deny`.")]


class ToolPolicy(Body):
    """The approval of a tool's calls; ``allow`` by default."""

    approval: Annotated[Approval | None, says("`allow` (the default), `ask` a person before a call, or `deny`.")] = None


class ShellPolicy(ToolPolicy, kw_only=True):
    """The commands that tool ``shell`` may start. Each one is a prefix of the command line, word by word.

    ``directory`` is relative to the workspace. The limits apply to one call. The first of ``rules`` that matches a
    command decides whether it needs approval, else ``approval`` does.
    """

    commands: Annotated[
        tuple[Words, ...],
        msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX),
        says("Allowed commands, each as a prefix of words."),
    ]
    directory: Label | None = None
    timeout_ms: Milliseconds | None = None
    output_bytes_max: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None, says("Largest output of a call, in bytes.")
    ] = None
    rules: Annotated[tuple[ShellRule, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None


class HttpPolicy(ToolPolicy, kw_only=True):
    """The methods and limits of tool ``http`` on the hosts of ``allowedEgress``. The limits apply to one call.

    Approval is decided as for ``shell``.
    """

    methods: Annotated[
        tuple[HttpMethod, ...], msgspec.Meta(min_length=1, max_length=6), says("Allowed HTTP methods.")
    ] = ("GET",)
    timeout_ms: Milliseconds | None = None
    response_bytes_max: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None, says("Largest response, in bytes.")
    ] = None
    rules: Annotated[tuple[HttpRule, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None


class FilesPolicy(ToolPolicy, kw_only=True):
    """The rights of tool ``files`` below ``directory`` in the workspace: read, and with ``write`` also change.

    Approval is decided as for ``shell``.
    """

    directory: Label | None = None
    write: Annotated[bool, says("True to allow changes.")] = False
    file_bytes_max: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None, says("Largest file, in bytes.")
    ] = None
    rules: Annotated[tuple[FilesRule, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None


class ToolPolicies(Body):
    """The rules of the tools. Without them ``shell`` starts nothing, ``files`` only reads, and nothing is asked."""

    shell: Annotated[ShellPolicy | None, says("Rules of tool `shell`.")] = None
    http: Annotated[HttpPolicy | None, says("Rules of tool `http`.")] = None
    files: FilesPolicy | None = None
    memory: Annotated[ToolPolicy | None, says("Rules of tool `memory`.")] = None
    evidence: Annotated[ToolPolicy | None, says("Rules of tool `evidence`.")] = None


class AskPolicy(Body):
    """The rules by which runs ask a person: how long they hold their slot, the expiry of an ask, and who may answer.

    Defaults: 60 seconds, one day, ``deny``, and the role Operator. ``notRequester`` excludes who requested the run.
    """

    hold_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=ASK_HOLD_MS_MAX)] | None,
        says("Milliseconds that a run holds its slot while it asks; 60,000 by default."),
    ] = None
    expires_after_ms: Annotated[
        Annotated[int, msgspec.Meta(ge=ASK_EXPIRES_MS_MIN, le=ASK_EXPIRES_MS_MAX)] | None,
        says("Milliseconds until an ask expires; one day by default."),
    ] = None
    on_expiry: Annotated[AskExpiry | None, says("Refuse the call (`deny`, the default), or cancel the run.")] = None
    role: Annotated[ApproverRole | None, says("Least role of who answers; `Operator` by default.")] = None
    approvers: Annotated[
        Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)] | None,
        says("Identities that may answer; absent: all with the role."),
    ] = None
    not_requester: Annotated[bool | None, says("True if who requested the run may not answer.")] = None


class VerificationPolicy(Body):
    """A condition that a run must meet to pass verification. ``label`` is the label of the evidence.

    ``require-evidence``: evidence with the label is attached. ``command``: ``command`` (allowed for ``shell``) exits
    with 0. ``json-schema``: the output is JSON valid against ``schema``. ``contains``: the output contains the text.
    """

    id: Label
    kind: Annotated[VerificationKind, says("What it checks.")]
    label: Annotated[Label, says("Label of the evidence.")]
    evidence_type: EvidenceType | None = None
    command: Annotated[
        Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)] | None,
        says("Command and arguments that must exit with 0."),
    ] = None
    schema: Annotated[dict[str, Any] | None, says("JSON Schema that the output must match.")] = None
    contains: Annotated[LongText | None, says("Text that the output must contain.")] = None


ReadOnlyPath: TypeAlias = Annotated[str, msgspec.Meta(min_length=2, max_length=PATH_CHARS_MAX)]


class SandboxPolicy(Body):
    """The sandbox of the commands of a run, whether tool ``shell`` or a verification policy starts them.

    ``preferred``: commands run without a sandbox where none works, which is recorded. ``required``: the run is refused
    there. Network ``egress``: the hosts of ``allowedEgress`` can be reached through a proxy. ``readOnly``: absolute
    paths that commands may read beside the system and the workspace.
    """

    mode: Annotated[SandboxMode, says("Run commands without a sandbox (`off`), in one where it works, or only in one.")]
    network: Annotated[
        SandboxNetwork | None, says("`none` (the default), or `egress`: the hosts of `allowedEgress`, through a proxy.")
    ] = None
    read_only: Annotated[tuple[ReadOnlyPath, ...], msgspec.Meta(max_length=READ_ONLY_MAX)] | None = None


AGENT_PROVIDERS = frozenset({"anthropic", "gemini", "openai"})
"""The providers that serve the models of outside agents. ``gemini`` serves nothing else."""


class AgentMatch(Body):
    """Tool calls of this kind, or commands that begin with these words; without a field, all calls."""

    kind: Annotated[AgentToolKind | None, says("Kind of the call, as the agent says; absent: any.")] = None
    command: Annotated[Words | None, says("First words of the command; absent: any call.")] = None


class AgentRule(Body):
    """The approval of the tool calls that match."""

    match: AgentMatch
    approval: Annotated[Approval, says("`allow`, `ask` a person before a call, or `deny`.")]


class AgentPolicy(Body):
    """The outside agent that works on the runs of the profile, and its rights.

    ``mode`` is ordered after each opening of a session. ``models`` maps the models that the agent asks for to the ones
    that serve it; without it only ``config.model`` does. The first of ``permissions`` that matches a call decides, else
    a person is asked.
    """

    name: Annotated[ClientId, says("A registered agent.")]
    mode: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=MODE_CHARS_MAX)] | None,
        says("Mode of its sessions; absent: the mode of the operator's file."),
    ] = None
    models: Annotated[
        Annotated[dict[Label, Label], msgspec.Meta(min_length=1, max_length=AGENT_MODELS_MAX)] | None,
        says("Models that it may ask for, and the models that serve them; absent: only the model of `config`."),
    ] = None
    permissions: Annotated[
        Annotated[tuple[AgentRule, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None,
        says("Approval of its tool calls; the first rule that matches decides, else a person."),
    ] = None


MCP_SERVERS_MAX = 16
"""Maximum number of MCP servers of a profile."""
MCP_TOOLS_MAX = 256
"""Maximum number of tools of an MCP server, and of patterns of a profile for them."""
MCP_PATTERN_CHARS_MAX = 128
"""Maximum length of a pattern of tool names, and of a tool name."""
MCP_SERVER_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"
McpServerName: TypeAlias = Annotated[str, msgspec.Meta(pattern=MCP_SERVER_PATTERN)]
"""The name of an MCP server. Tools are named after it, so it has no underscore."""
McpToolPattern: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MCP_PATTERN_CHARS_MAX)]


class McpMatch(Body):
    """Tools whose name matches a pattern."""

    tool: Annotated[McpToolPattern, says("A name, or a pattern with `*`.")]


class McpRule(Body):
    """The approval of the tools that match."""

    match: McpMatch
    approval: Annotated[Approval, says("`allow`, `ask` a person before a call, or `deny`.")]


class McpPolicy(Body):
    """The tools of an MCP server that runs may call, as names or patterns with ``*``.

    The first of ``rules`` that matches a tool decides whether its calls need approval, else ``approval`` does. Without
    it a person is asked.
    """

    tools: Annotated[
        tuple[McpToolPattern, ...],
        msgspec.Meta(min_length=1, max_length=MCP_TOOLS_MAX),
        says("Names of tools, or patterns with `*`."),
    ]
    approval: Annotated[Approval | None, says("`allow`, `ask` a person before a call (the default), or `deny`.")] = None
    rules: Annotated[tuple[McpRule, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None


class HarnessSpec(Body):
    """A harness profile as a client writes it."""

    display_name: Label
    version: Annotated[HarnessVersion, says("Version of this shape.")]
    config: HarnessConfig
    policies: HarnessPolicies
    tool_policies: ToolPolicies | None = None
    allowed_egress: Annotated[tuple[Egress, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None
    verification_policies: Annotated[tuple[VerificationPolicy, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = (
        None
    )
    asks: AskPolicy | None = None
    sandbox: SandboxPolicy | None = None
    workspace: Annotated[WorkspaceMode | None, says("Where its runs work; absent: in the shared workspace.")] = None
    agent: Annotated[AgentPolicy | None, says("Outside agent that works on its runs; absent: the loop of Athena.")] = (
        None
    )
    mcp: Annotated[dict[McpServerName, McpPolicy], msgspec.Meta(max_length=MCP_SERVERS_MAX)] | None = None


def workspace_owner(
    profile: HarnessSpec, session_id: str, workflow_run_id: str | None
) -> tuple[WorkspaceKind, str] | None:
    """Return the kind and the owner of the workspace of a profile's run; None if it works in the shared one."""
    match profile.workspace:
        case None | "shared":
            return None
        case "workflow-run" if workflow_run_id is not None:
            return "workflow-run", workflow_run_id
        case _:
            return "session", session_id


class HarnessProfile(HarnessSpec, kw_only=True):
    """A harness profile with its id."""

    id: str
    created_at: str
