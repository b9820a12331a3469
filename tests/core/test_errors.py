"""Errors: a recorded code is answered as the error of that code."""

import pytest

from athena_core import errors
from athena_core.errors import AthenaError, ConfigError, InternalError, recorded_error

CODED = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AthenaError) and "code" in vars(kind)
]


@pytest.mark.parametrize("kind", CODED)
def test_a_code_leads_back_to_its_error(kind: type[AthenaError]) -> None:
    error = recorded_error(kind.code, "why", {"runId": "run_1"})
    assert (type(error), error.message, error.details) == (
        InternalError if kind is AthenaError else kind,
        "why",
        {"runId": "run_1"},
    )


def test_each_code_is_of_one_error() -> None:
    assert len({kind.code for kind in CODED}) == len(CODED) - 1, "INTERNAL_ERROR is also the code of the family"


def test_an_unknown_code_is_a_bug_and_not_retryable() -> None:
    error = recorded_error("NEVER_HEARD_OF", "why")
    assert (type(error), error.code, error.retryable, error.details) == (InternalError, "INTERNAL_ERROR", False, None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.Overloaded("why"), "same-key"),
        (errors.OutcomeUnknown("why"), "same-key"),
        (errors.IdempotencyInProgress("why"), "same-key"),
        (errors.ProviderError("why"), "new-key"),
        (recorded_error("OVERLOADED", "why"), "new-key"),
        (recorded_error("PROVIDER_ERROR", "why", retryable=False), None),
        (errors.ConcurrencyLimitExceeded("why"), None),
    ],
)
def test_a_retry_uses_a_new_key_once_the_key_is_bound(error: AthenaError, expected: str | None) -> None:
    assert (error.retry_with, error.retryable) == (expected, expected is not None)


def test_a_recorded_wrong_field_needs_no_faults() -> None:
    assert isinstance(recorded_error("CONFIG_ERROR", "why"), ConfigError)
