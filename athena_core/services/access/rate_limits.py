"""Limits of rates: how many requests an identity may make, as a bucket of tokens for each."""

from athena_core.clock import Clock
from athena_core.errors import RateLimited

IDENTITIES_MAX = 10_000


class RequestBucket:
    """What an identity has left, at a moment of the monotonic clock."""

    __slots__ = ("at", "tokens")

    def __init__(self, at: float, tokens: float) -> None:
        """Begin full."""
        self.at = at
        self.tokens = tokens


class RateLimits:
    """Lets through so many requests a second of each identity, and twice as many at once after a pause."""

    def __init__(self, clock: Clock, per_second: int | None) -> None:
        """None limits nothing."""
        self._clock = clock
        self._per_second = per_second
        self._burst = 2.0 * (per_second or 0)
        self._buckets: dict[str, RequestBucket] = {}

    def take(self, subject: str) -> None:
        """Return, or raise RateLimited if this identity has asked too often just now."""
        if self._per_second is None:
            return
        now = self._clock.monotonic()
        bucket = self._buckets.get(subject)
        if bucket is None:
            if len(self._buckets) >= IDENTITIES_MAX:
                self._forget(now)
            bucket = self._buckets[subject] = RequestBucket(now, self._burst)
        tokens = min(bucket.tokens + (now - bucket.at) * self._per_second, self._burst)
        bucket.at = now
        if tokens < 1.0:
            bucket.tokens = tokens
            raise RateLimited(f"{subject} asks more often than {self._per_second} times a second; nothing was tried")
        bucket.tokens = tokens - 1.0

    def _forget(self, now: float) -> None:
        """Let go of those who have paused long enough to begin anew."""
        full_after = self._burst / (self._per_second or 1)
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket.at < full_after}
