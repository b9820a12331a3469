"""The living processes of outside agents of this executor, and the memory that they and their tools take.

Until a process had time to start, it is counted with what its agent is expected to take. That is what the last process
took until it asked a person or was settled, or more if a living one takes more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from athena_core.clock import Clock
from athena_core.services.runs.agent_room import EXPECTED_BYTES, AgentRoom

SETTLED_SECONDS = 30.0
"""The age at which the memory of a process counts as it was measured."""
HELD_SECONDS_LEAST = 2.0
"""How long a run that asks a person keeps its process although other runs wait for memory."""


class HeldAsks(Protocol):
    """The open asks of a run whose process waits for the answers."""

    held_since: float | None
    """Since when nothing but the answers is waited for, in seconds of the monotonic clock; None if it is not so."""

    def park(self) -> None:
        """Park the run now, as if it had been held long enough."""


class LiveAgent:
    """A living process of an agent. ``asks`` are the ones of its run."""

    def __init__(self, agent: str, run_id: str, session_id: str, pid: int, asks: HeldAsks, clock: Clock) -> None:
        self.agent = agent
        self.run_id = run_id
        self.session_id = session_id
        self.pid = pid
        """The process above all others of the agent."""
        self.asks = asks
        self.since = clock.now()
        self.began = clock.monotonic()
        self.memory_bytes = 0
        """The memory at the last look; 0 before the first."""
        self.start_bytes = 0
        """The most memory at a look until it was settled."""
        self.started = False
        """True if it was measured once it had started: it asked a person, or was settled."""


class AgentLoad(NamedTuple):
    """The living processes of one agent, and their memory in bytes."""

    processes: int
    memory_bytes: int


class LiveAgents:
    """The living agents of this executor. Belongs to the event loop."""

    def __init__(self, clock: Clock, names: Callable[[], frozenset[str]], bytes_max: int | None) -> None:
        """``names`` returns the registered agents, ``bytes_max`` limits the memory of all processes."""
        self._clock = clock
        self._names = names
        self._bytes_max = bytes_max
        self._live: dict[str, LiveAgent] = {}
        self._expected: dict[str, int] = {}
        self._room = AgentRoom()
        self.refresh()

    @property
    def bytes_max(self) -> int | None:
        """The most bytes that the processes may take together; None without a limit."""
        return self._bytes_max

    def room(self) -> AgentRoom:
        """Return the room for further processes. It is the same object until something changes."""
        if self._room.names != self._names():
            self.refresh()
        return self._room

    def refresh(self) -> None:
        now = self._clock.monotonic()
        taken = {one.run_id: self._counted(one, now) for one in self._live.values()}
        room = AgentRoom(self._names(), self._bytes_max, taken, dict(self._expected))
        if room != self._room:
            self._room = room

    def __iter__(self) -> Iterator[LiveAgent]:
        """Yield the living agents, oldest first."""
        return iter(tuple(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    @contextmanager
    def living(self, agent: str, run_id: str, session_id: str, asks: HeldAsks, pid: int) -> Iterator[None]:
        """Count a process while the context is entered."""
        one = self._live[run_id] = LiveAgent(agent, run_id, session_id, pid, asks, self._clock)
        self.refresh()
        try:
            yield
        finally:
            if self._live.get(run_id) is one:
                del self._live[run_id]
            if one.started:
                self._expected[agent] = one.start_bytes
            self.refresh()

    def loads(self) -> Mapping[str, AgentLoad]:
        """Return the load of each registered or living agent."""
        names = self._names() | {one.agent for one in self._live.values()}
        return {name: _load(one for one in self._live.values() if one.agent == name) for name in sorted(names)}

    @property
    def memory_bytes(self) -> int:
        """The memory of all processes at the last look."""
        return sum(one.memory_bytes for one in self._live.values())

    def measured(self, sizes: Mapping[int, int]) -> None:
        """Take the memory of the processes, by pid."""
        now = self._clock.monotonic()
        for one in self._live.values():
            one.memory_bytes = sizes.get(one.pid, one.memory_bytes)
            settled, known = now - one.began >= SETTLED_SECONDS, self._expected.get(one.agent)
            one.started |= settled or one.asks.held_since is not None
            if not settled or not one.start_bytes:
                one.start_bytes = max(one.start_bytes, one.memory_bytes)
            if (settled and known is None) or (known is not None and one.start_bytes > known):
                self._expected[one.agent] = one.start_bytes
        self.refresh()

    def make_room(self, *, wanted: bool) -> list[str]:
        """Park runs that wait for a person, longest first, until the memory is below its limit. Return them.

        If it is below, and other runs wait for memory (``wanted``), park the run that has waited longest.
        """
        if self._bytes_max is None:
            return []
        now, over = self._clock.monotonic(), self.memory_bytes - self._bytes_max
        held = [(since, one) for one in self._live.values() if (since := one.asks.held_since) is not None]
        held.sort(key=lambda waiting: waiting[0])
        parked: list[str] = []
        for since, one in held:
            if over <= 0 and (not wanted or parked or now - since < HELD_SECONDS_LEAST):
                break
            one.asks.park()
            parked.append(one.run_id)
            over -= one.memory_bytes
        return parked

    def _counted(self, one: LiveAgent, now: float) -> int:
        """Return the memory of a process, or what it is expected to take while it is new."""
        if now - one.began >= SETTLED_SECONDS and one.memory_bytes:
            return one.memory_bytes
        return max(one.memory_bytes, self._expected.get(one.agent, EXPECTED_BYTES))


def _load(found: Iterable[LiveAgent]) -> AgentLoad:
    sizes = [one.memory_bytes for one in found]
    return AgentLoad(len(sizes), sum(sizes))
