"""The memory entry: a note recorded through the API and kept until it is forgotten."""

from typing import Annotated, ClassVar

import msgspec

from athena_core.decider import Context, Decider
from athena_core.event import TEXT, Event, Shows, Text, Value, says
from athena_core.values import Body, Metadata

MEMORY_CHARS_MAX = 100_000

# Stored events. Their TYPE is storage: never rename one.


class MemoryRecorded(Event):
    """A note was recorded."""

    TYPE: ClassVar[str] = "memory.recorded"
    SHOWS: ClassVar[Shows] = Shows()
    entry_id: str
    chars: int
    has_metadata: bool
    text: Text = None
    metadata: Annotated[dict[str, str] | None, TEXT] = None


class MemoryForgotten(Event):
    """A note was forgotten. Its text was erased in the same transaction."""

    TYPE: ClassVar[str] = "memory.forgotten"
    SHOWS: ClassVar[Shows] = Shows(
        audit="payload.redacted, which is recorded with it, has the audit entry",
    )
    entry_id: str


# State


class MemoryState(Value):
    """The existence of a note."""

    exists: bool = False
    forgotten: bool = False


def evolve(state: MemoryState, event: Event) -> MemoryState:
    match event:
        case MemoryRecorded():
            return MemoryState(exists=True, forgotten=state.forgotten)
        case MemoryForgotten():
            return MemoryState(exists=state.exists, forgotten=True)
        case _:
            return state


# Commands


class MemoryBody(Body):
    """A note with optional metadata."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MEMORY_CHARS_MAX), says("Text to remember.")]
    metadata: Metadata | None = None


class RecordMemory(Value):
    """Record a note under a new id."""

    entry_id: str
    body: MemoryBody


class ForgetMemory(Value):
    """Forget a note."""

    entry_id: str


def decide(command: RecordMemory | ForgetMemory, state: MemoryState, context: Context) -> tuple[Event, ...]:
    """Record or forget the note once. A note that does not exist cannot be forgotten."""
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
