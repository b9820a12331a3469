"""A small category for tests of the log: pots that are filled, and slots that are taken, at most two at a time."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, ClassVar

import apsw

from athena_core.clock import Clock, CountingIds, FixedClock
from athena_core.decider import Context, Decider, Key, Outcome, Reader, Rejected, Transaction
from athena_core.errors import ConcurrencyLimitExceeded
from athena_core.event import EXTRA, TEXT, Event, Fact, Guard, Meta, Recorded, Text, Value
from athena_core.protocols import Row
from athena_core.store import chain
from athena_core.store.codec import Codec
from athena_core.store.log import Committed, Job, Log, Place
from athena_core.store.sqlite import SqliteReader, SqliteStore

SLOTS_MAX = 2
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""For tests of many commits that no loss of power will end."""
META = Meta(actor="ada", correlation="trace-1")


class Filled(Event):
    """Something was poured in."""

    TYPE: ClassVar[str] = "pot.filled"
    amount: int
    label: Text = None
    notes: Annotated[tuple[str, ...] | None, TEXT] = None
    source: Annotated[str | None, EXTRA] = None


class Taken(Event):
    """A slot is in use."""

    TYPE: ClassVar[str] = "slot.taken"
    slot: str


class Freed(Event):
    """A slot is free again, if it is still the one that was taken at ``held``."""

    TYPE: ClassVar[str] = "slot.freed"
    slot: str
    held: int | None = None


class Refused(Event):
    """All slots were in use."""

    TYPE: ClassVar[str] = "slot.refused"
    slot: str


class PotState(Value):
    """What is in the pot, and how often it was touched."""

    level: int = 0
    touched: int = 0


def evolve(state: PotState, event: Event) -> PotState:
    """Follow one event."""
    match event:
        case Filled():
            return PotState(level=state.level + event.amount, touched=state.touched + 1)
        case _:
            return PotState(level=state.level, touched=state.touched + 1)


def guards(recorded: Recorded[Event]) -> tuple[Guard, ...]:
    """What an event occupies: ``slot`` by its name."""
    match recorded.event:
        case Taken(slot=slot):
            return (Guard(kind="slot", key=slot, value=(recorded.position,)),)
        case Freed(slot=slot, held=held):
            return (Guard(kind="slot", key=slot, value=None, held=None if held is None else (held,)),)
        case _:
            return ()


POTS: Decider[PotState] = Decider(
    category="pot", events=(Filled, Taken, Freed, Refused), initial=PotState(), evolve=evolve, guards=guards
)


class Deaths(list[str]):
    """What would have ended the process."""


def new_log(
    directory: Path,
    *,
    clock: Clock | None = None,
    deaths: Deaths | None = None,
    store: SqliteStore | None = None,
    key_hours: int = 24,
) -> Log:
    """A log of pots that is not at work: the test takes its steps, or starts it."""
    return Log(
        store or SqliteStore(directory, CountingIds()),
        Codec(POTS.events),
        (POTS,),
        clock=clock or FixedClock(),
        ids=CountingIds(),
        key_hours=key_hours,
        fatal=(Deaths() if deaths is None else deaths).append,
    )


def enqueue(log: Log, transaction: Transaction, key: Key | None = None, meta: Meta = META) -> "Future[Committed]":
    """Let a transaction wait."""
    future: Future[Committed] = Future()
    log._enqueue(Job(transaction, meta, key, frozenset(), None, future))
    return future


def commit(log: Log, *transactions: Transaction) -> list[Committed]:
    """Have transactions committed together, by the thread of the test."""
    futures = [enqueue(log, transaction) for transaction in transactions]
    log._commit()
    return [future.result(timeout=0) for future in futures]


def connection(log: Log) -> apsw.Connection:
    """The writing connection, to arrange for failures."""
    return log.store._connection


def place(log: Log) -> Place:
    """Where the log believes to be."""
    return log._place


def fill(pot: str = "pot_a", amount: int = 1, label: str | None = None) -> Transaction:
    """Pour."""
    fact = Fact(stream=pot, event=Filled(amount=amount, label=label))
    return lambda reader, context: Outcome(facts=(fact,), subject=pot, answer={"amount": amount})


def take(slot: str, pot: str = "pot_a") -> Transaction:
    """Take a slot, unless two are taken; a refusal is an event."""

    def transaction(reader: Reader, context: Context) -> Outcome:
        taken: Mapping[str, tuple[str | int, ...]] = reader.guards("slot")
        if slot not in taken and len(taken) >= SLOTS_MAX:
            raise Rejected(ConcurrencyLimitExceeded("both are taken"), (Fact(stream=pot, event=Refused(slot=slot)),))
        return Outcome(facts=(Fact(stream=pot, event=Taken(slot=slot)),), subject=slot)

    return transaction


def free(slot: str, pot: str = "pot_a") -> Transaction:
    """Free a slot."""
    return lambda reader, context: Outcome(facts=(Fact(stream=pot, event=Freed(slot=slot)),))


def erase(position: int) -> Transaction:
    """Erase a text, and nothing else."""
    return lambda reader, context: Outcome(erase=(position,))


def level(pot: str = "pot_a") -> Transaction:
    """Only look."""
    return lambda reader, context: Outcome(answer=reader.state(POTS, pot).level)


def key(name: str, content: bytes = b"", released: bool = False) -> Key:
    """A client's key."""
    made = Key.of("ada", "fill", name, content)
    return Key(hash=made.hash, fingerprint=made.fingerprint, released=lambda reader, subject: released)


def stored(directory: Path) -> list[Row]:
    """Everything that is stored, right or wrong."""
    reader = SqliteReader(directory / "log.db", "")
    try:
        return reader.rows(0, 2**40)
    finally:
        reader.close()


def rows(directory: Path) -> list[Row]:
    """Everything that is stored, proved."""
    return list(chain.verify(stored(directory)))
