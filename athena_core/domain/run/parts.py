"""The values inside the stored events of a run."""

from typing import Annotated, Literal

from athena_core.enums import (
    AskOptionKind,
    FailureAction,
    IsolationProfile,
    PolicyEngine,
    PolicyRuleType,
    PolicyType,
    RejectionReason,
    SandboxNetwork,
    SandboxPhase,
)
from athena_core.event import Value, says


class SandboxReport(Value):
    """The envelope member ``sandbox``: a phase of the sandbox of a run.

    ``backend`` is the contract's word for any sandbox, ``provider`` the program. ``reason`` is the code of the problem
    of a phase without a sandbox: ``not-supported`` (by the machine), ``not-installed`` or ``failed``.
    ``latency_ms_startup`` is the time that the first command took to start.
    """

    schema_version: int
    backend: Literal["agent-sandbox"]
    phase: SandboxPhase
    provider: Literal["bwrap"]
    isolation_profile: IsolationProfile
    network: SandboxNetwork
    latency_ms_startup: int | None = None
    reason: str | None = None


class AskOption(Value):
    """A possible answer to an ask. Its name is text of the ask."""

    id: str
    kind: Annotated[AskOptionKind, says("Whether it allows the call or refuses it.")]


class RejectedRunDetails(Value):
    """The session and persona of a refused run."""

    session_id: str
    persona_name: str | None = None


class PolicyOrigin(Value):
    """The rule that refused a run, and its engine."""

    schema_version: int
    engine: PolicyEngine
    rule_type: PolicyRuleType
    policy_name: str | None = None
    rule_name: str | None = None
    failure_action: FailureAction | None = None
    message: str | None = None


class RunRejection(Value):
    """The audit record of a refusal.

    With type ``COST`` it has the sums of the UTC day, and ``limit``, a number of runs, is 0.
    """

    schema_version: int
    timestamp: str
    policy_type: PolicyType
    limit: int
    rejected_run_details: RejectedRunDetails
    reason: Annotated[RejectionReason, says("Limit that the run would have exceeded.")]
    active_runs: int
    policy: PolicyOrigin | None = None
    spent_micro_usd: int | None = None
    budget_micro_usd: int | None = None
