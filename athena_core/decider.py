"""The decider of a category of streams, and the types of its inputs and results."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from msgspec.structs import replace

from athena_core.clock import Ids
from athena_core.errors import AthenaError
from athena_core.event import Event, Fact, Guard, Meta, Position, Recorded, Value

S = TypeVar("S")
C = TypeVar("C", contravariant=True)

if TYPE_CHECKING:
    import typing_extensions

    A = typing_extensions.TypeVar("A", covariant=True, default=None)
else:
    A = TypeVar("A", covariant=True)
"""The type of an answer; None in a plain ``Outcome``, ``Transaction`` or ``Committed``."""


class Context(Value):
    """The inputs of a decision, next to the state: the time (milliseconds since 1970 UTC), new ids, and the actor."""

    now: int
    ids: Ids
    meta: Meta


Occupies: TypeAlias = Callable[[Recorded[Any]], tuple[Guard, ...]]
"""A function that returns what an event of one type occupies or releases."""


GuardRows: TypeAlias = Callable[[str], Mapping[str, tuple[str | int, ...]]]
"""A function that returns the guard rows of a kind by key."""

Check: TypeAlias = Callable[[GuardRows, Sequence[Fact]], None]
"""A function that raises an error if the events of a transaction, of any category, may not be stored now."""


def never_settled(state: Any) -> bool:
    """Return False, for categories whose streams may always continue."""
    return False


class Decider(Value, Generic[S], dict=True):
    """The rules of a category of streams: its event types, its state, and what its events occupy.

    Event types that are not in ``occupies`` occupy and release nothing.
    ``evolve`` must accept every event of the category in any order without raising. States are deeply immutable.
    ``over`` returns True for a final state, which is then not kept in memory. ``check`` runs in every transaction.
    """

    category: str
    events: tuple[type[Event], ...]
    initial: S
    evolve: Callable[[S, Event], S]
    occupies: Mapping[type[Event], Occupies] = {}
    over: Callable[[S], bool] = never_settled
    check: Check | None = None

    @cached_property
    def guarded(self) -> frozenset[str]:
        """The stored names of the event types that occupy or release something."""
        return frozenset(kind.TYPE for kind in self.occupies)

    def guards(self, recorded: Recorded[Event]) -> tuple[Guard, ...]:
        """Return what an event occupies or releases."""
        occupies = self.occupies.get(type(recorded.event))
        return () if occupies is None else occupies(recorded)

    def owns(self, stream: str) -> bool:
        """Return True if a stream id belongs to the category."""
        return stream.startswith((f"{self.category}_", f"{self.category}:"))


def fold(decider: Decider[S], events: Iterable[Event]) -> S:
    """Return the state of a stream after its events."""
    state = decider.initial
    for event in events:
        state = decider.evolve(state, event)
    return state


class Reader(Protocol):
    """The view of a transaction: the state at the head, with the decisions of earlier transactions in its batch."""

    @property
    def head(self) -> Position:
        """The position of the last event before this transaction."""

    def state(self, decider: Decider[S], stream: str) -> S:
        """Return the state of a stream."""

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """Return the guard rows of one kind by key, oldest first."""

    def count(self, kind: str, word: str) -> int:
        """Return the number of guard rows of one kind that hold a word, from a maintained counter."""


class Outcome(Value, Generic[A]):
    """The result of a transaction.

    ``answer`` is returned to the caller and stored under the command's key as JSON, so it never holds text.
    ``subject`` is the id of the record that answers a repeated key. ``erase`` lists positions whose text is erased.
    ``handover`` is returned to the caller but not stored, so it may hold text. ``uses`` are last uses of tokens, which
    are stored beside the log: milliseconds since 1970 by token id.
    """

    facts: tuple[Fact, ...] = ()
    subject: str | None = None
    answer: A = None  # type: ignore[assignment]
    erase: tuple[Position, ...] = ()
    handover: object = None
    uses: Mapping[str, int] = {}


Transaction = Callable[[Reader, Context], Outcome[A]]


def facts_of(
    stream: str,
    events: Iterable[Event],
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    run_field: str | None = None,
) -> tuple[Fact, ...]:
    """Wrap events for their stream. Their run is ``run_id``, or the value of ``run_field`` in each event."""
    if run_field is None:
        return tuple([Fact(stream=stream, event=event, session_id=session_id, run_id=run_id) for event in events])
    return tuple(
        [
            Fact(stream=stream, event=event, session_id=session_id, run_id=getattr(event, run_field, None))
            for event in events
        ]
    )


class DomainRoom(Protocol[S, C]):
    """A module of ``domain`` as a type: its decider and its decide function."""

    DECIDER: Decider[S]

    def decide(self, command: C, state: S, context: Context, /) -> tuple[Event, ...]:
        """Return the events that follow from a command."""


def transact(
    room: DomainRoom[S, C],
    stream: str,
    command: C,
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    subject: str | None = None,
) -> Transaction:
    """Return a transaction that applies a command to one stream."""

    def transaction(reader: Reader, context: Context) -> Outcome:
        events = room.decide(command, reader.state(room.DECIDER, stream), context)
        return Outcome(facts=facts_of(stream, events, session_id=session_id, run_id=run_id), subject=subject)

    return transaction


def record(stream: str, *events: Event) -> Transaction:
    """Return a transaction that records events regardless of the state."""
    outcome = Outcome(facts=facts_of(stream, events))
    return lambda reader, context: outcome


class Rejected(Exception):
    """A refusal that is audited: its events are written, then its error is returned to the caller."""

    def __init__(self, error: AthenaError, facts: tuple[Fact, ...]) -> None:
        """Take the error and the events that record it."""
        super().__init__(error.message)
        self.error = error
        self.facts = facts


def never_released(reader: Reader, subject: str | None) -> bool:
    """Return False, because most commands bind their key permanently."""
    return False


UNKEYED_BYTES = 32
"""Length of a fingerprint stored by release 0.1. It expires with its key."""


class Key(Value):
    """A client's idempotency key, hashed with its scope, and the fingerprint of its input.

    The fingerprint is a version byte and an HMAC under the client's key, so a reader of the log cannot verify a
    guessed input. ``unkeyed`` is the plain SHA-256 that release 0.1 stored instead.

    ``released`` returns True if the command was undone (a withdrawn run), so the key may be used again.
    """

    hash: bytes
    fingerprint: bytes
    unkeyed: bytes = b""
    released: Callable[[Reader, str | None], bool] = never_released

    @classmethod
    def of(cls, identity: str, operation: str, key: str, content: bytes) -> "Key":
        """Return the key of an identity and an operation, over the normalised input."""
        scope = "\0".join((identity, operation, key)).encode()
        return cls(
            hash=hashlib.sha256(scope).digest(),
            fingerprint=b"\x01" + hmac.digest(key.encode(), content, "sha256"),
            unkeyed=hashlib.sha256(content).digest(),
        )

    def of_item(self, item: str) -> "Key":
        """Return the key of one item of a bulk command."""
        return replace(self, hash=hashlib.sha256(self.hash + item.encode()).digest())

    def fits(self, fingerprint: bytes) -> bool:
        """Return True if a stored fingerprint matches this input."""
        return fingerprint == (self.unkeyed if len(fingerprint) == UNKEYED_BYTES else self.fingerprint)


def category(stream: str) -> str:
    """Return the category of a stream: the prefix of its name."""
    return stream.split(":", 1)[0] if ":" in stream else stream.split("_", 1)[0]
