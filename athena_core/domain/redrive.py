"""The redrive: a job that requeues all dead letters that match a filter, one by one."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.enums import RedriveDecision, RedriveStatus
from athena_core.event import EXTRA, Event, Guard, Recorded, Shows, Value, says
from athena_core.values import PinnedScope

RATE_PER_SECOND_MAX = 500


class RedriveSelection(Value):
    """A filter of pending dead letters. Times are in milliseconds since 1970 UTC, inclusive."""

    session_id: str | None = None
    source: Annotated[str | None, says("Only dead letters of this source.")] = None
    source_persona: str | None = None
    target_persona: str | None = None
    reason: Annotated[str | None, says("Only dead letters with this reason.")] = None
    created_after: int | None = None
    created_before: int | None = None


# Stored events. Their TYPE is storage: never rename one.


class RedriveStarted(Event):
    """A redrive was requested for ``total`` letters, all added up to position ``until``."""

    TYPE: ClassVar[str] = "a2a.dlq.redrive.started"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    BEGINS: ClassVar[bool] = True
    redrive_id: str
    filter: Annotated[RedriveSelection, says("Which dead letters to requeue.")]
    filter_hash: str
    rate_per_second: int
    total: int
    until: int
    requested_by: str
    scope: Annotated[PinnedScope | None, EXTRA] = None


class RedriveAdvanced(Event):
    """One letter was processed. It was added at ``letter_position``. ``code`` is the reason if it failed."""

    TYPE: ClassVar[str] = "a2a.dlq.redrive.advanced"
    SHOWS: ClassVar[Shows] = Shows()
    redrive_id: str
    dead_letter_id: str
    letter_position: int
    result: RedriveDecision
    code: str | None = None


class RedriveCompleted(Event):
    """The redrive processed all letters."""

    TYPE: ClassVar[str] = "a2a.dlq.redrive.completed"
    SHOWS: ClassVar[Shows] = Shows()
    redrive_id: str
    filter_hash: str
    requeued: int
    skipped: int
    failed: int


class RedriveCancelled(Event):
    """The redrive was cancelled. Letters that were requeued stay requeued."""

    TYPE: ClassVar[str] = "a2a.dlq.redrive.cancelled"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    redrive_id: str
    filter_hash: str
    requeued: int
    skipped: int
    failed: int


# State


class RedriveState(Value):
    """The progress of a redrive: all letters up to position ``after`` are processed."""

    status: Literal["", RedriveStatus] = ""
    started: RedriveStarted | None = None
    after: int = 0
    requeued: int = 0
    skipped: int = 0
    failed: int = 0


def evolve(state: RedriveState, event: Event) -> RedriveState:
    match event:
        case RedriveStarted():
            return RedriveState(status="running", started=event)
        case RedriveAdvanced():
            counts = {event.result: getattr(state, event.result) + 1}
            return replace(state, after=max(state.after, event.letter_position), **counts)
        case RedriveCompleted():
            return replace(state, status="completed")
        case RedriveCancelled():
            return replace(state, status="cancelled")
        case _:
            return state


# Guards: ``redrive`` by the hash of its filter, until it ends.


def _started_guards(recorded: Recorded[RedriveStarted]) -> tuple[Guard, ...]:
    return (Guard(kind="redrive", key=recorded.event.filter_hash, value=(recorded.event.redrive_id,)),)


def _ended_guards(recorded: Recorded[RedriveCompleted | RedriveCancelled]) -> tuple[Guard, ...]:
    return (Guard(kind="redrive", key=recorded.event.filter_hash, value=None),)


# Commands


class StartRedrive(Value):
    """Start a redrive."""

    started: RedriveStarted


class AdvanceRedrive(Value):
    """Record the result for one letter."""

    dead_letter_id: str
    letter_position: int
    result: RedriveDecision
    code: str | None = None


class CompleteRedrive(Value):
    """End a redrive whose letters are all processed."""


class CancelRedrive(Value):
    """Cancel a redrive."""


RedriveCommand = StartRedrive | AdvanceRedrive | CompleteRedrive | CancelRedrive


def decide(command: RedriveCommand, state: RedriveState, context: Context) -> tuple[Event, ...]:
    """Return the events of a command; none if it came too late."""
    if isinstance(command, StartRedrive):
        return () if state.status else (command.started,)
    started = state.started
    if state.status != "running" or started is None:
        return ()
    match command:
        case AdvanceRedrive():
            if command.letter_position <= state.after:
                return ()
            return (
                RedriveAdvanced(
                    redrive_id=started.redrive_id,
                    dead_letter_id=command.dead_letter_id,
                    letter_position=command.letter_position,
                    result=command.result,
                    code=command.code,
                ),
            )
        case CompleteRedrive() | CancelRedrive():
            kind = RedriveCompleted if isinstance(command, CompleteRedrive) else RedriveCancelled
            return (
                kind(
                    redrive_id=started.redrive_id,
                    filter_hash=started.filter_hash,
                    requeued=state.requeued,
                    skipped=state.skipped,
                    failed=state.failed,
                ),
            )


DECIDER: Decider[RedriveState] = Decider(
    category="rdr",
    events=(RedriveStarted, RedriveAdvanced, RedriveCompleted, RedriveCancelled),
    initial=RedriveState(),
    evolve=evolve,
    occupies={RedriveStarted: _started_guards, RedriveCompleted: _ended_guards, RedriveCancelled: _ended_guards},
)
