"""Problems of the loops beside the requests: each failure is logged, counted and shown, and is gone once it is over."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import anyio
import pytest

from athena_api import metrics
from athena_api.edge.access_log import JsonLines
from athena_api.lifespan import plane_lifespan, worker_lifespan
from athena_api.operations.core import check_ready, health_of, workers_of
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import SystemClock, SystemIds, iso
from athena_core.errors import InternalError, NotCaughtUp, StoreUnreachable, TokenInvalid
from athena_core.event import Meta
from athena_core.log import anchor, writer_threads
from athena_core.log import writer as log_module
from athena_core.protocols import LeaderLock
from athena_core.services import memory, reactors
from athena_core.services.execution import live_relay, runner
from athena_core.services.execution.liveness import ProcessInfo, ProcessStatus
from athena_core.services.proof import anchors
from athena_core.settings import load
from athena_core.system.problems import LOOPS
from athena_core.system.timer import Timer
from athena_core.values import LOCAL, RunBody
from projections.engine import updater
from projections.engine.projector import Projector
from tests.support.api import PATIENCE_SECONDS

SOON_SECONDS = 0.02
META = Meta(actor="alice", correlation="trace")
KEY = "run_injected"


class Faults:
    """Raises in the loops that are named in ``on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on: set[str] = set()
        self._monkeypatch = monkeypatch

    def check(self, loop: str, kind: type[Exception] = RuntimeError) -> None:
        """Raise while the loop is on."""
        if loop in self.on:
            raise kind(f"injected into {loop}")

    def into(self, loop: str, owner: Any, name: str, kind: type[Exception] = RuntimeError) -> None:
        """Let a function raise first."""
        works = getattr(owner, name)

        def broken(*arguments: Any, **named: Any) -> Any:
            self.check(loop, kind)
            return works(*arguments, **named)

        self._monkeypatch.setattr(owner, name, broken)


class BrokenLatch:
    """A lock that cannot report whether it is held."""

    def __init__(self, latch: LeaderLock, faults: Faults) -> None:
        self._latch = latch
        self._faults = faults

    def acquire(self) -> bool:
        self._faults.check("reactors", OSError)
        return self._latch.acquire()

    @property
    def held(self) -> bool:
        self._faults.check("reactors", OSError)
        return self._latch.held

    def release(self) -> None:
        self._latch.release()


class BrokenChannel:
    """A channel without listeners."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def send(self, texts: Sequence[str]) -> None:
        self._faults.check("relay.send", OSError)

    async def receive(self) -> list[str]:
        self._faults.check("relay.receive", OSError)
        await anyio.sleep(SOON_SECONDS)
        return []

    async def close(self) -> None:
        pass


def arrange(parts: ControlPlane, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every loop breakable, and fast."""
    store = parts.log.store
    monkeypatch.setattr(store, "lost", (StoreUnreachable,), raising=False)
    faults.into("agents.memory", parts.agent_memory.timer, "_look")
    faults.into("anchors.send", anchors, "anchor_at_head")
    faults.into("authentication.flush", parts.authentication_limits, "flush")
    faults.into("tokens.uses", parts.tokens, "flush")
    for part in parts:
        if isinstance(timer := getattr(part, "timer", None), Timer):
            timer.seconds = SOON_SECONDS
    faults.into("log.anchor", anchor, "write_anchor", OSError)
    faults.into("log.checkpoint", store, "checkpoint_wal", store.full[0])
    faults.into("log.clock", parts.log._store_watch, "_check_clock")
    faults.into("log.keeper", store, "check_place")
    faults.into("log.watch", parts.tail, "refresh", StoreUnreachable)
    faults.into("log.write", store, "insert", store.full[0])
    faults.into("log.write", store, "rehearse", store.full[0])
    faults.into("memory.index", parts.memory._recall, "refresh")
    monkeypatch.setattr(parts.reactors, "_latch", BrokenLatch(parts.reactors._latch, faults))
    for one in parts.reactors._reactors:
        break_acts(one, faults, monkeypatch)
    monkeypatch.setattr(parts.relay, "_channel", BrokenChannel(faults))
    open_to_older_releases(parts, faults, monkeypatch)
    faults.into("runner.claim", parts.runner, "_user_text")
    faults.into("runner.run", parts.runner._performers._loop, "work")
    faults.into("runner.sweep", parts.runner.executors, "tidy")
    faults.into("runner.take-over", runner, "take_over")
    faults.into("views", Projector, "step")
    faults.into("workspaces.removal", parts.workspace_cleaner, "remove_directories", OSError)
    for module, name in (
        *((writer_threads, "WATCH_SECONDS"), (log_module, "PROBE_SECONDS"), (memory, "RETRY_SECONDS")),
        *((reactors, "LEADER_SECONDS"), (live_relay, "GATHER_SECONDS"), (live_relay, "TROUBLE_SECONDS")),
        *((updater, "TROUBLE_SECONDS"), (updater, "CHECK_SECONDS")),
    ):
        monkeypatch.setattr(module, name, SOON_SECONDS)
    monkeypatch.setattr(runner, "SWEEPS_BETWEEN_LOOKS", 1)


def open_to_older_releases(parts: ControlPlane, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a process of release 0.1 while ``log.format`` is on."""
    about = ProcessInfo(kind="server", host="injected into log.format", pid=17, providers=(), concurrency=0, since=0)
    older = ProcessStatus(executor="exe_older", about=about, counted_at=0, lost=False)
    works = parts.runner._check_formats
    monkeypatch.setattr(
        parts.runner,
        "_check_formats",
        lambda present: works([*present, older] if "log.format" in faults.on else present),
    )


def break_acts(one: Any, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a reactor fail at one key."""
    works = one.act

    async def act(key: str) -> int | None:
        if key != KEY:
            found: int | None = await works(key)
            return found
        faults.check(f"reactors.{one.name}")
        return None

    monkeypatch.setattr(one, "act", act)


async def until(condition: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait for a condition that other tasks and threads fulfil."""
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            while not condition():
                await anyio.sleep(SOON_SECONDS / 4)
    except TimeoutError:
        raise AssertionError(what()) from None


async def stir(parts: ControlPlane) -> None:
    """Give every loop work."""
    parts.log._driver.wake()
    for one in parts.reactors._reactors:
        parts.reactors.ask(one.name, KEY)
    parts.live.append("one", "run_1", 1, "a word")
    parts.runner._want(KEY)
    await parts.runner._take_over(KEY, 1, "dead")
    parts.authentication_limits.failed(TokenInvalid("wrong"), "192.0.2.1")


async def run(parts: ControlPlane) -> str:
    committed = await parts.runs.start(RunBody(input="hello"), LOCAL, META, None, wait=True)
    return committed.subject or ""


def failing(parts: ControlPlane) -> set[str]:
    return {problem.loop for problem in health_of(parts, parts.reader.head()).problems}


def measured(parts: ControlPlane, family: str) -> dict[str, int]:
    lines = metrics.exposition(parts)[0].decode().splitlines()
    named = (line for line in lines if line.startswith(f'{family}{{loop="'))
    return {line.split('"')[1]: int(line.rpartition(" ")[2]) for line in named}


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


def parts_of(directory: Path) -> ControlPlane:
    named = {"ATHENA_STATE_DIR": str(directory / "state"), "ATHENA_MEMORY_ENABLED": "true"}
    named["ATHENA_ANCHOR_TO"] = str(directory / "kept.anchors")
    return wire(load(named, directory), SystemClock(), SystemIds())


def lines_of(caplog: pytest.LogCaptureFixture) -> Iterator[dict[str, str]]:
    """Yield the JSON log lines of background loops."""
    for record in caplog.records:
        if record.name == "athena.background":
            yield json.loads(JsonLines().format(record))


async def logged(caplog: pytest.LogCaptureFixture, broken: Set[str]) -> None:
    """Return once a failure of each loop is logged, which is just after it is counted."""

    def missing() -> Set[str]:
        return broken - {line["message"].partition(" failed")[0] for line in lines_of(caplog)}

    await until(lambda: not missing(), missing)


def check_signs(parts: ControlPlane, broken: Set[str], began: int, lines: list[dict[str, str]]) -> None:
    """Fail unless each broken loop is in health, metrics and log."""
    health = health_of(parts, parts.reader.head())
    assert health.status == "degraded"
    totals, gauges = (measured(parts, f"athena_background_{name}") for name in ("failures_total", "failing"))
    for problem in health.problems:
        assert iso(began) <= problem.since <= health.now
        assert problem.count <= totals[problem.loop]
        assert problem.message
    for loop in broken:
        assert (gauges[loop], totals[loop] > 0) == (1, True)
        (line, *_) = [line for line in lines if line["message"].startswith(f"{loop} failed")]
        if loop in EXPLAINED:
            assert (line["level"], "traceback" in line) == ("warning", False)
        else:
            assert (line["level"], f"injected into {loop}" in line["traceback"]) == ("error", True)


WITHOUT_WRITES = frozenset({"log.write", "refusals.flush", "reactors"})
"""They break while others need to write, or to lead."""

OF_FILES = frozenset({"agents", "credentials", "log.pages", "mcp", "tls.certificate"})
"""They fail only while a file is wrong. The tests of that file try it."""

EXPLAINED = frozenset({"log.watch", "log.write", "refusals.flush"})
"""Loops whose injected failure is a retryable error: its message explains it, so no traceback is logged."""


async def begin(parts: ControlPlane, faults: Faults, broken: Set[str]) -> None:
    """Break loops. Return once each of them is reported as failing."""
    faults.on = set(broken)
    if "log.write" in broken:
        parts.refusal_limits.suppress("ada", "createRun")
        await until(lambda: parts.log.refusal is not None, lambda: "writes work")
        with pytest.raises(NotCaughtUp, match="writes fail: no space is left for the log"):
            check_ready(parts)
    else:
        run_id = await run(parts)
        with pytest.raises(InternalError):
            parts.runs.result(run_id)
        await stir(parts)
    await until(lambda: failing(parts) >= broken, lambda: broken - failing(parts))


async def end(parts: ControlPlane, faults: Faults, broken: Set[str]) -> None:
    """Repair the loops. Return once none is reported as failing."""
    faults.on.discard("views")
    await until(lambda: "views" not in failing(parts), lambda: failing(parts))
    if "log.write" not in broken:
        check_ready(parts)  # what fails beside the requests keeps no request away
    faults.on = set()
    await until(lambda: parts.log.refusal is None, lambda: parts.log.refusal)
    await run(parts)
    await stir(parts)
    await until(lambda: not failing(parts), lambda: failing(parts))
    assert health_of(parts, parts.reader.head()).status == "ok"
    assert not any(measured(parts, "athena_background_failing").values())
    assert all(measured(parts, "athena_background_failures_total")[loop] for loop in broken)


async def test_a_failure_of_any_loop_is_logged_counted_and_shown_until_it_is_over(
    tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    parts = parts_of(tmp_path)
    arrange(parts, faults, monkeypatch)
    faults.on = {"memory.index"}  # this one works only at the start
    began = parts.clock.now()
    async with plane_lifespan(parts, serving=True):
        await until(lambda: parts.reactors.leads and failing(parts) == {"memory.index"}, lambda: failing(parts))
        assert set(measured(parts, "athena_background_failures_total")) == set(LOOPS)
        assert measured(parts, "athena_background_failing") == {loop: loop == "memory.index" for loop in LOOPS}
        for broken in (set(LOOPS) - WITHOUT_WRITES - OF_FILES, WITHOUT_WRITES):
            await begin(parts, faults, broken)
            await logged(caplog, broken)
            check_signs(parts, broken, began, list(lines_of(caplog)))
            await end(parts, faults, broken)
    again = {line["message"].partition(" works again")[0] for line in lines_of(caplog)}
    assert again >= set(LOOPS) - OF_FILES


async def test_a_worker_has_its_failures_shown_by_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"ATHENA_STATE_DIR": str(tmp_path / "state")}
    server = wire(load(named, tmp_path), SystemClock(), SystemIds())
    worker = wire(load(named, tmp_path), SystemClock(), SystemIds(), kind="worker", frozen_seconds=SOON_SECONDS)
    worker.runner.timer.seconds = SOON_SECONDS

    async def shown() -> dict[str, tuple[str, ...]]:
        return {one.kind: tuple(problem.loop for problem in one.problems) for one in (await workers_of(server)).items}

    async def until_shown(loops: tuple[str, ...]) -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            while await shown() != {"server": (), "worker": loops}:
                await anyio.sleep(SOON_SECONDS)

    async with plane_lifespan(server, serving=True), worker_lifespan(worker):
        await until_shown(())
        worker.log.problems.report("memory.index", OSError(28, "No space left on device"))
        await until_shown(("memory.index",))
        worker.log.problems.recovered("memory.index")
        await until_shown(())
