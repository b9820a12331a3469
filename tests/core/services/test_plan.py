"""What the policy in force pins to a run when it is asked for: how long it may take, how often it may try again."""

from pathlib import Path

import pytest

from athena_core.domain import policy
from athena_core.services.context.compiler import ResolvedReferences
from athena_core.services.runs.admission import Plan
from athena_core.settings import load
from athena_core.values import HarnessSpec, RunBody
from tests.core.domain.test_run import SPEC

LIMITS = policy.Policy(
    schema_version=1, default_run_timeout_ms=7_000, default_schedule_timeout_ms=9_000, retry_budget_per_run=0
)


@pytest.mark.parametrize(
    ("profile", "limits", "timeout_ms", "retries"),
    [(None, None, 30_000, None), (None, LIMITS, 7_000, 0), (SPEC, LIMITS, 1_000, 0), (SPEC, None, 1_000, None)],
)
def test_a_profile_that_was_named_comes_before_the_policy_and_that_before_the_setting(
    tmp_path: Path, profile: HarnessSpec | None, limits: policy.Policy | None, timeout_ms: int, retries: int | None
) -> None:
    settings = load({"ATHENA_STATE_DIR": str(tmp_path)}, tmp_path)
    body = RunBody(input="hi", harness_profile_id="hp_1" if profile else None)
    plan = Plan(body, "hi", ResolvedReferences(bytes(16)), profile, "mock", settings)
    request = plan.request("s", "dir_1", limits, "exe_1")
    assert (request.timeout_ms, request.retry_budget) == (timeout_ms, retries)
