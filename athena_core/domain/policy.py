"""The policy: the limits of the whole plane; without it, runs are unlimited and time out after 30 seconds."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.enums import LimitScope, LimitStrategy
from athena_core.errors import ConfigError
from athena_core.event import Event, Shows, Value, says
from athena_core.values import (
    ID_PATTERN,
    LIST_ITEMS_MAX,
    MICRO_USD,
    Body,
    Count,
    Dollars,
    Label,
    Milliseconds,
    RecordId,
)

STREAM = "policy"
SESSION_ID = re.compile(ID_PATTERN)
RUN_ATTEMPTS_DEFAULT = 3


class KeyLimit(Body):
    """A limit of concurrent runs of one session, provider, harness profile or agent; without ``key`` one for each.

    Runs above ``max`` are refused or queued. A limit with a key replaces the general one. A run counts at every
    provider that it may call, including its fallbacks.
    """

    scope: Annotated[LimitScope, says("What the limit counts by.")]
    max: Count
    strategy: Annotated[LimitStrategy, says("What happens to runs above the limit.")]
    key: Annotated[RecordId | None, says("Session, provider or profile; absent: each of them.")] = None


class Policy(Body):
    """A policy document. An absent limit does not limit.

    ``max_run_attempts`` is the number of executors that a run may lose before it ends as crashed; 3 if absent.
    """

    schema_version: Count
    max_concurrent_runs: Count | None = None
    limits: Annotated[tuple[KeyLimit, ...], msgspec.Meta(max_length=LIST_ITEMS_MAX)] | None = None
    default_run_timeout_ms: Milliseconds | None = None
    default_schedule_timeout_ms: Milliseconds | None = None
    retry_budget_per_run: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | None = None
    cost_budget_daily_usd: Dollars | None = None
    max_run_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None

    @property
    def run_attempts_max(self) -> int:
        """The number of executors that a run may lose."""
        return self.max_run_attempts or RUN_ATTEMPTS_DEFAULT


class PolicyDocument(Policy, kw_only=True):
    """The current policy and the time of its last change."""

    updated_at: str


class PolicyInput(Policy):
    """A policy as a client sends it. ``updatedAt`` is accepted and ignored, so a client may send back what it read."""

    updated_at: Annotated[Any, says("Accepted and ignored.")] = None


class PlainPolicyBody(PolicyInput):
    """A new policy: the document itself."""

    audit_comment: Label | None = None


class CommentedPolicyBody(Body):
    """A new policy, and why it changes."""

    policy: PolicyInput
    audit_comment: Label


class PutPolicyBody(PolicyInput):
    """A new policy: the document itself with ``schemaVersion``, or ``policy`` with ``auditComment``.

    The order of the fields is part of the fingerprints of idempotency keys, so it must stay.
    """

    schema_version: Count | None = None  # type: ignore[assignment]
    policy: PolicyInput | None = None
    audit_comment: Label | None = None


class SimulateBody(Body):
    """A policy to simulate, and the start: an ISO-8601 time, a position or an event id; absent, 24 hours ago.

    ``run_id`` requests the result of one run, which may be a refused one.
    """

    policy: Annotated[PolicyInput, says("Policy to simulate.")]
    since: Annotated[Label | None, says("Time, position or event id; absent: 24 hours ago.")] = None
    run_id: Annotated[Label | None, says("Run to report on.")] = None


# Stored events. Their TYPE is storage: never rename one.


class PolicyUpdated(Event):
    """The policy was replaced as a whole."""

    TYPE: ClassVar[str] = "policy.updated"
    SCHEMA: ClassVar[int] = 2
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    schema_version: int
    updated_at: str
    after: Policy
    before: Policy | None = None
    audit_comment: str | None = None
    updated_by: str | None = None


# State


class PolicyState(Value):
    """The current policy. ``version`` counts its changes."""

    version: int = 0
    updated_at: str = ""
    policy: Policy | None = None
    limits: Mapping[tuple[str, str | None], KeyLimit] = MappingProxyType({})

    @property
    def run_attempts_max(self) -> int:
        """The number of executors that a run may lose."""
        return self.policy.run_attempts_max if self.policy else RUN_ATTEMPTS_DEFAULT

    @property
    def max_concurrent_runs(self) -> int | None:
        """The maximum number of runs that hold a slot; None if unlimited."""
        return self.policy.max_concurrent_runs if self.policy else None

    @property
    def daily_budget_micro_usd(self) -> int | None:
        """The budget of all model calls of a UTC day in micro-USD; None if absent or 0, which both mean unlimited."""
        dollars = self.policy.cost_budget_daily_usd if self.policy else None
        return max(round(dollars * MICRO_USD), 1) if dollars else None

    def limit(self, place: str) -> KeyLimit | None:
        """Return the limit for a limit key: ``provider:openai``, ``harness-profile:hp_1``, ``agent:a`` or a session."""
        scope, colon, key = place.partition(":")
        if not colon:
            scope, key = "session", place
        return self.limits.get((scope, key)) or self.limits.get((scope, None))


def evolve(state: PolicyState, event: Event) -> PolicyState:
    match event:
        case PolicyUpdated():
            limits = {(str(limit.scope), limit.key): limit for limit in event.after.limits or ()}
            return PolicyState(
                policy=event.after,
                version=state.version + 1,
                updated_at=event.updated_at,
                limits=MappingProxyType(limits),
            )
        case _:
            return state


# Commands


class PutPolicy(Value):
    """Replace the policy. ``at`` is ISO-8601 UTC."""

    policy: Policy
    at: str
    by: str
    audit_comment: Label | None = None


def policy_document(state: PolicyState) -> PolicyDocument:
    """Return the current policy as a document. Raise ValueError if there is none."""
    if state.policy is None:
        raise ValueError("no policy is set")
    fields = {name: getattr(state.policy, name) for name in Policy.__struct_fields__}
    return PolicyDocument(updated_at=state.updated_at, **fields)


def policy_of(body: PutPolicyBody) -> tuple[Policy, Label | None]:
    """Return the policy from either form of the body, and the comment. Raise ConfigError."""
    flat = [name for name in Policy.__struct_fields__ if getattr(body, name) is not None]
    if body.policy is None:
        if body.schema_version is None:
            raise ConfigError.of("schemaVersion", "is required", "set it to 1")
        return _plain(body), body.audit_comment
    if flat:
        field = msgspec.structs.fields(Policy)[Policy.__struct_fields__.index(flat[0])].encode_name
        raise ConfigError.of(field, "cannot be combined with policy", "move it into policy")
    if body.audit_comment is None:
        raise ConfigError.of("auditComment", "is required with policy", "say why the policy changes")
    return _plain(body.policy), body.audit_comment


def supposed_policy(body: SimulateBody) -> PolicyState:
    """Return the state with the policy to simulate."""
    return evolve(PolicyState(), PolicyUpdated(schema_version=1, updated_at="", after=_plain(body.policy)))


def _plain(policy: Policy) -> Policy:
    fields = {name: getattr(policy, name) for name in Policy.__struct_fields__}
    return Policy(**{**fields, "limits": policy.limits or None})


def check_budget(policy: Policy, place: str) -> None:
    """Raise ConfigError for a new daily budget of 0, which would lift the limit; ``place`` prefixes its field."""
    if policy.cost_budget_daily_usd == 0:
        remedy = "omit it to have no daily budget, or stop all work with `athena halt`"
        raise ConfigError.of(f"{place}costBudgetDailyUsd", "0 would lift the limit", remedy)


def check_limits(
    limits: tuple[KeyLimit, ...], place: str, providers: frozenset[str], agents: Collection[str] | None = None
) -> None:
    """Raise ConfigError if limits repeat each other or can never apply. ``place`` is the prefix of their field.

    ``agents`` are the registered agents; None if another process knows them.
    """
    seen: set[tuple[str, str | None]] = set()
    for index, limit in enumerate(limits):
        field = f"{place}limits[{index}]"
        if (limit.scope, limit.key) in seen:
            raise ConfigError.of(field, f"repeats the limit for {limit.scope} {limit.key or '(each)'}", "remove one")
        seen.add((limit.scope, limit.key))
        if limit.key is None:
            continue
        if limit.scope == "session" and not SESSION_ID.fullmatch(limit.key):
            raise ConfigError.of(
                f"{field}.key", f"{limit.key!r} is not a session id", "use letters, digits, '.', '_', '-'"
            )
        if limit.scope == "provider" and limit.key not in providers:
            known = ", ".join(sorted(providers))
            raise ConfigError.of(f"{field}.key", f"no provider {limit.key!r} is registered", f"use one of {known}")
        if limit.scope == "agent" and agents is not None and limit.key not in agents:
            remedy = f"use one of {', '.join(sorted(agents))}" if agents else "set ATHENA_AGENTS on the server"
            raise ConfigError.of(f"{field}.key", f"no agent {limit.key!r} is registered", remedy)


def decide(command: PutPolicy, state: PolicyState, context: Context) -> tuple[Event, ...]:
    """Replace the policy if it differs."""
    if command.policy == state.policy:
        return ()
    return (
        PolicyUpdated(
            schema_version=command.policy.schema_version,
            updated_at=command.at,
            audit_comment=command.audit_comment,
            updated_by=command.by,
            before=state.policy,
            after=command.policy,
        ),
    )


DECIDER: Decider[PolicyState] = Decider(
    category="policy", events=(PolicyUpdated,), initial=PolicyState(), evolve=evolve
)
