"""The memory entry: something that was noted down through the API, kept until it is forgotten."""

from typing import Annotated, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.event import TEXT, Event, Shows, Text, Value
from athena_core.values import Body, Metadata

MEMORY_CHARS_MAX = 100_000

# Stored events. Their TYPE is storage: never rename one.


class MemoryRecorded(Event):
    """Something was noted down."""

    TYPE: ClassVar[str] = "memory.recorded"
    SHOWS: ClassVar[Shows] = Shows()
    entry_id: str
    chars: int
    has_metadata: bool
    text: Text = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None


class MemoryForgotten(Event):
    """The entry is no longer known; its text was erased with this event."""

    TYPE: ClassVar[str] = "memory.forgotten"
    SHOWS: ClassVar[Shows] = Shows(
        views="payload.redacted, which is recorded with it, takes the entry away",
        audit="payload.redacted, which is recorded with it, is the entry",
    )
    entry_id: str


# State


class MemoryState(Value):
    """Whether the entry was noted down, and whether it still is known."""

    exists: bool = False
    forgotten: bool = False


def evolve(state: MemoryState, event: Event) -> MemoryState:
    """Follow one event."""
    match event:
        case MemoryRecorded():
            return MemoryState(exists=True, forgotten=state.forgotten)
        case MemoryForgotten():
            return MemoryState(exists=state.exists, forgotten=True)
        case _:
            return state


# Commands


class MemoryBody(Body):
    """What is to be noted down, and what its author says of it."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MEMORY_CHARS_MAX)]
    metadata: Metadata | None = None


class RecordMemory(Value):
    """Note it down under a new id."""

    entry_id: str
    body: MemoryBody


class ForgetMemory(Value):
    """Forget it."""

    entry_id: str


def decide(command: RecordMemory | ForgetMemory, state: MemoryState, context: Context) -> tuple[Event, ...]:
    """Each once; what was never noted down is not forgotten."""
    match command:
        case RecordMemory() if not state.exists:
            body = command.body
            return (
                MemoryRecorded(
                    entry_id=command.entry_id,
                    chars=len(body.text),
                    has_metadata=bool(body.metadata),
                    text=body.text,
                    metadata=body.metadata or None,
                ),
            )
        case ForgetMemory() if state.exists and not state.forgotten:
            return (MemoryForgotten(entry_id=command.entry_id),)
        case _:
            return ()


DECIDER: Decider[MemoryState] = Decider(
    category="mem", events=(MemoryRecorded, MemoryForgotten), initial=MemoryState(), evolve=evolve
)
