"""Schedules on a running plane: each slot through service, reactor, runs and read model.

Overlaps, halts, clocks and several servers are played by the simulator.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from athena_api.lifespan import plane_lifespan
from athena_api.plane import ControlPlane
from athena_api.wiring import wire
from athena_core.clock import FixedDate, SystemIds, iso
from athena_core.decider import Key
from athena_core.definitions.schedule_definition import ScheduleSpec
from athena_core.definitions.slots import MINUTE
from athena_core.domain import schedule
from athena_core.domain.policy import PutPolicyBody
from athena_core.errors import ConfigError, StoreUnreachable
from athena_core.event import Meta
from athena_core.services.schedules.schedules import RunScheduleBody
from athena_core.settings import load
from athena_core.values import LOCAL, RunBody, Scope
from projections import feed
from projections import schedules as views
from tests.support.api import PATIENCE_SECONDS
from tests.support.gate import Gates

META = Meta(actor="local", correlation="trace")
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Hours:
    """A plane with a stopped clock, whose reactor runs due slots."""

    def __init__(self, parts: ControlPlane, clock: FixedDate) -> None:
        self.parts = parts
        self.clock = clock
        self._news = anyio.Event()
        parts.tail.subscribe(lambda rows: self._news.set())

    async def put(self, said: str = "hello", *, actor: str = "local", key: str = "a", **fields: object) -> None:
        spec = ScheduleSpec(**{"session_id": "s", "input": said, "cron": "0 * * * *"} | fields)  # type: ignore[arg-type]
        await self.parts.schedules.put(key, spec, Meta(actor=actor, correlation="trace"), None)

    async def slot(self, hours: int = 1) -> list[str]:
        """Advance the clock by some slots and run the due ones. Return the started runs."""
        self.clock.time = (self.clock.time // HOUR + hours) * HOUR
        return await self.parts.schedules.advance("a", self.clock.now())

    async def logs(self, after: tuple[int, int] | None = None, limit: int = 50) -> list[views.ScheduleRunLog]:
        parts = self.parts
        await parts.views_reader.wait(("schedules",), parts.reader.head(), PATIENCE_SECONDS)
        found, _ = await parts.query(
            ("schedules",),
            lambda rows: views.schedule_logs(rows, parts.log.log_id, "a", self.clock.now(), after=after, limit=limit),
        )
        return found[::-1]

    async def became(self, limit: int = 50) -> list[str]:
        entries = await self.logs(limit=limit)
        return [f"{entry.status} {entry.reason}" if entry.reason else entry.status for entry in entries]

    async def until(self, *expected: str, limit: int = 50) -> None:
        """Wait until the log of the schedule reads like this."""
        found: list[str] = []
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                while found != list(expected):
                    self._news = anyio.Event()
                    found = await self.became(limit)
                    if found != list(expected):
                        await self._news.wait()
        except TimeoutError:
            raise AssertionError(found) from None

    @property
    def state(self) -> schedule.ScheduleState:
        return self.parts.schedules.due.read("a").state


@asynccontextmanager
async def hours(directory: Path, time: FixedDate | None = None, /, **settings: str) -> AsyncIterator[Hours]:
    clock = time or FixedDate()
    named = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
    home = {"ATHENA_STATE_DIR": str(directory / "state"), "ATHENA_SCHEDULER": "off"}
    home["ATHENA_SCHEDULE_RUN_TIMEOUT_MS"] = str(DAY)  # hours pass while runs are held at a gate
    parts = wire(load(home | named, directory), clock, SystemIds())
    parts.timer.ticking = True
    act = parts.timer.act

    async def act_by_hand(key: str) -> None:
        await act(key)  # it plans nothing, so only the test starts what the clock makes due

    vars(parts.timer)["act"] = act_by_hand
    async with plane_lifespan(parts, serving=True):
        yield Hours(parts, clock)


async def test_a_database_that_cannot_be_asked_for_a_moment_costs_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hours(tmp_path) as at:
        spec = ScheduleSpec(session_id="s", input="hello", cron="0 * * * *")
        await at.parts.schedules.put("a", spec, META, None, Scope(personas=frozenset({"critic"})))
        with monkeypatch.context() as patch:
            patch.setattr(at.parts.runs, "_personas", lost)
            with pytest.raises(StoreUnreachable):
                await at.slot()
            assert await at.became() == []
        await at.slot(0)  # the reactor may be quicker
        await at.until("ok")


def lost(session_id: str) -> frozenset[str]:
    raise StoreUnreachable("too many clients already")


async def test_a_run_that_failed_pauses_its_schedule_if_that_was_wanted(tmp_path: Path, gates: Gates) -> None:
    async with hours(tmp_path, **gates.settings) as at:
        await at.put("fail", pause_on_failure=True)
        await at.slot()
        await at.until("failed")
        assert at.state.paused
        assert await at.slot(2) == []
        change = at.parts.schedules.change
        await change("a", schedule.ResumeSchedule(id="a", note="mended"), META, None)
        await at.until("failed", "skipped paused", "skipped paused")
        await at.slot()
        await at.until("failed", "skipped paused", "skipped paused", "failed")


async def test_a_run_refused_by_the_policy_is_in_the_log_of_the_schedule_and_does_not_pause_it(
    tmp_path: Path, gates: Gates
) -> None:
    gate = gates["only"]
    async with hours(tmp_path, **gates.settings) as at:
        parts = at.parts
        await parts.policies.put(PutPolicyBody(schema_version=1, max_concurrent_runs=1), LOCAL, META, None)
        await parts.runs.start(RunBody(input=gate.order), LOCAL, META, None, wait=False)
        await to_thread.run_sync(gate.arrival)
        await at.put("hello", pause_on_failure=True)
        (refused,) = await at.slot()
        assert await at.became() == ["failed policy-rejected"]
        (entry,) = await at.logs()
        assert (entry.error_code, entry.run_id) == ("POLICY_CONCURRENCY_LIMIT_EXCEEDED", refused)
        assert (at.state.paused, at.state.running) == (False, ())
        assert "run.created" not in {row.type for row in parts.reader.stream(refused)}, "no run began"
        gate.release()


async def test_a_slot_runs_on_behalf_of_the_last_writer_with_the_role_of_now(tmp_path: Path) -> None:
    file = tmp_path / "roles.json"
    file.write_text("ada:Operator\n*:Viewer")
    settings = {"auth_enabled": "true", "authz_mode": "enforce", "auth_role_map_file": str(file)}
    async with hours(tmp_path, **settings) as at:
        await at.put(actor="ada")
        (run_id,) = await at.slot()
        await at.until("ok")
        assert at.parts.reader.stream(run_id)[0].actor == "system:scheduler"
        file.write_text("ada:Viewer\n*:Viewer")
        assert at.parts.access.roster.reload()
        await at.slot()
        await at.until("ok", "failed policy-rejected")
        assert (await at.logs())[-1].error_code == "AUTHZ_DENIED"
        assert not at.state.paused
        await at.put(actor="bob", note="mine now", paused=False)
        await at.slot()
        assert (await at.became())[-1] == "failed policy-rejected"


async def test_the_log_of_a_paused_schedule_has_the_slots_of_the_pause_until_now(tmp_path: Path) -> None:
    async with hours(tmp_path) as at:

        async def change(command: schedule.ScheduleCommand) -> None:
            await at.parts.schedules.change("a", command, META, None)

        def place(entry: views.ScheduleRunLog) -> tuple[int, int]:
            event, _, slot = entry.id.partition(".")
            return feed.resolve(feed.parse_cursor(event), at.parts.reader), int(slot or 0)

        await at.put()
        start = at.clock.now()
        await at.slot()
        await at.until("ok")
        await change(schedule.PauseSchedule(id="a"))
        assert await at.slot(2) == []
        first = await at.logs()
        assert [entry.reason for entry in first] == [None, "paused", "paused"]
        assert [entry.nominal_time for entry in first] == [iso(start + hour * HOUR) for hour in (1, 2, 3)]
        assert first[2].started_at == first[2].finished_at == first[2].nominal_time
        assert await at.logs(limit=1) == first[2:]
        assert await at.logs(place(first[0])) == first[1:]
        await at.parts.schedules.run("a", RunScheduleBody(), LOCAL, META, None, wait=True)
        at.clock.advance(HOUR)
        read = [*first, *await at.logs(place(first[2]))]
        assert [entry.reason or entry.status for entry in read] == ["ok", "paused", "paused", "ok", "paused"]
        await change(schedule.ResumeSchedule(id="a"))
        assert await at.logs(place(read[-1])) == []
        await at.slot()
        read += await at.logs(place(read[-1]))
        await at.until("ok", "ok", *["skipped paused"] * 3, "ok")
        assert [entry.nominal_time for entry in read if entry.nominal_time] == [
            iso(start + hour * HOUR) for hour in range(1, 6)
        ]
        await change(schedule.PauseSchedule(id="a"))
        await change(schedule.DisableSchedule(id="a"))
        at.clock.advance(5 * HOUR)
        assert len(await at.logs()) == 6, "a disabled schedule has no due slots"


async def test_a_run_by_hand_that_meets_a_put_runs_the_new_text_and_binds_its_key_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hours(tmp_path) as at:
        await at.put("the first text")
        schedules = at.parts.schedules
        attempt, texts = schedules._attempt, ["the second text"]

        async def beside_a_put(*args: Any, **named: Any) -> Any:
            launch = await attempt(*args, **named)
            if texts:
                await at.put(texts.pop())
            return launch

        monkeypatch.setattr(schedules, "_attempt", beside_a_put)
        key = Key.of("local", "runSchedule", "a", b"the same body")
        first = await schedules.run("a", RunScheduleBody(), LOCAL, META, key, wait=True)
        again = await schedules.run("a", RunScheduleBody(), LOCAL, META, key, wait=True)
        assert (first.replayed, again.replayed, again.subject) == (False, True, first.subject)
        rows = at.parts.reader.rows(0, 1000)
        assert [row.run_id for row in rows if row.type == "run.created"] == [first.subject]
        (text,) = [row.text or b"" for row in rows if row.type == "directive.created"]
        assert b"the second text" in text


async def test_missed_slots_are_listed_one_by_one_and_paged(tmp_path: Path) -> None:
    async with hours(tmp_path) as at:
        await at.put(catch_up="none")
        at.clock.advance(5 * HOUR + 30 * MINUTE)
        assert await at.parts.schedules.advance("a", at.clock.now()) == []
        whole = await at.logs()
        assert [entry.reason for entry in whole] == ["catchup-window-exceeded"] * 5
        assert len({entry.id for entry in whole}) == 5
        newest = await at.logs(limit=2)
        assert newest == whole[-2:]
        for index, entry in enumerate(whole):
            slot = entry.id.partition(".")[2]
            position = next(row.position for row in at.parts.reader.stream("schedule:a") if row.version == 2)
            assert await at.logs(after=(position, int(slot)), limit=2) == whole[index + 1 : index + 3]


async def test_the_number_of_schedules_and_their_shortest_interval_are_settings(tmp_path: Path) -> None:
    async with hours(tmp_path, schedules_max="2", schedule_minutes_min="30") as at:
        for often, field in (
            ({"cron": None, "every_minutes": 29}, "everyMinutes"),
            ({"cron": "*/20 * * * *"}, "cron"),
            ({"cron": "5,25 * * * *"}, "cron"),
        ):
            with pytest.raises(ConfigError) as refused:
                await at.put(**often)
            faults: Any = refused.value.details
            assert [fault.field for fault in faults] == [field]
            assert "30 minutes apart or more" in str(faults)
        await at.put(cron=None, every_minutes=30)
        await at.put(key="b", cron="*/30 * * * *")
        with pytest.raises(ConfigError, match="the limit of 2 schedules is reached"):
            await at.put(key="c")
        await at.put("another text", key="b")
        await at.parts.schedules.change("a", schedule.RemoveSchedule(id="a"), META, None)
        await at.put(key="c")


async def test_without_the_scheduler_the_clock_decides_nothing(tmp_path: Path) -> None:
    async with hours(tmp_path) as at:
        at.parts.timer.ticking = False
        await at.put(every_minutes=1, cron=None, start_now=True)
        await at.parts.timer.act("a")
        assert await at.became() == []
        at.parts.timer.ticking = True
        await at.parts.timer.act("a")
        await at.until("ok")
