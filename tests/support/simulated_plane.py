"""A log and its views in memory, for simulations."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Decider, Outcome, Rejected, category
from athena_core.domain import DECIDERS, EVENTS, policy, run, workflow_run
from athena_core.event import Event, Fact, Meta, Position, Recorded
from athena_core.log.codec import Codec, with_decided_at
from athena_core.log.guards import Guards
from athena_core.protocols import Row
from athena_core.services.proof.recorded_requests import (
    RecordedRequest,
)
from athena_core.services.runs import admission
from athena_core.services.runs.admission import BudgetRequest
from athena_core.services.runs.prepared import ExecutorCapacity, RunRetry, run_facts
from athena_core.values import LOCAL, RunBody
from tests.core.domain.given import NOW
from tests.core.services.prepared_run import prepared
from tests.support.events.run import COMPLETED, CREATED, PAID, SPEC, recorded

S = TypeVar("S")
CODEC = Codec(EVENTS)
DAY_MS = 86_400_000
SESSIONS = ("a", "b", "c", "d")
CATEGORIES = {decider.category: decider for decider in DECIDERS}


def asked(number: int, at: int, session: str | None = None, **fields: Any) -> RecordedRequest:
    """Return the request of a run, by default of one second and one dollar."""
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
    shown = replace(recorded(event), stream=one.run_id, run_id=one.run_id, session_id=one.pinned.session_id)
    return replace(shown, recorded_at=at, position=one.position, command_id=f"{one.run_id}-{at}")


class World:
    """A plane in memory: transactions as the writer runs them, and the resulting log."""

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
        """Run a transaction and append its events. Return its answer, or None where it was refused."""
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


class Plane:
    """The actions of clients, workflows and an executor; each chooses a run among the possible ones."""

    def __init__(self, limits: policy.Policy, runs_max: int) -> None:
        self.world = World(limits, runs_max)
        self._number = 0

    def start(
        self, pick: int, session: str, provider: str, strategy: str, least: int | None, retry: RunRetry | None = None
    ) -> None:
        """Request a run, of one of two profiles or of none."""
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
            model=spec.config.model if spec else f"{provider}-model",
            least_micro_usd=least,
            patient=patient,
            retry=retry,
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

    def retry(self, pick: int, provider: str) -> None:
        """Retry a run that ended, in its session."""
        ended = [
            row
            for row in self.world.rows
            if row.type in run.ENDING_TYPES and not (row.session_id or "").startswith("wf-")
        ]
        if ended:
            of = ended[pick % len(ended)]
            self.start(pick, of.session_id or "", provider, "enqueue", 0, RunRetry(run_id=of.stream))

    def claim(self, pick: int) -> None:
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
        """Complete a run and pay for its last call; with a daily budget at most the reserved amount."""
        budget = self.world.state(policy.DECIDER, policy.STREAM).daily_budget_micro_usd

        def end(token: int, run_id: str) -> run.EndRun:
            (most,) = self.world.guards("reserved").get(run_id, (0,)) if budget else (cost,)
            last = (replace(PAID, cost_micro_usd=min(cost, int(most))),)
            return run.EndRun(token=token, last=last, ending=COMPLETED)

        self._command(pick, "lease", end)

    def call(self, pick: int, cost: int) -> None:
        """Let a run call a model: reserve its cost, then pay it or pause the run."""
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
        """Pay for a call of a run, at most the reserved amount."""
        reserved = self.world.guards("reserved")
        if reserved:
            most = int(reserved[sorted(reserved)[pick % len(reserved)]][0])
            steps = (replace(PAID, cost_micro_usd=min(cost, most)),)
            self._command(pick, "reserved", lambda token, _: run.RecordStep(token=token, steps=steps))

    def pause(self, pick: int) -> None:
        reached = run.DayReached(reason="unpriced-model", spent_micro_usd=1, budget_micro_usd=1)
        self._command(pick, "lease", lambda token, _: run.PauseRun(token=token, elapsed_ms=1, reached=reached))

    def resume(self, pick: int) -> None:
        """Resume a paused run where there is room."""
        holders = [str(run_id) for (run_id,) in self.world.guards("turn").values()]
        paused = [run_id for run_id in holders if self.world.state(run.DECIDER, run_id).status == "paused"]
        if paused:
            capacity, run_id = self.world.capacity, sorted(paused)[pick % len(paused)]
            self.world.submit(lambda reader, context: admission.resume(reader, context, capacity, run_id, None, LOCAL))

    def cancel(self, pick: int) -> None:
        """Cancel a run, whether it is running or waiting."""
        runs = sorted((*self.world.guards("slot"), *self.world.guards("waiting")))
        if runs:
            capacity, run_id = self.world.capacity, runs[pick % len(runs)]
            command = run.CancelRun(by_run=run_id)
            self.world.submit(lambda reader, context: admission.cancel(reader, context, capacity, run_id, command))

    def withdraw(self, pick: int) -> None:
        self._command(pick, "waiting", lambda token, _: run.WithdrawRun(cause="session-busy"))

    def tick(self, ms: int) -> None:
        """Let time pass. A clock that is set back stands for another server."""
        self.world.now += ms


# Random histories

PICK = st.integers(0, 7)
COST = st.sampled_from([0, 1, 100, 400])
SESSION = st.sampled_from([*SESSIONS, "workflow"])
PROVIDER = st.sampled_from(["mock", "openai"])
STRATEGY = st.sampled_from(["enqueue", "enqueue", "reject", "interrupt"])
LEAST = st.sampled_from([0, 0, 0, 50, 300, None])
ACTS = st.one_of(
    st.tuples(st.just("start"), PICK, SESSION, PROVIDER, STRATEGY, LEAST),
    st.tuples(st.sampled_from(["end", "call", "pay"]), PICK, COST),
    st.tuples(st.just("retry"), PICK, PROVIDER),
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
