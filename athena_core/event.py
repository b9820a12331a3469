"""The base class of events, and the envelope in which they are recorded."""

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
"""A place in the whole log, numbered from 1 without gaps; 0 is before the first event."""

Version: TypeAlias = int
"""A place in one stream, numbered from 1; 0 is a stream without events."""

MARK_BYTES = 4
"""Bytes of the row's chain hash in an event id."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen(msgspec.StructMeta):
    """Metaclass that makes values frozen, keyword-only and camelCase in JSON, without fields that are None."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> type:
        """Set the options that msgspec does not inherit."""
        for option, default in (("frozen", True), ("kw_only", True), ("rename", "camel"), ("omit_defaults", True)):
            config.setdefault(option, default)
        return super().__new__(mcs, name, bases, namespace, **config)


class Value(msgspec.Struct, metaclass=Frozen):
    """An immutable value with a JSON form."""


TEXT = msgspec.Meta(extra={"part": "text"})
"""Marks a field written by people or models: stored in the erasable column, absent from the public payload."""

EXTRA = msgspec.Meta(extra={"part": "extra"})
"""Marks a field of the public record beside the payload (``policy``, ``parentRunId``)."""

Text: TypeAlias = Annotated[str | None, TEXT]


def says(text: str) -> msgspec.Meta:
    """Describe a field, for the API document."""
    return msgspec.Meta(description=text)


Handled: TypeAlias = Literal[True] | str
"""True if a part of Athena handles the event, else the reason why it does not."""

NOT_OF_A_RUN = "it is not an event of a run"


class Shows(Value):
    """The parts that handle an event, or the reasons why they do not. Each event declares them; a test checks them.

    ``views``: a read model beside the feed. ``verify``: a rule. ``audit``: an audit entry. ``explain``: a sentence
    (runs only). ``simulate``: the event is replayed (runs only). ``console``: its sources name the type.
    """

    views: Handled = True
    verify: Handled = True
    audit: Handled = "it records work or creates something; it changes no setting of a person"
    explain: Handled = NOT_OF_A_RUN
    simulate: Handled = NOT_OF_A_RUN
    console: Handled = "its list of events shows every type"


class Event(Value, gc=False):
    """A fact in the past tense. ``TYPE`` is its stored name and never changes; ``SCHEMA`` counts its shapes.

    ``SHOWS`` declares the parts that handle it. An event that ``BEGINS`` work is not stored during a halt.

    Fields marked ``TEXT`` or ``EXTRA`` have the default None, because text may be erased and is not read for
    folding. Other fields have no default: it would not be stored, so it could never change.
    """

    TYPE: ClassVar[str] = ""
    SCHEMA: ClassVar[int] = 1
    SHOWS: ClassVar[Shows]
    BEGINS: ClassVar[bool] = False


PayloadPart: TypeAlias = Literal["data", "text", "extra"]


def parts_of(kind: type[Event]) -> dict[str, PayloadPart]:
    """Return the part of the stored event that each field belongs to."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: _part(hints[name]) for name in kind.__struct_fields__}


def _part(hint: Any) -> PayloadPart:
    if get_origin(hint) is Annotated:
        for note in get_args(hint)[1:]:
            if isinstance(note, msgspec.Meta) and note.extra and "part" in note.extra:
                return "text" if note.extra["part"] == "text" else "extra"
    return "data"


class Unknown(Event):
    """An event of an unknown type, from a newer release or foreign code. It is kept as it is."""

    type: str


E = TypeVar("E", bound=Event, covariant=True)


class Fact(Value):
    """A new event with its stream, and the session and run of its envelope."""

    stream: str
    event: Event
    session_id: str | None = None
    run_id: str | None = None


class Meta(Value):
    """The actor and cause of a transaction. ``correlation`` is the trace id of the request.

    A refusal of a ``quiet`` transaction is not recorded.
    """

    actor: str
    correlation: str
    causation: Position | None = None
    quiet: bool = False


class Recorded(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """An event in its envelope, as read from the log.

    ``recorded_at`` is in milliseconds since 1970 UTC and never decreases with the position. ``decided_at`` is set if
    the deciding process's clock was behind it. ``mark`` is the first four bytes of the row's chain hash, part of the
    event id. ``event`` lacks its text unless text was read.
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
        """The time of the decision, in milliseconds since 1970 UTC. Days, deadlines and durations use it."""
        return self.recorded_at if self.decided_at is None else self.decided_at


class Guard(Value):
    """A change of a guard row. ``value`` None releases ``key``; if ``held`` is set, only a row with that value.

    With ``adds`` the last number of ``value`` is added to the row's, if the items before it are equal.
    """

    kind: str
    key: str
    value: tuple[str | int, ...] | None
    held: tuple[str | int, ...] | None = None
    adds: bool = False
