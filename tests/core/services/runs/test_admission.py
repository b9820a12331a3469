"""Decisions of one transaction about many runs."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, Outcome, Reader, fold
from athena_core.domain import policy, run, workflow_run
from athena_core.event import Meta
from athena_core.services.runs.admission import RunTransaction, claim, take_over
from athena_core.services.runs.prepared import ExecutorCapacity, run_facts
from athena_core.services.workflows.workflows import cancel_workflow_run
from tests.core.domain.given import NOW
from tests.scale import sized
from tests.support.counted import lines
from tests.support.events.run import COMPLETED, CREATED
from tests.support.simulated_plane import ACTS, LIMIT, PICK, PROVIDER, Plane

S = TypeVar("S")

CONTEXT = Context(now=NOW, ids=CountingIds(), meta=Meta(actor="ada", correlation="trace"))
GROWTH_MAX = 2.2
"""The largest growth of the cost for twice as many runs."""


class Head:
    """The head of a log with open runs, each a child of the named one."""

    head = 1

    def __init__(self, count: int, parent: str | None) -> None:
        runs = [f"run_{number}" for number in range(count)]
        self._runs = dict.fromkeys(runs, fold(run.DECIDER, [CREATED]))
        steps = [
            workflow_run.WorkflowStepStarted(workflow_id="wf_1", step_id=run_id, attempt=1, step_run_id=run_id)
            for run_id in runs
        ]
        began = workflow_run.WorkflowRunCreated(workflow_id="wf_1", requested_by="ada", input_names=())
        self._flow = fold(workflow_run.DECIDER, [began, *steps])
        children = {} if parent is None else {run_id: (parent,) for run_id in runs if run_id != parent}
        waiting = {f"run_waiting{number}": ("w", f"w{number}") for number in range(count)}
        self._runs |= dict.fromkeys(waiting, fold(run.DECIDER, [QUEUED]))
        self._guards: dict[str, dict[str, Any]] = {
            "child": children,
            "slot": {run_id: (run_id,) for run_id in runs},
            "turn": {f"s_{run_id}": (run_id,) for run_id in runs},
            "waiting": waiting,
        }

    def state(self, decider: Decider[S], stream: str) -> Any:
        return self._runs.get(stream) or (self._flow if stream == "wfr_1" else decider.initial)

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return self._guards.get(kind, {})

    def count(self, kind: str, word: str) -> int:
        return 0


QUEUED = run.RunQueued(
    reason="concurrency", **{name: getattr(CREATED, name) for name in run.RunRequest.__struct_fields__}
)


def cancelled(count: int, parent: str | None) -> RunTransaction:
    """Return the events of a cancel of a workflow run with this many running steps, or of a run with children."""
    head = Head(count, parent)
    draft = RunTransaction(head, CONTEXT, ExecutorCapacity())
    if parent is None:
        assert cancel_workflow_run(draft, head, CONTEXT, "wfr_1", "enough")
    else:
        draft.cancel(parent, run.CancelRun(reason="enough"))
    draft.admit_waiting()
    return draft


@pytest.mark.parametrize("parent", [None, "run_0"])
def test_a_cancel_of_twice_as_many_runs_takes_twice_as_much(parent: str | None) -> None:
    few, many = (lines(lambda count=count: cancelled(count, parent)) for count in (100, 200))  # type: ignore[misc]
    assert many < GROWTH_MAX * few
    asked = [one for one in cancelled(100, parent).facts if one.event.TYPE == run.RunCancelRequested.TYPE]
    assert len(asked) == 100


# Executors


class Admitted:
    """The head of a log with admitted runs, named oldest last; some are leased."""

    head = 9

    def __init__(self, runs: Mapping[str, str], leases: Mapping[str, str]) -> None:
        self._guards: dict[str, dict[str, Any]] = {
            "slot": {
                run_id: (len(runs) - place, "session", f"provider:{provider}")
                for place, (run_id, provider) in enumerate(runs.items())
            },
            "lease": {run_id: (executor, 1) for run_id, executor in leases.items()},
        }

    def state(self, decider: Decider[S], stream: str) -> Any:
        if stream not in self._guards["slot"]:
            return decider.initial
        lease = self._guards["lease"].get(stream)
        leased = [] if lease is None else [run.RunLeased(executor=lease[0], token=1, attempt=1, pid=1)]
        return fold(run.DECIDER, [CREATED, *leased])

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return self._guards.get(kind, {})

    def count(self, kind: str, word: str) -> int:
        return sum(word in value for value in self._guards.get(kind, {}).values())


CAPACITY = ExecutorCapacity("exe_1", 1, 2, frozenset({"mock", "openai"}))


def claimed(capacity: ExecutorCapacity, runs: Mapping[str, str], leases: Mapping[str, str]) -> object:
    """Return the admitted runs that an executor leases, each with its provider."""
    head = Admitted(runs, leases)
    outcome = claim(head, CONTEXT, capacity, dict.fromkeys(["run_gone", *runs], "hello"))
    leased = tuple(fact.stream for fact in outcome.facts if fact.event.TYPE == run.RunLeased.TYPE)
    assert leased == outcome.answer
    return leased


def test_an_executor_leases_the_oldest_free_runs_up_to_its_capacity() -> None:
    runs = dict.fromkeys(("run_4", "run_3", "run_2", "run_1"), "mock")
    assert claimed(CAPACITY, runs, {}) == ("run_1", "run_2")
    assert claimed(CAPACITY, runs, {"run_1": "exe_2"}) == ("run_2", "run_3")
    assert claimed(CAPACITY, runs, {"run_3": "exe_1"}) == ("run_1",)
    assert claimed(CAPACITY, runs, {"run_3": "exe_1", "run_4": "exe_1"}) == ()
    assert claimed(CAPACITY, runs, dict.fromkeys(runs, "exe_2")) == ()


def test_an_executor_leases_only_runs_of_its_providers() -> None:
    assert claimed(CAPACITY, {"run_2": "openai", "run_1": "anthropic"}, {}) == ("run_2",)
    assert claimed(CAPACITY._replace(providers=frozenset()), {"run_1": "mock"}, {}) == ()


@pytest.mark.parametrize(
    ("provider", "leases", "taken"),
    [
        ("mock", {}, True),
        ("mock", {"run_2": "exe_1", "run_3": "exe_1"}, False),
        ("anthropic", {}, False),
    ],
)
def test_a_lost_executors_run_is_taken_where_there_is_room_for_it(
    provider: str, leases: dict[str, str], taken: bool
) -> None:
    head = Admitted({"run_1": provider, "run_2": "mock", "run_3": "mock"}, {"run_1": "exe_2", **leases})
    outcome = take_over(head, CONTEXT, CAPACITY, "run_1", 1, "dead")
    assert [fact.event.TYPE for fact in outcome.facts] == (["run.leased", "run.started"] if taken else [])


def test_an_executor_that_is_full_takes_its_own_run_again() -> None:
    head = Admitted({"run_1": "mock"}, {"run_1": "exe_1"})
    outcome = take_over(head, CONTEXT, CAPACITY._replace(runs_max=1), "run_1", 1, "left")
    assert [fact.event.TYPE for fact in outcome.facts] == ["run.leased", "run.started"]


# Waiting runs


def test_a_run_that_begins_in_the_same_transaction_takes_its_slot_before_those_that_wait() -> None:
    plane = Plane(policy.Policy(schema_version=1, max_concurrent_runs=2), 9)
    plane.start(0, "paused", "mock", "enqueue", 0)
    plane.pause(0)
    plane.start(0, "paused", "mock", "enqueue", 0)
    plane.start(0, "ends", "mock", "enqueue", 0)
    plane.start(0, "ends", "mock", "enqueue", 0)
    world = plane.world
    assert (list(world.guards("slot")), list(world.guards("waiting"))) == (["run_3"], ["run_2", "run_4"])

    def replace_runs(reader: Reader, context: Context) -> Outcome:
        draft = RunTransaction(reader, context, ExecutorCapacity())
        draft.add(run_facts("run_5", "new", (replace(CREATED, session_id="new"),)))
        for run_id in ("run_1", "run_3"):
            draft.add(run_facts(run_id, "paused" if run_id == "run_1" else "ends", (COMPLETED,)))
        draft.admit_waiting()
        return Outcome(facts=tuple(draft.facts))

    world.submit(replace_runs)
    assert len(world.guards("slot")) == 2, "as many as the policy allows"


KEY_LIMITS = st.lists(LIMIT, min_size=1, max_size=2, unique_by=lambda limit: limit.scope)
QUEUEING = st.one_of(
    st.tuples(
        st.just("start"),
        PICK,
        st.sampled_from(["a", "b"]),
        PROVIDER,
        st.sampled_from(["enqueue", "interrupt"]),
        st.just(0),
    ),
    st.tuples(st.just("end"), PICK, st.just(0)),
    ACTS,
)


@settings(max_examples=sized(150, 1_000, 20_000))
@given(KEY_LIMITS, st.integers(1, 4), st.lists(QUEUEING, min_size=15, max_size=60))
def test_runs_of_a_session_start_in_the_order_of_their_requests(
    limits: list[policy.KeyLimit], runs_max: int, acts: list[tuple[Any, ...]]
) -> None:
    plane = Plane(policy.Policy(schema_version=1, limits=tuple(limits)), runs_max)
    for name, *about in acts:
        getattr(plane, name)(*about)
    waiting: dict[str, str | None] = {}
    for row in plane.world.rows:
        if row.type == run.RunQueued.TYPE:
            waiting[row.stream] = row.session_id
        elif row.type in run.ENDING_TYPES:
            waiting.pop(row.stream, None)
        elif row.type == run.RunCreated.TYPE:
            first = next((one for one, session in waiting.items() if session == row.session_id), row.stream)
            assert first == row.stream, f"{row.stream} overtook {first} of its session"
            waiting.pop(row.stream, None)


@pytest.mark.parametrize("key", ["provider", "harness-profile"])
def test_a_run_that_a_limit_holds_is_not_overtaken_in_its_session(key: Literal["provider", "harness-profile"]) -> None:
    limit = policy.KeyLimit(scope=key, max=1, strategy="enqueue", key="mock" if key == "provider" else "hp_1")
    plane = Plane(policy.Policy(schema_version=1, limits=(limit,)), 9)
    plane.start(1, "other", "mock", "enqueue", 0)
    plane.start(0, "a", "openai", "enqueue", 0)
    plane.start(1, "a", "mock", "enqueue", 0)
    plane.start(0, "a", "openai", "enqueue", 0)
    plane.end(1, 0)
    assert list(plane.world.guards("waiting")) == ["run_3", "run_4"], "run_4 waits behind run_3, which a limit holds"
    plane.end(0, 0)
    assert plane.world.guards("turn")["a"] == ("run_3",)
    plane.start(1, "b", "mock", "enqueue", 0)
    assert list(plane.world.guards("waiting")) == ["run_4", "run_5"]
