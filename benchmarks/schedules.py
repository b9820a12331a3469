"""The scenario of schedules: the cost of a tick with 100 due schedules, alone and among many others.

``python -m benchmarks.schedules DIRECTORY SCHEDULES`` runs a plane with ``SCHEDULES`` schedules, 100 of them due each
hour. For every line that it reads, it advances some hours and prints the figures of the ticks as JSON.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from athena_api.wiring import wire
from athena_core.clock import FixedDate, SystemIds
from athena_core.definitions.schedule_definition import ScheduleSpec
from athena_core.event import Meta
from athena_core.settings import load
from benchmarks.machine import cores, pin
from benchmarks.report import Section
from benchmarks.scenarios import Bench, Failed

DUE = 100
TICKS = 5
TICK_COST = 3.0
PUT_AT_ONCE = 256
HOUR = 3_600_000
HOURLY, YEARLY = "0 * * * *", "0 0 31 12 *"
META = Meta(actor="local", correlation="trace")
SETTINGS = {"ATHENA_EXECUTOR": "off", "ATHENA_SCHEDULER": "off"}


class Ticked(msgspec.Struct):
    """The wall and CPU seconds of requested ticks, and the runs that they started."""

    ticks: int
    runs: int
    seconds: float
    cpu_seconds: float


class Plane:
    """A plane without a server. Its clock stops between ticks, and its runs are not executed."""

    def __init__(self, directory: Path, schedules: int) -> None:
        """Open the log, without schedules."""
        self._clock = FixedDate()
        self._schedules = schedules
        self.parts = wire(load(SETTINGS | {"ATHENA_STATE_DIR": str(directory)}, directory), self._clock, SystemIds())
        self.parts.timer.ticking = True
        self.parts.log.start()

    async def put(self) -> None:
        """Create the schedules; due ones are spread evenly among the others."""
        stride = self._schedules // DUE
        for first in range(0, self._schedules, PUT_AT_ONCE):
            numbers = range(first, min(first + PUT_AT_ONCE, self._schedules))
            await asyncio.gather(*(self._put(number, HOURLY if number % stride == 0 else YEARLY) for number in numbers))
        await self.parts.schedules.due.refresh()

    async def _put(self, number: int, cron: str) -> None:
        spec = ScheduleSpec(session_id=f"session-{number}", input="Summarise the last hour.", cron=cron)
        await self.parts.schedules.put(f"schedule-{number}", spec, META, None)

    async def tick(self, ticks: int) -> Ticked:
        """Advance ``hours`` hours. At each one, decide like the timer of a server."""
        found = Ticked(0, 0, 0.0, 0.0)
        schedules, timer = self.parts.schedules.due, self.parts.timer
        for _ in range(ticks):
            self._clock.advance(HOUR)
            began, cpu = time.perf_counter(), time.process_time()
            await schedules.refresh()
            due = schedules.due_at(self._clock.now())
            for key in due:
                await timer.act(key)
            found.seconds += time.perf_counter() - began
            found.cpu_seconds += time.process_time() - cpu
            found.ticks += 1
            found.runs += await self._end(due)
        return found

    async def _end(self, keys: list[str]) -> int:
        """End the started runs, so that no schedule is active at the next hour. Return their number."""
        running = 0
        for key in keys:
            for flight in self.parts.schedules.due.read(key).state.running:
                await self.parts.runs.cancel_run(flight.target_run_id, None, META, None)
                running += 1
            await self.parts.schedules.bring_back(key)
        return running


class Ticker:
    """A plane in another process, on the core of the servers."""

    def __init__(self, directory: Path, schedules: int) -> None:
        """Start the process. Wait until its schedules exist and a warm-up tick has passed."""
        command = [sys.executable, "-m", "benchmarks.schedules", str(directory), str(schedules)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            preexec_fn=lambda: pin(cores()[0]),  # noqa: PLW1509 - this process has no threads
        )
        self.ask()

    def ask(self) -> Ticked:
        """Run some ticks."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise Failed(f"the plane of schedules exited with {self._process.wait()}")
        return msgspec.json.decode(line, type=Ticked)

    def __enter__(self) -> Self:
        """Return the ticker."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process."""
        self._process.communicate()


def schedules(bench: Bench) -> list[Section]:
    """Measure ticks of a plane with 100 due schedules, beside planes with many more that are not due."""
    few, twin, many = f"{DUE} schedules", f"{DUE} schedules, twin", f"{bench.size.schedules:,} schedules"
    section = Section("schedules", f"Decisions of a tick that finds {DUE} schedules due", "decisions/s", {}, [], [])
    with (
        Ticker(bench.place("few"), DUE) as alone,
        Ticker(bench.place("few"), DUE) as other,
        Ticker(bench.place("many"), bench.size.schedules) as crowd,
    ):
        variants = {few: _ticks(bench, alone), twin: _ticks(bench, other), many: _ticks(bench, crowd)}
        section.measure(bench.rounds, variants)
    section.ratio(many, few, figure="cpu_us", label=f"CPU time each: {many} / {few}", at_most=TICK_COST)
    section.ratio(few, many, label=f"time each: {many} / {few}", at_most=TICK_COST)
    section.ratio(few, twin, figure="cpu_us", label=f"A/A, CPU time each: {few} / their twin")
    section.notes.append(
        f"{TICKS} ticks a round; each looks what is due, and starts {DUE} runs, one commit after another, as the timer "
        "of a server does. Nobody executes them."
    )
    return [section]


def _ticks(bench: Bench, ticker: Ticker) -> Callable[[], dict[str, float]]:
    """Return a measurement of ticks."""

    def measure() -> dict[str, float]:
        disk = bench.sync()
        found = ticker.ask()
        if found.runs != found.ticks * DUE:
            raise Failed(f"{found.ticks} ticks started {found.runs} runs, not {DUE} each")
        return {"rate": found.runs / found.seconds, "cpu_us": found.cpu_seconds / found.runs * 1e6} | disk

    return measure


async def keep(directory: Path, count: int) -> None:
    """Run a plane that ticks on request."""
    directory.mkdir(parents=True)
    plane = Plane(directory, count)
    await plane.put()
    while await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(msgspec.json.encode(await plane.tick(TICKS)).decode() + "\n")
        sys.stdout.flush()
    plane.parts.close()


SCHEDULES: dict[str, Callable[[Bench], list[Section]]] = {"schedules": schedules}

if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1]), int(sys.argv[2])))
