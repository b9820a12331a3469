"""Refusals of runs: the events that record one, in the order clients expect, and the error for the caller."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from athena_core.clock import iso
from athena_core.decider import Context, Reader, Rejected
from athena_core.domain import run, template
from athena_core.enums import LimitStrategy
from athena_core.errors import (
    AthenaError,
    ConcurrencyLimitExceeded,
    ConfigError,
    DailyBudgetExceeded,
    SessionLockTimeout,
)
from athena_core.event import Event, Fact
from athena_core.services.access.access import violation_of
from athena_core.services.runs.prepared import PreparedRun, run_facts
from athena_core.values import MICRO_USD, Identity, RefusedPlan, RefusedRequest

REFUSED_BYTES_MAX = 4_096
"""The most bytes of a refused request that are recorded, as JSON; of a longer one only its length and hash."""


class ExceededLimit(NamedTuple):
    """A limit that leaves no room: its rule, the recorded reason, and how many of how many runs are active."""

    rule: str
    reason: Literal["max-concurrent-runs-exceeded", "key-limit-exceeded"]
    limit: int
    active: int
    place: str | None = None
    strategy: LimitStrategy = "reject"

    def __str__(self) -> str:
        """Return the text of the error."""
        of = f" of {self.place}" if self.place else ""
        return f"{self.rule} exceeded: {self.active} of {self.limit} runs{of} are active"


def over_limit(
    reader: Reader, context: Context, request: run.RunCreated, run_id: str, exceeded: ExceededLimit, who: Identity
) -> Rejected:
    """Refuse a run because a limit leaves no room."""
    origin = _origin(exceeded.rule, exceeded.place)
    rejection = _rejection(context, request, origin, exceeded.limit, exceeded.active, exceeded.reason)
    concurrency = run.PolicyConcurrencyRejected(
        rejection=rejection,
        active_runs=exceeded.active,
        max_concurrent_runs=exceeded.limit,
        reason=rejection.reason,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        provider=request.provider,
        policy=origin,
    )
    code = "POLICY_CONCURRENCY_REJECTED"
    violation = violation_of(reader, context, concurrency.TYPE, who, "policy", "blocked", code)
    error = ConcurrencyLimitExceeded(str(exceeded), {"runId": run_id})
    return _rejected(error, request, run_id, rejection, concurrency, violation)


def over_day_budget(
    reader: Reader, context: Context, request: run.RunCreated, run_id: str, spent: int, budget: int
) -> Rejected:
    """Refuse a run because the rest of the daily budget cannot pay for one call. Amounts are in micro-USD."""
    message = f"policy.costBudgetDailyUsd exceeded: {spent / MICRO_USD:.6f} of {budget / MICRO_USD:.6f} were spent"
    error = DailyBudgetExceeded(f"{message} this UTC day", {"runId": run_id})
    return _of_day_budget(reader, context, request, run_id, "daily-cost-budget-exceeded", spent, budget, error)


def unpriced_model(
    reader: Reader, context: Context, request: run.RunCreated, run_id: str, spent: int, budget: int
) -> Rejected:
    """Refuse a run of a model without a price under a daily budget. Amounts are in micro-USD."""
    field = "harnessProfileId" if request.profile_named else "model"
    reason = f"unpriced-model: {request.provider} {request.model!r} has no known price, and there is a daily budget"
    error = ConfigError.of(field, reason, "a model with a known price, or no costBudgetDailyUsd")
    return _of_day_budget(reader, context, request, run_id, "unpriced-model", spent, budget, error)


def session_busy(context: Context, request: run.RunCreated, run_id: str) -> Rejected:
    """Refuse a run because its session is busy and its session strategy is ``reject``."""
    rejection = _rejection(context, request, _origin("sessionStrategy"), 1, 1, "lock-acquisition-failed")
    message = f"session {request.session_id!r} is busy with another run; retry later, or use sessionStrategy=enqueue"
    return _rejected(SessionLockTimeout(message, {"runId": run_id}), request, run_id, rejection)


def with_violation(reader: Reader, context: Context, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts of a transaction; a violation follows on the record that a run lacks its sandbox."""
    found = list(facts)
    for place, fact in enumerate(facts):
        event = fact.event
        if isinstance(event, run.SandboxLifecycle) and event.sandbox and event.sandbox.phase == "required-unavailable":
            code = "SANDBOX_REQUIRED_UNAVAILABLE"
            violation = violation_of(reader, context, event.TYPE, None, "sandbox", "blocked", code, behind=place)
            found.insert(place + 1, replace(fact, event=violation))
            break  # it ends the run
    return found


def with_request(rejected: Rejected, prepared: PreparedRun, request: run.RunCreated) -> Rejected:
    """Return the refusal with the request and, if the run was made from a template, the template."""
    details: dict[str, Any] = {"plan": _plan(prepared, request), "request": _request(prepared)}
    if isinstance(prepared.origin, template.RunTemplateRun):
        details["run_template_id"] = prepared.origin.run_template_id
        details["run_template_version"] = prepared.origin.version
    facts = tuple(
        replace(fact, event=replace(fact.event, **details)) if isinstance(fact.event, run.PolicyRejected) else fact
        for fact in rejected.facts
    )
    return Rejected(rejected.error, facts)


def _plan(prepared: PreparedRun, request: run.RunCreated) -> RefusedPlan:
    return RefusedPlan(
        model=request.model,
        input_chars=len(prepared.text),
        requested_by=request.requested_by,
        patient=prepared.patient or None,
        session_strategy=prepared.body.session_strategy,
        fallbacks=request.fallbacks,
        budget_micro_usd=request.budget_micro_usd,
        least_micro_usd=prepared.least_micro_usd,
        timeout_ms=request.timeout_ms,
        parent_run_id=request.parent_run_id,
        agent=request.agent,
    )


def _request(prepared: PreparedRun) -> RefusedRequest:
    body = prepared.body
    given = RefusedRequest(
        input=prepared.text if body.directive_id is None else None,
        directive_id=body.directive_id,
        context_refs=prepared.references if body.directive_id is None else None,
        metadata=body.metadata or None,
    )
    stored = msgspec.json.encode(given)
    if len(stored) > REFUSED_BYTES_MAX:
        return RefusedRequest(size_bytes=len(stored), sha256=hashlib.sha256(stored).hexdigest())
    return given


def _of_day_budget(
    reader: Reader,
    context: Context,
    request: run.RunCreated,
    run_id: str,
    reason: Literal["daily-cost-budget-exceeded", "unpriced-model"],
    spent: int,
    budget: int,
    error: AthenaError,
) -> Rejected:
    origin = _origin("policy.costBudgetDailyUsd", rule_type="validate")
    rejection = _rejection(context, request, origin, 0, len(reader.guards("slot")), reason)
    rejection = replace(rejection, policy_type="COST", spent_micro_usd=spent, budget_micro_usd=budget)
    return _rejected(error, request, run_id, rejection)


def _origin(
    name: str, rule: str | None = None, rule_type: Literal["concurrency", "validate"] = "concurrency"
) -> run.PolicyOrigin:
    return run.PolicyOrigin(
        schema_version=1,
        engine="athena",
        rule_type=rule_type,
        policy_name=name,
        rule_name=rule,
        failure_action="enforce",
    )


def _rejection(
    context: Context, request: run.RunCreated, origin: run.PolicyOrigin, limit: int, active: int, reason: Any
) -> run.RunRejection:
    return run.RunRejection(
        schema_version=1,
        timestamp=iso(context.now),
        policy_type="CONCURRENCY",
        limit=limit,
        rejected_run_details=run.RejectedRunDetails(session_id=request.session_id, persona_name=request.persona_name),
        reason=reason,
        active_runs=active,
        policy=origin,
    )


def _rejected(
    error: AthenaError, request: run.RunCreated, run_id: str, rejection: run.RunRejection, *first: Event
) -> Rejected:
    """Return the refusal: the ``first`` events, then the rejection by the policy."""
    last = run.PolicyRejected(
        rejection=rejection,
        directive_id=request.directive_id,
        harness_profile_id=request.harness_profile_id,
        provider=request.provider,
        policy=rejection.policy,
    )
    return Rejected(error, run_facts(run_id, request.session_id, (*first, last)))
