"""The loop of simulations: virtual time on one thread, and processes that end or freeze between two callbacks."""

import asyncio
import contextvars
import functools
import heapq
import random
from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread

from athena_core.clock import ulid
from athena_core.log.writer_threads import Turns

T = TypeVar("T")

EPOCH_MS = 1_767_225_600_000
THREAD_SECONDS = 0.0005
"""The mean delay before a thread begins, and before its result arrives."""


class Deadlock(Exception):
    """Nothing is ready and no timer is set, so nothing can ever happen."""


class Process:
    """A simulated operating system process: its callbacks are dropped after its end, and held while it is frozen."""

    current: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.callbacks = 0
        self.crash_at = 0
        """Ends the process before the callback of this number; 0: never."""
        self.frozen_until = 0.0
        self.held: list[Any] = []
        self.context = contextvars.copy_context()
        self.context.run(Process.current.set, self)

    def crash(self) -> None:
        """End at once: nothing of the process runs again, not even what would clean up."""
        self.dead = True


class SimTask(asyncio.Task[T]):
    """A task whose hash is its number, so that sets of tasks have the same order in each process."""

    def __init__(self, coro: Any, *, loop: "SimLoop", **options: Any) -> None:
        self._hash = loop.number()
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._hash


class SimLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer, with all chance from one seed. Nothing in it may wait for a socket."""

    def __init__(self, seed: str) -> None:
        self._passed = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self.callbacks = 0
        self.chance = random.Random(f"{seed}:latency")
        self.graveyard: list[Any] = []
        """What ended processes left half done. It is never resumed and never closed."""
        super().__init__()
        self.set_task_factory(lambda _, coro, **options: SimTask(coro, loop=self, **options))

    def time(self) -> float:
        return self._passed

    def number(self) -> int:
        """Return a number that no timer or task has yet."""
        self._number += 1
        return self._number

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Do as the plain loop does, without its checks."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return self.call_at(self._passed + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """Set a timer. Timers of one moment ring in the order in which they were set."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self.number(), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: the timer is dropped when it is due."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """Run a function as a thread would: it happens at one moment, and its result arrives at a later one."""
        future = self.create_future()

        def work() -> None:
            result, error = None, None
            try:
                result = func(*args)
            except BaseException as raised:
                error = raised

            def deliver() -> None:
                if future.done():
                    return
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

            self.call_later(self.chance.expovariate(1 / THREAD_SECONDS), deliver)

        self.call_later(self.chance.expovariate(1 / THREAD_SECONDS), work)
        return future

    def let_go(self) -> None:
        """Close the files of the loop, and leave its tasks as they are."""
        self._close_self_pipe()  # type: ignore[attr-defined]
        self._selector.close()  # type: ignore[attr-defined]

    def _thaw(self, process: Process) -> None:
        held, process.held = process.held, []
        self._ready.extend(held)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined]
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise Deadlock
            self._passed = max(self._passed, timers[0][0])
        while timers and timers[0][0] <= self._passed + 1e-9:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(Process.current)
            if process is not None and not self._may_run(process, handle):
                continue
            self.callbacks += 1
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler({"message": f"a callback fails: {handle}", "exception": error})

    def _may_run(self, process: Process, handle: Any) -> bool:
        if process.dead:
            self.graveyard.append(handle)
            return False
        if process.frozen_until > self._passed:
            if not process.held:
                self.call_at(process.frozen_until, self._thaw, process, context=contextvars.Context())
            process.held.append(handle)
            return False
        process.callbacks += 1
        if process.callbacks == process.crash_at:
            process.crash()
            self.graveyard.append(handle)
            return False
        return True


async def run_in_loop(
    func: Callable[..., Any], *args: Any, abandon_on_cancel: bool = False, cancellable: Any = None, limiter: Any = None
) -> Any:
    """Stand for ``anyio.to_thread.run_sync``."""
    work = functools.partial(contextvars.copy_context().run, func, *args)
    if limiter is None:
        return await asyncio.get_running_loop().run_in_executor(None, work)
    async with limiter:
        return await asyncio.get_running_loop().run_in_executor(None, work)


def simulate_threads() -> None:
    """Let the work of all threads happen in the running loop, until this process ends."""
    anyio.to_thread.run_sync = run_in_loop  # type: ignore[assignment]


class LoopTurns:
    """Takes the turns of a log in the loop, each a little after it is wanted: a driver without threads."""

    is_writer = True

    def __init__(self, loop: SimLoop, seconds: float) -> None:
        """``seconds`` is the mean delay. Transactions that arrive meanwhile are one batch."""
        self._loop, self._seconds = loop, seconds
        self._log: Turns | None = None
        self._due = False

    def start(self, log: Turns) -> None:
        self._log = log

    def wake(self) -> None:
        if not self._due and self._log is not None:
            self._due = True
            self._loop.call_later(self._loop.chance.expovariate(1 / self._seconds), self._turn)

    def _turn(self) -> None:
        self._due = False
        assert self._log is not None
        self._log.turn(idle=False)

    def rest(self, seconds: float) -> bool:
        """Do not wait: the time stands still during a turn."""
        return True

    def close(self) -> None:
        self._turn()


class SimClock:
    """The clocks of a process: the time of the loop, and a date that may be set."""

    boot_id = "simulated"
    ahead = 0

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.set_by_ms = 0

    def now(self) -> int:
        return EPOCH_MS + int(self._loop.time() * 1000) + self.set_by_ms

    def monotonic(self) -> float:
        return self._loop.time()

    def elapsed(self) -> float:
        return self._loop.time()

    def accept(self, wall: int) -> None:
        """Do nothing, because every time that is set is accepted."""


class SimIds:
    """Ids, salts and jitter from one source of chance."""

    def __init__(self, seed: str, clock: SimClock) -> None:
        self._chance = random.Random(f"{seed}:ids")
        self._clock = clock

    def new(self, prefix: str) -> str:
        return f"{prefix}_{ulid(self._clock.now(), self._chance.getrandbits(80))}"

    def trace(self) -> str:
        digits = f"{self._chance.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"

    def salt(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def fraction(self) -> float:
        return self._chance.random()
