"""The work queue: the batch of one run, the effect of that run's end, and no lost or doubled items."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context
from athena_core.domain import queue
from athena_core.enums import DeadLetterReason, QueueMode
from athena_core.errors import WorkQueueFull
from athena_core.event import Event, Guard, Meta
from tests.core.domain.given import NOW, Given
from tests.scale import sized
from tests.support.events.queue import buried, done, drained, draining, enqueued, ids, returned, started, stopped
from tests.support.events.run import recorded

CHARS_MAX = 100


def given(*events: Event) -> Given[queue.QueueState]:
    return Given(queue.DECIDER, queue.decide, *events)


def enqueue(number: int, **fields: Any) -> queue.EnqueueWork:
    return queue.EnqueueWork(
        item_id=f"wi_{number}", mode="followup", payload=f"do {number}", enqueued_by="alice", **fields
    )


def start(*numbers: int, run_id: str = "run_1") -> queue.StartBatch:
    return queue.StartBatch(run_id=run_id, item_ids=ids(*numbers), chars_max=CHARS_MAX)


def fail(run_id: str = "run_1", **fields: Any) -> queue.FailBatch:
    return queue.FailBatch(
        run_id=run_id,
        code="PROVIDER_ERROR",
        message="no",
        **{"counted": True, "attempts_max": 3, "dead_letter_id": "dlq_1", **fields},
    )


def refuse(*numbers: int, grave: DeadLetterReason | None = None) -> queue.RefuseBatch:
    return queue.RefuseBatch(
        item_ids=ids(*numbers), code="PROVIDER_ERROR", message="no", dead_letter_id="dlq_1", grave=grave
    )


START = queue.StartDrain(drain_id="drn_1", requested_by="alice")

# Waiting items


def test_an_item_waits_at_the_end() -> None:
    given(enqueued(1)).when(enqueue(2)).then(enqueued(2))


def test_the_same_again_changes_nothing() -> None:
    given(enqueued(1)).when(enqueue(2, duplicate=True)).then_nothing()


def test_a_queue_has_a_limit() -> None:
    full = [enqueued(number) for number in range(1, queue.QUEUE_ITEMS_MAX + 1)]
    given(*full[:-1]).when(enqueue(queue.QUEUE_ITEMS_MAX)).then_types(queue.WorkEnqueued)
    given(*full).when(enqueue(0)).then_rejected(WorkQueueFull)


def test_items_are_welcome_while_others_are_worked_off() -> None:
    given(enqueued(1), draining(1), started(1)).when(enqueue(2)).then(enqueued(2))


# Batches


def test_a_drain_begins_once() -> None:
    given(enqueued(1)).when(START).then(draining(1))
    given(enqueued(1), draining(1)).when(START).then_nothing()
    given().when(START).then_nothing()


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        ("f", 1),
        ("ff", 1),
        ("fc", 1),
        ("c", 1),
        ("cc", 2),
        ("ccf", 2),
        ("ccfc", 2),
        ("c" * 30, 17),  # 17 × 4 characters, and 16 × 2 between them
    ],
)
def test_a_followup_runs_alone_and_the_leading_collects_run_together(modes: str, expected: int) -> None:
    names: dict[str, QueueMode] = {"f": "followup", "c": "collect"}
    events = [enqueued(number, names[mode]) for number, mode in enumerate(modes, start=1)]
    state = given(*events).state
    assert [item.id for item in queue.next_batch(state, CHARS_MAX)] == list(ids(*range(1, expected + 1)))


def test_an_item_that_is_too_long_for_all_runs_alone() -> None:
    state = given(enqueued(1, "collect"), enqueued(2, "collect")).state
    assert [item.id for item in queue.next_batch(state, 3)] == ["wi_1"]


@pytest.mark.parametrize(("chars", "expected"), [((90, 4), 2), ((95, 4), 1), ((4, 95), 1), ((4, 90, 3), 2)])
def test_the_characters_of_each_item_count(chars: tuple[int, ...], expected: int) -> None:
    items = [replace(enqueued(number, "collect"), chars=count) for number, count in enumerate(chars, start=1)]
    assert len(queue.next_batch(given(*items).state, CHARS_MAX)) == expected


def test_the_items_of_a_run_are_limited() -> None:
    state = given(*(enqueued(number, "collect") for number in range(1, queue.BATCH_ITEMS_MAX + 10))).state
    assert len(queue.next_batch(state, 1_000_000)) == queue.BATCH_ITEMS_MAX


def test_items_are_leased_to_one_run_at_a_time() -> None:
    two = (enqueued(1), enqueued(2), draining(2))
    given(*two).when(start(1)).then(started(1))
    given(*two, started(1)).when(start(1, run_id="run_2")).then_nothing()
    given(*two, started(1)).when(start(2, run_id="run_2")).then_nothing()
    given(enqueued(1)).when(start(1)).then_nothing()


def test_only_what_comes_next_is_leased() -> None:
    given(enqueued(1), enqueued(2), draining(2)).when(start(2)).then_nothing()
    given(enqueued(1), enqueued(2), draining(2)).when(start(1, 2)).then_nothing()
    given(enqueued(1), draining(1)).when(start()).then_nothing()


def test_items_enqueued_after_a_batch_was_formed_wait_for_the_next() -> None:
    given(enqueued(1, "collect"), draining(1), enqueued(2, "collect")).when(start(1)).then(started(1))


def test_items_leave_once_their_run_completed() -> None:
    past = (enqueued(1, "collect"), enqueued(2, "collect"), enqueued(3), draining(3), started(1, 2))
    complete = queue.CompleteBatch(run_id="run_1")
    given(*past).when(complete).then(drained(1, 2), drained(2, 1))
    after = given(*past, drained(1, 2), drained(2, 1))
    after.when(complete).then_nothing()
    assert [item.id for item in after.state.items] == ["wi_3"]
    assert after.state == replace(queue.acknowledged(given(*past).state), version=after.state.version)
    given(*past).when(queue.CompleteBatch(run_id="run_2")).then_nothing()


def test_a_drain_ends_when_nothing_waits_any_more() -> None:
    past = (enqueued(1), draining(1), started(1))
    given(*past).when(queue.FinishDrain()).then_nothing()
    given(*past, drained(1, 0)).when(queue.FinishDrain()).then(done(1, 1))
    given(*past, drained(1, 0), done(1, 1)).when(queue.FinishDrain()).then_nothing()
    given(*past, enqueued(2), drained(1, 1)).when(queue.FinishDrain()).then_nothing()


def test_a_drain_has_a_limit_even_if_items_keep_coming() -> None:
    events: list[Event] = [enqueued(1), draining(1)]
    for number in range(1, queue.DRAIN_RUNS_MAX + 1):
        run_id = f"run_{number}"
        events += [enqueued(number + 1), started(number, run_id=run_id), drained(number, 1, run_id)]
    assert not queue.has_more(given(*events).state)
    given(*events).when(queue.FinishDrain()).then(done(1, queue.DRAIN_RUNS_MAX, 1))


# Failures


def test_a_failed_run_gives_its_items_back_and_stops_the_drain() -> None:
    past = (enqueued(1), enqueued(2), draining(2), started(1))
    given(*past).when(fail()).then(returned(1), stopped(2, 2))
    after = given(*past, returned(1), stopped(2, 2))
    after.when(fail()).then_nothing()
    assert [len(item.attempts) for item in after.state.items] == [1, 0]
    assert after.state.drain is None


def test_an_end_without_a_fault_counts_no_attempt() -> None:
    past = (enqueued(1), draining(1), started(1))
    events = given(*past).when(fail(counted=False)).then_types(queue.WorkBatchReturned, queue.WorkDrainFailed)
    assert [len(item.attempts) for item in given(*past, *events).state.items] == [0]


def failures(count: int, *numbers: int) -> list[Event]:
    depth = len(numbers)
    return [
        event
        for number in range(1, count + 1)
        for event in (
            draining(depth),
            started(*numbers, run_id=f"run_{number}"),
            returned(*numbers, run_id=f"run_{number}"),
            stopped(depth, depth, run_id=f"run_{number}"),
        )
    ]


def test_items_that_failed_often_enough_become_one_dead_letter() -> None:
    past = [enqueued(1, "collect"), enqueued(2, "collect"), *failures(2, 1, 2), draining(2), started(1, 2, run_id="r")]
    given(*past).when(fail("r")).then(
        returned(1, 2, run_id="r"), buried(1, 2, depth=0, run_id="r"), stopped(2, 0, run_id="r")
    )


def test_items_enqueued_later_stay_in_the_queue() -> None:
    past = [enqueued(1, "collect"), *failures(2, 1), enqueued(2, "collect"), draining(2), started(1, 2, run_id="r")]
    events = (
        given(*past)
        .when(fail("r"))
        .then_types(queue.WorkBatchReturned, queue.WorkBatchDeadLettered, queue.WorkDrainFailed)
    )
    after = given(*past, *events).state
    assert [(item.id, len(item.attempts)) for item in after.items] == [("wi_2", 1)]
    items = given(*past, events[0]).state.named(ids(1))
    assert [attempt.run_id for attempt in queue.attempts_of(items)] == ["run_1", "run_2", "r"]


def test_an_impossible_item_becomes_a_dead_letter_at_once() -> None:
    past = (enqueued(1), draining(1), started(1))
    given(*past).when(fail(counted=False, grave="cancelled")).then(
        returned(1, counted=False), buried(1, depth=0, reason="cancelled"), stopped(1, 0)
    )
    given(enqueued(1), draining(1)).when(refuse(1, grave="unrunnable")).then(
        buried(1, depth=0, reason="unrunnable", run_id=None), stopped(1, 0, run_id=None)
    )


def test_a_refusal_leaves_everything_as_it_is_but_stops_the_drain() -> None:
    given(enqueued(1), draining(1)).when(refuse(1)).then(stopped(1, 1, run_id=None))
    given(enqueued(1), draining(1), started(1)).when(refuse(1)).then_nothing()
    given(enqueued(1)).when(refuse(1)).then_nothing()


def test_a_session_is_drained_by_one_at_a_time() -> None:
    assert queue.DECIDER.guards(recorded(draining(1))) == (Guard(kind="drain", key="s", value=("drn_1",)),)
    for end in (done(1, 1), stopped(1, 1)):
        assert queue.DECIDER.guards(recorded(end)) == (Guard(kind="drain", key="s", value=None),)


# Any events in any order


class Queue(RuleBasedStateMachine):
    """A queue under any commands: each item waits, is done, or is in one dead letter."""

    def __init__(self) -> None:
        super().__init__()
        self.state = queue.DECIDER.initial
        self.ids = CountingIds()
        self.went_in: Counter[str] = Counter()
        self.went_out: Counter[str] = Counter()
        self.run_id = ""

    def do(self, command: queue.QueueCommand) -> tuple[Event, ...]:
        context = Context(now=NOW, ids=self.ids, meta=Meta(actor="alice", correlation="trace"))
        events = queue.decide(command, self.state, context)
        for event in events:
            self.state = queue.evolve(self.state, event)
            match event:
                case queue.WorkEnqueued():
                    self.went_in[event.item_id] += 1
                case queue.WorkItemDrained():
                    self.went_out[event.item_id] += 1
                case queue.WorkBatchDeadLettered():
                    self.went_out.update(event.item_ids)
        return events

    @rule(mode=st.sampled_from(("followup", "collect")))
    def enqueue(self, mode: QueueMode) -> None:
        item_id = self.ids.new("wi")
        self.do(queue.EnqueueWork(item_id=item_id, mode=mode, payload="xxxx", enqueued_by="alice"))

    @rule()
    def drain(self) -> None:
        self.do(queue.StartDrain(drain_id=self.ids.new("drn"), requested_by="alice"))

    @rule(count=st.integers(1, 3))
    def lease(self, count: int) -> None:
        items = queue.next_batch(self.state, CHARS_MAX)[:count]
        command = queue.StartBatch(
            run_id=self.ids.new("run"), item_ids=tuple(item.id for item in items), chars_max=CHARS_MAX
        )
        if self.do(command):
            self.run_id = command.run_id

    @rule()
    def complete(self) -> None:
        self.do(queue.CompleteBatch(run_id=self.run_id))

    @rule(counted=st.booleans(), grave=st.sampled_from((None, None, "cancelled")))
    def fail(self, counted: bool, grave: DeadLetterReason | None) -> None:
        self.do(fail(self.run_id, counted=counted, grave=grave))

    @rule(grave=st.sampled_from((None, "unrunnable")))
    def refuse(self, grave: DeadLetterReason | None) -> None:
        items = queue.next_batch(self.state, CHARS_MAX)
        command = refuse(grave=grave)
        self.do(replace(command, item_ids=tuple(item.id for item in items)))

    @rule()
    def finish(self) -> None:
        self.do(queue.FinishDrain())

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        waiting = Counter(item.id for item in self.state.items)
        assert waiting + self.went_out == self.went_in
        assert all(count == 1 for count in self.went_in.values())

    @invariant()
    def a_batch_is_part_of_a_drain_and_of_the_queue(self) -> None:
        if self.state.batch is not None:
            assert self.state.drain is not None
            assert len(self.state.named(self.state.batch.item_ids)) == len(self.state.batch.item_ids)


TestQueue = pytest.mark.heavy(Queue.TestCase)
TestQueue.settings = settings(max_examples=sized(20, 200, 2_000), stateful_step_count=40, deadline=None)
