"""Executors: who is alive, by the lock that each holds and the heartbeat that it writes beside it.

A lock is free as soon as its process has ended, however that came; a process that stands still keeps its lock but
stops counting. A process that leaves in order takes its place with it.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.clock import Clock
from athena_core.domain.run import LossReason
from athena_core.event import Value
from athena_core.log.port import ABOUT_BYTES_MAX, ExecutorRegistry
from athena_core.system.problems import Problem

SWEEP_SECONDS = 0.5
FROZEN_SECONDS = 30.0
HEARTBEATS = 6
"""How often an executor counts in the time after which it would be taken for frozen."""

MESSAGE_CHARS = (200, 100, 50, 20, 0)
"""How many characters of a problem's message are kept where the description of a process is too long."""

ProcessKind: TypeAlias = Literal["server", "worker", "command"]
"""What a process is: one that answers requests, one that only executes runs, a command that works alone."""


class ProcessInfo(Value):
    """What a process says of itself.

    ``concurrency`` is how many runs it takes at a time, 0 where it takes none. ``format`` is that of the logs that it
    writes; release 0.1 says nothing of it. ``problems`` are the loops that failed at the last heartbeat.
    """

    kind: ProcessKind
    host: str
    pid: int
    providers: tuple[str, ...]
    concurrency: int
    since: int
    format: int = 1
    problems: tuple[Problem, ...] = ()


def _encoded(about: ProcessInfo) -> bytes:
    """Encode a description in ``ABOUT_BYTES_MAX`` bytes; the messages of its problems are cut where they are longer."""
    encoded = msgspec.json.encode(about)
    for chars in MESSAGE_CHARS:
        if len(encoded) <= ABOUT_BYTES_MAX:
            break
        problems = tuple(replace(problem, message=problem.message[:chars]) for problem in about.problems)
        encoded = msgspec.json.encode(replace(about, problems=problems))
    return encoded


class ProcessStatus(Value):
    """A process as others see it: when it gave the last sign of life, and whether it is lost."""

    executor: str
    about: ProcessInfo
    counted_at: int
    lost: bool


class HeartbeatWatch:
    """What is known of somebody else's counter: its value, and for how long it was seen unchanged."""

    def __init__(self, count: int, at: float) -> None:
        """It was looked at for the first time, at ``at`` seconds of our own clock."""
        self.count = count
        self.looked_at = at
        self.still_seconds = 0.0


class Executors:
    """The executors of one log, as one of them sees them."""

    def __init__(self, registry: ExecutorRegistry, clock: Clock, frozen_seconds: float = FROZEN_SECONDS) -> None:
        """Be the one that is attending."""
        self._registry = registry
        self.executor = registry.executor
        self._clock = clock
        self._frozen_seconds = frozen_seconds
        self._watched: dict[str, HeartbeatWatch] = {}
        self._count = 0
        self._counted_at = clock.monotonic()

    def beat(self, about: ProcessInfo) -> None:
        """Count, if it is time to, and write one's description. Raises OSError where it cannot be written."""
        now = self._clock.monotonic()
        if now - self._counted_at >= self._frozen_seconds / HEARTBEATS:
            self._registry.beat(self._count + 1, _encoded(about))
            self._count += 1
            self._counted_at = now

    def loss(self, executor: str) -> LossReason | None:
        """How an executor lost its runs, if it did; asked once in a while, this is also how its counter is watched."""
        if executor == self.executor:
            return None
        seen = self._registry.heartbeat(executor)
        if seen is None:
            return "left"
        if seen.free:
            return "dead"
        return "frozen" if self._still(executor, seen.counter) >= self._frozen_seconds else None

    def _still(self, executor: str, count: int) -> float:
        """For how many seconds a counter was seen unchanged; while we ourselves stood still, nobody looked."""
        now = self._clock.monotonic()
        known = self._watched.get(executor)
        if known is None or known.count != count:
            known = self._watched[executor] = HeartbeatWatch(count, now)
        known.still_seconds += min(now - known.looked_at, 2 * SWEEP_SECONDS)
        known.looked_at = now
        return known.still_seconds

    def processes(self) -> list[ProcessStatus]:
        """The processes that are attached to the log, and those that are lost and whose runs nobody has taken yet."""
        processes: list[ProcessStatus] = []
        for registered in self._registry.registered():
            with suppress(msgspec.MsgspecError):  # of a release that says something else
                about = msgspec.json.decode(registered.about, type=ProcessInfo)
                processes.append(
                    ProcessStatus(
                        executor=registered.executor,
                        about=about,
                        counted_at=registered.counted_at,
                        lost=registered.free,
                    )
                )
        return processes

    def tidy(self, leased: set[str]) -> None:
        """Forget executors that are dead and hold nothing."""
        self._registry.forget(leased)
        for executor in self._watched.keys() - leased:
            del self._watched[executor]

    def alone(self) -> bool:
        """Whether no other process is attached to the log."""
        return self._registry.alone()

    def close(self) -> None:
        """Leave in order: whatever is still leased here may be taken."""
        self._registry.leave()


def claim_rank(run_id: str, executor: str, executors: Iterable[str]) -> int:
    """Return how many executors come before one for a run, in an order that all know and that differs by run.

    Without it every idle executor tries each run for any of them, under the one lock of the log.
    """
    own = _rank(run_id, executor)
    return sum(_rank(run_id, other) < own for other in executors)


def _rank(run_id: str, executor: str) -> bytes:
    return hashlib.blake2b(f"{run_id} {executor}".encode(), digest_size=8).digest()
