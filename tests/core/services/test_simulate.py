"""The simulation: what requests would have met under other limits; and under their own, what they met."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, Outcome, Reader, Rejected, category
from athena_core.domain import DECIDERS, EVENTS, policy, run, workflow_run
from athena_core.event import Event, Fact, Meta, Position, Recorded
from athena_core.log.codec import Codec, with_decided_at
from athena_core.log.guards import Guards
from athena_core.protocols import Row
from athena_core.services.proof.recorded_requests import (
    STRATEGY_REASON,
    HistoryReader,
    RecordedRequest,
    RequestHistory,
)
from athena_core.services.proof.simulate import NOT_SIMULATED, Simulation, simulate
from athena_core.services.proof.simulator import RunEstimates, Simulator
from athena_core.services.runs import admission
from athena_core.services.runs.admission import BudgetRequest
from athena_core.services.runs.prepared import ExecutorCapacity, run_facts
from athena_core.values import LOCAL, RunBody
from tests.core.domain.given import NOW
from tests.core.domain.test_run import COMPLETED, CREATED, PAID, SPEC, recorded
from tests.core.services.prepared_run import prepared
from tests.scale import sized

S = TypeVar("S")

DAY_MS = 86_400_000
FULL = "max-concurrent-runs-exceeded"
CODEC = Codec(EVENTS)
CATEGORIES = {decider.category: decider for decider in DECIDERS}
SETTINGS: Any = SimpleNamespace(
    schedule_run_timeout_ms=1_000,
    runtime_run_timeout_ms=1_000,
    provider_fallback_order=("openai",),
    default_model="mock-model",
    default_provider="mock",
)


def asked(number: int, at: int, session: str | None = None, **fields: Any) -> RecordedRequest:
    """The request of a run, which took a second and a dollar unless told otherwise."""
    provider, profile = fields.pop("provider", "mock"), fields.pop("profile", "hp_1")
    pinned = replace(
        run.without_text(CREATED),
        session_id=session or f"s{number}",
        provider=provider,
        harness_profile_id=profile,
        profile_named=True,
        requested_by="",
    )
    told: dict[str, Any] = {"duration_ms": 1_000, "cost_micro_usd": 1_000_000, **fields}
    one = RecordedRequest(run_id=f"run_{number}", position=number, recorded_at=at, at=at, pinned=pinned, **told)
    if one.refused is not None:
        return replace(one, duration_ms=0, cost_micro_usd=0)
    end = at + one.duration_ms
    events = (replace(PAID, cost_micro_usd=one.cost_micro_usd), COMPLETED)[: 2 if one.ended else 1]
    lease = run.RunLeased(executor="exe_1", token=1, attempt=1, pid=1)
    steps = [(at, lease), *((end, event) for event in events)]
    return replace(one, began_at=at, steps=tuple(step(one, at, event) for at, event in steps))


def step(one: RecordedRequest, at: int, event: Event) -> Recorded[Event]:
    """What a run did."""
    shown = replace(recorded(event), stream=one.run_id, run_id=one.run_id, session_id=one.pinned.session_id)
    return replace(shown, recorded_at=at, position=one.position, command_id=f"{one.run_id}-{at}")


def limited(*limits: tuple[str, int, str, str | None], **fields: Any) -> policy.PolicyState:
    """The state of a policy with limits by key (scope, max, strategy, key) and others."""
    keys = tuple(policy.KeyLimit(scope=s, max=m, strategy=how, key=k) for s, m, how, k in limits)  # type: ignore[arg-type]
    after = policy.Policy(schema_version=1, limits=keys or None, **fields)
    return policy.evolve(policy.PolicyState(), policy.PolicyUpdated(schema_version=1, updated_at="", after=after))


def under(requests: list[RecordedRequest], *limits: tuple[str, int, str, str | None], **fields: Any) -> Simulation:
    """What they would have met under limits by key (scope, max, strategy, key) and others."""
    return simulate(RequestHistory(0, 9, truncated=False, requests=requests), limited(*limits, **fields))


def names(shares: Any) -> list[str]:
    return [share.name for share in shares]


def test_without_limits_everybody_is_admitted() -> None:
    found = under([asked(1, 0), asked(2, 0, refused=FULL)])
    assert (found.recorded.admitted, found.recorded.refused, found.recorded.cost_usd) == (1, 1, 1.0)
    assert (found.simulated.admitted, found.simulated.refused, found.simulated.cost_usd) == (2, 0, 2.0)
    assert (found.newly_allowed.runs, found.newly_allowed.cost_usd, found.estimated) == (1, 1.0, 1)
    assert [(share.name, share.runs) for share in found.newly_allowed.by_reason] == [(FULL, 1)]
    assert (found.newly_rejected.runs, found.not_simulated) == (0, NOT_SIMULATED)


def test_the_fleets_limit_refuses_who_comes_while_it_is_reached() -> None:
    found = under([asked(1, 0), asked(2, 500, "two"), asked(3, 1_000)], max_concurrent_runs=1)
    assert found.newly_rejected.runs == 1
    assert names(found.newly_rejected.by_session) == ["two"]
    assert names(found.newly_rejected.by_reason) == ["policy.maxConcurrentRuns"]
    assert found.newly_rejected.cost_usd == 1.0


def test_steps_of_a_workflow_wait_where_others_are_refused() -> None:
    steps = [asked(number, number, patient=True) for number in (1, 2, 3, 4)]
    found = under([*steps, asked(5, 5)], max_concurrent_runs=1)
    assert (found.waited, names(found.newly_rejected.by_session)) == (3, ["s5"])


def test_a_limit_by_key_refuses_or_lets_wait() -> None:
    runs = [asked(1, 0), asked(2, 100), asked(3, 200, provider="openai"), asked(4, 1_500)]
    refused = under(runs, ("provider", 1, "reject", None))
    assert names(refused.newly_rejected.by_reason) == ["policy.limits provider:mock"]
    assert refused.newly_rejected.runs == 1
    waiting = under(runs, ("provider", 1, "enqueue", "mock"))
    assert (waiting.newly_rejected.runs, waiting.waited) == (0, 2)  # the second, and the fourth behind it


def test_whoever_waits_goes_on_in_turn_when_every_limit_is_free() -> None:
    limits = (("provider", 1, "enqueue", "mock"), ("harness-profile", 1, "enqueue", "hp_2"))
    holder = asked(1, 0, profile="hp_2", provider="openai", duration_ms=5_000)
    late = asked(2, 10, profile="hp_2")  # waits for the profile
    first = asked(3, 20)  # mock is free, so it goes before the older one
    after = asked(4, 30)
    found = under([holder, late, first, after, asked(5, 3_000), asked(6, 5_500)], *limits)
    assert (found.waited, found.newly_rejected.runs) == (3, 0)


def test_a_session_has_one_run_at_a_time() -> None:
    assert under([asked(1, 0, "s"), asked(2, 1, "s"), asked(3, 2, "s")]).waited == 2
    assert under([asked(1, 0, "s"), asked(2, 1, "s")], ("session", 1, "reject", None)).newly_rejected.runs == 1


def test_a_day_that_is_spent_refuses_until_midnight_utc() -> None:
    runs = [asked(1, 0), asked(2, 2_000), asked(3, 4_000), asked(4, DAY_MS)]
    found = under(runs, cost_budget_daily_usd=2.0)
    assert names(found.newly_rejected.by_session) == ["s3"]
    assert names(found.newly_rejected.by_reason) == ["policy.costBudgetDailyUsd"]


def test_what_a_call_costs_counts_when_it_is_paid_and_not_at_the_end_of_its_run() -> None:
    dear = asked(1, 0, duration_ms=9_000)
    paid = replace(dear.steps[1], recorded_at=1_000)
    early = replace(dear, steps=(dear.steps[0], paid, dear.steps[2]))
    found = under([early, asked(2, 5_000)], cost_budget_daily_usd=1.0)
    assert names(found.newly_rejected.by_session) == ["s2"]


def test_a_call_that_the_day_does_not_buy_pauses_its_run() -> None:
    found = under([asked(1, 0), asked(2, 10, duration_ms=2_000)], cost_budget_daily_usd=1.5)
    assert (found.newly_rejected.runs, found.paused) == (0, 1)
    assert found.simulated.cost_usd == 1.0


def test_a_run_whose_model_has_no_price_is_refused_under_a_daily_budget() -> None:
    found = under([asked(1, 0, least=None)], cost_budget_daily_usd=1.0)
    assert names(found.newly_rejected.by_reason) == ["policy.costBudgetDailyUsd"]


def test_what_a_client_chose_is_decided_as_it_chose() -> None:
    busy = asked(2, 500, "s1", refused=STRATEGY_REASON, strategy="reject")
    found = under([asked(1, 0), busy])
    assert (found.newly_allowed.runs, found.simulated.refused) == (0, 1)
    found = under([asked(1, 0), replace(busy, at=2_000, recorded_at=2_000)])
    assert found.newly_allowed.runs == 1


@pytest.mark.parametrize(
    ("refused", "duration"),
    [
        ({"template": "tpl_1"}, 30),
        ({"template": "tpl_9"}, 20),
        ({"profile": "hp_9"}, 20),
        ({"profile": "hp_9", "provider": "openai"}, 40),
    ],
)
def test_a_run_that_was_refused_takes_what_runs_like_it_took(refused: dict[str, str], duration: int) -> None:
    known = [
        asked(1, 0, duration_ms=10),
        asked(2, 1, duration_ms=20),
        asked(3, 2, duration_ms=30, template="tpl_1"),
        asked(4, 3, duration_ms=40, profile="hp_3", provider="openai"),
        asked(5, 4, duration_ms=90_000, ended=False),
    ]
    assert RunEstimates(known).like(asked(6, 5, refused=FULL, **refused)).duration_ms == duration


def test_many_who_wait_are_simulated_in_time() -> None:
    found = under([asked(number, number) for number in range(2_000)], ("provider", 1, "enqueue", None))
    assert found.waited == 1_999


# The policy that was in force


class World:
    """A plane in memory: transactions as the writer runs them, and the log that they leave."""

    def __init__(self, limits: policy.Policy, runs_max: int) -> None:
        self.now = NOW
        self.capacity = ExecutorCapacity("exe_1", 1, runs_max, frozenset({"mock", "openai"}))
        self.rows: list[Row] = []
        self.guards_ = Guards()
        self._ids = CountingIds()
        self._states: dict[str, Any] = {}
        self._versions: Counter[str] = Counter()
        self._last = 0
        event = policy.PolicyUpdated(schema_version=1, updated_at="", after=limits)
        self.submit(lambda reader, context: Outcome(facts=(Fact(stream=policy.STREAM, event=event),)))

    @property
    def head(self) -> Position:
        return len(self.rows)

    def state(self, decider: Decider[S], stream: str) -> S:
        found: S = self._states.get(stream, decider.initial)
        return found

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        return self.guards_.of(kind)

    def count(self, kind: str, word: str) -> int:
        return self.guards_.count(kind, word)

    def submit(self, transaction: Callable[[Any, Context], Outcome[Any]]) -> Any:
        """Run a transaction, and append what it decides; return its answer, None where it was refused."""
        context = Context(now=self.now, ids=self._ids, meta=Meta(actor="ada", correlation="trace"))
        try:
            outcome = transaction(self, context)
        except Rejected as rejected:
            self._append(rejected.facts)
            return None
        self._append(outcome.facts)
        return outcome.answer

    def _append(self, facts: tuple[Fact, ...]) -> None:
        command, self._last = self._ids.new("cmd"), max(self.now, self._last)
        for fact in facts:
            stream, decider = fact.stream, CATEGORIES[category(fact.stream)]
            self._versions[stream] += 1
            kind, schema, data, extra, text = CODEC.encode(fact.event, lambda: bytes(16))
            extra = extra if self.now == self._last else with_decided_at(extra, self.now)
            # fmt: off
            row = Row(self.head + 1, stream, self._versions[stream], kind, schema, self._last, command, "trace", None,
                      "ada", fact.session_id, fact.run_id, data, extra, b"", None, bytes(32), text)
            # fmt: on
            self.rows.append(row)
            for guard in decider.guards(CODEC.decode(row)) if kind in decider.guarded else ():
                self.guards_.apply(guard)
            self._states[stream] = decider.evolve(self.state(decider, stream), fact.event)


class Archive:
    """The log of a world, as readers see it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def head(self) -> Position:
        return self._world.head

    def row(self, position: Position) -> Row | None:
        return self._world.rows[position - 1] if 0 < position <= self._world.head else None

    def rows(self, after: Position, limit: int, until: Position) -> list[Row]:
        return self._world.rows[after:until][:limit]

    def stream(self, stream: str) -> list[Row]:
        return [row for row in self._world.rows if row.stream == stream]

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        return [row for row in self._world.rows[after:until] if row.type in types][:limit]

    def guards(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        kinds = ("slot", "waiting", "turn", "lease")
        return [(kind, key, value) for kind in kinds for key, value in self._world.guards(kind).items()]


class Plane:
    """What clients, workflows and an executor do with a world; each takes which run it is about, of those it may be."""

    def __init__(self, limits: policy.Policy, runs_max: int) -> None:
        self.world = World(limits, runs_max)
        self._number = 0

    def start(self, pick: int, session: str, provider: str, strategy: str, least: int | None) -> None:
        """Ask for a run, of one of two profiles or of none."""
        parents = sorted(self.world.guards("slot")) if pick >= 6 else []
        self._number += 1
        run_id, spec = f"run_{self._number}", (None, SPEC)[pick % 2]
        body = RunBody(
            input="hi",
            harness_profile_id="hp_1" if spec else None,
            session_strategy=strategy,  # type: ignore[arg-type]
            parent_run_id=parents[0] if parents and self.world.state(run.DECIDER, parents[0]).cancel is None else None,
        )
        patient = session == "workflow"
        asked = prepared(
            run_id,
            body,
            profile=spec,
            session_id=f"wf-{self._number}" if patient else session,
            directive_id=f"dir_{self._number}",
            capacity=self.world.capacity,
            provider=provider,
            model=spec.config.model if spec else f"{provider}-default",
            least_micro_usd=least,
            patient=patient,
        )
        began = workflow_run.WorkflowRunCreated(workflow_id="wf_1", requested_by="ada", input_names=())
        step = workflow_run.WorkflowStepStarted(workflow_id="wf_1", step_id=run_id, attempt=1, step_run_id=run_id)

        def admit(reader: Any, context: Context) -> Outcome:
            noted = run_facts("wfr_1", None, (began, step)) if patient else ()
            try:
                facts = admission.admit(reader, context, asked, behind=len(noted)).facts
            except Rejected as rejected:
                late = run_facts("wfr_1", None, (began,)) if patient else ()
                raise Rejected(rejected.error, (*rejected.facts, *late)) from None
            return Outcome(facts=(*noted, *facts))

        self.world.submit(admit)

    def claim(self, pick: int) -> None:
        """Have the executor take what is admitted."""
        said = {run_id: "hi" for run_id in self.world.guards("slot")}
        self.world.submit(lambda reader, context: admission.claim(reader, context, self.world.capacity, said))

    def _command(self, pick: int, kind: str, command: Callable[[int, str], Any]) -> None:
        runs = sorted(self.world.guards(kind))
        if runs:
            run_id, capacity = runs[pick % len(runs)], self.world.capacity
            token = self.world.state(run.DECIDER, run_id).token
            self.world.submit(
                lambda reader, context: admission.apply_command(
                    reader, context, capacity, run_id, command(token, run_id)
                )
            )

    def end(self, pick: int, cost: int) -> None:
        """Have a run complete, and pay for its last call, where there is a daily budget no more than was set aside."""
        budget = self.world.state(policy.DECIDER, policy.STREAM).daily_budget_micro_usd

        def end(token: int, run_id: str) -> run.EndRun:
            (most,) = self.world.guards("reserved").get(run_id, (0,)) if budget else (cost,)
            last = (replace(PAID, cost_micro_usd=min(cost, int(most))),)
            return run.EndRun(token=token, last=last, ending=COMPLETED)

        self._command(pick, "lease", end)

    def call(self, pick: int, cost: int) -> None:
        """Have a run ask a model: what it may cost is set aside, then it is paid for, or the run is paused."""
        runs = sorted(self.world.guards("lease"))
        if not runs:
            return
        run_id, capacity = runs[pick % len(runs)], self.world.capacity
        token = self.world.state(run.DECIDER, run_id).token
        wanted = BudgetRequest(1, "openai", "gpt-4o", 0, max(cost // 2, 1), cost + 10)
        granted = self.world.submit(
            lambda reader, context: admission.reserve(reader, context, capacity, run_id, token, wanted)
        )
        if granted.reached is not None and not granted.wait:
            self._command(
                pick, "lease", lambda token, _: run.PauseRun(token=token, elapsed_ms=1, reached=granted.reached)
            )

    def pay(self, pick: int, cost: int) -> None:
        """Have a run pay for a call, at most what was set aside for it."""
        reserved = self.world.guards("reserved")
        if reserved:
            most = int(reserved[sorted(reserved)[pick % len(reserved)]][0])
            steps = (replace(PAID, cost_micro_usd=min(cost, most)),)
            self._command(pick, "reserved", lambda token, _: run.RecordStep(token=token, steps=steps))

    def pause(self, pick: int) -> None:
        """Have a run pause."""
        reached = run.DayReached(reason="unpriced-model", spent_micro_usd=1, budget_micro_usd=1)
        self._command(pick, "lease", lambda token, _: run.PauseRun(token=token, elapsed_ms=1, reached=reached))

    def resume(self, pick: int) -> None:
        """Let a paused run go on, where there is room."""
        holders = [str(run_id) for (run_id,) in self.world.guards("turn").values()]
        paused = [run_id for run_id in holders if self.world.state(run.DECIDER, run_id).status == "paused"]
        if paused:
            capacity, run_id = self.world.capacity, sorted(paused)[pick % len(paused)]
            self.world.submit(lambda reader, context: admission.resume(reader, context, capacity, run_id, None, LOCAL))

    def cancel(self, pick: int) -> None:
        """Cancel a run, whether it is at work or waits."""
        runs = sorted((*self.world.guards("slot"), *self.world.guards("waiting")))
        if runs:
            capacity, run_id = self.world.capacity, runs[pick % len(runs)]
            command = run.CancelRun(by_run=run_id)
            self.world.submit(lambda reader, context: admission.cancel(reader, context, capacity, run_id, command))

    def withdraw(self, pick: int) -> None:
        """Have a caller wait no longer."""
        self._command(pick, "waiting", lambda token, _: run.WithdrawRun(cause="session-busy"))

    def tick(self, ms: int) -> None:
        """Let time pass; a clock that is set back is that of another server."""
        self.world.now += ms


PICK = st.integers(0, 7)
COST = st.sampled_from([0, 1, 100, 400])
SESSION = st.sampled_from(["a", "b", "c", "d", "workflow"])
PROVIDER = st.sampled_from(["mock", "openai"])
STRATEGY = st.sampled_from(["enqueue", "enqueue", "reject", "interrupt"])
LEAST = st.sampled_from([0, 0, 0, 50, 300, None])
ACTS = st.one_of(
    st.tuples(st.just("start"), PICK, SESSION, PROVIDER, STRATEGY, LEAST),
    st.tuples(st.sampled_from(["end", "call", "pay"]), PICK, COST),
    st.tuples(st.sampled_from(["claim", "claim", "pause", "resume", "cancel", "withdraw"]), PICK),
    st.tuples(st.just("tick"), st.sampled_from([0, 1, 50, 3_600_000, DAY_MS, -1_000])),
)
LIMIT = st.builds(
    lambda scope, most, strategy: policy.KeyLimit(scope=scope, max=most, strategy=strategy),
    st.sampled_from(["session", "provider", "harness-profile"]),
    st.integers(1, 3),
    st.sampled_from(["reject", "enqueue"]),
)
POLICY = st.builds(
    lambda most, limits, budget: policy.Policy(
        schema_version=1, max_concurrent_runs=most, limits=tuple(limits) or None, cost_budget_daily_usd=budget
    ),
    st.sampled_from([None, 1, 2, 3]),
    st.lists(LIMIT, max_size=2, unique_by=lambda limit: limit.scope),
    st.sampled_from([None, None, 0.0005, 0.001]),
)


def compared(plane: Plane, since: Position) -> tuple[object, object]:
    """What the simulation of a plane's own policy makes of the log since a position, and what was recorded."""
    history = HistoryReader(Archive(plane.world), CODEC.decode, since).collect()
    state, runs_max = plane.world.state(policy.DECIDER, policy.STREAM), plane.world.capacity.runs_max
    found = simulate(history, state, runs_max=runs_max)
    fleet = Simulator(history, state, runs_max)
    fleet.play()
    first = [row for row in plane.world.rows[since:] if row.version == 1 and row.stream.startswith("run_")]
    queued = sum(row.type == run.RunQueued.TYPE for row in first)
    refused = len(first) - queued - sum(row.type == run.RunCreated.TYPE for row in first)
    met = (found.newly_rejected.runs, found.newly_allowed.runs, found.paused, found.waited, found.simulated.refused)
    return (met, left(fleet, plane.world.now)), ((0, 0, 0, queued, refused), left(plane.world, plane.world.now))


def left(reader: Reader, now: int) -> object:
    """What is occupied at the end, and what the day cost."""
    kinds = ("slot", "waiting", "turn", "lease", "reserved")
    return [list(reader.guards(kind)) for kind in kinds], run.spent_on(reader.guards("spent"), now)


@settings(max_examples=sized(60, 500, 20_000))
@given(POLICY, st.integers(1, 4), st.lists(ACTS, min_size=5, max_size=60), st.integers(0, 200))
def test_the_policy_that_was_in_force_gives_what_was_recorded(
    limits: policy.Policy, runs_max: int, acts: list[tuple[Any, ...]], since: int
) -> None:
    plane = Plane(limits, runs_max)
    for name, *about in acts:
        getattr(plane, name)(*about)
    ends = [row.position for row in plane.world.rows if row.command_id != command_after(plane, row.position)]
    place = ends[since % len(ends)]
    for start in {1, place}:
        simulated, happened = compared(plane, start)
        assert simulated == happened


def command_after(plane: Plane, position: Position) -> str | None:
    """The command of the next row."""
    return plane.world.rows[position].command_id if position < plane.world.head else None
