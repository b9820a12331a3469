"""The halt of the whole plane: while it lasts, no work begins.

The guard ``halt`` has one row during a halt, so that a start knows it at once. ``check`` refuses every event that
begins work, of any room.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, NamedTuple

from athena_core.clock import iso
from athena_core.decider import Context, Decider, GuardRows, Reader
from athena_core.errors import Halted
from athena_core.event import Event, Fact, Guard, Position, Recorded, Shows, Text, Value, says
from athena_core.values import Body, Label

STREAM = "halt"
HALT, LAST_HALT = "halt", "halted"
"""Kinds of guards: the current halt, and the interval of the last one that was lifted."""

# Stored events. Their TYPE is storage: never rename one.


class HaltStarted(Event):
    """An Operator halted the plane. ``cancelled`` counts the runs whose cancellation was requested with it."""

    TYPE: ClassVar[str] = "halt.started"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    by: Annotated[str, says("Identity that halted all work.")]
    cancelled: int | None = None
    reason: Text = None


class HaltLifted(Event):
    """An Admin lifted the halt that began at ``since_ms``."""

    TYPE: ClassVar[str] = "halt.lifted"
    SHOWS: ClassVar[Shows] = Shows(audit=True, console=True)
    by: Annotated[str, says("Identity that lifted the halt.")]
    since_ms: int


# State: none; the guard has it.


class HaltState(Value):
    """The state of the stream, which has none."""


def evolve(state: HaltState, event: Event) -> HaltState:
    return state


# Guards: ``halt`` has the position, the time and the author of a halt; ``halted`` the interval of the last one.


def _started_guards(recorded: Recorded[HaltStarted]) -> tuple[Guard, ...]:
    return (Guard(kind=HALT, key=STREAM, value=(recorded.position, recorded.at, recorded.event.by)),)


def _lifted_guards(recorded: Recorded[HaltLifted]) -> tuple[Guard, ...]:
    return (
        Guard(kind=HALT, key=STREAM, value=None),
        Guard(kind=LAST_HALT, key=STREAM, value=(recorded.event.since_ms, recorded.at)),
    )


class Halt(NamedTuple):
    """The current halt: the position of its event, its time in milliseconds since 1970 UTC, and its author."""

    position: Position
    since: int
    by: str


def current(reader: Reader) -> Halt | None:
    """Return the current halt, or None."""
    return _row(reader.guards(HALT))


def last_interval(reader: Reader) -> tuple[int, int] | None:
    """Return the times at which the last halt began and was lifted, or None."""
    row = reader.guards(LAST_HALT).get(STREAM)
    return None if row is None else (int(row[0]), int(row[1]))


def interval_of(rows: Sequence[tuple[str, str, tuple[str | int, ...]]]) -> tuple[int, int]:
    """Return the interval of the last halt from stored guards of its kind; an empty one without a halt."""
    return next(((int(value[0]), int(value[1])) for _, _, value in rows), (0, 0))


def refuse(reader: Reader) -> None:
    """Raise Halted during a halt. A transaction that begins work calls it before it checks anything else."""
    if STREAM in reader.guards(HALT) and (halt := current(reader)) is not None:
        raise refusal(halt)


def refusal(halt: Halt, reason: str | None = None) -> Halted:
    """Return the error for work that may not begin now."""
    why = f": {reason}" if reason else ""
    details = {"by": halt.by, "since": iso(halt.since)} | ({"reason": reason} if reason else {})
    message = f"{halt.by} halted all work at {iso(halt.since)}{why}. Retry once an Admin has lifted the halt."
    return Halted(message, details, position=halt.position)


def check(guards: GuardRows, facts: Sequence[Fact]) -> None:
    """Raise Halted if one of the events of a transaction begins work during a halt."""
    halt = _row(rows) if (rows := guards(HALT)) else None
    if halt is None:
        return
    for fact in facts:
        if isinstance(fact.event, HaltLifted):
            return
        if fact.event.BEGINS:
            raise refusal(halt)


def _row(rows: Mapping[str, tuple[str | int, ...]]) -> Halt | None:
    row = rows.get(STREAM)
    return None if row is None else Halt(int(row[0]), int(row[1]), str(row[2]))


# Commands


class HaltBody(Body):
    """Why all work stops. ``cancelRunning`` also requests the cancellation of every admitted run."""

    reason: Annotated[Label, says("Why all work is halted.")]
    cancel_running: Annotated[
        bool, says("True to request the cancellation of every run that holds a slot, and of its children.")
    ] = False


class StartHalt(Value):
    """Halt the plane. ``cancelled`` counts the runs that are cancelled with it."""

    by: str
    reason: str
    cancelled: int = 0


class LiftHalt(Value):
    """Lift the current halt."""

    by: str
    since_ms: int


HaltCommand = StartHalt | LiftHalt


def decide(command: HaltCommand, state: HaltState, context: Context) -> tuple[Event, ...]:
    """Return the event of a command. The caller has checked whether there is a halt."""
    if isinstance(command, StartHalt):
        return (HaltStarted(by=command.by, reason=command.reason, cancelled=command.cancelled or None),)
    return (HaltLifted(by=command.by, since_ms=command.since_ms),)


DECIDER: Decider[HaltState] = Decider(
    category=STREAM,
    events=(HaltStarted, HaltLifted),
    initial=HaltState(),
    evolve=evolve,
    occupies={HaltStarted: _started_guards, HaltLifted: _lifted_guards},
    check=check,
)
