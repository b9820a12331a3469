"""Reactors: continue work because of recorded events, in one process of all that share a state directory.

A reactor is asked by key (the id of a workflow run, of a drain, …) to do the due work there. It does not handle single
events. It reads the current state, takes the next step, and looks again. The transaction of a step checks at the head
whether the step is still due.

So nothing happens twice, even if a reactor is asked too often, by two leaders, or again after a crash. It needs no
checkpoint.

New rows and an alarm make a reactor prompt, but it needs neither: each loop compares deadlines with the clock every
second, and the leader reads all open work from the log again every minute.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Protocol

import anyio
from anyio import to_thread

from athena_core import retry
from athena_core.clock import Clock
from athena_core.domain import halt
from athena_core.errors import AthenaError, Halted
from athena_core.log.port import StoreReader
from athena_core.log.tail import Tail
from athena_core.protocols import LeaderLock, Row
from athena_core.services.deadlines import Alarm, Deadlines
from athena_core.system.problems import Problems
from athena_core.system.timer import Timer

LEADER_SECONDS = 0.5
"""How often a process that does not lead tries to become the leader."""

LOOK_SECONDS = 1.0
"""How often a loop compares its deadlines with the clock, at the least."""

OPEN_SECONDS = 60.0
"""How often the leader reads the open work from the log again."""

REST_MS = 20
"""The least time until a key is looked at again, so that no loop runs without a pause."""

NOW = 0
"""A deadline that is over at any time."""

LOOP = "reactors"
ACTS_MAX = 256
"""The most keys of a reactor that are processed at a time; the others wait."""


class Reactor(Protocol):
    """Does the due work of its keys."""

    name: str
    types: frozenset[str]
    """The event types that may concern it."""

    def open(self, reader: StoreReader) -> Mapping[str, int]:
        """Return all keys with open work, with deadlines in milliseconds since 1970; NOW if ``act`` finds them.

        It reads guards, never the whole log. It runs in a thread, with a reader of its own, while the other methods may
        be called.
        """

    def concerned(self, rows: Sequence[Row]) -> Iterable[str]:
        """Return the keys that new rows of its types may concern. Must be quick and not raise."""

    async def act(self, key: str) -> int | None:
        """Do the due work of a key. Return its next deadline, None if only new rows matter.

        Raise AthenaError if the log is unavailable, or Halted to be asked again once the halt is lifted.
        """


class ReactorLoop(Timer):
    """The loop of one reactor: its due keys, each processed by one task at a time."""

    def __init__(self, reactor: Reactor, clock: Clock, problems: Problems) -> None:
        super().__init__(f"{LOOP}.{reactor.name}", LOOK_SECONDS, self.look, problems)
        self._reactor = reactor
        self._clock = clock
        self._problems = problems
        self._deadlines = Deadlines()
        self._due: dict[str, None] = {}
        self._busy: set[str] = set()
        self._failing: set[str] = set()
        """Keys that are retried after a failure."""
        self._halted: dict[str, None] = {}
        """Keys whose work may not begin before the halt is lifted, in the order in which they were refused."""
        self._lifts = 0
        self._ahead = 0
        """The date minus the monotonic clock at the last look, in milliseconds."""
        self._rings_at: int | None = None

    async def lead(self, alarm: Alarm) -> None:
        """Process due keys until cancelled."""
        self._alarm = alarm
        async with anyio.create_task_group() as self._tasks:
            await self.serve()

    @property
    def idle(self) -> bool:
        """Return True if no key is being processed; failing keys do not count."""
        return not self._due.keys() - self._failing and not self._busy - self._failing

    def ask(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._due[key] = None
            self.wake()

    def opened(self, deadlines: Mapping[str, int]) -> None:
        """Take in the open work that was read from the log."""
        for key, at in deadlines.items():
            self._deadlines.advance(key, at)
        self.wake()

    def lifted(self) -> None:
        """Mark the keys as due that the halt held up."""
        self._lifts += 1
        held, self._halted = self._halted, {}
        self.ask(held)

    async def look(self) -> None:
        """Begin to process due keys."""
        now, boot = self._clock.now(), round(self._clock.monotonic() * 1_000)
        went_back = now - boot < self._ahead - REST_MS  # a deadline may have been counted from the earlier time
        self._ahead = now - boot
        self._due.update(dict.fromkeys(self._deadlines.pop(math.inf if went_back else now)))
        for key in [key for key in self._due if key not in self._busy]:
            if len(self._busy) >= ACTS_MAX:
                break
            del self._due[key]
            self._busy.add(key)
            self._tasks.start_soon(self._act_on, key)
        first = self._deadlines.first()
        if first is not None and first != self._rings_at and first - now < self.seconds * 1_000:
            self._rings_at = first
            self._alarm.set(self.loop, max(first - now, REST_MS), self._ring)

    def _ring(self) -> None:
        self._rings_at = None
        self.wake()

    async def _act_on(self, key: str) -> None:
        failures = 0
        try:
            while True:
                lifts = self._lifts
                try:
                    due = await self._reactor.act(key)
                    self._deadlines.set(key, None if due is None else max(due, self._clock.now() + REST_MS))
                except Halted:
                    if lifts != self._lifts:  # it was lifted meanwhile
                        continue
                    self._halted[key] = None
                except Exception as error:  # a bug of ours must not stop other keys; this one is retried
                    self._failing.add(key)
                    self._problems.report(self.loop, error, key)
                    hopeless = isinstance(error, AthenaError) and not error.retryable
                    failures += retry.DOUBLINGS_MAX if hopeless else 1
                    await anyio.sleep(retry.LOG.after(failures))
                    continue
                self._failing.discard(key)
                self._problems.recovered(self.loop, key)
                break
        finally:
            self._busy.discard(key)
            self.wake()


class Reactors:
    """All reactors of this process; they run while it leads."""

    def __init__(
        self,
        latch: LeaderLock,
        tail: Tail,
        reactors: Sequence[Reactor],
        clock: Clock,
        problems: Problems,
        reader: Callable[[], StoreReader],
    ) -> None:
        """Compete for leadership: the process that holds ``latch`` leads. ``reader`` opens a reader."""
        self._latch = latch
        self._open_reader = reader
        self._clock = clock
        self._problems = problems
        self._reactors = reactors
        self.loops: dict[str, ReactorLoop] = {}
        """The loops of the reactors by name, while this process leads."""
        self._tail = tail
        self._heard_of: dict[str, dict[str, None]] | None = None
        self._concerned = asyncio.Event()
        self._asking = False
        for reactor in reactors:
            tail.subscribe(partial(self._on_rows, reactor), reactor.types)
        tail.subscribe(self._on_lifted, frozenset((halt.HaltLifted.TYPE,)))

    @property
    def leads(self) -> bool:
        """Return True if this process leads."""
        return bool(self.loops)

    @property
    def idle(self) -> bool:
        """Return True if this process has no key in progress or about to be."""
        return not self._asking and all(duty.idle for duty in self.loops.values())

    def left(self, name: str) -> list[str]:
        """Return the keys that a command noticed and that may still be due, if this process leads."""
        if self._heard_of is None or not self.leads:
            return []
        (reactor,) = (one for one in self._reactors if one.name == name)
        with closing(self._open_reader()) as log:
            return [key for key in reactor.open(log) if key in self._heard_of[name]]

    def _on_rows(self, reactor: Reactor, rows: Sequence[Row]) -> None:
        duty = self.loops.get(reactor.name)
        if duty is None and self._heard_of is None:
            return
        keys = list(reactor.concerned(rows))
        if self._heard_of is not None:
            self._heard_of[reactor.name].update(dict.fromkeys(keys))
            if keys and self._tail.takes_part and not self._concerned.is_set():
                self._asking = True
                self._concerned.set()
        if duty is not None:
            duty.ask(keys)

    def _on_lifted(self, rows: Sequence[Row]) -> None:
        for duty in self.loops.values():
            duty.lifted()

    def ask(self, name: str, key: str) -> None:
        """Mark a key of a reactor as due, if this process leads. A leader elsewhere learns of it from the log."""
        duty = self.loops.get(name)
        if duty is not None:
            duty.ask((key,))

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
        self.loops = {one.name: ReactorLoop(one, self._clock, self._problems) for one in self._reactors}
        try:
            if self._heard_of is None:
                await self.look()
            for name, keys in (self._heard_of or {}).items():
                self.loops[name].ask(keys)
            with closing(Alarm()) as alarm:
                async with anyio.create_task_group() as tasks:
                    for duty in self.loops.values():
                        tasks.start_soon(duty.lead, alarm)
                    if self._heard_of is None:
                        tasks.start_soon(Timer(LOOP, OPEN_SECONDS, self.look, self._problems).serve)
                    self._problems.recovered(LOOP)
                    self._asking = False
                    while self._held():
                        await anyio.sleep(LEADER_SECONDS)
                    tasks.cancel_scope.cancel()
        finally:
            self.loops.clear()
            for reactor in self._reactors:
                self._problems.recovered(f"{LOOP}.{reactor.name}", None)

    async def look(self) -> None:
        """Read the open work of all reactors, in a thread because there may be much."""

        def work() -> dict[str, Mapping[str, int]]:
            with closing(self._open_reader()) as log:
                return {reactor.name: reactor.open(log) for reactor in self._reactors}

        for name, deadlines in (await to_thread.run_sync(work)).items():
            if name in self.loops:
                self.loops[name].opened(deadlines)

    def _held(self) -> bool:
        try:
            return self._latch.held
        except OSError as error:
            self._problems.report(LOOP, error)
            self._latch.release()
            return False

    def close(self) -> None:
        """Stop leading, so that another process can."""
        self.loops.clear()
        self._latch.release()
