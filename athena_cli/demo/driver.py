"""The driver of the demo: it keeps the fleet busy, and restores what a visitor has used up."""

import asyncio
import time
from contextlib import suppress

import httpx2

from athena_cli.demo import script
from athena_cli.demo.fleet import LIMIT, Fleet, Refused
from athena_core.clock import iso, wall_ms

DUE_SECONDS = 40
"""Until the schedule of the demo is due for the first time."""

BUSY_SECONDS = 900
"""After this the fleet works at a tenth of its pace, so that a forgotten demo stays small."""

RAISED_SECONDS = 180
"""For so long a limit that a visitor has changed is kept."""


class Driver:
    """The work of the people who use the fleet. One task, which survives a server that is away."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since = time.monotonic()
        self._changed_at: float | None = None
        self._scheduled = False

    async def drive(self) -> None:
        second = 0
        while True:
            pace = 10 if time.monotonic() - self._since > BUSY_SECONDS else 1
            for act, every, first in (
                (self._keep_writing, 2, 0),
                (self._schedule, 2, 0),
                (self._keep_waiting, 3, 2),
                (self._restore, 5, 4),
                (self._fleet.errand, 3 * pace, 1),
                (self._fleet.burst, 40 * pace, 12),
            ):
                if second % every == first:
                    with suppress(httpx2.HTTPError, Refused, ValueError):  # no server, or a rejected run
                        await act()
            await asyncio.sleep(1)
            second += 1

    async def _keep_writing(self) -> None:
        """Let a run write for long, always."""
        writer = self._fleet.profiles["Yearbook writer"]
        if not any(run.get("harnessProfileId") == writer for run in await self._fleet.running()):
            await self._fleet.write_yearbook()

    async def _schedule(self) -> None:
        """Create the schedule that is soon due, once."""
        if not self._scheduled:
            start = iso(wall_ms() + 1_000 * DUE_SECONDS)
            await self._fleet.schedule("every-minute", script.DIGEST, everyMinutes=1, startAt=start)
            self._scheduled = True

    async def _keep_waiting(self) -> None:
        """Let a run of the workflow wait for an approval, always."""
        run = await self._fleet.workflow_run(self._fleet.waiting)
        if run["status"] not in {"queued", "running", "waiting"}:
            self._fleet.waiting = await self._fleet.publish()

    async def _restore(self) -> None:
        """Replace what a visitor has taken: a paused run, an ask, a dead letter, and in time the limit."""
        fleet = self._fleet
        summary = await fleet.call("GET", "/fleet/summary")
        paused = await fleet.call("GET", "/runs?status=paused&limit=50")
        if not any((run.get("paused") or {}).get("reason") == "budget" for run in paused["items"]):
            await fleet.audit()
        for kind, ask in (("tool-permission", fleet.tidy), ("question", fleet.invite)):
            if not await fleet.asks(kind):
                await ask()
        if not summary["queue"]["deadLetters"]:
            await fleet.lose_work()
        policy = await fleet.call("GET", "/policy")
        if policy.get("maxConcurrentRuns") == LIMIT:
            self._changed_at = None
        elif self._changed_at is None:
            self._changed_at = time.monotonic()
        elif time.monotonic() - self._changed_at > RAISED_SECONDS:
            await fleet.limit(LIMIT, "the demo's limit again, for the next visitor")
