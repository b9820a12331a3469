"""The limits that the current policy gives a run at its request: timeout and attempts."""

import pytest

from athena_core.definitions.profile import HarnessSpec
from athena_core.domain import policy
from tests.core.services.prepared_run import prepared
from tests.support.events.run import SPEC

LIMITS = policy.Policy(
    schema_version=1, default_run_timeout_ms=7_000, default_schedule_timeout_ms=9_000, retry_budget_per_run=0
)


@pytest.mark.parametrize(
    ("profile", "limits", "timeout_ms", "retries"),
    [(None, None, 30_000, None), (None, LIMITS, 7_000, 0), (SPEC, LIMITS, 1_000, 0), (SPEC, None, 1_000, None)],
)
def test_a_profile_that_was_named_comes_before_the_policy_and_that_before_the_setting(
    profile: HarnessSpec | None, limits: policy.Policy | None, timeout_ms: int, retries: int | None
) -> None:
    request = prepared("run_1", profile=profile, default_timeout_ms=30_000).pinned(limits)
    assert (request.timeout_ms, request.retry_budget) == (timeout_ms, retries)
