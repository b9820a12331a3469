"""Shared values: identities, roles, harness profiles, usage, and the limits that have names."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from athena_core.event import Value

BODY_BYTES_MAX = 1_000_000  # unless ATHENA_BODY_BYTES_MAX says otherwise
JSON_DEPTH_MAX = 64
PAGE_ITEMS_DEFAULT = 50
TAIL_ITEMS_DEFAULT = 100
PAGE_ITEMS_MAX = 500
PAGE_BYTES_MAX = 4 << 20
"""The bytes of JSON in the items of a page; one item always fits."""
PREVIEW_CHARS = 160
"""The characters of a text that a list shows."""
WAIT_SECONDS_MAX = 60
FEED_SCAN_EVENTS_MAX = 50_000
KEY_CHARS_MAX = 255
IDENTITY_CHARS_MAX = 128
CONTEXT_REFS_MAX = 64
CLAIM_DELAYS_MAX = 1_000
TOOL_BYTES_MAX = 10_000_000
LIST_ITEMS_MAX = 256
MEMBER_CHARS_MAX = 1_000
MICRO_USD = 1_000_000
"""Millionths of a dollar in a dollar."""

INTEGER_MAX = 2**53 - 1  # what every JSON reader keeps exact

ID_PATTERN = r"^[A-Za-z0-9._-]+$"
CLIENT_ID_CHARS_MAX = 128
NAME = re.compile(ID_PATTERN)

ClientId: TypeAlias = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""An id that a client chose: letters, digits, dot, underscore, dash; 1 to 128 characters."""

RecordId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""A reference to a record; whether it exists is looked up."""

LogId: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
"""The id of a log."""

ChainValue: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""The chain value of a row of a log, in hex."""

Instant: TypeAlias = Annotated[
    str,
    msgspec.Meta(pattern=r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$"),
]
"""A time as answers have it, such as ``2026-01-31T12:00:00.000Z``."""

Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MEMBER_CHARS_MAX)]
LongText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
"""Text bounded only by the size of a request body."""

Metadata: TypeAlias = Annotated[dict[Label, Label], msgspec.Meta(max_length=LIST_ITEMS_MAX)]

PERSONA_KEYS = ("specialistName", "specialist", "personaName", "persona")
"""Where the metadata of a run says for which persona it is (contract 3.2)."""


def persona_named(metadata: Mapping[str, str] | None) -> str | None:
    """The persona that metadata names, whatever it is called; scopes compare it exactly (contract 3.2)."""
    return next((metadata[key] for key in PERSONA_KEYS if metadata.get(key)), None) if metadata else None


def persona_of(metadata: Mapping[str, str] | None) -> str | None:
    """The persona that metadata names, where it could be the name of one (it is published, other metadata is not)."""
    name = next((metadata[key] for key in PERSONA_KEYS if key in metadata), None) if metadata else None
    return name if name is not None and len(name) <= CLIENT_ID_CHARS_MAX and NAME.fullmatch(name) else None


Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
MILLISECONDS_MAX = 86_400_000
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MILLISECONDS_MAX)]
Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]


class Body(Value, forbid_unknown_fields=True):
    """A value that clients write: unknown fields are an error (contract D3)."""


class Role(StrEnum):
    """What an identity may do; each role may do what the ones before it may. ``NONE`` locks an identity out."""

    NONE = "None"
    VIEWER = "Viewer"
    OPERATOR = "Operator"
    ADMIN = "Admin"


PinnedScope: TypeAlias = dict[str, tuple[str, ...]]
"""A scope as events hold it: the names of each kind that is narrowed, sorted."""


class Scope(Value):
    """What an identity is narrowed to; None does not narrow. Kinds are ANDed (contract 3.2, decisions E46)."""

    personas: frozenset[str] | None = None
    sessions: frozenset[str] | None = None
    runs: frozenset[str] | None = None

    def shows(self, session_id: str, run_id: str) -> bool:
        """Whether it covers a run."""
        return (self.sessions is None or session_id in self.sessions) and (self.runs is None or run_id in self.runs)

    @property
    def recalled(self) -> frozenset[str]:
        """The sessions that a run under this scope may be reminded of.

        A session may hold runs of any persona, so under another kind of scope there is none.
        """
        return (
            frozenset()
            if self.sessions is None or self.personas is not None or self.runs is not None
            else self.sessions
        )


def pinned(scope: Scope | None) -> PinnedScope | None:
    """Return a scope as events hold it."""
    if scope is None:
        return None
    kinds = {kind: getattr(scope, kind) for kind in Scope.__struct_fields__}
    return {kind: tuple(sorted(names)) for kind, names in kinds.items() if names is not None}


def unpinned(kinds: Mapping[str, Iterable[str]] | None) -> Scope | None:
    """Return the scope that an event holds."""
    if kinds is None:
        return None
    return Scope(**{kind: frozenset(kinds[kind]) for kind in Scope.__struct_fields__ if kind in kinds})


def narrower(*scopes: Scope | None) -> Scope | None:
    """Return what all of these scopes cover; None if none of them narrows."""
    kinds: dict[str, frozenset[str]] = {}
    for scope in scopes:
        for kind in Scope.__struct_fields__ if scope is not None else ():
            names = getattr(scope, kind)
            if names is not None:
                kinds[kind] = kinds[kind] & names if kind in kinds else names
    return Scope(**kinds) if kinds else None


class Identity(Value):
    """Who is asking. With authentication off everybody is the local Admin; an Admin is never narrowed."""

    subject: str
    role: Role
    scope: Scope | None = None
    asked: Scope | None = None
    """The scope that was asked for, also of an Admin, who may be one no longer."""


LOCAL = Identity(subject="local", role=Role.ADMIN)


class HarnessConfig(Body):
    """Which model runs with which tools."""

    provider: Label
    model: Label
    tools: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)]


class HarnessPolicies(Body):
    """The limits of a run: milliseconds, attempts of a model call, dollars (0: no budget set), model calls."""

    timeout_ms: Milliseconds
    retry_limit: Annotated[int, msgspec.Meta(ge=1, le=100)]
    budget_usd: Dollars
    max_turns: Annotated[int, msgspec.Meta(ge=1, le=CLAIM_DELAYS_MAX)] | None = None


class Egress(Body):
    """A destination that a run may reach."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class ShellPolicy(Body):
    """What tool ``shell`` may start: each command is a prefix of an argv, word by word.

    ``directory`` is relative to the workspace; the limits are those of one call.
    """

    commands: Annotated[
        tuple[Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)], ...],
        msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX),
    ]
    directory: Label | None = None
    timeout_ms: Milliseconds | None = None
    output_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None = None


class HttpPolicy(Body):
    """How tool ``http`` may reach the hosts of ``allowedEgress``; the limits are those of one call."""

    methods: Annotated[
        tuple[Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], ...], msgspec.Meta(min_length=1, max_length=6)
    ] = ("GET",)
    timeout_ms: Milliseconds | None = None
    response_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None = None


class FilesPolicy(Body):
    """What tool ``files`` may do below ``directory`` (relative to the workspace): read, and with ``write`` change."""

    directory: Label | None = None
    write: bool = False
    file_bytes_max: Annotated[int, msgspec.Meta(ge=1, le=TOOL_BYTES_MAX)] | None = None


class ToolPolicies(Body):
    """The rules of the tools that need some; without them ``shell`` starts nothing and ``files`` only reads."""

    shell: ShellPolicy | None = None
    http: HttpPolicy | None = None
    files: FilesPolicy | None = None


EvidenceType: TypeAlias = Literal["text", "json", "binary"]


class VerificationPolicy(Body):
    """What a run must show before it counts as passed; ``label`` is that of the evidence.

    ``require-evidence``: evidence with the label was attached. ``command``: ``command`` (within the shell's allow-list)
    exits with 0. ``json-schema``: the output is JSON that fits ``schema``. ``contains``: the output holds ``contains``.
    """

    id: Label
    kind: Literal["require-evidence", "command", "json-schema", "contains"]
    label: Label
    evidence_type: EvidenceType | None = None
    command: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)] | None = None
    schema: dict[str, Any] | None = None
    contains: LongText | None = None


class HarnessSpec(Body):
    """A harness profile as its author wrote it."""

    display_name: Label
    version: Literal["v1", "v2"]
    config: HarnessConfig
    policies: HarnessPolicies
    tool_policies: ToolPolicies | None = None
    allowed_egress: Annotated[tuple[Egress, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None
    verification_policies: Annotated[tuple[VerificationPolicy, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = (
        None
    )


class HarnessProfile(HarnessSpec, kw_only=True):
    """A harness profile with its id (contract 4.5)."""

    id: str
    created_at: str


class Usage(Value):
    """What a model call consumed, in tokens (the mock provider counts characters).

    ``input_tokens`` includes cached and cache-writing ones, ``output_tokens`` includes reasoning.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def plus(self, other: "Usage") -> "Usage":
        """The usage of several calls; what none of them reported stays unknown."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__struct_fields__}
        sums = {name: sum(count or 0 for count in pair) for name, pair in pairs.items() if pair != (None, None)}
        return Usage(**sums)


class ToolSpec(Value):
    """A tool as a model is told of it; ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(Value):
    """A call that a model asks for; ``arguments`` is JSON text as the model wrote it, maybe broken."""

    id: str
    name: str
    arguments: str


class VerificationFailure(Value):
    """A verification policy that the run did not meet."""

    policy_id: str
    kind: str
    message: str
    details: dict[str, str]


class Reliability(Value):
    """How hard it was to get an answer."""

    provider_attempts: int
    provider_retries: int
    fallback_hops: int
    turn_latency_ms: int | None = None


class ContextStep(Value):
    """One way in which a context was made smaller, and whether it helped; sizes in characters."""

    kind: Literal["summary", "tool-result-truncation"]
    applied: bool
    before_chars: int | None = None
    after_chars: int | None = None
    details: str | None = None


class ContextMeta(Value):
    """How the context of a run was compiled (contract 9.2)."""

    initial_strategy: str
    final_strategy: str
    overflow_recovered: bool
    overflow_attempts: int
    initial_chars: int
    final_chars: int
    effective_max_chars: int
    steps: tuple[ContextStep, ...]


class ContextReference(Value):
    """A reference that was resolved into a run's context, and what it held: SHA-256 of the run's salt and the text."""

    ref: str
    sha256: str
    chars: int


PERSONA_REVIEW = "Review of a change, asked of a persona."
"""How the prompt of a persona run begins."""

PersonaStdout: TypeAlias = Literal["summary", "json", "md", "none"]
"""How a persona's review is printed."""

SessionStrategy: TypeAlias = Literal["enqueue", "reject", "interrupt"]
"""What a run does when its session is busy: wait (the default), be refused, or have the other run cancelled."""


class RunBody(Body):
    """What a client sends to start a run (contract 4.2); a child is cancelled with its parent."""

    session_id: ClientId | None = None
    input: LongText | None = None
    directive_id: RecordId | None = None
    harness_profile_id: RecordId | None = None
    provider: Label | None = None
    model: Label | None = None
    metadata: Metadata | None = None
    session_strategy: SessionStrategy | None = None
    parent_run_id: RecordId | None = None


class RefusedPlan(Value):
    """The plan of a refused run, beside its provider and profile: all that its refusal depended on.

    ``patient`` runs wait for a slot (steps of workflows). ``least_micro_usd`` is the least that a call of its model
    costs, absent where no price is known; ``input_chars`` is how long its input was.
    """

    model: str
    input_chars: int
    requested_by: str
    patient: bool | None = None
    session_strategy: SessionStrategy | None = None
    fallbacks: tuple[str, ...] | None = None
    budget_micro_usd: int | None = None
    least_micro_usd: int | None = None
    timeout_ms: int | None = None
    parent_run_id: str | None = None


class RefusedRequest(Value):
    """The request of a refused run; of one over 4 KiB its length as JSON and its SHA-256.

    A directive stands there by its id.
    """

    input: str | None = None
    directive_id: str | None = None
    context_refs: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    size_bytes: int | None = None
    sha256: str | None = None


class TemplateUse(Value):
    """Which version of a template a run was started from, and with which parameters (contract 4.6)."""

    id: str
    version: int
    harness_profile_id: str
    effective_params: dict[str, Any]


class RunResult(Value):
    """What a synchronous caller gets for a run that completed (contract 4.2)."""

    session_id: str
    run_id: str
    output: str
    provider: str
    model: str
    created_at: str
    directive_id: str
    harness_profile_id: str
    harness_profile_snapshot: HarnessProfile
    evidence_count: int
    verification_status: Literal["passed", "verification-failed"]
    context_meta: ContextMeta
    reliability: Reliability
    verification_failures: tuple[VerificationFailure, ...] | None = None
    usage: Usage | None = None
    template: TemplateUse | None = None


class Cancelled(Value):
    """The answer of a cancel (contract 4.2)."""

    status: Literal["cancelled", "not-running"]
    run_id: str | None = None
    session_id: str | None = None
