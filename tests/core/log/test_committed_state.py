"""Tests of the cache of committed states: its bound in bytes."""

from athena_core.domain import directive
from athena_core.log.committed_state import CachedState, StateCache


def entry(size: int) -> CachedState:
    return CachedState(directive.DECIDER, None, version=1, size=size)


def kept(cache: StateCache) -> list[str]:
    return [stream for stream in "abcd" if cache.get(stream) is not None]


def test_the_cache_holds_exactly_its_bytes_also_after_it_was_cleared() -> None:
    cache = StateCache(limit=30)
    for _ in range(2):
        for stream in "abc":
            cache.put(stream, entry(10))
        assert kept(cache) == ["a", "b", "c"]
        cache.put("d", entry(10))
        assert kept(cache) == ["b", "c", "d"]
        cache.drop("b")
        cache.put("a", entry(10))
        assert kept(cache) == ["a", "c", "d"]
        cache.clear()
        assert kept(cache) == []
