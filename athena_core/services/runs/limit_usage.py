"""The use of the limits of active runs: of all runs together, and of those with a key."""

from collections import Counter
from collections.abc import Iterator, Sequence

from athena_core.decider import Reader
from athena_core.domain import policy
from athena_core.services.runs.agent_room import AGENT_KEY, AgentMemory, agent_of
from athena_core.services.runs.refusals import ExceededLimit


class LimitUsage:
    """The use of limits by key while a transaction frees slots and takes others."""

    def __init__(
        self,
        reader: Reader,
        limits: policy.PolicyState,
        freed: Sequence[tuple[str | int, ...]] = (),
        memory: AgentMemory | None = None,
    ) -> None:
        """Begin with the guards of the slots that are ``freed``. ``memory`` limits the agents of this executor."""
        self._reader = reader
        self._limits = limits
        self._memory = memory
        self._change: Counter[str] = Counter()
        for _, *places in freed:
            self._change.subtract(map(str, places))

    def exceeded(self, places: Sequence[str | int]) -> Iterator[ExceededLimit]:
        """Yield the limits that leave no room for a run with these keys."""
        if not self._limits.limits:
            return
        for place in map(str, places):
            limit = self._limits.limit(place)
            if limit is None:
                continue
            active = self._active(place)
            if active >= limit.max:
                named = f"{limit.scope}:{place}" if limit.scope == "session" else place
                yield ExceededLimit("policy.limits", "key-limit-exceeded", limit.max, active, named, limit.strategy)

    def full(self, places: Sequence[str | int]) -> str | None:
        """Return the first of these keys whose limit, or memory, leaves no room; None if all have room."""
        for place in map(str, places) if self._limits.limits else ():
            limit = self._limits.limit(place)
            if limit is not None and self._active(place) >= limit.max:
                return place
        return None if self._memory is None or self._memory.fits(places) else f"{AGENT_KEY}{agent_of(places)}"

    def _active(self, place: str) -> int:
        return self._reader.count("slot", place) + self._change[place]

    def take(self, places: Sequence[str | int]) -> None:
        """Count one more run with these keys."""
        self._change.update(map(str, places))
        if self._memory is not None:
            self._memory.take(places)


def is_full(reader: Reader, limits: policy.PolicyState) -> bool:
    """Return True if the limit of all runs leaves no slot."""
    limit = limits.max_concurrent_runs
    return limit is not None and len(reader.guards("slot")) >= limit
