"""Anchors of other logs, kept here so that rewriting such a log is noticed.

Each position of each log has its own stream, so a conflict is found without reading other anchors.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.event import Event, Guard, Position, Recorded, Shows, Value, says
from athena_core.values import INTEGER_MAX, Body, ChainValue, Instant, LogId

LOGS_MAX = 1_000
"""Maximum number of logs with anchors here."""

ANCHORS_A_DAY_MAX = 2_880
"""Maximum anchors of one log per UTC day, including refused ones: one every thirty seconds."""

ANCHORS_A_DAY_IN_ALL_MAX = 28_800
"""Maximum anchors of all logs together per UTC day."""

DAY_MS = 86_400_000
ANCHORS_GUARD = "anchors"
"""The guard kind that counts the anchors of a log on its last day."""

# Stored events. Their TYPE is storage: never rename one.


class AnchorKept(Event):
    """An anchor of another log was stored: ``from`` reported ``chain`` (hex) at ``position`` at the time ``at``."""

    TYPE: ClassVar[str] = "anchor.kept"
    SHOWS: ClassVar[Shows] = Shows()
    log_id: str
    position: Position
    chain: str
    at: Annotated[str, says("When the other log reported it.")]
    sender: str = msgspec.field(name="from")


class AnchorConflicted(Event):
    """An anchor was refused because its position has another chain value. One of the histories was rewritten."""

    TYPE: ClassVar[str] = "anchor.conflicted"
    SHOWS: ClassVar[Shows] = Shows(audit=True)
    log_id: str
    position: Position
    chain: str
    kept: str
    sender: str = msgspec.field(name="from")


# State


class AnchorState(Value):
    """The anchor kept for a position of a log, and the conflicting chain values that were refused."""

    kept: AnchorKept | None = None
    refused: frozenset[str] = frozenset()


def evolve(state: AnchorState, event: Event) -> AnchorState:
    if isinstance(event, AnchorConflicted):
        return replace(state, refused=state.refused | {event.chain})
    return AnchorState(kept=event) if isinstance(event, AnchorKept) and state.kept is None else state


# Guards


def _day_guards(recorded: Recorded[AnchorKept | AnchorConflicted]) -> tuple[Guard, ...]:
    """Count an anchor, kept or refused, on its day."""
    return (Guard(kind=ANCHORS_GUARD, key=recorded.event.log_id, value=(recorded.at // DAY_MS, 1), adds=True),)


# Commands


class AnchorBody(Body):
    """An anchor of another log: its id, a position, the chain value there in hex, and the time it was taken."""

    log_id: LogId
    position: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
    chain: ChainValue
    at: Annotated[Instant, says("When the anchor was taken.")]


class KeepAnchor(Value):
    """Keep an anchor sent by an identity."""

    anchor: AnchorBody
    sender: str


def stream_of(log_id: str, position: Position) -> str:
    """Return the stream of a position of another log."""
    return f"anchor:{log_id}:{position}"


def decide(command: KeepAnchor, state: AnchorState, context: Context) -> tuple[Event, ...]:
    """Record a new anchor or a new conflict. A repeated anchor changes nothing."""
    anchor, kept = command.anchor, state.kept
    if kept is None:
        return (
            AnchorKept(
                log_id=anchor.log_id,
                position=anchor.position,
                chain=anchor.chain,
                at=anchor.at,
                sender=command.sender,
            ),
        )
    if kept.chain == anchor.chain or anchor.chain in state.refused:
        return ()
    return (
        AnchorConflicted(
            log_id=anchor.log_id,
            position=anchor.position,
            chain=anchor.chain,
            kept=kept.chain,
            sender=command.sender,
        ),
    )


DECIDER: Decider[AnchorState] = Decider(
    category="anchor",
    events=(AnchorKept, AnchorConflicted),
    initial=AnchorState(),
    evolve=evolve,
    occupies={AnchorKept: _day_guards, AnchorConflicted: _day_guards},
    over=lambda state: state.kept is not None,  # a position is rarely sent twice
)
