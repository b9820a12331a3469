"""Years of schedules under four schedulers with wrong clocks: each slot has one fate."""

from collections import Counter
from random import Random

import pytest

from athena_core.clock import CountingIds
from athena_core.decider import Context
from athena_core.definitions.schedule_definition import ScheduleDefinition, ScheduleTarget
from athena_core.definitions.slots import MINUTE, slots_between
from athena_core.definitions.trigger import Trigger
from athena_core.domain import schedule
from athena_core.event import Event, Meta
from tests.core.domain.given import NOW
from tests.scale import sized
from tests.support.events.schedule import CATCH_UPS, POLICIES

HOUR = 60 * MINUTE
DAY = 24 * HOUR
SCHEDULERS = 4
SCHEDULES, DAYS = sized((20, 365), (50, 365), (1_000, 3_652))
WRONG = (-2 * HOUR, 3 * DAY, 17, -1)
"""Errors of a scheduler's clock, in milliseconds."""


class Simulation:
    """One schedule: the head at which every scheduler decides, and the recorded events."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.time = NOW
        self.ids = CountingIds()
        self.wrong = [0] * SCHEDULERS
        self.state = schedule.DECIDER.initial
        self.fates: Counter[int] = Counter()
        self.starts = 0
        trigger = random.choice(
            [
                Trigger(every_minutes=random.randint(600, 6_000)),
                Trigger(cron=f"{random.randint(0, 59)} {random.randint(0, 23)} * * *", timezone="Europe/Berlin"),
                Trigger(cron=f"{random.randint(0, 59)} {random.randint(0, 3)} * * 1,4", timezone="America/New_York"),
                Trigger(cron="30 2 1,15 * *", timezone="Australia/Lord_Howe", jitter_seconds=random.randint(0, 300)),
            ]
        )
        definition = ScheduleDefinition(
            trigger=trigger,
            target=ScheduleTarget(session_id="s"),
            overlap_policy=random.choice(POLICIES),
            catch_up=random.choice(CATCH_UPS),
            catch_up_window_seconds=random.choice([60, 86_400, 31_536_000]),
            pause_on_failure=random.random() < 0.2,
        )
        self.do(schedule.UpsertSchedule(id=f"a{seed}", definition=definition, input="hello"), self.time)
        self.began = self.state.cursor_ms
        assert self.state.definition is not None
        self.trigger = self.state.definition.trigger

    def do(self, command: schedule.ScheduleCommand, now: int) -> tuple[Event, ...]:
        context = Context(now=now, ids=self.ids, meta=Meta(actor="alice", correlation="trace"))
        events = schedule.decide(command, self.state, context)
        for event in events:
            self.state = schedule.evolve(self.state, event)
            match event:
                case schedule.ScheduleRunStarted(slot_ms=int(slot)):
                    self.fates[slot] += 1
                    self.starts += 1
                case schedule.ScheduleRunSkipped(slot_ms=slot):
                    self.fates[slot] += 1
                case schedule.ScheduleSlotsMissed():
                    slots = slots_between(self.trigger, event.from_ms - 1, event.to_ms, event.count + 1)
                    assert len(slots) == event.count
                    self.fates.update(slots)
        return events

    def tick(self, now: int) -> None:
        """Act as a scheduler whose clock shows ``now``."""
        while self.do(schedule.TickSchedule(at=now, target_run_id=self.ids.new("run")), now):
            pass

    def step(self) -> None:
        """Advance to the next slot or past an outage. Then some schedulers act, and runs end."""
        random = self.random
        due = schedule.next_due(self.state)
        self.time = max(self.time + MINUTE, due or self.time + DAY)
        if random.random() < 0.03:
            self.time += random.randint(1, 9) * DAY
        for number in range(SCHEDULERS):
            if random.random() < 0.01:
                self.wrong[number] = 0 if self.wrong[number] else random.choice(WRONG)
            if random.random() < 0.5:  # this one is down
                self.tick(self.time + self.wrong[number])
        for flight in self.state.running:
            if random.random() < 0.3:
                outcome: schedule.ScheduledOutcome = "failed" if random.random() < 0.1 else "ok"
                self.do(schedule.FinishScheduledRun(target_run_id=flight.target_run_id, outcome=outcome), self.time)
        if random.random() < 0.02 and not self.state.paused:
            self.do(schedule.PauseSchedule(id="a"), self.time)
        elif self.state.paused:
            self.do(schedule.ResumeSchedule(id="a"), self.time)

    def check(self) -> None:
        """Check that each slot up to the cursor has one fate or waits, and that no other has any."""
        self.fates.update(self.state.buffer)
        due = slots_between(self.trigger, self.began, self.state.cursor_ms, 2**31)
        assert self.fates == Counter(due)


@pytest.mark.heavy
def test_years_of_four_schedulers_run_no_slot_twice_and_leave_none_unexplained() -> None:
    slots = starts = 0
    for seed in range(SCHEDULES):
        one = Simulation(seed)
        end = NOW + DAYS * DAY
        while one.time < end:
            one.step()
        for wrong in (0, *WRONG):
            one.tick(end + wrong)
        one.check()
        slots, starts = slots + len(one.fates), starts + one.starts
    print(f"{SCHEDULES} schedules, {DAYS} days: {slots} slots, {starts} ran, each once; none unexplained")
    assert starts > slots / 4, "hardly anything ran, so nothing was shown"
