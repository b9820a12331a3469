"""Sample events of a schedule."""

from athena_core.definitions.schedule_definition import ScheduleDefinition, ScheduleTarget
from athena_core.definitions.slots import MINUTE
from athena_core.definitions.trigger import Trigger
from athena_core.domain import schedule
from athena_core.enums import CatchUp, MissedSlotsReason, OverlapPolicy, SlotSkipReason
from tests.core.domain.given import NOW

HOUR = 60 * MINUTE
HOURLY = ScheduleDefinition(
    trigger=Trigger(cron="0 * * * *", timezone="UTC"),
    target=ScheduleTarget(session_id="s"),
    overlap_policy="skip",
    catch_up="latest",
    catch_up_window_seconds=86_400,
    pause_on_failure=False,
)


def upserted(
    definition: ScheduleDefinition = HOURLY, *, after: int = NOW, enabled: bool = True
) -> schedule.ScheduleUpserted:
    return schedule.ScheduleUpserted(
        id="a", enabled=enabled, definition=definition, after_ms=after, updated_by="alice", input="hello"
    )


def started(
    slot: int | None, number: int = 1, terminates: tuple[str, ...] | None = None
) -> schedule.ScheduleRunStarted:
    return schedule.ScheduleRunStarted(id="a", target_run_id=f"run_{number:026d}", slot_ms=slot, terminates=terminates)


def skipped(slot: int, reason: SlotSkipReason) -> schedule.ScheduleRunSkipped:
    return schedule.ScheduleRunSkipped(id="a", slot_ms=slot, reason=reason)


def missed(first: int, last: int, count: int, reason: MissedSlotsReason) -> schedule.ScheduleSlotsMissed:
    return schedule.ScheduleSlotsMissed(id="a", from_ms=first, to_ms=last, count=count, reason=reason)


def buffered(slot: int, cancels: tuple[str, ...] | None = None) -> schedule.ScheduleRunBuffered:
    return schedule.ScheduleRunBuffered(id="a", slot_ms=slot, cancels=cancels)


POLICIES: tuple[OverlapPolicy, ...] = (
    "skip", "buffer-one", "buffer-latest", "buffer-all", "cancel-other", "terminate-other", "allow-all",
)  # fmt: skip
CATCH_UPS: tuple[CatchUp, ...] = ("none", "latest", "all")
