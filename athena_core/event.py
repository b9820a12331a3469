"""The event: what one is, and the envelope in which it is recorded."""

from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

Position: TypeAlias = int
"""A place in the whole log, dense, from 1; 0 is before the first event."""

Version: TypeAlias = int
"""A place in one stream, from 1; 0 is a stream without events."""

MARK_BYTES = 4
"""How much of its row's chain hash an event's id carries."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen(msgspec.StructMeta):
    """The metaclass that makes every value frozen, keyword-only and camelCase in JSON (None fields stay out)."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> type:
        """Fill in the defaults that msgspec does not inherit."""
        for option, default in (("frozen", True), ("kw_only", True), ("rename", "camel"), ("omit_defaults", True)):
            config.setdefault(option, default)
        return super().__new__(mcs, name, bases, namespace, **config)


class Value(msgspec.Struct, metaclass=Frozen):
    """An immutable value that knows its JSON shape."""


TEXT = msgspec.Meta(extra={"part": "text"})
"""Marks a field that people or models wrote: stored in the erasable column, absent from the public payload."""

EXTRA = msgspec.Meta(extra={"part": "extra"})
"""Marks a field that stands beside the payload in the public record (``policy``, ``parentRunId``)."""

Text: TypeAlias = Annotated[str | None, TEXT]


Handled: TypeAlias = Literal[True] | str
"""Whether a place handles an event: True, or the reason why it does not."""

NOT_OF_A_RUN = "it is no event of a run"


class Shows(Value):
    """Where an event is handled, or why it is not. Each event declares it; a test compares it with the places.

    ``views`` are the read models beside the feed, ``verify`` has a rule of it, ``audit`` an entry. ``explain`` has a
    sentence of it, ``simulate`` repeats it; both are about runs. ``console`` names the type in its sources.
    """

    views: Handled = True
    verify: Handled = True
    audit: Handled = "it records work or creates something; it changes nothing that a person set"
    explain: Handled = NOT_OF_A_RUN
    simulate: Handled = NOT_OF_A_RUN
    console: Handled = "its list of events shows every type"


class Event(Value, gc=False):
    """A fact in the past tense. ``TYPE`` is its stored name and never changes; ``SCHEMA`` counts its shapes.

    ``SHOWS`` says where it is handled.

    Fields marked ``TEXT`` or ``EXTRA`` need a default of None: text may be erased, and is not read for folding. Nothing
    has another default: it would not be stored, and could never change.
    """

    TYPE: ClassVar[str] = ""
    SCHEMA: ClassVar[int] = 1
    SHOWS: ClassVar[Shows]


PayloadPart: TypeAlias = Literal["data", "text", "extra"]


def parts_of(kind: type[Event]) -> dict[str, PayloadPart]:
    """Which part of the stored event each field of a type belongs to: the payload, the text, or beside them."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _part(hints[name]) for name in kind.__struct_fields__}


def _part(hint: Any) -> PayloadPart:
    if get_origin(hint) is Annotated:
        for note in get_args(hint)[1:]:
            if isinstance(note, msgspec.Meta) and note.extra and "part" in note.extra:
                return "text" if note.extra["part"] == "text" else "extra"
    return "data"


class Unknown(Event):
    """An event of a type that this code does not know (from a newer release, or foreign): carried, never dropped."""

    type: str


E = TypeVar("E", bound=Event, covariant=True)


class Fact(Value):
    """An event on its way into the log: which stream, and which session and run the envelope names."""

    stream: str
    event: Event
    session_id: str | None = None
    run_id: str | None = None


class Meta(Value):
    """Who caused a transaction and what it belongs to. ``correlation`` is the trace id of the request.

    A refusal of a ``quiet`` transaction is not recorded.
    """

    actor: str
    correlation: str
    causation: Position | None = None
    quiet: bool = False


class Recorded(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """An event in its envelope, as read from the log.

    ``recorded_at`` is in milliseconds since 1970 UTC and never decreases with the position; ``decided_at`` is there
    where the clock of the process that decided was behind it. ``mark`` holds the first four bytes of the row's chain
    hash (what makes an event id provable); ``event`` lacks its text unless text was read.
    """

    position: Position
    stream: str
    version: Version
    type: str
    recorded_at: int
    command_id: str
    correlation: str
    causation: Position | None
    actor: str
    session_id: str | None
    run_id: str | None
    mark: bytes
    event: E
    decided_at: int | None = None

    @property
    def at(self) -> int:
        """When it was decided, in milliseconds since 1970 UTC: days, deadlines and durations count by this."""
        return self.recorded_at if self.decided_at is None else self.decided_at


class Guard(Value):
    """A change to a guard row: ``value`` None releases ``key``, with ``held`` only while the row holds just that.

    With ``adds`` the last number of ``value`` is added to that of the row, as long as what is before it is the same.
    """

    kind: str
    key: str
    value: tuple[str | int, ...] | None
    held: tuple[str | int, ...] | None = None
    adds: bool = False
