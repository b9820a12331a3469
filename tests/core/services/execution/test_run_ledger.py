"""The money of overlapping model calls: together they never exceed a budget, and nothing stays reserved."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from athena_core.clock import CountingIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import policy, run
from athena_core.errors import LeaseLost
from athena_core.event import Fact, Recorded
from athena_core.gateway.ledger import CallOutcome, EndedCall
from athena_core.gateway.refusals import CallBudgetReached
from athena_core.mask import Mask
from athena_core.outside_text import OutsideText
from athena_core.providers.prices import CallCost
from athena_core.services.execution.outside.agent_transcript import AgentTranscript
from athena_core.services.execution.outside.run_ledger import CALLS_MAX, RunLedger
from athena_core.services.execution.performer import BudgetReached
from athena_core.services.execution.progress import assignment_of
from athena_core.services.proof.rules import Rules
from athena_core.services.runs import admission
from athena_core.services.runs.admission import BudgetRequest
from athena_core.services.runs.agent_room import AgentRoom
from athena_core.services.runs.prepared import ExecutorCapacity, PreparedRun
from athena_core.values import RunBody, Usage
from tests.core.services.prepared_run import prepared
from tests.scale import sized
from tests.support.events.agent import AGENT_SPEC
from tests.support.simulated_plane import CODEC, World
from tests.support.virtual_loop import run_virtually

COMMIT_SECONDS = 0.01
COST = CallCost(
    provider="openai",
    model="m",
    usage=Usage(),
    estimated=False,
    cost_micro_usd=0,
    unpriced=False,
    price_version=None,
    request_id=None,
)


class VerifiedWorld(World):
    """A plane in memory whose commits obey the rules of verify."""

    def __init__(self, limits: policy.Policy) -> None:
        self._rules = Rules()
        self.recorded: dict[str, list[Recorded[Any]]] = defaultdict(list)
        super().__init__(limits, 9)
        self.capacity = ExecutorCapacity("exe_1", 1, 9, frozenset({"mock"}), AgentRoom(frozenset({"codex"})))

    def _append(self, facts: tuple[Fact, ...]) -> None:
        before = len(self.rows)
        super()._append(facts)
        for row in self.rows[before:]:
            recorded = CODEC.decode(row)
            assert not self._rules.look(row, recorded.event), row
            self.recorded[row.stream].append(recorded)


class WorldRecorder:
    """The record of a run in memory. A commit takes a moment, so that others come between."""

    def __init__(self, world: VerifiedWorld, run_id: str) -> None:
        self._world = world
        self._run_id = run_id

    @property
    def _token(self) -> int:
        return self._world.state(run.DECIDER, self._run_id).token

    async def record(self, steps: tuple[run.RunStep, ...]) -> bool:
        await asyncio.sleep(COMMIT_SECONDS)
        return admission.still_open(self.apply(run.RecordStep(token=self._token, steps=steps)))

    async def reserve(self, wanted: BudgetRequest, *, patient: bool = True) -> int | None:
        assert not patient
        await asyncio.sleep(COMMIT_SECONDS)
        granted = self._world.submit(
            lambda reader, context: admission.reserve(
                reader, context, self._world.capacity, self._run_id, self._token, wanted
            )
        )
        if granted.over:
            raise LeaseLost("the run has ended")
        if granted.reached is not None:
            raise BudgetReached(granted.reached, passing=granted.wait)
        await asyncio.sleep(COMMIT_SECONDS)  # a cut here leaves a reservation that only the record knows
        return cast("int | None", granted.micro_usd)

    def apply(self, command: run.RunCommand) -> Any:
        return self._world.submit(
            lambda reader, context: admission.apply_command(
                reader, context, self._world.capacity, self._run_id, command
            )
        )


@dataclass(frozen=True)
class ScriptedCall:
    """A call: its bounds, what it costs by and by, and how it ends. A part of a cost stands for what a stream used."""

    after: float = 0
    least: int = 10
    most: int | None = 100
    lasts: float = 1
    parts: tuple[int, ...] = (50,)
    ending: Literal["answered", "failed", "free", "cut", "left"] = "answered"
    """``free``: the vendor refused it. ``left``: the client hung up early."""


class Bench:
    """Runs with budgets under a daily one, each with its ledger."""

    def __init__(self, day: int | None, budgets: tuple[int | None, ...]) -> None:
        dollars = None if day is None else day / 1e6
        self.world = VerifiedWorld(
            policy.Policy(schema_version=1, max_concurrent_runs=9, cost_budget_daily_usd=dollars)
        )
        self.day = day
        self.budgets = budgets
        self.over = set[asyncio.Task[Any] | None]()
        self.runs = [f"run_{number}" for number in range(len(budgets))]
        for run_id, budget in zip(self.runs, budgets, strict=True):
            asked = prepared(
                run_id,
                RunBody(input="hi", harness_profile_id="hp_1"),
                profile=replace(AGENT_SPEC, policies=replace(AGENT_SPEC.policies, budget_usd=(budget or 0) / 1e6)),
                session_id=run_id,
                capacity=self.world.capacity,
                least_micro_usd=1,
            )
            self.world.submit(partial(admitted, asked))
        self.ledgers = [self.ledger(run_id) for run_id in self.runs]

    def ledger(self, run_id: str, calls_max: int | None = None) -> RunLedger:
        recorder = WorldRecorder(self.world, run_id)
        assignment = assignment_of(self.world.recorded[run_id])
        assert assignment is not None
        transcript = AgentTranscript(assignment, cast(Any, recorder), Mask(()), CountingIds(), None, message_ids=False)
        return RunLedger(transcript, cast(Any, recorder), calls_max)

    def check(self) -> None:
        """Fail if spending and the parts of open calls exceed a budget. Each commit also obeys the rules of verify."""
        today = admission.day_totals(cast(Any, self.world), self.world.now)
        assert self.day is None or today.spent + today.reserved <= self.day
        for ledger, budget in zip(self.ledgers, self.budgets, strict=True):
            parts = sum(call.micro_usd for call in ledger._open.values())
            assert budget is None or ledger._transcript.progress.spent_micro_usd + parts <= budget

    async def call(self, ledger: RunLedger, number: int, script: ScriptedCall) -> bool:
        """Make a call as the gateway does. Return True if it was answered."""
        await asyncio.sleep(script.after)
        outcome: CallOutcome = "refused"
        paid = 0
        try:
            granted = await ledger.reserve(number, "openai", "m", script.least, script.most)
            self.check()
            for part in script.parts:
                await asyncio.sleep(script.lasts / len(script.parts))
                wanted = paid + part
                if granted is not None and wanted > granted:
                    most = None if script.most is None else granted + script.most
                    paid = granted  # what a stream has used when it asks for more
                    granted = await ledger.reserve(number, "openai", "m", granted + script.least, most)
                    self.check()
                paid = wanted if granted is None else min(wanted, granted)
            outcome = "answered" if script.ending == "answered" else "cut" if script.ending == "cut" else "failed"
        except CallBudgetReached:
            outcome = "cut" if paid else "refused"
        except asyncio.CancelledError:
            outcome = "cut"
        costs = outcome != "refused" and script.ending not in {"free", "left"}
        cost = replace(COST, cost_micro_usd=paid) if costs else None
        self.over.add(asyncio.current_task())
        await ledger.ended(EndedCall(number, "m", outcome, OutsideText("No."), cost, 1))
        self.check()
        return outcome == "answered"

    def leave(self, call: asyncio.Task[bool]) -> None:
        """Cancel a call unless it is over: the gateway records the end of a call in any case."""
        if call not in self.over:
            call.cancel()

    async def calls(self, ledger: RunLedger, *scripts: ScriptedCall) -> list[bool]:
        tasks = []
        for number, script in enumerate(scripts, 1):
            tasks.append(asyncio.create_task(self.call(ledger, number, script)))
            if script.ending == "left":
                asyncio.get_running_loop().call_later(script.after + script.lasts, self.leave, tasks[-1])
        return await asyncio.gather(*tasks)

    def reserved(self) -> int:
        return sum(int(amount) for (amount,) in self.world.guards("reserved").values())


def admitted(asked: PreparedRun, reader: Reader, context: Context) -> Outcome:
    return Outcome(facts=admission.admit(reader, context, asked).facts)


@pytest.mark.parametrize(("day", "own"), [(None, 120), (120, None), (120, 120), (1_000, 120)])
def test_a_call_waits_for_the_calls_beside_it_and_then_fits(day: int | None, own: int | None) -> None:
    bench = Bench(day, (own,))
    scripts = [ScriptedCall(least=60, most=100, lasts=400, parts=(20,)), ScriptedCall(least=60, parts=(60,))]
    assert run_virtually(bench.calls(bench.ledgers[0], *scripts)) == [True, True]
    assert not bench.ledgers[0].stopped.is_set()
    assert bench.reserved() == 0


@pytest.mark.parametrize(("day", "own"), [(None, 60), (60, None)])
def test_a_call_that_never_fits_stops_the_run(day: int | None, own: int | None) -> None:
    bench = Bench(day, (own,))
    ledger = bench.ledgers[0]
    scripts = [ScriptedCall(least=50, most=60), ScriptedCall(after=0.1, least=61)]
    assert run_virtually(bench.calls(ledger, *scripts)) == [True, False]
    assert ledger.stopped.is_set()
    assert (ledger.spent, ledger.reached is not None) == (own is not None, day is not None)


def test_the_calls_of_a_run_are_counted_while_they_are_open() -> None:
    bench = Bench(None, (None,))
    ledger = bench.ledgers[0] = bench.ledger("run_0", calls_max=2)
    assert run_virtually(bench.calls(ledger, ScriptedCall(), ScriptedCall(), ScriptedCall(after=0.5))) == [
        True,
        True,
        False,
    ]
    assert ledger.exhausted == "as many model calls as maxTurns allows (2)"


def test_calls_that_cost_nothing_are_limited_too() -> None:
    bench = Bench(None, (None,))
    ledger = bench.ledgers[0]
    ledger._begun = CALLS_MAX - 1
    run_virtually(bench.calls(ledger, ScriptedCall(ending="free"), ScriptedCall(after=0.5, ending="free")))
    assert ledger.exhausted == "10000 model calls, also failed ones"


@pytest.mark.parametrize(("budget", "granted"), [(None, True), (100, False)])
def test_a_model_without_a_price_is_not_called_under_a_budget(budget: int | None, granted: bool) -> None:
    bench = Bench(None, (budget,))
    ledger = bench.ledgers[0]

    async def ask() -> bool:
        try:
            return await ledger.reserve(1, "openai", "m", 0, None) is None
        except CallBudgetReached as reached:
            assert "no known price" in str(reached)
            return False

    assert run_virtually(ask()) == granted
    assert ledger.spent != granted


CALLS = st.builds(
    ScriptedCall,
    after=st.integers(0, 6).map(lambda steps: steps * COMMIT_SECONDS / 2),
    least=st.integers(1, 60),
    most=st.integers(60, 200),
    lasts=st.integers(1, 9).map(lambda steps: steps * COMMIT_SECONDS),
    parts=st.lists(st.integers(0, 150), min_size=1, max_size=3).map(tuple),
    ending=st.sampled_from(["answered", "failed", "free", "cut", "left"]),
)
BUDGETS = st.one_of(st.none(), st.integers(1, 900))


@settings(max_examples=sized(40, 200, 5_000), deadline=None)
@given(day=BUDGETS, runs=st.lists(st.tuples(BUDGETS, st.lists(CALLS, max_size=6)), min_size=1, max_size=3))
def test_overlapping_calls_never_exceed_a_budget(
    day: int | None, runs: list[tuple[int | None, list[ScriptedCall]]]
) -> None:
    bench = Bench(day, tuple(budget for budget, _ in runs))

    async def play() -> None:
        pairs = zip(bench.ledgers, runs, strict=True)
        await asyncio.gather(*(bench.calls(ledger, *scripts) for ledger, (_, scripts) in pairs))

    run_virtually(play())
    assert bench.reserved() == 0
    for ledger, budget in zip(bench.ledgers, bench.budgets, strict=True):
        assert not ledger.busy
        assert ledger.broken is None
        assert not ledger.spent or budget is not None
        assert ledger.reached is None or day is not None
