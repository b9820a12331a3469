"""Reactors: continue work because of recorded events, in one process of all that share a state directory.

A reactor is asked by key (the id of a workflow run, of a drain, …) to do the due work there. It does not handle single
events. It reads the current state, takes the next step, and looks again. The transaction of a step checks at the head
whether the step is still due.

So nothing happens twice, even if a reactor is asked too often, by two leaders, or again after a crash. It needs no
checkpoint.
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
from athena_core.domain import halt
from athena_core.errors import AthenaError, Halted
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.protocols import LeaderLock, Row
from athena_core.system.problems import Problems

LEADER_SECONDS = 0.5
"""How often a process that does not lead tries to become the leader."""

LOOP = "reactors"
ACTS_MAX = 256
"""The most keys of a reactor that are processed at a time; the others wait."""


class Reactor(Protocol):
    """Does the due work of its keys."""

    name: str
    types: frozenset[str]
    """The event types that may concern it."""

    def open(self, reader: StoreReader) -> Iterable[str]:
        """Return the keys with possibly due work for a new leader, from guards, never from the whole log.

        It runs in a thread, with a reader of its own, while ``concerned`` may be called.
        """

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the keys that new rows of its types may concern. Must be quick and not raise."""

    async def act(self, key: str) -> float | None:
        """Do the due work of a key. Return the seconds until the next look, None if only new rows matter.

        Raise AthenaError if the log is unavailable, or Halted to be asked again once the halt is lifted.
        """


class ReactorLoop:
    """The loop of one reactor: its due keys, each processed by one task at a time."""

    def __init__(self, reactor: Reactor, tasks: TaskGroup, due: Iterable[str], problems: Problems) -> None:
        """Begin with some due keys."""
        self._reactor = reactor
        self._loop = f"{LOOP}.{reactor.name}"
        self._problems = problems
        self._tasks = tasks
        self._due: dict[str, None] = dict.fromkeys(due)
        self._busy: set[str] = set()
        self._wake = asyncio.Event()
        self._wake.set()
        self._failing: set[str] = set()
        """Keys that are retried after a failure."""
        self._halted: dict[str, None] = {}
        """Keys whose work may not begin before the halt is lifted, in the order in which they were refused."""
        self._lifts = 0

    @property
    def idle(self) -> bool:
        """Return True if no key is being processed; failing keys do not count."""
        return not self._due.keys() - self._failing and not self._busy - self._failing

    def ask(self, keys: Iterable[str]) -> None:
        """Mark keys as due."""
        for key in keys:
            self._due[key] = None
            self._wake.set()

    def lifted(self) -> None:
        """Mark the keys as due that the halt held up."""
        self._lifts += 1
        held, self._halted = self._halted, {}
        self.ask(held)

    async def serve(self) -> None:
        """Process due keys until cancelled."""
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
                lifts = self._lifts
                try:
                    again = await self._reactor.act(key)
                except Halted:
                    if lifts != self._lifts:  # it was lifted meanwhile
                        continue
                    self._halted[key] = None
                    break
                except Exception as error:  # a bug of ours must not stop other keys; this one is retried
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
    """All reactors of this process; they run while it leads."""

    def __init__(
        self,
        latch: LeaderLock,
        tail: Tail,
        reactors: Sequence[Reactor],
        problems: Problems,
        reader: Callable[[], StoreReader],
    ) -> None:
        """Compete for leadership: the process that holds ``latch`` leads. ``reader`` opens a reader."""
        self._latch = latch
        self._open_reader = reader
        self._problems = problems
        self._reactors = reactors
        self._duties: dict[str, ReactorLoop] = {}
        self._tail = tail
        self._heard_of: dict[str, dict[str, None]] | None = None
        self._meanwhile: dict[str, dict[str, None]] | None = None
        """Keys reported while a new leader reads the open ones."""
        self._concerned = asyncio.Event()
        self._asking = False
        for reactor in reactors:
            tail.subscribe(partial(self._on_rows, reactor), reactor.types)
        tail.subscribe(self._on_lifted, frozenset((halt.HaltLifted.TYPE,)))

    @property
    def leads(self) -> bool:
        """Return True if this process leads."""
        return bool(self._duties)

    @property
    def idle(self) -> bool:
        """Return True if this process has no key in progress or about to be."""
        return not self._asking and all(duty.idle for duty in self._duties.values())

    def left(self, name: str) -> list[str]:
        """Return the keys that a command noticed and that may still be due, if this process leads."""
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

    def _on_lifted(self, rows: Sequence[Row]) -> None:
        for duty in self._duties.values():
            duty.lifted()

    def ask(self, name: str, key: str) -> None:
        """Mark a key of a reactor as due, if this process leads. A leader elsewhere learns of it from the log."""
        duty = self._duties.get(name)
        if duty is not None:
            duty.ask((key,))
        elif self._meanwhile is not None:
            self._meanwhile[name][key] = None

    async def serve(self, *, everything: bool) -> None:
        """Lead whenever no other process does; without ``everything``, only for keys noticed from now on.

        So a command that works alone continues its own work, but not the work that others left. It does not lead before
        it has noticed a key, so a command that only reads keeps no server from leading. If another process led at
        first, it continues later with the keys that it noticed.
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
        """Run the reactors while the lock is held."""
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
        """Return the open keys, read in a thread because there may be many, and the keys reported meanwhile."""

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
        """Stop leading, so that another process can."""
        self._duties.clear()
        self._latch.release()
