"""Shared values: identities, roles, harness profiles, usage, and the limits that have names."""

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from athena_core.event import Value

BODY_BYTES_MAX = 1_000_000
JSON_DEPTH_MAX = 64
PAGE_ITEMS_DEFAULT = 50
TAIL_ITEMS_DEFAULT = 100
PAGE_ITEMS_MAX = 500
FEED_SCAN_EVENTS_MAX = 50_000
KEY_CHARS_MAX = 255
IDENTITY_CHARS_MAX = 128
CONTEXT_REFS_MAX = 64
LIST_ITEMS_MAX = 256
MEMBER_CHARS_MAX = 1_000
INTEGER_MAX = 2**53 - 1  # what every JSON reader keeps exact

ID_PATTERN = r"^[A-Za-z0-9._-]+$"
CLIENT_ID_CHARS_MAX = 128

ClientId: TypeAlias = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""An id that a client chose: letters, digits, dot, underscore, dash; 1 to 128 characters."""

RecordId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=CLIENT_ID_CHARS_MAX)]
"""A reference to a record; whether it exists is looked up."""

Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MEMBER_CHARS_MAX)]
LongText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]
"""Text bounded only by the size of a request body."""

Metadata: TypeAlias = Annotated[dict[Label, Label], msgspec.Meta(max_length=LIST_ITEMS_MAX)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
Milliseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
Dollars: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]


class Body(Value, forbid_unknown_fields=True):
    """A value that clients write: unknown fields are an error (contract D3)."""


class Role(StrEnum):
    """What an identity may do; each role may do what the ones before it may."""

    VIEWER = "Viewer"
    OPERATOR = "Operator"
    ADMIN = "Admin"


class Identity(Value):
    """Who is asking. With authentication off everybody is the local Admin."""

    subject: str
    role: Role


LOCAL = Identity(subject="local", role=Role.ADMIN)


class HarnessConfig(Body):
    """Which model runs with which tools."""

    provider: Label
    model: Label
    tools: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=LIST_ITEMS_MAX)]


class HarnessPolicies(Body):
    """The limits of a run: milliseconds, attempts, dollars (0: no budget set)."""

    timeout_ms: Milliseconds
    retry_limit: Annotated[int, msgspec.Meta(ge=1, le=100)]
    budget_usd: Dollars


class Egress(Body):
    """A destination that a run may reach."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None


class VerificationPolicy(Body):
    """What a run must show before it counts as passed."""

    id: Label
    kind: Literal["require-evidence"]
    label: Label
    evidence_type: Literal["text", "json", "binary"] | None = None


class HarnessSpec(Body):
    """A harness profile as its author wrote it."""

    display_name: Label
    version: Literal["v1", "v2"]
    config: HarnessConfig
    policies: HarnessPolicies
    allowed_egress: Annotated[tuple[Egress, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None
    verification_policies: Annotated[tuple[VerificationPolicy, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = (
        None
    )


class HarnessProfile(HarnessSpec, kw_only=True):
    """A harness profile with its id (contract 4.5)."""

    id: str
    created_at: str


class Usage(Value):
    """What a model call consumed, in tokens (the mock provider counts characters)."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None


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


class ContextMeta(Value):
    """How the context of a run was compiled (contract 9.2)."""

    initial_strategy: str
    final_strategy: str
    overflow_recovered: bool
    overflow_attempts: int
    initial_chars: int
    final_chars: int
    effective_max_chars: int
    steps: tuple[str, ...]


class ContextReference(Value):
    """A reference that was resolved into a run's context, and what it held: SHA-256 of the run's salt and the text."""

    ref: str
    sha256: str
    chars: int


class RunBody(Body):
    """What a client sends to start a run (contract 4.2)."""

    session_id: ClientId | None = None
    input: LongText | None = None
    directive_id: RecordId | None = None
    harness_profile_id: RecordId | None = None
    provider: Label | None = None
    model: Label | None = None
    metadata: Metadata | None = None


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


class Cancelled(Value):
    """The answer of a cancel (contract 4.2)."""

    status: Literal["cancelled", "not-running"]
    run_id: str | None = None
    session_id: str | None = None
