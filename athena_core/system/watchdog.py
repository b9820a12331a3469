"""The watchdog: measures blocks of the event loop and names the code that caused them."""

import asyncio
import logging
import selectors
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappush, heappushpop
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

BLOCK_SECONDS = 0.02
"""A block of at least this length is counted."""
LOG_SECONDS = 0.5
"""A block of at least this length is logged."""
PROBE_SECONDS = 0.01
"""Time between two probes. This much of a block may be missed."""
IDLE_PROBES, IDLE_SECONDS = 100, 0.05
"""After this many looks at a loop that was waiting, the time between two looks, until it is seen running again."""
WINDOW_SECONDS = 60.0
CLOSE_SECONDS = 1.0
LONGEST = 5
OPERATIONS_MAX = 200
OTHER = "other"

HOME = Path(__file__).resolve().parents[2]
ROOTS = tuple(str(HOME / name) + "/" for name in ("athena_core", "projections", "athena_api", "athena_cli"))

SELECT = selectors.DefaultSelector.select.__code__
"""The code in which asyncio's event loop waits. uvloop has no frame for it."""

_log = logging.getLogger(__name__)


class LoopBlock(NamedTuple):
    """A block of the event loop."""

    seconds: float
    cpu_seconds: float
    """CPU time of the loop's thread; much less than ``seconds`` if it waited for a disk or for the machine."""
    operation: str
    place: str
    """The innermost line of Athena's code, 20 ms after the probe."""


class Watchdog:
    """A thread that looks at the event loop 100 times a second, or 20 while it is idle, and probes one that runs.

    A loop that does not answer within ``BLOCK_SECONDS`` is blocked. The thread then reads the name of the running task
    or callback, so requests have no overhead. A waiting loop is not woken.
    """

    def __init__(
        self,
        *,
        probe_seconds: float = PROBE_SECONDS,
        block_seconds: float = BLOCK_SECONDS,
        log_seconds: float = LOG_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._probe_seconds = probe_seconds
        self._block_seconds = block_seconds
        self._log_seconds = log_seconds
        self._monotonic = monotonic
        self._sleep = sleep
        self.blocks = Counter[str]()
        """Blocks over ``BLOCK_SECONDS``, by operation."""
        self._longest: list[LoopBlock] = []
        self._windows = (0.0, 0.0)
        self._window_ends = 0.0
        self._answered_at = self._answered_cpu = 0.0
        self._unanswered = threading.Lock()
        """Held from a probe to its answer. Cheaper than an Event, which is written in Python."""
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = self._cpu_clock = 0
        self._base: FrameType | None = None
        """The frame that runs the loop."""

    def start(self) -> None:
        """Watch the running loop until ``close``."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._cpu_clock = time.pthread_getcpuclockid(self._thread_id)
        threading.Thread(target=self._run, name="athena-watchdog", daemon=True).start()

    def close(self) -> None:
        self._closed = True

    @property
    def longest(self) -> list[LoopBlock]:
        """The five longest blocks since the start, longest first."""
        return sorted(self._longest, reverse=True)

    def recent_seconds(self) -> float:
        """Return the longest block of the last one to two minutes, 0 if there was none."""
        self._turn(self._monotonic())
        return max(self._windows)

    def _turn(self, now: float) -> None:
        """Start a new window if the last one is over."""
        if now >= self._window_ends:
            recent = now - self._window_ends < WINDOW_SECONDS
            self._windows = (self._windows[1] if recent else 0.0, 0.0)
            self._window_ends = now + WINDOW_SECONDS

    def _run(self) -> None:
        idle = 0
        while not self._closed:
            self._sleep(self._probe_seconds if idle < IDLE_PROBES else IDLE_SECONDS)
            if self._waits():
                idle += 1
            else:
                idle = 0
                self._probe()

    def _waits(self) -> bool:
        """Return True if the loop waits: its thread is in the code that polls, or directly in the code that runs it."""
        frame = sys._current_frames().get(self._thread_id)
        return frame is not None and (frame is self._base or frame.f_code is SELECT)

    def _probe(self) -> None:
        """Probe the loop, and record a block if it does not answer."""
        assert self._loop is not None
        self._unanswered.acquire()
        try:
            began, cpu = time.monotonic(), time.clock_gettime(self._cpu_clock)
            self._loop.call_soon_threadsafe(self._answer)
        except (RuntimeError, OSError):  # the loop was closed, or its thread has ended
            self._closed = True
            return
        if not self._answered(self._block_seconds):
            operation, place = self._running()
            while not self._answered(CLOSE_SECONDS):
                if self._closed:
                    return
            self.note(LoopBlock(self._answered_at - began, self._answered_cpu - cpu, operation, place))

    def _answered(self, seconds: float) -> bool:
        """Wait for the answer, up to ``seconds``."""
        found = self._unanswered.acquire(timeout=seconds)
        if found:
            self._unanswered.release()
        return found

    def _answer(self) -> None:
        self._answered_at, self._answered_cpu = time.monotonic(), time.thread_time()
        self._base = sys._getframe().f_back
        self._unanswered.release()

    def note(self, block: LoopBlock) -> None:
        """Count a block and log it if it is long."""
        operation = block.operation if len(self.blocks) < OPERATIONS_MAX or block.operation in self.blocks else OTHER
        if block.seconds >= self._log_seconds:
            text = "event loop blocked for %.3f s (%.3f s of CPU) by %s at %s"
            _log.warning(text, block.seconds, block.cpu_seconds, operation, block.place)
        self.blocks[operation] += 1
        self._turn(self._monotonic())
        self._windows = (self._windows[0], max(self._windows[1], block.seconds))
        (heappush if len(self._longest) < LONGEST else heappushpop)(self._longest, block)

    def _running(self) -> tuple[str, str]:
        """Return the running operation and the innermost line of Athena's code."""
        task = asyncio.current_task(self._loop)
        frame, ours = sys._current_frames().get(self._thread_id), list[FrameType]()
        while frame is not None and frame is not self._base:
            if frame.f_code.co_filename.startswith(ROOTS):
                ours.append(frame)
            frame = frame.f_back
        if not self._unanswered.locked():  # too late to know
            return OTHER, OTHER
        place = OTHER
        if ours:
            path = Path(ours[0].f_code.co_filename).relative_to(HOME)
            place = f"{path}:{ours[0].f_lineno}"
        return _name_of(task, ours), place


def name_operation(operation: str) -> None:
    """Name the running task after its operation."""
    task = asyncio.current_task()
    if task is not None:
        task.set_name(operation)


def _name_of(task: "asyncio.Task[Any] | None", ours: Sequence[FrameType]) -> str:
    """Return the operation of a task, else the outermost function of Athena's code, else the task's own name."""
    name = "" if task is None else task.get_name()
    if name.isidentifier() or name.startswith("/"):
        return name
    if ours:
        return ours[-1].f_code.co_qualname
    return OTHER if task is None else str(getattr(task.get_coro(), "__qualname__", OTHER))
