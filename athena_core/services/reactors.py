"""Reactors: what happens by itself because of what happened, in one process of all that share a state directory.

A reactor is asked by key (the id of a workflow run, of a drain, …) to do what is due there. It does not react to single
events: it looks at the state as it is now, does the next thing in a transaction that decides at the head whether it is
still to be done, and looks again. So it may be asked too often, by two leaders, or again after a crash between any
two steps, and nothing happens twice; there is no checkpoint to lose.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from typing import Protocol

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from athena_core import retry
from athena_core.errors import AthenaError
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.protocols import LeaderLock, Row
from athena_core.system.problems import Problems

LEADER_SECONDS = 0.5
"""How often a process that does not lead asks whether it may."""

LOOP = "reactors"
ACTS_MAX = 256
"""How many keys of a reactor are looked at at a time; the others wait."""


class Reactor(Protocol):
    """Causes what is due."""

    name: str
    types: frozenset[str]
    """The event types that may concern it."""

    def open(self, reader: StoreReader) -> Iterable[str]:
        """The keys where something may be due, when a leader begins: from guards, never from the whole log.

        It runs in a thread, with a reader of its own, while ``concerned`` may be called.
        """

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """The keys that new rows of its types may concern; it is quick and does not raise."""

    async def act(self, key: str) -> float | None:
        """Do what is due, step by step, until nothing more is; in how many seconds to ask again, if time alone matters.

        Raises AthenaError where the log cannot take it now.
        """


class ReactorLoop:
    """One reactor at work: which keys are to be looked at, each by one task at a time."""

    def __init__(self, reactor: Reactor, tasks: TaskGroup, due: Iterable[str], problems: Problems) -> None:
        """Look at some keys first."""
        self._reactor = reactor
        self._loop = f"{LOOP}.{reactor.name}"
        self._problems = problems
        self._tasks = tasks
        self._due: dict[str, None] = dict.fromkeys(due)
        self._busy: set[str] = set()
        self._wake = asyncio.Event()
        self._wake.set()
        self._failing: set[str] = set()
        """The keys that are tried again after a failure."""

    @property
    def idle(self) -> bool:
        """Return True if no key is being processed; failing keys do not count."""
        return not self._due.keys() - self._failing and not self._busy - self._failing

    def ask(self, keys: Iterable[str]) -> None:
        """Have keys looked at, soon."""
        for key in keys:
            self._due[key] = None
            self._wake.set()

    async def serve(self) -> None:
        """Look at what is due, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for key in [key for key in self._due if key not in self._busy]:
                if len(self._busy) >= ACTS_MAX:
                    break
                del self._due[key]
                self._busy.add(key)
                self._tasks.start_soon(self._act_on, key)

    async def _act_on(self, key: str) -> None:
        failures, again = 0, None
        try:
            while True:
                try:
                    again = await self._reactor.act(key)
                except Exception as error:  # a bug of ours must not stop the others; it is tried again
                    self._failing.add(key)
                    self._problems.report(self._loop, error, key)
                    hopeless = isinstance(error, AthenaError) and not error.retryable
                    failures += retry.DOUBLINGS_MAX if hopeless else 1
                    await anyio.sleep(retry.LOG.after(failures))
                else:
                    self._failing.discard(key)
                    self._problems.recovered(self._loop, key)
                    break
        finally:
            self._busy.discard(key)
            self._wake.set()
        if again is not None:
            self._tasks.start_soon(self._later, key, again)

    async def _later(self, key: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.ask((key,))


class Reactors:
    """All reactors of this process, at work while it leads."""

    def __init__(
        self,
        latch: LeaderLock,
        tail: Tail,
        reactors: Sequence[Reactor],
        problems: Problems,
        reader: Callable[[], StoreReader],
    ) -> None:
        """Take part in the choice of a leader: the process that holds ``latch``. ``reader`` opens a reader."""
        self._latch = latch
        self._open_reader = reader
        self._problems = problems
        self._reactors = reactors
        self._duties: dict[str, ReactorLoop] = {}
        self._tail = tail
        self._heard_of: dict[str, dict[str, None]] | None = None
        self._meanwhile: dict[str, dict[str, None]] | None = None
        """What is heard of while a leader that begins reads what is open."""
        self._concerned = asyncio.Event()
        self._asking = False
        for reactor in reactors:
            tail.subscribe(partial(self._on_rows, reactor), reactor.types)

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return bool(self._duties)

    @property
    def idle(self) -> bool:
        """Whether this process looks at nothing now, nor is about to."""
        return not self._asking and all(duty.idle for duty in self._duties.values())

    def left(self, name: str) -> list[str]:
        """What a command has heard of, and may be due still, if it is for this process to see to."""
        if self._heard_of is None or not self.leads:
            return []
        (reactor,) = (one for one in self._reactors if one.name == name)
        with closing(self._open_reader()) as log:
            return [key for key in reactor.open(log) if key in self._heard_of[name]]

    def _on_rows(self, reactor: Reactor, rows: Sequence[Row]) -> None:
        duty = self._duties.get(reactor.name)
        if duty is None and self._heard_of is None and self._meanwhile is None:
            return
        keys = list(reactor.concerned(rows))
        if self._meanwhile is not None:
            self._meanwhile[reactor.name].update(dict.fromkeys(keys))
        if self._heard_of is not None:
            self._heard_of[reactor.name].update(dict.fromkeys(keys))
            if keys and self._tail.takes_part and not self._concerned.is_set():
                self._asking = True
                self._concerned.set()
        if duty is not None:
            duty.ask(keys)

    def ask(self, name: str, key: str) -> None:
        """Have a reactor look at a key, if this process leads (who leads elsewhere reads of it in the log)."""
        duty = self._duties.get(name)
        if duty is not None:
            duty.ask((key,))
        elif self._meanwhile is not None:
            self._meanwhile[name][key] = None

    async def serve(self, *, everything: bool) -> None:
        """Lead as soon as nobody else does, for ever; without ``everything`` only what happens from now on is seen to.

        So a command that works alone causes what follows from it, and does not begin what others left. It leads no
        sooner than there is something to see to: one that only reads keeps no server from leading. Where somebody else
        led at first, it goes on with what it has heard of.
        """
        if not everything:
            self._heard_of = {reactor.name: {} for reactor in self._reactors}
            await self._concerned.wait()
        while True:
            try:
                if self._latch.acquire():
                    await self._lead()
                else:
                    self._problems.recovered(LOOP)
            except Exception as error:
                self._latch.release()
                self._problems.report(LOOP, error)
            self._asking = False
            await anyio.sleep(LEADER_SECONDS)

    async def _lead(self) -> None:
        """Lead as long as the lock is held."""
        due = await self._opened() if self._heard_of is None else self._heard_of
        try:
            async with anyio.create_task_group() as tasks:
                for reactor in self._reactors:
                    duty = ReactorLoop(reactor, tasks, due[reactor.name], self._problems)
                    self._duties[reactor.name] = duty
                    tasks.start_soon(duty.serve)
                self._problems.recovered(LOOP)
                self._asking = False
                while self._held():
                    await anyio.sleep(LEADER_SECONDS)
                tasks.cancel_scope.cancel()
        finally:
            self._duties.clear()
            for reactor in self._reactors:
                self._problems.recovered(f"{LOOP}.{reactor.name}", None)

    async def _opened(self) -> dict[str, dict[str, None]]:
        """Return what is open, read in a thread as it may be much, and what was heard of since the reading began."""

        def work() -> dict[str, list[str]]:
            with closing(self._open_reader()) as log:
                return {reactor.name: list(reactor.open(log)) for reactor in self._reactors}

        meanwhile = self._meanwhile = {reactor.name: {} for reactor in self._reactors}
        try:
            keys_by_name = await to_thread.run_sync(work)
        finally:
            self._meanwhile = None
        return {name: dict.fromkeys(keys) | meanwhile[name] for name, keys in keys_by_name.items()}

    def _held(self) -> bool:
        try:
            return self._latch.held
        except OSError as error:
            self._problems.report(LOOP, error)
            self._latch.release()
            return False

    def close(self) -> None:
        """Let somebody else lead."""
        self._duties.clear()
        self._latch.release()
