"""Executors: which ones are alive, by the lock that each holds and the heartbeat beside it.

A lock is free once its process has ended, for any reason. A frozen process keeps its lock but its heartbeat stops. A
process that shuts down removes its registration.
"""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from athena_core.clock import Clock
from athena_core.domain.run import LossReason
from athena_core.event import Value
from athena_core.log.port import ABOUT_BYTES_MAX, FORMAT, ExecutorRegistry
from athena_core.system.problems import Problem

SWEEP_SECONDS = 0.5
FROZEN_SECONDS = 30.0
HEARTBEATS = 6
"""Heartbeats in the time after which an executor counts as frozen."""

MESSAGE_CHARS = (200, 100, 50, 20, 0)
"""The lengths to which the messages of problems are cut until the description of a process fits."""

UNSERVED_SECONDS = 300.0
"""How long a run waits for an executor that has its outside agent, while none has it. Then it fails."""

OLDER_RELEASE = (
    "an older release has this log open (process {pid} on {host}) and still writes the old format: stop it,"
    " then run 'athena verify'"
)

ProcessKind: TypeAlias = Literal["server", "worker", "command"]
"""The kind of a process: one that serves requests, one that only executes runs, or a command working alone."""


class ProcessInfo(Value):
    """A process's description of itself.

    ``concurrency`` is its run limit, 0 if it executes none. ``format`` is the log format that it writes; release 0.1
    does not write it. ``problems`` are the loops that were failing at the last heartbeat. ``agents`` are the outside
    agents that are registered; None if they are not known.
    """

    kind: ProcessKind
    host: str
    pid: int
    providers: tuple[str, ...]
    concurrency: int
    since: int
    format: int = 1
    problems: tuple[Problem, ...] = ()
    agents: tuple[str, ...] | None = None


def _encoded(about: ProcessInfo) -> bytes:
    """Encode a description in ``ABOUT_BYTES_MAX`` bytes, shortening the messages of its problems if necessary."""
    encoded = msgspec.json.encode(about)
    for chars in MESSAGE_CHARS:
        if len(encoded) <= ABOUT_BYTES_MAX:
            break
        problems = tuple(replace(problem, message=problem.message[:chars]) for problem in about.problems)
        encoded = msgspec.json.encode(replace(about, problems=problems))
    return encoded


class ProcessStatus(Value):
    """A process as other processes see it: its last heartbeat, and whether it is lost."""

    executor: str
    about: ProcessInfo
    counted_at: int
    lost: bool


class HeartbeatWatch:
    """The heartbeat counter of another executor: its value, and for how long it was seen unchanged."""

    def __init__(self, count: int, at: float) -> None:
        """Begin with a first look, at ``at`` seconds of this process's clock."""
        self.count = count
        self.looked_at = at
        self.still_seconds = 0.0


class Executors:
    """The executors of one log, as seen by one of them."""

    def __init__(self, registry: ExecutorRegistry, clock: Clock, frozen_seconds: float = FROZEN_SECONDS) -> None:
        """Begin as the executor of this registry."""
        self._registry = registry
        self.executor = registry.executor
        self._clock = clock
        self._frozen_seconds = frozen_seconds
        self._watched: dict[str, HeartbeatWatch] = {}
        self.others: frozenset[str] = frozenset()
        """The executors that took runs at the last look."""
        self._agents: frozenset[str] | None = frozenset()
        """The agents that they have; None if one of them has unknown ones."""
        self._missing: dict[str, float] = {}
        self.given_up: frozenset[str] = frozenset()
        """Outside agents that no executor had for too long, although runs wait for them."""
        self._count = 0
        self._counted_at = clock.monotonic()

    def beat(self, about: ProcessInfo) -> None:
        """Write a heartbeat with one's description, if it is time. Raise OSError if it cannot be written."""
        now = self._clock.monotonic()
        if now - self._counted_at >= self._frozen_seconds / HEARTBEATS:
            self._registry.beat(self._count + 1, _encoded(about))
            self._count += 1
            self._counted_at = now

    def loss(self, executor: str) -> LossReason | None:
        """Return how an executor lost its runs, None if it did not. Repeated calls also watch its heartbeat."""
        if executor == self.executor:
            return None
        seen = self._registry.heartbeat(executor)
        if seen is None:
            return "left"
        if seen.free:
            return "dead"
        return "frozen" if self._still(executor, seen.counter) >= self._frozen_seconds else None

    def _still(self, executor: str, count: int) -> float:
        """Return for how many seconds a counter was seen unchanged.

        Time in which this process was frozen hardly counts.
        """
        now = self._clock.monotonic()
        known = self._watched.get(executor)
        if known is None or known.count != count:
            known = self._watched[executor] = HeartbeatWatch(count, now)
        known.still_seconds += min(now - known.looked_at, 2 * SWEEP_SECONDS)
        known.looked_at = now
        return known.still_seconds

    def processes(self) -> list[ProcessStatus]:
        """Return the processes attached to the log, and lost ones whose runs were not taken over yet."""
        processes: list[ProcessStatus] = []
        for registered in self._registry.registered():
            with suppress(msgspec.MsgspecError):  # from a release with another format
                about = msgspec.json.decode(registered.about, type=ProcessInfo)
                processes.append(
                    ProcessStatus(
                        executor=registered.executor,
                        about=about,
                        counted_at=registered.counted_at,
                        lost=registered.free,
                    )
                )
        executing = [process for process in processes if process.about.concurrency and not process.lost]
        self.others = frozenset(process.executor for process in executing)
        known = [process.about.agents for process in executing if process.about.agents is not None]
        self._agents = frozenset(chain(*known)) if len(known) == len(executing) else None
        return processes

    def claim_rank(self, run_id: str) -> int:
        """Return how many of the executors at the last look come before this one for a run; see ``claim_rank``."""
        return claim_rank(run_id, self.executor, self.others)

    def look_for_agents(self, wanted: Iterable[str | None]) -> None:
        """Note which of the wanted agents no executor had at the last look; None is the loop, which all have."""
        agents = self._agents
        missing = {name for name in wanted if name is not None and agents is not None and name not in agents}
        now = self._clock.monotonic()
        self._missing = {name: self._missing.get(name, now) for name in missing}
        self.given_up = frozenset(name for name, since in self._missing.items() if now - since >= UNSERVED_SECONDS)

    @staticmethod
    def older_release(present: Iterable[ProcessStatus], written: int) -> str | None:
        """Return the problem with a process that writes an older format than is ``written``; None if there is none."""
        older = next((process.about for process in present if process.about.format < FORMAT and not process.lost), None)
        return None if older is None or written < FORMAT else OLDER_RELEASE.format(pid=older.pid, host=older.host)

    def tidy(self, leased: set[str]) -> None:
        """Forget executors that are dead and hold no runs."""
        self._registry.forget(leased)
        for executor in self._watched.keys() - leased:
            del self._watched[executor]

    def alone(self) -> bool:
        """Return True if no other process is attached to the log."""
        return self._registry.alone()

    def close(self) -> None:
        """Remove one's registration: runs that are still leased here may be taken over."""
        self._registry.leave()


def claim_rank(run_id: str, executor: str, executors: Iterable[str]) -> int:
    """Return how many executors come before this one for a run, in an order that all share and that differs by run.

    Without it, every idle executor would try to lease each unassigned run, under the one lock of the log.
    """
    own = _rank(run_id, executor)
    return sum(_rank(run_id, other) < own for other in executors)


def _rank(run_id: str, executor: str) -> bytes:
    return hashlib.blake2b(f"{run_id} {executor}".encode(), digest_size=8).digest()
