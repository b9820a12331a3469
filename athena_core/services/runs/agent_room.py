"""The room for outside agents on an executor: which ones it has, and how much memory their processes may take."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

AGENT_KEY = "agent:"
"""The prefix of the keys by which the limit of an outside agent counts runs (``run.limit_keys``)."""
SHOWN_BYTES_MAX = 2_000
"""Maximum size of the names of agents in the description of a process."""
EXPECTED_BYTES = 512 << 20
"""The memory that a process of an agent is expected to take before one was measured."""


GuardsOf: TypeAlias = Callable[[str], Mapping[str, tuple[str | int, ...]]]
"""Returns the guards of a kind by their keys."""


class AgentRoom(NamedTuple):
    """The outside agents of an executor, and the memory of their processes in bytes. By default it is not limited.

    ``taken`` is the memory by run, ``expected`` the memory of a new process by agent.
    """

    names: frozenset[str] = frozenset()
    bytes_max: int | None = None
    taken: Mapping[str, int] = {}
    expected: Mapping[str, int] = {}

    @property
    def shown(self) -> tuple[str, ...] | None:
        """The names for the description of a process; None if they are too long for it."""
        names = tuple(sorted(self.names))
        return names if len(msgspec.json.encode(names)) <= SHOWN_BYTES_MAX else None


def agent_of(places: Sequence[str | int]) -> str | None:
    """Return the outside agent of a run with these limit keys; None if the loop executes it."""
    names = [place.removeprefix(AGENT_KEY) for place in map(str, places) if place.startswith(AGENT_KEY)]
    return names[0] if names else None


class AgentMemory:
    """The memory of an executor's agents while runs are leased.

    A leased run without a process is expected to start one. An executor without agents always has room for one.
    """

    def __init__(self, guards: GuardsOf, room: AgentRoom, executor: str, over: frozenset[str] = frozenset()) -> None:
        """``over`` are runs that have ended or paused meanwhile."""
        self._guards = guards
        self._room = room
        self._executor = executor
        self._over = over
        self._bytes: int | None = None

    def fits(self, places: Sequence[str | int]) -> bool:
        """Return True if the run with these keys needs none of these agents, or there is memory for one."""
        name, bytes_max = self._counted(places), self._room.bytes_max
        if name is None or bytes_max is None:
            return True
        if self._bytes is None:
            self._bytes = self._leased()
        return self._bytes == 0 or self._bytes + self._expected(name) <= bytes_max

    def take(self, places: Sequence[str | int]) -> None:
        """Count the process of one more run."""
        name = self._counted(places)
        if name is not None:
            self._bytes = (self._leased() if self._bytes is None else self._bytes) + self._expected(name)

    def _counted(self, places: Sequence[str | int]) -> str | None:
        """Return the agent of a run whose memory is limited here."""
        name = agent_of(places)
        return name if self._room.bytes_max is not None and name in self._room.names else None

    def _expected(self, name: str) -> int:
        return self._room.expected.get(name, EXPECTED_BYTES)

    def _leased(self) -> int:
        """Return the memory of the processes, and of those that leased runs will start."""
        found = sum(size for run_id, size in self._room.taken.items() if run_id not in self._over)
        slots = self._guards("slot")
        for run_id, (executor, *_) in self._guards("lease").items():
            if executor == self._executor and run_id not in self._room.taken and run_id not in self._over:
                name = agent_of(slots.get(run_id, ()))
                found += 0 if name is None else self._expected(name)
        return found
