"""The runner: its reaction to new rows."""

import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from athena_api.edge.replies import status_of
from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import run
from athena_core.errors import ConfigError, InternalError
from athena_core.event import Meta
from athena_core.services.execution.liveness import claim_rank
from athena_core.services.runs.admission import apply_command
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody
from projections.run_answer import Run
from tests.projections.answers import run_by_id
from tests.support.api import PATIENCE_SECONDS
from tests.support.gate import Gates
from tests.support.records import all_rows

RUNS = 10
META = Meta(actor="alice", correlation="trace")


@asynccontextmanager
async def plane_at_work(directory: Path, **settings: str) -> AsyncIterator[ControlPlane]:
    named = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    parts = wire(load({"ATHENA_STATE_DIR": str(directory / "state")} | named, directory), SystemClock(), SystemIds())
    async with plane_lifespan(parts, serving=True):
        yield parts


async def test_a_run_that_was_leased_in_the_commit_that_created_it_is_not_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plane_at_work(tmp_path) as parts:
        looked_up: list[str] = []
        asked = anyio.Event()

        async def look_up(run_ids: list[str]) -> None:
            looked_up.extend(run_ids)
            parts.runner._wanted.clear()
            asked.set()

        committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
        run_id = committed.subject
        assert run_id is not None
        monkeypatch.setattr(parts.runner, "_claim", look_up)
        rows = parts.reader.rows(committed.position - 100, 200)
        created = [row for row in rows if row.stream == run_id and row.type == run.RunCreated.TYPE]
        parts.runner._on_rows(rows)
        parts.runner._on_rows(created)  # this one alone, as if it had been queued
        await asked.wait()
    assert looked_up == [run_id]


def test_each_executor_is_the_first_for_its_share_of_the_runs() -> None:
    executors = [f"exe_{number}" for number in range(6)]
    firsts = Counter[str]()
    for number in range(600):
        turns = {executor: claim_rank(f"run_{number}", executor, executors) for executor in executors}
        assert sorted(turns.values()) == list(range(6))
        firsts[min(turns, key=turns.__getitem__)] += 1
    assert all(60 <= firsts[executor] <= 140 for executor in executors), firsts


@pytest.mark.parametrize("leased", [False, True])
async def test_a_run_for_any_executor_is_left_to_those_before_and_taken_if_they_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, leased: bool
) -> None:
    async with plane_at_work(tmp_path) as parts:
        runner = parts.runner
        committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
        rows = [row for row in all_rows(parts.reader) if row.stream == committed.subject]
        (created,) = [row for row in rows if row.type == run.RunCreated.TYPE]
        (lease,) = [row for row in rows if row.type == run.RunLeased.TYPE]
        for_any = created._replace(data=created.data.replace(runner.executor.encode(), b""))
        wanted: list[str] = []
        monkeypatch.setattr(runner, "_want", wanted.append)
        runner.executors.others = frozenset(f"exe_{number}" for number in range(1_000))  # some come before it
        runner._on_rows([for_any])
        assert not wanted
        assert not runner.idle
        if leased:
            runner._on_rows([lease])
        with anyio.fail_after(PATIENCE_SECONDS):
            while not runner.idle:
                await anyio.sleep(0)
        assert wanted == ([] if leased else [created.stream])


async def test_an_executor_that_lost_its_lease_is_refused(tmp_path: Path, gates: Gates) -> None:
    gate = gates["late"]
    async with plane_at_work(tmp_path, **gates.settings) as parts:
        committed = await parts.runs.start(RunBody(input=gate.order), LOCAL, META, None, wait=False)
        run_id = committed.subject or ""
        await to_thread.run_sync(gate.arrival)
        parts.tail._handlers.clear()  # it does not hear that another executor took the run
        take = run.TakeRun(executor="exe_other", pid=1, token=1, because="frozen", attempts_max=3)
        capacity = parts.runs.capacity
        await parts.log.submit(lambda reader, context: apply_command(reader, context, capacity, run_id, take), META)
        held = parts.runner._held[run_id]
        gate.release()
        assert await held.over.within(PATIENCE_SECONDS)
        assert [row.type for row in parts.reader.stream(run_id)][-2:] == ["run.leased", "run.started"]
        assert parts.runs.state(run_id).executor == "exe_other"


async def test_a_lease_that_is_heard_of_after_the_run_was_taken_over_does_not_stop_it(
    tmp_path: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gates["taken"]
    async with plane_at_work(tmp_path, **gates.settings) as parts:
        monkeypatch.setattr(parts.runner, "begin", lambda *arguments: None)
        committed = await parts.runs.start(RunBody(input=gate.order), LOCAL, META, None, wait=False)
        run_id, capacity = committed.subject or "", parts.runs.capacity
        handlers = list(parts.tail._handlers)
        parts.tail._handlers.clear()  # it hears of what the other one did only later
        take = run.TakeRun(executor="exe_other", pid=1, token=1, because="frozen", attempts_max=3)
        await parts.log.submit(lambda reader, context: apply_command(reader, context, capacity, run_id, take), META)
        await parts.runner._take_over(run_id, 2, "dead")
        await to_thread.run_sync(gate.arrival)
        held = parts.runner._held[run_id]
        assert (held.token, parts.runs.state(run_id).executor) == (3, parts.runner.executor)
        parts.runner._on_rows([row for row in parts.reader.stream(run_id) if row.type == run.RunLeased.TYPE])
        parts.tail._handlers.extend(handlers)
        gate.release()
        assert await held.over.within(PATIENCE_SECONDS)
        assert [row.type for row in parts.reader.stream(run_id)][-1] == "run.completed"


async def test_a_run_that_is_leased_here_and_not_executed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plane_at_work(tmp_path) as parts:
        # the answer to the commit that leased it was lost
        monkeypatch.setattr(parts.runner, "begin", lambda *arguments: None)
        committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=False)
        run_id = committed.subject or ""
        with anyio.fail_after(PATIENCE_SECONDS):
            await parts.runs.settled(run_id, PATIENCE_SECONDS)
        leases = [row for row in parts.runs.recorded(run_id) if isinstance(row.event, run.RunLeased)]
        taken = leases[-1].event
        assert isinstance(taken, run.RunLeased)
        assert (taken.token, taken.taken_from, taken.because, taken.attempt) == (2, parts.runner.executor, "left", 1)
        assert parts.runs.state(run_id).status == "completed"


async def test_a_cancel_that_was_read_before_the_run_was_known_here_stops_it(
    tmp_path: Path, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gates["early"]
    async with plane_at_work(tmp_path, **gates.settings) as parts:
        begin, begun = parts.runner.begin, list[tuple[object, ...]]()
        monkeypatch.setattr(parts.runner, "begin", lambda *arguments: begun.append(arguments))
        committed = await parts.runs.start(RunBody(input=gate.order), LOCAL, META, None, wait=False)
        run_id = committed.subject or ""
        cancelled = await parts.runs.cancel_run(run_id, None, META, None)
        await parts.runs.cancel_run("run_marker", None, META, None)
        while parts.tail.position <= cancelled.position:
            await anyio.sleep(0)
        begin(*begun[0])  # type: ignore[arg-type]
        assert await parts.runner._held[run_id].over.within(PATIENCE_SECONDS)
        assert [row.type for row in parts.reader.stream(run_id)][-1] == "run.cancelled"


async def test_a_run_that_cannot_be_claimed_leaves_the_others_to_be_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plane_at_work(tmp_path) as parts:
        parts.runner._writer.capacity_now = ExecutorCapacity  # nothing is leased as it is created
        monkeypatch.setattr(parts.runner, "_working", False)
        started = [await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=False) for _ in range(3)]
        run_ids = [committed.subject or "" for committed in started]
        works, missing = parts.catalog.directive, parts.runs.state(run_ids[0]).request
        assert missing is not None

        def directive(directive_id: str, field: str) -> object:
            if directive_id == missing.directive_id:
                raise ConfigError.of(field, "gone", "none")
            return works(directive_id, field)

        monkeypatch.setattr(parts.catalog, "directive", directive)
        monkeypatch.setattr(parts.runner, "_working", True)
        await parts.runner._claim(run_ids)
        for run_id in run_ids[1:]:
            await parts.runs.settled(run_id, PATIENCE_SECONDS)
        statuses = [parts.runs.state(run_id).status for run_id in run_ids]
        assert statuses == ["running", "completed", "completed"]
        (problem,) = parts.log.problems.failing()
        assert (problem.loop, problem.message) == ("runner.claim", "CONFIG_ERROR: directiveId: gone")


async def test_a_run_whose_lease_fails_leaves_the_others_their_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(
        reader: Reader, context: Context, capacity: ExecutorCapacity, said: dict[str, str]
    ) -> Outcome[tuple[str, ...]]:
        if "run_broken" in said:
            raise ZeroDivisionError
        taken.extend(said)
        return Outcome(answer=())

    taken: list[str] = []
    async with plane_at_work(tmp_path) as parts:
        monkeypatch.setattr("athena_core.services.execution.runner.claim", claim)
        await parts.runner._lease({"run_a": "", "run_broken": "", "run_b": ""})
        assert taken == ["run_a", "run_b"]
        (problem,) = parts.log.problems.failing()
        assert (problem.loop, problem.message.partition(" at ")[0]) == ("runner.claim", "ZeroDivisionError")


async def test_a_bug_in_a_run_is_one_error_in_the_answer_the_record_and_the_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(*arguments: object) -> None:
        raise RuntimeError("it quotes what the model wrote")

    async with plane_at_work(tmp_path) as parts:
        monkeypatch.setattr(parts.runner._performers._loop, "work", work)
        committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
        run_id = committed.subject or ""
        with pytest.raises(InternalError) as answered:
            parts.runs.answer(committed)
        recorded = parts.runs.recorded(run_id)
        ending = recorded[-1].event
        shown, _ = await parts.read(("runs",), recorded[-1].position, lambda rows: run_by_id(rows, run_id, None))
    assert isinstance(ending, run.RunFailed)
    assert isinstance(shown, Run)
    assert shown.error is not None
    error = answered.value
    assert status_of(error) == 500
    assert {
        (error.code, error.message, error.retryable),
        (ending.code, ending.error_text, ending.retryable),
        (shown.error.code, shown.error.message, shown.error.retryable),
    } == {("INTERNAL_ERROR", ending.error_text, False)}
    assert "model" not in error.message
    assert "RuntimeError: it quotes what the model wrote" in caplog.text, "an operator needs the traceback"


async def test_a_bug_that_a_run_does_not_survive_ends_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(work: object, *, ended: bool) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(ExceptionGroup) as raised:
        async with plane_at_work(tmp_path) as parts:
            monkeypatch.setattr(parts.runner._performers._loop, "leave", broken)
            await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=False)
            await anyio.sleep(PATIENCE_SECONDS)
    assert raised.group_contains(RuntimeError, match="a bug")


async def test_runs_end_with_their_model(tmp_path: Path, gates: Gates) -> None:
    gate = gates["open"]
    with pytest.raises(ExceptionGroup) as raised:
        async with plane_at_work(tmp_path, **gates.settings) as parts:
            committed = await parts.runs.start(RunBody(input=gate.order), LOCAL, META, None, wait=False)
            await to_thread.run_sync(gate.arrival)
            held = parts.runner._held[committed.subject or ""]
            raise RuntimeError("a bug")
    assert raised.group_contains(RuntimeError, match="a bug")
    assert held.over.happened


async def test_a_run_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    async with plane_at_work(tmp_path) as parts:
        await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)  # caches are filled
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(RUNS):
                await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
            gc.collect()
            left = Counter(type(found).__name__ for found in gc.garbage)
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert max(left.values(), default=0) < RUNS, left
