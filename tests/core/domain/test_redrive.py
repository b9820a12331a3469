"""Redrives as deciders: each letter is handled once, in order, and the job ends once with its counts."""

import pytest

from athena_core.domain import redrive
from athena_core.event import Event, Guard
from tests.core.domain.given import Given
from tests.support.events.redrive import STARTED, advance, advanced, completed
from tests.support.events.run import recorded

CANCELLED = redrive.RedriveCancelled(redrive_id="rdr_1", filter_hash="ab", requeued=0, skipped=0, failed=0)


def job(*events: Event) -> Given[redrive.RedriveState]:
    return Given(redrive.DECIDER, redrive.decide, *events)


def test_a_redrive_begins_once() -> None:
    start = redrive.StartRedrive(started=STARTED)
    job().when(start).then(STARTED)
    for past in ((STARTED,), (STARTED, completed()), (STARTED, CANCELLED)):
        job(*past).when(start).then_nothing()


def test_each_letter_is_seen_to_once_and_in_order() -> None:
    job(STARTED).when(advance(3, "failed", "CONFLICT")).then(advanced(3, "failed", "CONFLICT"))
    job(STARTED, advanced(3)).when(advance(5, "skipped")).then(advanced(5, "skipped"))
    job(STARTED, advanced(3), advanced(5)).when(advance(5)).then_nothing()
    job(STARTED, advanced(3), advanced(5)).when(advance(3)).then_nothing()


def test_the_end_counts_the_results_of_the_letters() -> None:
    past = (STARTED, advanced(3), advanced(4, "skipped"), advanced(5), advanced(6, "failed", "CONFLICT"))
    job(*past).when(redrive.CompleteRedrive()).then(completed(requeued=2, skipped=1, failed=1))
    job(STARTED).when(redrive.CancelRedrive()).then(CANCELLED)


@pytest.mark.parametrize("past", [(), (STARTED, completed()), (STARTED, CANCELLED)], ids=["none", "done", "stopped"])
def test_a_job_that_is_not_running_does_not_continue(past: tuple[Event, ...]) -> None:
    for command in (advance(3), redrive.CompleteRedrive(), redrive.CancelRedrive()):
        job(*past).when(command).then_nothing()


def test_one_job_of_a_filter_runs_at_a_time() -> None:
    assert redrive.DECIDER.guards(recorded(STARTED)) == (Guard(kind="redrive", key="ab", value=("rdr_1",)),)
    assert redrive.DECIDER.guards(recorded(advanced(3))) == ()
    for end in (completed(), CANCELLED):
        assert redrive.DECIDER.guards(recorded(end)) == (Guard(kind="redrive", key="ab", value=None),)
