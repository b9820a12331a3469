"""A small category for tests of the log: pots that are filled, and slots that are taken, at most two at a time."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

import apsw
import psycopg

from athena_core.clock import Clock, CountingIds, FixedClock, Ids
from athena_core.decider import Context, Decider, Key, Outcome, Reader, Rejected, Transaction
from athena_core.errors import ConcurrencyLimitExceeded
from athena_core.event import EXTRA, TEXT, Event, Fact, Guard, Meta, Recorded, Text, Value
from athena_core.log import chain
from athena_core.log.codec import Codec
from athena_core.log.port import LogHead, Store
from athena_core.log.postgres.store import PostgresStore
from athena_core.log.sqlite.store import SqliteStore
from athena_core.log.submission import Committed, Submission
from athena_core.log.writer import Log
from athena_core.protocols import Row

SLOTS_MAX = 2
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A directory for many commits that need not survive a power cut."""
META = Meta(actor="ada", correlation="trace-1")


class Filled(Event):
    """An amount was added to the pot."""

    TYPE: ClassVar[str] = "pot.filled"
    amount: int
    label: Text = None
    notes: Annotated[tuple[str, ...] | None, TEXT] = None
    source: Annotated[str | None, EXTRA] = None


class Taken(Event):
    """A slot was taken."""

    TYPE: ClassVar[str] = "slot.taken"
    slot: str


class Freed(Event):
    """A slot was freed, if it is the one taken at ``held``."""

    TYPE: ClassVar[str] = "slot.freed"
    slot: str
    held: int | None = None


class Refused(Event):
    """A slot was refused: all were taken."""

    TYPE: ClassVar[str] = "slot.refused"
    slot: str


class PotState(Value):
    """The content of the pot and its number of events."""

    level: int = 0
    touched: int = 0


def evolve(state: PotState, event: Event) -> PotState:
    match event:
        case Filled():
            return PotState(level=state.level + event.amount, touched=state.touched + 1)
        case _:
            return PotState(level=state.level, touched=state.touched + 1)


# Guards: ``slot`` by its name.


def _taken_guards(recorded: Recorded[Taken]) -> tuple[Guard, ...]:
    return (Guard(kind="slot", key=recorded.event.slot, value=(recorded.position,)),)


def _freed_guards(recorded: Recorded[Freed]) -> tuple[Guard, ...]:
    held = recorded.event.held
    return (Guard(kind="slot", key=recorded.event.slot, value=None, held=None if held is None else (held,)),)


POTS: Decider[PotState] = Decider(
    category="pot",
    events=(Filled, Taken, Freed, Refused),
    initial=PotState(),
    evolve=evolve,
    occupies={Taken: _taken_guards, Freed: _freed_guards},
)


def on_postgres(directory: Path, url: str) -> None:
    """Put the log of a state directory into this database, for every process on that directory."""
    directory.joinpath("database.url").write_text(url)


def url_of(directory: Path) -> str | None:
    """Return the database of a state directory, if it has one."""
    path = directory / "database.url"
    return path.read_text() if path.exists() else None


opened: list[Store] = []
"""Stores in databases that a test may leave open; their sessions have to be closed."""


def store_at(directory: Path, ids: Ids | None = None) -> Store:
    url = url_of(directory)
    if url is None:
        return SqliteStore(directory, ids or CountingIds())
    opened.append(PostgresStore(url, directory, ids or CountingIds()))
    return opened[-1]


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the lock of a log, as another process would."""
    store = store_at(directory)
    try:
        with store.exclusive():
            yield
    finally:
        store.close()


def alter(directory: Path, statement: str) -> None:
    """Change stored rows without the log's knowledge."""
    url = url_of(directory)
    if url is None:
        database = apsw.Connection(str(directory / "log.db"))
        database.execute(statement)
        database.close()
    else:
        with psycopg.connect(url, options="-c search_path=athena") as other:
            other.execute(statement.encode())


class Deaths(list[str]):
    """The reasons that would have ended the process."""


def new_log(
    directory: Path,
    *,
    clock: Clock | None = None,
    deaths: Deaths | None = None,
    store: Store | None = None,
    key_hours: int = 24,
) -> Log:
    """Return a log of pots whose threads do not run: the test commits by hand, or starts it."""
    return Log(
        store or store_at(directory),
        Codec(POTS.events),
        (POTS,),
        clock=clock or FixedClock(),
        ids=CountingIds(),
        key_hours=key_hours,
        fatal=(Deaths() if deaths is None else deaths).append,
    )


def enqueue(
    log: Log, transaction: Transaction[Any], key: Key | None = None, meta: Meta = META, answers: Any = Any
) -> "Future[Committed[Any]]":
    future: Future[Committed[Any]] = Future()
    log.enqueue(Submission(transaction, meta, key, frozenset(), None, future, answers))
    return future


def commit(log: Log, *transactions: Transaction[Any]) -> list[Committed[Any]]:
    """Commit transactions in one batch, in the thread of the test."""
    futures = [enqueue(log, transaction) for transaction in transactions]
    log.commit_waiting()
    return [future.result(timeout=0) for future in futures]


def connection(log: Log) -> apsw.Connection:
    assert isinstance(log.store, SqliteStore)
    return log.store._connection


def place(log: Log) -> LogHead:
    return log._state.head


def fill(pot: str = "pot_a", amount: int = 1, label: str | None = None) -> Transaction[dict[str, int]]:
    fact = Fact(stream=pot, event=Filled(amount=amount, label=label))
    return lambda reader, context: Outcome(facts=(fact,), subject=pot, answer={"amount": amount})


def take(slot: str, pot: str = "pot_a") -> Transaction:
    """Take a slot, or refuse it with an event if two are taken."""

    def transaction(reader: Reader, context: Context) -> Outcome:
        taken: Mapping[str, tuple[str | int, ...]] = reader.guards("slot")
        if slot not in taken and len(taken) >= SLOTS_MAX:
            raise Rejected(ConcurrencyLimitExceeded("both are taken"), (Fact(stream=pot, event=Refused(slot=slot)),))
        return Outcome(facts=(Fact(stream=pot, event=Taken(slot=slot)),), subject=slot)

    return transaction


def free(slot: str, pot: str = "pot_a") -> Transaction:
    return lambda reader, context: Outcome(facts=(Fact(stream=pot, event=Freed(slot=slot)),))


def erase(position: int) -> Transaction:
    """Erase a text and append nothing."""
    return lambda reader, context: Outcome(erase=(position,))


def level(pot: str = "pot_a") -> Transaction[int]:
    return lambda reader, context: Outcome(answer=reader.state(POTS, pot).level)


def key(name: str, content: bytes = b"", released: bool = False) -> Key:
    made = Key.of("ada", "fill", name, content)
    return Key(
        hash=made.hash, fingerprint=made.fingerprint, unkeyed=made.unkeyed, released=lambda reader, subject: released
    )


def stored(directory: Path) -> list[Row]:
    """Return all stored rows without checking them."""
    store = store_at(directory)
    try:
        return store.rows(0, 2**40)
    finally:
        store.close()


def rows(directory: Path) -> list[Row]:
    """Return all stored rows and check their chain."""
    return list(chain.verify(stored(directory)))
