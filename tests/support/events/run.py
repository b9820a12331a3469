"""Sample events of a run."""

from msgspec.structs import replace

from athena_core.definitions.profile import HarnessConfig, HarnessPolicies, HarnessSpec
from athena_core.domain import run
from athena_core.event import Event, Recorded
from athena_core.values import ContextMeta, Reliability, Usage
from tests.core.domain.given import NOW

SPEC = HarnessSpec(
    display_name="Profile",
    version="v1",
    config=HarnessConfig(provider="mock", model="mock-model", tools=("none",)),
    policies=HarnessPolicies(timeout_ms=1_000, retry_limit=1, budget_usd=0.0),
)
CREATED = run.RunCreated(
    session_id="s",
    directive_id="dir_1",
    harness_profile_id="hp_1",
    provider="mock",
    model="mock-model",
    harness_profile_snapshot=SPEC,
    profile_named=False,
    timeout_ms=1_000,
    requested_by="exe_1",
    contents=("what a file held",),
    metadata={"k": "v"},
)
QUEUED = run.RunQueued(
    reason="session-busy", **{name: getattr(CREATED, name) for name in run.RunRequest.__struct_fields__}
)
LEASED = run.RunLeased(executor="exe_1", token=1, attempt=1, pid=7)
STARTED = run.RunStarted(attempt=1)
ASKED = run.RunCancelRequested(status="cancelled", note="enough", run_id="run_1")
SAID = run.TranscriptAppended(role="assistant", kind="message", chars=2, content="ok")
PARTIAL = replace(SAID, partial=True)
PAID = run.UsageRecorded(provider="mock", model="mock-model", usage=Usage(total_tokens=3), cost_micro_usd=0)
COMPLETED = run.RunCompleted(
    provider="mock",
    model="mock-model",
    harness_profile_id="hp_1",
    evidence_count=0,
    verification_status="passed",
    reliability=Reliability(provider_attempts=1, provider_retries=0, fallback_hops=0),
    context_meta=ContextMeta(
        initial_strategy="raw",
        final_strategy="raw",
        overflow_recovered=False,
        overflow_attempts=0,
        initial_chars=2,
        final_chars=2,
        effective_max_chars=30_000,
        steps=(),
    ),
)
CALLED = run.ToolCalled(
    turn=1, tool_call_id="call_1", tool_name="files", chars=2, repeatable=True, refused=None, arguments="{}"
)
RESULT = run.TranscriptAppended(
    role="tool", kind="tool-result", chars=4, tool_call_id="call_1", tool_name="files", content="read"
)
TAKEN = run.RunLeased(executor="exe_2", token=2, attempt=2, pid=8, taken_from="exe_1", because="dead")
TAKE = run.TakeRun(executor="exe_2", pid=8, token=1, because="dead", attempts_max=3)
DEAR = replace(PAID, cost_micro_usd=600)
BUDGETED = replace(CREATED, budget_micro_usd=1_000)
PAUSED = run.RunPaused(reason="budget", elapsed_ms=400, spent_micro_usd=1_200, budget_micro_usd=1_000)
RESUMED = run.RunResumed(requested_by="exe_2", budget_micro_usd=2_000, provider="mock")


def recorded(event: Event, position: int = 5, stream: str = "run_1") -> Recorded[Event]:
    return Recorded(
        position=position,
        stream=stream,
        version=1,
        type=event.TYPE,
        recorded_at=NOW,
        command_id="cmd_1",
        correlation="trace",
        causation=None,
        actor="alice",
        session_id="s",
        run_id="run_1",
        mark=b"mark",
        event=event,
    )
