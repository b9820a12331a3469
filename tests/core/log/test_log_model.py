"""The writer against a model of lists and dictionaries: outcomes, reads of each function, rows, keys, guards."""

import tempfile
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, TypeAlias

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_core.clock import FixedClock
from athena_core.decider import Context, Key, Outcome, Reader, Rejected, fold
from athena_core.errors import ConcurrencyLimitExceeded, OutcomeUnknown
from athena_core.event import Event, Fact
from athena_core.log import chain
from athena_core.log.codec import decided_or
from athena_core.log.committed_state import CACHED_STATE_BYTES, StateCache
from athena_core.log.key_clock import KEPT_MS
from athena_core.log.submission import Committed
from athena_core.log.writer import Log
from tests.core.log.pots import (
    MEMORY,
    POTS,
    SLOTS_MAX,
    Deaths,
    Filled,
    Freed,
    PotState,
    Refused,
    Taken,
    connection,
    enqueue,
    evolve,
    new_log,
    place,
)

HOUR = 3_600_000
KEY_HOURS = 24
NAMES = ("pot_a", "pot_b", "pot_c")

Fault: TypeAlias = Literal["raises", "unencodable", "unregistered", "no such category", "no answer"] | None
Failure: TypeAlias = Literal["commit", "insert", "full"] | None


class Stray(Event):
    """An event that is not registered."""


@dataclass(frozen=True)
class Step:
    """One transaction: take, free, fill, erase, and an optional failure."""

    fills: tuple[tuple[str, int], ...]
    take: str | None
    free: tuple[str, int | None] | None
    erase: int | None
    fault: Fault
    key: tuple[int, int] | None
    released: bool


@dataclass(frozen=True)
class Plan:
    """One commit of a process: its transactions, the clock before it, and how it ends."""

    log: int
    hours: int
    steps: tuple[Step, ...]
    failure: Failure


slots = st.sampled_from(("x", "y", "z"))
steps = st.builds(
    Step,
    fills=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 9)), max_size=3).map(tuple),
    take=st.none() | slots,
    free=st.none() | st.tuples(slots, st.none() | st.integers(1, 12)),
    erase=st.none() | st.integers(1, 12),
    fault=st.none() | st.none() | st.sampled_from(Fault.__args__[0].__args__),
    key=st.none() | st.tuples(st.integers(0, 2), st.integers(0, 1)),
    released=st.booleans(),
)
plans = st.builds(
    Plan,
    log=st.integers(0, 1),
    hours=st.sampled_from((0, 0, 0, 1, 23, 25, 27, -1, -24)),
    steps=st.lists(steps, max_size=5).map(tuple),
    failure=st.none() | st.none() | st.sampled_from(("commit", "insert", "full")),
)


def act(step: Step, reader: Reader, context: Context, shown: list[Any]) -> Outcome[Any]:
    """Return the transaction, which records what it was shown before it decides."""
    states = [reader.state(POTS, name) for name in NAMES]
    taken = dict(reader.guards("slot"))
    shown.append((reader.head, context.now, states, list(taken.items())))
    facts: list[Fact] = []
    if step.take is not None:
        if step.take not in taken and len(taken) >= SLOTS_MAX:
            refused = Fact(stream=NAMES[0], event=Refused(slot=step.take))
            raise Rejected(ConcurrencyLimitExceeded("both are taken"), (refused,))
        facts.append(Fact(stream=NAMES[0], event=Taken(slot=step.take)))
    if step.free is not None:
        facts.append(Fact(stream=NAMES[1], event=Freed(slot=step.free[0], held=step.free[1])))
    facts += [Fact(stream=name, event=Filled(amount=n, label=f"{n} into {name}")) for name, n in step.fills]
    match step.fault:
        case "raises":
            raise ZeroDivisionError
        case "unencodable":
            facts.append(Fact(stream=NAMES[2], event=Filled(amount=1, label="\ud800")))
        case "unregistered":
            facts.append(Fact(stream=NAMES[2], event=Stray()))
        case "no such category":
            facts.append(Fact(stream="pan_a", event=Filled(amount=1)))
    answer = object() if step.fault == "no answer" else {"levels": [state.level for state in states]}
    erase = () if step.erase is None or step.erase > reader.head else (step.erase,)
    return Outcome(facts=tuple(facts), subject=f"subject {reader.head}", answer=answer, erase=erase)


@dataclass
class Model:
    """The expected log: every row as (stream, event), in lists and dictionaries only."""

    rows: list[tuple[str, Event]] = field(default_factory=list)
    decided: list[int] = field(default_factory=list)
    """When each row was decided."""
    erased: set[int] = field(default_factory=set)
    guards: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    keys: dict[int, tuple[int, int | None, int, str | None, object]] = field(default_factory=dict)
    passed: int = 0
    """The real time that has passed, whatever the date did."""
    bound: dict[int, int] = field(default_factory=dict)
    """When each key was bound, in that time."""

    def copy(self) -> "Model":
        """Return the state to restore if a commit fails."""
        return replace(
            self,
            rows=list(self.rows),
            decided=list(self.decided),
            erased=set(self.erased),
            guards=dict(self.guards),
            keys=dict(self.keys),
            bound=dict(self.bound),
        )

    def state(self, name: str) -> PotState:
        return fold(POTS, [event for stream, event in self.rows if stream == name])

    def append(self, facts: list[Fact], now: int) -> None:
        for fact in facts:
            self.rows.append((fact.stream, fact.event))
            self.decided.append(now)
            match fact.event:
                case Taken(slot=slot):
                    self.guards.pop(slot, None)
                    self.guards[slot] = (len(self.rows),)
                case Freed(slot=slot, held=held) if held is None or self.guards.get(slot) == (held,):
                    self.guards.pop(slot, None)

    def binds(self, name: int) -> bool:
        """Return True if the key still binds."""
        return self.passed - self.bound[name] <= KEY_HOURS * HOUR + KEPT_MS

    def expire(self, before: "Model") -> None:
        """Forget expired keys, as a commit that binds keys does."""
        if self.bound != before.bound or self.keys != before.keys:
            self.keys = {name: key for name, key in self.keys.items() if self.binds(name)}

    def run(self, step: Step, now: int, shown: list[Any]) -> object:
        """Return the expected result of a transaction."""
        if step.key is not None:
            name, fingerprint = step.key
            bound = self.keys.get(name)
            if bound is not None and self.binds(name):
                shown.append(("released?", len(self.rows), bound[3]))
                if not step.released:
                    if bound[0] != fingerprint:
                        return "IdempotencyMismatch"
                    return (bound[2], now if bound[1] is None else bound[1], bound[3], bound[4], True)
        states = [self.state(pot) for pot in NAMES]
        head = len(self.rows)
        shown.append((head, now, states, list(self.guards.items())))
        facts: list[Fact] = []
        if step.take is not None:
            if step.take not in self.guards and len(self.guards) >= SLOTS_MAX:
                self.append([Fact(stream=NAMES[0], event=Refused(slot=step.take))], now)
                return "ConcurrencyLimitExceeded"
            facts.append(Fact(stream=NAMES[0], event=Taken(slot=step.take)))
        if step.free is not None:
            facts.append(Fact(stream=NAMES[1], event=Freed(slot=step.free[0], held=step.free[1])))
        facts += [Fact(stream=pot, event=Filled(amount=n, label=f"{n} into {pot}")) for pot, n in step.fills]
        if step.fault is not None and not (step.fault == "no answer" and step.key is None):
            return {
                "raises": "ZeroDivisionError",
                "unencodable": "UnicodeEncodeError",
                "unregistered": "KeyError",
                "no such category": "InternalError",
                "no answer": "TypeError",
            }[step.fault]
        self.append(facts, now)
        if step.erase is not None and step.erase <= head:
            self.erased.add(step.erase)
        answer = None if step.fault == "no answer" else {"levels": [state.level for state in states]}
        if step.key is not None:
            self.keys[step.key[0]] = (step.key[1], now if facts else None, len(self.rows), f"subject {head}", answer)
            self.bound[step.key[0]] = self.passed
        return (len(self.rows), now, f"subject {head}", answer, False)


def key_of(step: Step, shown: list[Any]) -> Key | None:
    """Return the key of a transaction, which records when it is asked whether it was released."""
    if step.key is None:
        return None

    def released(reader: Reader, subject: str | None) -> bool:
        shown.append(("released?", reader.head, subject))
        return step.released

    return Key(hash=bytes([step.key[0]]), fingerprint=bytes([step.key[1]]), released=released)


def outcome(future: "Future[Committed[Any]]") -> object:
    """Return the result of a transaction in the terms of the model."""
    error = future.exception(timeout=0)
    if error is not None:
        return type(error).__name__
    done = future.result()
    answer = done.answer if isinstance(done.answer, dict) else None
    return (done.position, done.at, done.subject, answer, done.replayed)


def no_space() -> bool:
    raise apsw.FullError("disk full")


class Restless(FixedClock):
    """A date that jumps, and a boot clock that only advances."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0

    def elapsed(self) -> float:
        return self._passed / 1_000

    def advance(self, milliseconds: int) -> None:
        super().advance(milliseconds)
        self._passed += abs(milliseconds)


class World:
    """Two processes on one state directory, and the model of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Restless()
        self.model = Model()
        self.deaths = Deaths()
        self.logs = [self.open(), self.open()]

    def open(self) -> Log:
        """Start a process with a small cache, so that states are evicted and read again."""
        log = new_log(self.directory, clock=self.clock, deaths=self.deaths, key_hours=KEY_HOURS)
        log._state.cache = StateCache(limit=3 * CACHED_STATE_BYTES)
        return log

    def run(self, plan: Plan) -> None:
        log = self.logs[plan.log]
        self.clock.advance(plan.hours * HOUR)
        self.model.passed += abs(plan.hours) * HOUR
        before, shown, expected_shown = self.model.copy(), list[Any](), list[Any]()
        futures = []
        for step in plan.steps:

            def transaction(reader: Reader, context: Context, step: Step = step) -> Outcome[Any]:
                return act(step, reader, context, shown)

            futures.append(enqueue(log, transaction, key_of(step, shown)))
        self.arrange(log, plan.failure)
        log.commit_waiting()
        self.arrange(log, None)
        expected = [self.model.run(step, self.clock.now(), expected_shown) for step in plan.steps]
        self.model.expire(before)
        grown = len(self.model.rows) > len(before.rows)
        if plan.failure in {"commit", "full"} or (plan.failure == "insert" and grown):
            dies = plan.failure != "full"
            unknown = dies or self.only_confirms(plan, expected, before)
            self.model = before
            expected = ["OutcomeUnknown" if unknown else "StoreFull"] * len(expected)
            if dies:
                self.die(plan.log)
        assert [outcome(future) for future in futures] == expected
        assert shown == expected_shown
        assert not self.deaths

    def only_confirms(self, plan: Plan, results: list[object], before: Model) -> bool:
        """Return True if a commit writes nothing but must confirm what a repeated key returned."""
        done = [(step, result) for step, result in zip(plan.steps, results, strict=True) if isinstance(result, tuple)]
        writes = len(self.model.rows) > len(before.rows) or any(
            not replayed and (step.key is not None or (step.erase is not None and step.erase <= len(before.rows)))
            for step, (*_, replayed) in done
        )
        return not writes and any(replayed for _, (*_, replayed) in done)

    def arrange(self, log: Log, failure: Failure) -> None:
        """Make the next insert or commit fail, or neither."""
        writing = connection(log)
        hooks = {"commit": lambda: True, "full": no_space}
        writing.set_commit_hook(hooks.get(failure or ""))
        writing.execute("DROP TRIGGER IF EXISTS temp.failing")
        if failure == "insert":
            writing.execute(
                "CREATE TEMP TRIGGER failing BEFORE INSERT ON main.log BEGIN SELECT RAISE(ABORT, 'no'); END"
            )

    def die(self, number: int) -> None:
        """Check that the process left without another answer, and start another."""
        log = self.logs[number]
        assert len(self.deaths) == 1
        self.deaths.clear()
        try:
            enqueue(log, lambda reader, context: Outcome())
        except OutcomeUnknown:
            pass
        else:
            raise AssertionError("the log went on")
        log.store.close()
        self.logs[number] = self.open()

    def check(self) -> None:
        """Compare everything that is stored and cached with the model."""
        reader = self.logs[0].reader()
        rows = list(chain.verify(reader.rows(0, 9_999)))
        codec = self.logs[0].codec
        decoded = [(row.stream, codec.decode(row).event) for row in rows]
        model = [
            (stream, Filled(amount=event.amount) if isinstance(event, Filled) and n in self.model.erased else event)
            for n, (stream, event) in enumerate(self.model.rows, 1)
        ]
        assert decoded == model
        assert [row.recorded_at for row in rows] == list(accumulate(self.model.decided, max))
        assert [codec.decode(row).at for row in rows] == self.model.decided
        for name in NAMES:
            versions = [row.version for row in rows if row.stream == name]
            assert versions == list(range(1, len(versions) + 1))
        assert reader.guards() == [("slot", slot, value) for slot, value in self.model.guards.items()]
        starts = set()
        for key, (fingerprint, at, end, subject, _) in self.model.keys.items():
            found = self.logs[0].store.key(bytes([key]))
            assert found is not None
            assert (found.fingerprint, found.subject) == (bytes([fingerprint]), subject)
            assert found.first + found.events - 1 == end
            assert at is None or decided_or(found.recorded_at, found.extra) == at
            starts.add(found.bound_at - self.model.bound[key])
        assert len(starts) <= 1, "keys are as old as time has passed"
        for log in self.logs:
            log.commit_waiting()  # nothing waits: it only catches up
            assert place(log).position == len(rows)
            assert list(log.guards.of("slot").items()) == list(self.model.guards.items())
            for stream, entry in log._state.cache._entries.items():
                events = [event for name, event in decoded if name == stream]
                assert (entry.state, entry.version) == (fold(POTS, events), len(events))
        reader.close()


@pytest.mark.heavy
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(plans, max_size=6))
def test_the_writer_does_what_the_model_does(history: list[Plan]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        world = World(Path(directory))
        for plan in history:
            world.run(plan)
        world.check()
        for log in world.logs:
            log.close()


def test_the_model_folds_as_the_pots_do() -> None:
    assert evolve(PotState(level=1, touched=1), Filled(amount=2)) == PotState(level=3, touched=2)
