"""The decider: three pure functions of a category, and what they are given."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

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
"""The type of an answer; a plain ``Outcome``, ``Transaction`` or ``Committed`` has none."""


class Context(Value):
    """What a decision may know beside state: the time (milliseconds since 1970 UTC), new ids, and who asks."""

    now: int
    ids: Ids
    meta: Meta


Occupies: TypeAlias = Callable[[Recorded[Any]], tuple[Guard, ...]]
"""Return what an event of one type occupies or releases."""


def never_settled(state: Any) -> bool:
    """The rule of categories whose streams may always go on."""
    return False


class Decider(Value, Generic[S], dict=True):
    """One category of streams: its stored events, its state, how the state follows the events, what they occupy.

    Event types that ``occupies`` does not name occupy and release nothing.
    ``evolve`` must accept every event of the category in any order without raising, and states are deeply immutable.
    ``over`` tells of a state that hardly anybody asks for again, so that it is not kept in memory.
    """

    category: str
    events: tuple[type[Event], ...]
    initial: S
    evolve: Callable[[S, Event], S]
    occupies: Mapping[type[Event], Occupies] = {}
    over: Callable[[S], bool] = never_settled

    @cached_property
    def guarded(self) -> frozenset[str]:
        """The stored names of the event types that occupy or release something."""
        return frozenset(kind.TYPE for kind in self.occupies)

    def guards(self, recorded: Recorded[Event]) -> tuple[Guard, ...]:
        """Return what an event occupies or releases."""
        occupies = self.occupies.get(type(recorded.event))
        return () if occupies is None else occupies(recorded)

    def owns(self, stream: str) -> bool:
        """Return True if this is the id of a stream of the category, by how it begins."""
        return stream.startswith((f"{self.category}_", f"{self.category}:"))


def fold(decider: Decider[S], events: Iterable[Event]) -> S:
    """The state of a stream after its events."""
    state = decider.initial
    for event in events:
        state = decider.evolve(state, event)
    return state


class Reader(Protocol):
    """What a transaction may see: the state at the head, including what earlier transactions of its batch decided."""

    @property
    def head(self) -> Position:
        """The position of the last event before this transaction."""

    def state(self, decider: Decider[S], stream: str) -> S:
        """The state of a stream."""

    def guards(self, kind: str) -> Mapping[str, tuple[str | int, ...]]:
        """The guard rows of one kind by key, oldest first."""

    def count(self, kind: str, word: str) -> int:
        """How many guard rows of one kind hold a word, without looking at each."""


class Outcome(Value, Generic[A]):
    """What a transaction decided.

    ``answer`` is given back to the caller and stored under the command's key as JSON (it never holds text);
    ``subject`` is the id of the record that a repeated key is answered from; ``erase`` names positions whose text goes.
    ``handover`` goes to the caller as well, but under no key: it may hold text.
    """

    facts: tuple[Fact, ...] = ()
    subject: str | None = None
    answer: A = None  # type: ignore[assignment]
    erase: tuple[Position, ...] = ()
    handover: object = None


Transaction = Callable[[Reader, Context], Outcome[A]]


def facts_of(
    stream: str,
    events: Iterable[Event],
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    run_field: str | None = None,
) -> tuple[Fact, ...]:
    """Put events into the envelope of their stream. Their run is ``run_id``, or what each has in ``run_field``."""
    if run_field is None:
        return tuple([Fact(stream=stream, event=event, session_id=session_id, run_id=run_id) for event in events])
    return tuple(
        [
            Fact(stream=stream, event=event, session_id=session_id, run_id=getattr(event, run_field, None))
            for event in events
        ]
    )


class DomainRoom(Protocol[S, C]):
    """A module of ``domain`` as a type: its decider, and how it decides."""

    DECIDER: Decider[S]

    def decide(self, command: C, state: S, context: Context, /) -> tuple[Event, ...]:
        """Return the events that follow a command."""


def transact(
    room: DomainRoom[S, C],
    stream: str,
    command: C,
    *,
    session_id: str | None = None,
    run_id: str | None = None,
    subject: str | None = None,
) -> Transaction:
    """Return the transaction that gives a command to one stream and records what follows."""

    def transaction(reader: Reader, context: Context) -> Outcome:
        events = room.decide(command, reader.state(room.DECIDER, stream), context)
        return Outcome(facts=facts_of(stream, events, session_id=session_id, run_id=run_id), subject=subject)

    return transaction


def record(stream: str, *events: Event) -> Transaction:
    """Return the transaction that records events whatever the state is."""
    outcome = Outcome(facts=facts_of(stream, events))
    return lambda reader, context: outcome


class Rejected(Exception):
    """A refusal worth auditing: its events are written, then its error reaches the caller."""

    def __init__(self, error: AthenaError, facts: tuple[Fact, ...]) -> None:
        """Carry the error and the events that record it."""
        super().__init__(error.message)
        self.error = error
        self.facts = facts


def never_released(reader: Reader, subject: str | None) -> bool:
    """Keys of most commands bind for good."""
    return False


UNKEYED_BYTES = 32
"""The length of a fingerprint that release 0.1 stored; it expires with its key."""


class Key(Value):
    """A client's idempotency key, hashed with its scope, and the fingerprint of the input it came with (contract D20).

    The fingerprint is a version byte and an HMAC under the client's key, so that who reads the log cannot confirm a
    guess at the input. ``unkeyed`` is what release 0.1 stored instead: the plain SHA-256.

    ``released`` tells whether what the key led to was undone (a withdrawn run), so that the key binds anew.
    """

    hash: bytes
    fingerprint: bytes
    unkeyed: bytes = b""
    released: Callable[[Reader, str | None], bool] = never_released

    @classmethod
    def of(cls, identity: str, operation: str, key: str, content: bytes) -> "Key":
        """The key of an identity and an operation, over the normalised input."""
        scope = "\0".join((identity, operation, key)).encode()
        return cls(
            hash=hashlib.sha256(scope).digest(),
            fingerprint=b"\x01" + hmac.digest(key.encode(), content, "sha256"),
            unkeyed=hashlib.sha256(content).digest(),
        )

    def fits(self, fingerprint: bytes) -> bool:
        """Return True if a stored fingerprint matches this input."""
        return fingerprint == (self.unkeyed if len(fingerprint) == UNKEYED_BYTES else self.fingerprint)


def category(stream: str) -> str:
    """The category of a stream, the prefix of its name."""
    return stream.split(":", 1)[0] if ":" in stream else stream.split("_", 1)[0]
