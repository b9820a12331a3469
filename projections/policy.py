"""Read model of the policy: the current document, and all rejections."""

from typing import Annotated

import msgspec

from athena_core.clock import iso
from athena_core.domain.plane import PayloadRedacted
from athena_core.domain.policy import PolicyUpdated
from athena_core.domain.profile import HarnessProfileCreated
from athena_core.domain.run import PolicyRejected
from athena_core.enums import FailureAction, PolicyEngine, PolicyRuleType, PolicyType, RejectionReason
from athena_core.event import Recorded, Value, says
from athena_core.protocols import Cell, Connection
from athena_core.values import RefusedPlan, RefusedRequest
from projections.engine.cursor import event_id
from projections.engine.page import Keyset, Page
from projections.engine.projection import ONLY_ROW, Projection, Rows, Table, to_json, to_json_or_null


class PolicyRow(msgspec.Struct, gc=False):
    """The current policy as JSON (one row). ``version`` counts its replacements."""

    row: int
    version: int
    document: str


class ProfileProviderRow(msgspec.Struct, gc=False):
    """The provider of a harness profile, for rejections."""

    profile_id: str
    provider: str


class RejectionRow(msgspec.Struct, gc=False):
    """A rejection, by the position of its event. ``event``, ``plan`` and ``request`` are JSON.

    The request is NULL once redacted.
    """

    position: int
    mark: bytes
    created_at: int
    session_id: str
    run_id: str | None
    trace_id: str
    actor: str
    reason: RejectionReason
    active_runs: int
    max_concurrent_runs: int
    event: str
    directive_id: str | None
    harness_profile_id: str | None
    provider: str | None
    run_template_id: str | None = None
    run_template_version: int | None = None
    plan: str | None = None
    request: str | None = None
    redacted: bool = False


DOCUMENT = Table("policy", PolicyRow, key=("row",))
PROVIDER = Table("policy_provider", ProfileProviderRow, key=("profile_id",))
REJECTION = Table(
    "policy_rejection",
    RejectionRow,
    key=("position",),
    indexes=(
        ("created_at",),
        ("session_id", "position"),
        ("actor", "position"),
        ("provider", "position"),
        ("harness_profile_id", "position"),
    ),
)
POLICY = Projection("policy", version=5, tables=(DOCUMENT, PROVIDER, REJECTION))


@POLICY.handler
def policy_updated(rows: Rows, recorded: Recorded[PolicyUpdated]) -> None:
    event = recorded.event
    document = msgspec.to_builtins(event.after) | {"updatedAt": event.updated_at}
    rows.put(DOCUMENT, PolicyRow(ONLY_ROW, version=recorded.version, document=to_json(document)))


@POLICY.handler
def harness_profile_created(rows: Rows, recorded: Recorded[HarnessProfileCreated]) -> None:
    """Store the provider of the profile, for rejections."""
    event = recorded.event
    rows.append(PROVIDER, ProfileProviderRow(event.harness_profile_id, event.provider))


@POLICY.handler
def policy_rejected(rows: Rows, recorded: Recorded[PolicyRejected]) -> None:
    """Add a rejection. Earlier events of the same transaction add nothing."""
    event = recorded.event
    rejection = event.rejection
    provider = event.provider
    if provider is None and event.harness_profile_id is not None:  # old events lack the provider
        profile = rows.get(PROVIDER, event.harness_profile_id)
        provider = profile.provider if profile else None
    rows.append(
        REJECTION,
        RejectionRow(
            position=recorded.position,
            mark=recorded.mark,
            created_at=recorded.at,
            session_id=rejection.rejected_run_details.session_id,
            run_id=recorded.run_id,
            trace_id=recorded.correlation,
            actor=recorded.actor,
            reason=rejection.reason,
            active_runs=rejection.active_runs,
            max_concurrent_runs=rejection.limit,
            event=to_json(rejection),
            directive_id=event.directive_id,
            harness_profile_id=event.harness_profile_id,
            provider=provider,
            run_template_id=event.run_template_id,
            run_template_version=event.run_template_version,
            plan=to_json_or_null(event.plan),
            request=to_json_or_null(event.request),
        ),
    )


@POLICY.handler
def payload_redacted(rows: Rows, recorded: Recorded[PayloadRedacted]) -> None:
    row = rows.erase(REJECTION, recorded.event.target, "request")
    if row is not None:
        row.redacted = True


class PolicyRule(Value):
    """The policy rule that rejected a run."""

    schema_version: int
    engine: PolicyEngine
    rule_type: PolicyRuleType
    policy_name: str | None = None
    rule_name: str | None = None
    failure_action: FailureAction | None = None
    message: str | None = None


class RejectedRun(Value):
    """The session and persona of a rejected run."""

    session_id: str
    persona_name: str | None = None


class RejectionEvent(Value):
    """A rejection as it was recorded.

    For the policy type ``COST`` it has the sums of the UTC day. Then ``limit``, which counts runs, is 0.
    """

    schema_version: int
    timestamp: str
    policy_type: PolicyType
    limit: Annotated[int, says("Limit of active runs; 0 for a budget.")]
    rejected_run_details: RejectedRun
    reason: Annotated[RejectionReason, says("Why it was rejected.")]
    active_runs: int
    policy: Annotated[PolicyRule | None, says("Rule that rejected it; absent in old logs.")] = None
    spent_micro_usd: int | None = None
    budget_micro_usd: Annotated[int | None, says("Daily budget in millionths of a dollar; absent for run limits.")] = (
        None
    )


class Rejection(Value):
    """A run that the policy rejected. ``id`` is ``rej_`` and the id of its event in the feed.

    ``provider`` is the one that the run would have used, and ``runTemplateId`` the template of its request. ``plan``
    and ``request`` describe the requested run. Both are absent in rejections of release 0.1, and ``request`` once
    redacted; then ``redacted`` is true.
    """

    id: str
    created_at: str
    session_id: str
    active_runs: int
    max_concurrent_runs: Annotated[int, says("Limit that was reached; 0 for a budget.")]
    reason: Annotated[RejectionReason, says("Why the policy rejected the run.")]
    event: Annotated[RejectionEvent, says("The rejection as it was recorded.")]
    actor: str
    trace_id: str
    policy: Annotated[PolicyRule | None, says("Rule that rejected it; absent in old logs.")] = None
    run_id: str | None = None
    directive_id: str | None = None
    harness_profile_id: str | None = None
    provider: str | None = None
    run_template_id: str | None = None
    run_template_version: int | None = None
    plan: RefusedPlan | None = None
    request: RefusedRequest | None = None
    redacted: bool | None = None


OLDEST = Keyset(kind="rejections", oldest_first=True)
NEWEST = Keyset(kind="rejections-newest", columns=OLDEST.columns)


def policy_in_force(connection: Connection) -> tuple[bytes, int]:
    """Return the current policy as JSON (``null`` if there is none), and its version."""
    row = DOCUMENT.one(connection, ONLY_ROW)
    return (b"null", 0) if row is None else (row.document.encode(), row.version)


def list_rejections(
    connection: Connection,
    log_id: str,
    *,
    session_id: str | None = None,
    created_after: int | None = None,
    created_before: int | None = None,
    reason: str | None = None,
    actor: str | None = None,
    provider: str | None = None,
    harness_profile_id: str | None = None,
    newest_first: bool = False,
    offset: int = 0,
    cursor: str | None,
    limit: int,
) -> Page[Rejection]:
    """Return a page of rejections, oldest or newest first. Times are milliseconds since 1970 UTC, inclusive."""
    where = (
        ("session_id = ?", session_id),
        ("created_at >= ?", created_after),
        ("created_at <= ?", created_before),
        ("reason = ?", reason),
        ("actor = ?", actor),
        ("provider = ?", provider),
        ("harness_profile_id = ?", harness_profile_id),
    )
    return (NEWEST if newest_first else OLDEST).page(
        connection,
        REJECTION.all,
        where,
        cursor=cursor,
        limit=limit,
        offset=offset,
        show=lambda values: _to_rejection(values, log_id),
    )


def _to_rejection(values: tuple[Cell, ...], log_id: str) -> Rejection:
    row = REJECTION.load(values)
    event = msgspec.json.decode(row.event, type=RejectionEvent)
    return Rejection(
        id="rej_" + event_id(log_id, row.position, row.mark),
        created_at=iso(row.created_at),
        session_id=row.session_id,
        active_runs=row.active_runs,
        max_concurrent_runs=row.max_concurrent_runs,
        reason=row.reason,
        event=event,
        actor=row.actor,
        trace_id=row.trace_id,
        policy=event.policy,
        run_id=row.run_id,
        directive_id=row.directive_id,
        harness_profile_id=row.harness_profile_id,
        provider=row.provider,
        run_template_id=row.run_template_id,
        run_template_version=row.run_template_version,
        plan=None if row.plan is None else msgspec.json.decode(row.plan, type=RefusedPlan),
        request=None if row.request is None else msgspec.json.decode(row.request, type=RefusedRequest),
        redacted=row.redacted or None,
    )
