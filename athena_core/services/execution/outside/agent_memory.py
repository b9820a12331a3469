"""The memory of outside agents, kept below its limit: measured, freed by parking runs, and given to runs that wait."""

from collections.abc import Callable, Collection, Mapping

from anyio import to_thread

from athena_core.agents.memory import tree_bytes
from athena_core.clock import Ids
from athena_core.decider import Context, Outcome, Reader
from athena_core.domain import policy
from athena_core.event import Meta
from athena_core.log.port import StoreReader
from athena_core.log.writer import Log
from athena_core.services.execution.outside.live_agents import LiveAgents
from athena_core.services.runs.admission import RunTransaction
from athena_core.services.runs.agent_room import agent_of
from athena_core.services.runs.prepared import ExecutorCapacity
from athena_core.services.runs.runs import LocalExecutor
from athena_core.system.timer import Timer

LOOP = "agents.memory"
LOOK_SECONDS = 2.0
"""Time between two looks at the memory."""


class AgentMemoryWatch:
    """Looks at the memory of the living agents of this executor."""

    def __init__(
        self,
        live: LiveAgents,
        log: Log,
        reader: StoreReader,
        executor: LocalExecutor,
        ids: Ids,
        measure: Callable[[Collection[int]], Mapping[int, int]] = tree_bytes,
    ) -> None:
        """``measure`` returns the memory of processes and their descendants by pid. It may block."""
        self._live = live
        self._log = log
        self._reader = reader
        self._executor = executor
        self._meta = Meta(actor="system:executor", correlation=ids.trace())
        self._measure = measure
        self.timer = Timer(LOOP, LOOK_SECONDS, self.look, log.problems)

    async def look(self) -> None:
        """Measure the agents. With a limit, park runs that wait for a person, and admit runs that wait for memory."""
        live = self._live
        if len(live):
            live.measured(await to_thread.run_sync(self._measure, {one.pid for one in live}))
        if live.bytes_max is None:
            return
        capacity = self._executor.capacity
        guards = self._guards()
        waiting = [keys for keys in _waiting(guards) if agent_of(keys) in live.room().names]
        live.make_room(wanted=bool(waiting))
        memory = capacity.memory(guards.__getitem__)
        if capacity.executor and any(memory.fits(keys) for keys in waiting):
            await self._log.submit(lambda reader, context: admit_freed(reader, context, capacity), self._meta)

    def _guards(self) -> dict[str, dict[str, tuple[str | int, ...]]]:
        """Return the runs that wait, have a slot, and have an executor."""
        kinds = ("waiting", "slot", "lease")
        found: dict[str, dict[str, tuple[str | int, ...]]] = {kind: {} for kind in kinds}
        for kind, key, value in self._reader.guards(*kinds):
            found[kind][key] = value
        return found


def _waiting(guards: Mapping[str, Mapping[str, tuple[str | int, ...]]]) -> list[tuple[str | int, ...]]:
    """Return the limit keys of the runs that wait in line, or for an executor."""
    unleased = [keys for run_id, keys in guards["slot"].items() if run_id not in guards["lease"]]
    return [*guards["waiting"].values(), *unleased]


def admit_freed(reader: Reader, context: Context, capacity: ExecutorCapacity) -> Outcome:
    """Admit the oldest waiting runs for which there is room."""
    transaction = RunTransaction(reader, context, capacity)
    transaction.admit_waiting(reader.state(policy.DECIDER, policy.STREAM))
    return Outcome(facts=tuple(transaction.facts))
