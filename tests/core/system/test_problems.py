"""Problems: which loops fail, since when, and how often that is logged."""

import logging

import pytest

from athena_core.clock import FixedClock
from athena_core.errors import Overloaded
from athena_core.system.problems import KEYS_MAX, LOOPS, Problem, Problems, reason


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def problems(clock: FixedClock) -> Problems:
    return Problems(clock)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as found:
        return found


def test_a_loop_fails_from_its_first_failure_until_each_key_works(problems: Problems, clock: FixedClock) -> None:
    began = clock.now()
    problems.report("runner.claim", Overloaded("first"), "run_1")
    clock.advance(5)
    problems.report("runner.claim", Overloaded("second"), "run_2")
    problems.report("views", Overloaded("third"))
    assert problems.failing() == (
        Problem(loop="runner.claim", since=began, message="OVERLOADED: second", count=2),
        Problem(loop="views", since=began + 5, message="OVERLOADED: third", count=1),
    )
    problems.recovered("runner.claim", "run_1")
    problems.recovered("runner.claim", "run_unknown")
    assert [problem.loop for problem in problems.failing()] == ["runner.claim", "views"]
    problems.recovered("runner.claim", "run_2")
    problems.recovered("views")
    problems.recovered("views")
    assert problems.failing() == ()
    assert {loop: count for loop, count in problems.totals().items() if count} == {"runner.claim": 2, "views": 1}


def test_totals_name_every_loop_from_the_start(problems: Problems) -> None:
    assert problems.totals() == dict.fromkeys(LOOPS, 0)


def test_the_same_failure_is_logged_once_a_minute(
    problems: Problems, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(60):
        problems.report("views", raised(ZeroDivisionError()))
        clock.advance(1_000)
    problems.report("views", raised(ZeroDivisionError()))
    problems.report("views", raised(KeyError()))
    lines = [(record.levelno, record.getMessage().partition(":")[0]) for record in caplog.records]
    assert lines == [
        (logging.ERROR, "views failed (failure 1)"),
        (logging.ERROR, "views failed (failure 61)"),
        (logging.ERROR, "views failed (failure 62)"),
    ]
    assert all(record.exc_info for record in caplog.records)


def test_keys_without_end_cost_no_memory_without_end(problems: Problems) -> None:
    for number in range(2 * KEYS_MAX):
        problems.report("runner.claim", Overloaded("not now"), f"run_{number}")
    assert len(problems._episodes["runner.claim"].keys) == KEYS_MAX
    problems.recovered("runner.claim", None)
    assert problems.failing() == ()


def test_a_bug_is_named_by_its_place_because_its_message_may_quote_a_model() -> None:
    assert reason(raised(ValueError("the model said so"))).startswith("ValueError at test_problems.py:")
    grouped = raised(ExceptionGroup("two", [raised(KeyError("secret")), KeyError()]))
    assert reason(grouped).startswith("KeyError at test_problems.py:")
    assert reason(raised(FileNotFoundError(2, "No such file", "/a/name"))).endswith("No such file")
    assert reason(KeyError()) == "KeyError"
