"""The policy: the limits of the whole plane; without one, runs are unlimited and take 30 seconds."""

from typing import Annotated, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.event import Event, Value
from athena_core.values import Body, Count, Dollars, Label, Milliseconds

STREAM = "policy"


class Policy(Body):
    """A policy document (contract 4.10); an absent limit does not limit."""

    schema_version: Count
    max_concurrent_runs: Count | None = None
    default_run_timeout_ms: Milliseconds | None = None
    default_schedule_timeout_ms: Milliseconds | None = None
    retry_budget_per_run: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | None = None
    cost_budget_daily_usd: Dollars | None = None


# Stored events. Their TYPE is storage: never rename one.


class PolicyUpdated(Event):
    """The policy was replaced as a whole."""

    TYPE: ClassVar[str] = "policy.updated"
    schema_version: int
    updated_at: str
    after: Policy
    before: Policy | None = None
    audit_comment: str | None = None
    updated_by: str | None = None


# State


class PolicyState(Value):
    """The policy in force."""

    policy: Policy | None = None


def evolve(state: PolicyState, event: Event) -> PolicyState:
    """Follow one event."""
    match event:
        case PolicyUpdated():
            return PolicyState(policy=event.after)
        case _:
            return state


# Commands


class PutPolicy(Value):
    """Replace the policy; ``at`` is ISO-8601 UTC."""

    policy: Policy
    at: str
    by: str
    audit_comment: Label | None = None


def decide(command: PutPolicy, state: PolicyState, context: Context) -> tuple[Event, ...]:
    """Replace it, unless nothing changes."""
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
