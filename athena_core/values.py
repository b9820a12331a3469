"""Values shared by all layers: identities, roles, harness profiles, usage, and named limits."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec

from athena_core.clock import milliseconds
from athena_core.enums import (
    ApproverRole,
    ContextStrategy,
    RunStatus,
    SandboxMode,
    SandboxNetwork,
    SessionStrategy,
    VerificationKind,
    WorkspaceMode,
)
from athena_core.errors import ConfigError
from athena_core.event import Value, says

BODY_BYTES_MAX = 1_000_000  # the default of ATHENA_BODY_BYTES_MAX
JSON_DEPTH_MAX = 64
RUN_ITEMS_MAX = 10_000
"""Default of ATHENA_WORKFLOW_ITEMS_MAX: the map items of a workflow run."""
PAGE_ITEMS_DEFAULT = 50
TAIL_ITEMS_DEFAULT = 100
PAGE_ITEMS_MAX = 500
PAGE_BYTES_MAX = 4 << 20
"""Maximum size of the items of a page, in bytes of JSON. A page holds at least one item."""
PREVIEW_CHARS = 160
"""Characters of a text that a list shows."""
WAIT_SECONDS_MAX = 60
FEED_SCAN_EVENTS_MAX = 50_000
DIFF_EVENTS_MAX = 200_000
DIFF_EVENTS_EACH = 50
"""The number of positions that a page of a diff without counts may read for each record of its limit."""
KEY_CHARS_MAX = 255
IDENTITY_CHARS_MAX = 128
CONTEXT_REFS_MAX = 64
CLAIM_DELAYS_MAX = 1_000
TOOL_BYTES_MAX = 10_000_000
LIST_ITEMS_MAX = 256
ASK_HOLD_MS_MAX = 600_000
ASK_EXPIRES_MS_MIN = 1_000
ASK_EXPIRES_MS_MAX = 2_592_000_000
"""Limits of the time that a run holds its slot while it asks, and of the time until an ask expires: 30 days."""
MEMBER_CHARS_MAX = 1_000
MICRO_USD = 1_000_000
"""Micro-USD in a dollar."""

INTEGER_MAX = 2**53 - 1  # every JSON reader keeps integers up to this exact

ID_PATTERN = r"^[A-Za-z0-9._-]+$"
CLIENT_ID_CHARS_MAX = 128
ID_PART_CHARS_MIN = 6
"""The least number of characters of a part of an id that is looked up."""
NAME = re.compile(ID_PATTERN)

ClientId: TypeAlias = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""An id chosen by a client: letters, digits, dot, underscore, dash; 1 to 128 characters."""

RecordId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""A reference to a record. The service checks that the record exists."""

LogId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
"""The id of a log."""

ChainValue: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""The chain value of a log row, in hex."""

Instant: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"),
]
"""A time in the format of answers, such as ``2026-01-31T12:00:00.000Z``."""

Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MEMBER_CHARS_MAX)]
LongText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
"""Text that only the size limit of a request body bounds."""

Metadata: TypeAlias = Annotated[dict[Label, Label], msgspec.Meta(max_length=LIST_ITEMS_MAX)]

PERSONA_KEYS = ("specialistName", "specialist", "personaName", "persona")
"""Keys under which the metadata of a run may name its persona, in order of precedence."""


def persona_named(metadata: Mapping[str, str] | None) -> str | None:
    """Return the persona named by metadata, even if the name is not valid. Scopes compare it exactly."""
    return next((metadata[key] for key in PERSONA_KEYS if metadata.get(key)), None) if metadata else None


def persona_of(metadata: Mapping[str, str] | None) -> str | None:
    """Return the persona named by metadata if the name is valid. It is published; other metadata is not."""
    name = next((metadata[key] for key in PERSONA_KEYS if key in metadata), None) if metadata else None
    return name if name is not None and len(name) <= CLIENT_ID_CHARS_MAX and NAME.fullmatch(name) else None


def known(members: object) -> msgspec.Meta:
    """Return the schema of a string that is one of the members of a Literal, which decoding does not check.

    For values that are read from the log, where an older release may have stored another one.
    """
    return msgspec.Meta(extra_json_schema={"enum": sorted(get_args(members))})


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
MILLISECONDS_MAX = 86_400_000
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MILLISECONDS_MAX)]
Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]


class Body(Value, forbid_unknown_fields=True):
    """A value written by clients; unknown fields are an error."""


def with_times(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a filter with the range of creation in milliseconds since 1970. Raise ConfigError."""
    for name, field in (("created_after", "createdAfter"), ("created_before", "createdBefore")):
        if fields[name] is not None:
            try:
                fields[name] = milliseconds(fields[name])
            except ValueError as error:
                remedy = "ISO-8601, such as 2026-01-01T00:00:00Z"
                raise ConfigError.of(f"filter.{field}", "is not a time", remedy) from error
    return fields


class Role(StrEnum):
    """A role of an identity. Each one may do what the roles before it may. ``NONE`` locks an identity out."""

    NONE = "None"
    VIEWER = "Viewer"
    OPERATOR = "Operator"
    ADMIN = "Admin"

    def reaches(self, least: "Role") -> bool:
        """Return True if this role may do everything that another one may."""
        roles = tuple(Role)
        return roles.index(self) >= roles.index(least)


PinnedScope: TypeAlias = dict[str, tuple[str, ...]]
"""A scope as stored in events: the allowed names of each restricted kind, sorted."""


class Scope(Value):
    """A restriction of an identity to some records. None does not restrict; all kinds must match."""

    personas: frozenset[str] | None = None
    sessions: frozenset[str] | None = None
    runs: frozenset[str] | None = None

    def shows(self, session_id: str, run_id: str) -> bool:
        """Return True if the scope covers a run."""
        return (self.sessions is None or session_id in self.sessions) and (self.runs is None or run_id in self.runs)

    @property
    def recalled(self) -> frozenset[str]:
        """The sessions whose transcripts a run under this scope may recall.

        None if the scope also restricts another kind, because a session may hold runs of any persona.
        """
        return (
            frozenset()
            if self.sessions is None or self.personas is not None or self.runs is not None
            else self.sessions
        )


def pinned(scope: Scope | None) -> PinnedScope | None:
    """Return a scope in the form that events store."""
    if scope is None:
        return None
    kinds = {kind: getattr(scope, kind) for kind in Scope.__struct_fields__}
    return {kind: tuple(sorted(names)) for kind, names in kinds.items() if names is not None}


def unpinned(kinds: Mapping[str, Iterable[str]] | None) -> Scope | None:
    """Return the scope that an event stores."""
    if kinds is None:
        return None
    return Scope(**{kind: frozenset(kinds[kind]) for kind in Scope.__struct_fields__ if kind in kinds})


def narrower(*scopes: Scope | None) -> Scope | None:
    """Return the intersection of scopes; None if no scope restricts anything."""
    kinds: dict[str, frozenset[str]] = {}
    for scope in scopes:
        for kind in Scope.__struct_fields__ if scope is not None else ():
            names = getattr(scope, kind)
            if names is not None:
                kinds[kind] = kinds[kind] & names if kind in kinds else names
    return Scope(**kinds) if kinds else None


class TokenClaim(Value):
    """The token that a caller sent. ``token_id`` and ``expires_at_ms`` are None for the token in the settings."""

    token_id: str | None = None
    expires_at_ms: int | None = None
    session: bool = False


class Identity(Value):
    """The identity of a caller. With authentication off it is the local Admin. An Admin is never restricted."""

    subject: str
    role: Role
    scope: Scope | None = None
    asked: Scope | None = None
    """The requested scope. Kept for an Admin, too, who may lose the role later."""
    groups: tuple[str, ...] = ()
    """The groups that its proxy named and that have a role."""
    token: TokenClaim | None = None


LOCAL = Identity(subject="local", role=Role.ADMIN)


class Usage(Value):
    """The tokens that a model call used (the mock provider counts characters).

    ``input_tokens`` includes cached and cache-writing tokens, ``output_tokens`` includes reasoning tokens.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum of two usages. A count that neither of them has stays None."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in Usage.__struct_fields__}
        sums = {name: sum(count or 0 for count in pair) for name, pair in pairs.items() if pair != (None, None)}
        return Usage(**sums)


class ToolSpec(Value):
    """A tool as it is described to a model. ``parameters`` is the JSON Schema of an object."""

    name: Annotated[str, says("Name of the tool.")]
    description: Annotated[str, says("What the tool does.")]
    parameters: Annotated[dict[str, Any], says("JSON Schema of its arguments.")]


class ToolCall(Value):
    """A tool call requested by a model. ``arguments`` is JSON as the model wrote it, possibly malformed."""

    id: Annotated[str, says("Id of the call.")]
    name: Annotated[str, says("Name of the tool.")]
    arguments: Annotated[str, says("Arguments as the model wrote them, as JSON text.")]


class VerificationFailure(Value):
    """A verification policy that the run did not meet."""

    policy_id: Annotated[str, says("Id of the verification policy.")]
    kind: Annotated[str, known(VerificationKind), says("Kind of the policy.")]
    message: str
    details: Annotated[dict[str, str], says("Names and values, such as an exit code.")]


class Reliability(Value):
    """Attempts, retries and fallbacks that an answer took."""

    provider_attempts: Annotated[int, says("Requests to providers.")]
    provider_retries: Annotated[int, says("Requests that were repeated.")]
    fallback_hops: Annotated[int, says("Changes to a fallback model.")]
    turn_latency_ms: Annotated[int | None, says("Time of the last model call, in milliseconds; absent if unknown.")] = (
        None
    )


class ContextStep(Value):
    """An attempt to shrink a context, with the sizes before and after in characters."""

    kind: Annotated[Literal["summary", "tool-result-truncation"], says("How the context was made smaller.")]
    applied: Annotated[bool, says("True if the smaller context was used.")]
    before_chars: Annotated[int | None, says("Size before it, in characters.")] = None
    after_chars: Annotated[int | None, says("Size after it, in characters.")] = None
    details: Annotated[str | None, says("What was shortened; absent if nothing.")] = None


class ContextMeta(Value):
    """Report of how the context of a run was compiled. Sizes are in characters."""

    initial_strategy: Annotated[str, known(ContextStrategy), says("Strategy at the start.")]
    final_strategy: Annotated[str, known(ContextStrategy), says("Strategy at the end.")]
    overflow_recovered: Annotated[bool, says("True if it was too large and was made to fit.")]
    overflow_attempts: Annotated[int, says("Attempts to shrink the context.")]
    initial_chars: Annotated[int, says("Size before shrinking, in characters.")]
    final_chars: Annotated[int, says("Size at the end, in characters.")]
    effective_max_chars: Annotated[int, says("Largest allowed context, in characters.")]
    steps: tuple[ContextStep, ...]


class ContextReference(Value):
    """A resolved reference in a run's context. ``sha256`` is the hash of the run's salt and the referenced text."""

    ref: str
    sha256: str
    chars: int


PERSONA_REVIEW = "Review of a change, asked of a persona."
"""First sentence of a persona run's prompt."""


class RunBody(Body):
    """The request to start a run. A child run is cancelled with its parent."""

    session_id: Annotated[ClientId | None, says("Session to run in; absent, a new one.")] = None
    input: Annotated[LongText | None, says("Text of the task, instead of `directiveId`.")] = None
    directive_id: Annotated[RecordId | None, says("Directive to run, instead of `input`.")] = None
    harness_profile_id: Annotated[
        RecordId | None, says("Profile that runs it; absent, the default profile with `provider` and `model`.")
    ] = None
    provider: Annotated[Label | None, says("Provider, without a profile; absent, the default.")] = None
    model: Annotated[Label | None, says("Model, without a profile; absent, the default.")] = None
    metadata: Annotated[
        Metadata | None, says("Names and values of the client. `persona` names the persona of the run.")
    ] = None
    session_strategy: SessionStrategy | None = None
    parent_run_id: Annotated[RecordId | None, says("Run that starts it. Its cancel also cancels this run.")] = None


class RunChanges(Body):
    """Changes to the requests of runs that are retried. An absent member keeps its value."""

    harness_profile_id: Annotated[RecordId | None, says("Another profile; absent, the same.")] = None
    provider: Annotated[Label | None, says("Another provider; absent, the same.")] = None
    model: Annotated[Label | None, says("Another model; absent, the same.")] = None
    budget_usd: Annotated[Dollars | None, says("Budget in dollars, 0: none; absent, the same.")] = None


class RunFilter(Value):
    """A filter of runs, for lists and for bulk acts. Times are milliseconds since 1970 UTC, inclusive.

    ``cost_over_micro_usd`` selects runs that cost more, and ``duration_over_ms`` ended runs that took longer.
    """

    session_id: str | None = None
    status: RunStatus | None = None
    provider: str | None = None
    model: str | None = None
    harness_profile_id: str | None = None
    error_code: str | None = None
    parent_run_id: str | None = None
    retry_of: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    cost_over_micro_usd: int | None = None
    duration_over_ms: int | None = None


class RefusedPlan(Value):
    """The plan of a refused run: everything that the refusal depended on, except provider and profile.

    ``patient`` runs (workflow steps) wait for a free slot. ``least_micro_usd`` is the lowest possible cost of a model
    call, absent if the model has no price. ``input_chars`` is the length of the input.
    """

    model: str
    input_chars: Annotated[int, says("Length of the input in characters.")]
    requested_by: Annotated[str, says("Executor of the server that took the request.")]
    patient: Annotated[bool | None, says("True if the request waits for a free slot; else absent.")] = None
    session_strategy: SessionStrategy | None = None
    fallbacks: tuple[str, ...] | None = None
    budget_micro_usd: int | None = None
    least_micro_usd: Annotated[
        int | None, says("Lowest cost of a model call in millionths of a dollar; absent without a price.")
    ] = None
    timeout_ms: int | None = None
    parent_run_id: str | None = None
    agent: Annotated[str | None, says("Outside agent of the profile; absent: the loop of Athena.")] = None


class RefusedRequest(Value):
    """The request of a refused run. If it is over 4 KiB, only its size as JSON and its SHA-256 are kept.

    A directive is represented by its id.
    """

    input: Annotated[str | None, says("Text of the task; absent if too long.")] = None
    directive_id: str | None = None
    context_refs: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    size_bytes: Annotated[int | None, says("Size as JSON, in bytes, of a request above 4 KiB.")] = None
    sha256: Annotated[str | None, says("SHA-256 in hex of a request above 4 KiB.")] = None


class TemplateUse(Value):
    """The template version and parameters from which a run was started."""

    id: str
    version: int
    harness_profile_id: str
    effective_params: Annotated[dict[str, Any], says("Parameters with the defaults of the template.")]


class Cancelled(Value):
    """The answer to a cancel."""

    status: Annotated[Literal["cancelled", "not-running"], says("`not-running`: there was nothing to cancel.")]
    run_id: Annotated[str | None, says("Run that was cancelled; absent without one.")] = None
    session_id: Annotated[str | None, says("Session of the request; absent without one.")] = None


class RuleBound(Value):
    """The conditions of a permission rule beside the call: it allows the call only where all of them are the same.

    ``profile_sha256`` is the hash of the profile without its model. ``workspace`` is the kind of workspace that the run
    worked in. ``role``, ``approvers`` and ``not_requester`` are who may allow the call. ``mcp_tool_sha256`` is the hash
    of the tool as an operator accepted it, if it is a tool of an MCP server.
    """

    harness_profile_id: Annotated[str, says("Profile of the run that asked.")]
    profile_sha256: Annotated[str, says("Hash of that profile without its model, hex.")]
    sandbox: Annotated[SandboxMode, says("Mode of its sandbox.")]
    workspace: Annotated[WorkspaceMode, says("Kind of the workspace.")]
    network: Annotated[SandboxNetwork | None, says("Network of its sandbox; absent: the default.")] = None
    role: Annotated[ApproverRole | None, says("Least role that may allow the call; absent: Operator.")] = None
    approvers: Annotated[
        tuple[str, ...] | None, says("The only identities that may allow it; absent: all with the role.")
    ] = None
    not_requester: Annotated[bool | None, says("True if who requested the run may not allow it.")] = None
    mcp_tool_sha256: Annotated[str | None, says("Hash of the MCP tool as it was accepted; absent for other tools.")] = (
        None
    )
