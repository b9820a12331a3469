"""The decider of reviews: begun once, repaired once at most, ended once; open ones are guarded."""

import pytest

from athena_core.domain import review as persona
from athena_core.event import Event, Guard
from tests.core.domain.given import Given
from tests.support.events.review import COMPLETED, FAILED, REPAIR, STARTED
from tests.support.events.run import recorded


def review(*events: Event) -> Given[persona.ReviewState]:
    return Given(persona.DECIDER, persona.decide, *events)


def test_a_review_begins_or_is_refused_once() -> None:
    for first in (STARTED, FAILED):
        review().when(first).then(first)
        for past in ((STARTED,), (STARTED, REPAIR), (STARTED, COMPLETED), (FAILED,)):
            review(*past).when(first).then_nothing()


def test_a_review_is_repaired_once_at_most_and_while_it_is_open() -> None:
    review(STARTED).when(REPAIR).then(REPAIR)
    for past in ((), (FAILED,), (STARTED, REPAIR), (STARTED, COMPLETED)):
        review(*past).when(REPAIR).then_nothing()


def test_a_review_ends_once_repaired_or_not() -> None:
    review(STARTED).when(COMPLETED).then(COMPLETED)
    review(STARTED, REPAIR).when(COMPLETED).then(COMPLETED)
    for past in ((), (FAILED,), (STARTED, COMPLETED), (STARTED, REPAIR, COMPLETED)):
        review(*past).when(COMPLETED).then_nothing()


def test_a_review_waits_for_its_run_and_then_for_the_repair() -> None:
    assert review(STARTED).state.run_id == ""
    assert review(STARTED, REPAIR).state == persona.ReviewState(status="running", run_id="run_2", repaired=True)


@pytest.mark.parametrize(
    ("event", "value"), [(STARTED, ("run_1",)), (REPAIR, ("run_2",)), (COMPLETED, None)], ids=["start", "repair", "end"]
)
def test_an_open_review_is_found_again(event: Event, value: tuple[str] | None) -> None:
    found = persona.DECIDER.guards(recorded(event, stream=persona.stream("run_1")))
    assert found == (Guard(kind="review", key="run_1", value=value),)


def test_a_review_that_did_not_begin_occupies_nothing() -> None:
    assert persona.DECIDER.guards(recorded(FAILED, stream=persona.stream("run_1"))) == ()
