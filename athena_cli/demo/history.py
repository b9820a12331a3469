"""The past of the demo: a day of real runs, written through the real log in some seconds, with a clock of its own."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

from athena_cli.demo import script
from athena_cli.demo.fleet import HOUR_MS, Fleet, Json, Refused
from athena_cli.demo.model import ScriptedModel
from athena_core.clock import FixedDate, SystemIds, wall_ms

HOURS = 24
RUNS_AN_HOUR = 10  # on average; more by day than by night
REPORTS = 0.08  # each starts a process, which takes most of the time
REST_SECONDS = 0.005
HOURLY, NIGHTLY = "hourly-digest", "nightly-report"
NOWHERE = Path("/dev/null")  # no .env is read there
RECENT_MS, WAITING_MS, RECENT_RUNS = 600_000, 180_000, 15
"""Before the end: when the fleet becomes busier, and since when a person is waited for; runs in each of both spans."""


class PastClock(FixedDate):
    """The clock of the history. A model's thinking moves it, and nothing else waits."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self._moves = asyncio.Event()
        self._moves.set()

    async def wait(self, seconds: float) -> None:
        """Move on by some seconds at once."""
        await self._moves.wait()
        self.advance(round(seconds * 1_000))

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let every model wait meanwhile, so that runs are concurrent."""
        self._moves.clear()
        try:
            yield
        finally:
            self._moves.set()

    def move_to(self, moment: int) -> None:
        """Move on to a moment, in milliseconds since 1970 UTC. Do nothing if it has passed."""
        self.time = max(self.time, moment)


async def write_history(settings: Mapping[str, str], hours: float = HOURS) -> Fleet:
    """Write a day into the log of an empty state directory. Return the fleet, without a connection.

    ``settings`` are environment variables; other ones and ``.env`` do not count.
    """
    from athena_api.app import build
    from athena_api.lifespan import plane_lifespan
    from athena_cli.in_process import ErrorsOnly, InProcess
    from athena_core.clock import SystemClock
    from athena_core.settings import load

    end = wall_ms() - 5_000
    clock = PastClock(round(end - hours * HOUR_MS))
    ids = SystemIds(clock.now)
    model = ScriptedModel(clock.wait, streams=False)
    own = {"ATHENA_OPENAI_BASE_URL": await model.start(), "ATHENA_SCHEDULER": "off"}
    app = build(
        load({**settings, **own}, NOWHERE),
        clock=clock,
        ids=ids,
        access_log=ErrorsOnly(SystemClock()),
    )
    transport = InProcess(app)
    try:
        async with (
            plane_lifespan(app.plane, serving=True),
            httpx2.AsyncClient(transport=transport, base_url="http://demo", timeout=60) as http,
        ):
            fleet = Fleet(http, ids)
            await _live_through(fleet, clock, end, hours)
            while not (app.plane.tail.caught_up and app.plane.runner.idle):
                await asyncio.sleep(REST_SECONDS)
            await transport.aclose()
    finally:
        model.close()
    return fleet


async def _live_through(fleet: Fleet, clock: PastClock, end: int, hours: float) -> None:
    """Let the hours pass, from the set-up to what waits for a person at the end."""
    await fleet.set_up()
    begin = clock.time
    await fleet.schedule(HOURLY, script.DIGEST, everyMinutes=60)
    await fleet.schedule(NIGHTLY, "Summarize the day.", cron="0 2 * * *", timezone="Europe/Vienna")
    for hour in range(math.ceil(hours)):
        start = begin + hour * HOUR_MS
        of_day = start // HOUR_MS % 24
        count = max(2, round(RUNS_AN_HOUR * (1 + 0.8 * math.sin((of_day - 8) / 24 * 2 * math.pi))))
        await _errands(fleet, clock, start, min(start + HOUR_MS, end - RECENT_MS), count)
        await fleet.call("POST", "/schedules/tick", {})
        if hour % 6 == 3:
            await _decide(fleet, await fleet.publish(), hour)
            await fleet.tidy()
            await fleet.answer(await _ask_of(fleet, "tool-permission"), "allow" if hour < 18 else "deny")
            await _until_idle(fleet)
        if hour % 8 == 5:
            with clock.standing_still():
                await fleet.burst()
                await fleet.cancel((await fleet.running())[0]["runId"])
            await _until_idle(fleet)
    await _errands(fleet, clock, end - RECENT_MS, end - WAITING_MS)
    await fleet.lose_work()
    fleet.waiting = await fleet.publish()
    await fleet.audit()
    await fleet.tidy()
    await fleet.invite()
    await _until_idle(fleet)
    await _ask_of(fleet, "tool-permission")
    await _ask_of(fleet, "question")
    await _approval_of(fleet, fleet.waiting)
    await _errands(fleet, clock, end - WAITING_MS, end)
    clock.move_to(end)


async def _errands(fleet: Fleet, clock: PastClock, start: int, end: int, count: int = RECENT_RUNS) -> None:
    """Start some runs, one after another, at random times in a span of milliseconds."""
    for moment in sorted(start + fleet.pick(end - start) for _ in range(count)):
        clock.move_to(moment)
        with suppress(Refused):  # some runs fail
            await fleet.errand(wait=True, reports=REPORTS)


async def _until_idle(fleet: Fleet) -> None:
    while await fleet.running():
        await asyncio.sleep(REST_SECONDS)


async def _ask_of(fleet: Fleet, kind: str) -> Json:
    """Wait for an open ask of a kind."""
    while not (found := await fleet.asks(kind)):
        await asyncio.sleep(REST_SECONDS)
    return found[0]


async def _approval_of(fleet: Fleet, run_id: str) -> Json:
    """Wait until a workflow run asks for the approval. Return the approval."""
    while (run := await fleet.workflow_run(run_id))["status"] == "running":
        await asyncio.sleep(REST_SECONDS)
    found: Json = run["stepStates"]["publish"]["approval"]
    return found


async def _decide(fleet: Fleet, run_id: str, hour: int) -> None:
    """Approve a workflow run, or reject it in the evening."""
    body = {"subjectHash": (await _approval_of(fleet, run_id))["subjectHash"]}
    await fleet.call("POST", f"/workflows/run/{run_id}/steps/publish/{'approve' if hour < 18 else 'reject'}", body)
    await _until_idle(fleet)
