"""A made-up history of schedules: commands of people, ticks of a clock of its own, and ends of runs."""

from typing import TYPE_CHECKING, get_args

from athena_core.clock import iso
from athena_core.decider import Context
from athena_core.definitions.schedule_definition import ScheduleDefinition, ScheduleTarget
from athena_core.definitions.slots import MINUTE
from athena_core.definitions.trigger import Trigger
from athena_core.domain import schedule
from athena_core.enums import CatchUp, OverlapPolicy
from athena_core.event import Meta

if TYPE_CHECKING:
    from tests.projections.history import History

MOVES = 8
STEP = 25 * MINUTE
TICKS_MAX = 5
POLICIES: tuple[OverlapPolicy, ...] = get_args(OverlapPolicy)
CATCH_UPS: tuple[CatchUp, ...] = get_args(CatchUp)
OUTCOMES: tuple[schedule.ScheduledOutcome, ...] = get_args(schedule.ScheduledOutcome)


class ScheduleHistory:
    """A writer of schedules that lets the decider decide, so that every history is possible."""

    def __init__(self, history: "History") -> None:
        self._history = history
        self.states: dict[str, schedule.ScheduleState] = {}
        self.now = history.now

    def put(self, schedule_id: str, choice: int) -> None:
        triggers = (
            Trigger(every_minutes=30),
            Trigger(cron="*/20 * * * *", timezone="Europe/Berlin"),
            Trigger(cron="5 * * * *", timezone="UTC", jitter_seconds=90),
            Trigger(run_at_ms=self.now + STEP),
        )
        by_template = choice % 3 == 0
        target = ScheduleTarget(run_template_id="tpl_1") if by_template else ScheduleTarget(session_id="s1")
        definition = ScheduleDefinition(
            trigger=triggers[choice % len(triggers)],
            target=target,
            overlap_policy=POLICIES[choice % len(POLICIES)],
            catch_up=CATCH_UPS[choice % len(CATCH_UPS)],
            catch_up_window_seconds=3_600,
            pause_on_failure=choice % 2 == 0,
        )
        command = schedule.UpsertSchedule(
            id=schedule_id,
            definition=definition,
            input=None if by_template else f"do {choice} ÿ",
            params={"topic": f"{choice} ÿ"} if by_template else None,
            enabled=(None, None, True, False)[choice % 4],
            start_now=choice % 8 == 0,
            paused=choice % 2 == 0 if choice % 5 == 0 else None,
            note=f"note {choice}",
        )
        self.do(schedule_id, command)

    def do(self, schedule_id: str, command: schedule.ScheduleCommand) -> int:
        """Decide a command and append its events. Return their number."""
        state = self.states.get(schedule_id, schedule.DECIDER.initial)
        context = Context(now=self.now, ids=self._history.ids, meta=Meta(actor="ada", correlation="t"))
        events = schedule.decide(command, state, context)
        known = state.exists or isinstance(command, schedule.UpsertSchedule | schedule.FinishScheduledRun)
        for event in events:
            state = schedule.evolve(state, event)
            session_id = state.definition.target.session_id if state.definition else None
            run_id = getattr(event, "target_run_id", None)
            stream = schedule.stream(schedule_id) if known else "plane"
            self._history.write(stream, event, session_id=session_id, run_id=run_id, actor="ada")
        if known:
            self.states[schedule_id] = state
        return len(events)

    def tick(self, choice: int) -> None:
        """Let time pass and process every schedule."""
        self.now += (choice % 8) * STEP
        for schedule_id in list(self.states):
            for _ in range(TICKS_MAX):
                command = schedule.TickSchedule(at=self.now, target_run_id=self._history.ids.new("run"))
                if not self.do(schedule_id, command):
                    break
        if choice % 4 == 0:
            ticked = schedule.ScheduleTickExecuted(at=iso(self.now), run=choice % 3, skipped=0)
            self._history.write("plane", ticked)

    def move(self, kind: int, choice: int) -> None:
        """Make one of the moves of a generated history, if it is possible."""
        schedule_id = f"sch{choice % 3}"
        state = self.states.get(schedule_id, schedule.DECIDER.initial)
        if kind == 0:
            self.put(schedule_id, choice)
        elif kind in {1, 2}:
            self.tick(choice)
        elif kind in {3, 4} and state.running:
            flight = state.running[choice % len(state.running)]
            outcome = OUTCOMES[choice % len(OUTCOMES)]
            code, message = ("", "") if outcome == "ok" else ("PROVIDER_ERROR", "no")
            run_id = flight.target_run_id
            finish = schedule.FinishScheduledRun(target_run_id=run_id, outcome=outcome, code=code, message=message)
            self.do(schedule_id, finish)
        elif kind == 5 and state.exists:
            self.do(schedule_id, schedule.RunSchedule(id=schedule_id, target_run_id=self._history.ids.new("run")))
        elif kind == 6 and state.exists:
            note = f"because {choice} ÿ"
            wish = schedule.ResumeSchedule if state.paused else schedule.PauseSchedule
            self.do(schedule_id, wish(id=schedule_id, note=note))
        elif kind == 7:
            ways = (schedule.DisableSchedule, schedule.EnableSchedule, schedule.RemoveSchedule)
            self.do(schedule_id, ways[choice // 3 % len(ways)](id=schedule_id))
