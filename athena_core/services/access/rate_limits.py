"""Rate limits: the requests of each identity, by a token bucket."""

from athena_core.clock import Clock
from athena_core.errors import RateLimited

IDENTITIES_MAX = 10_000


class RequestBucket:
    """The tokens of an identity, at a time of the monotonic clock."""

    __slots__ = ("at", "tokens")

    def __init__(self, at: float, tokens: float) -> None:
        self.at = at
        self.tokens = tokens


class RateLimits:
    """Allows a number of requests a second for each identity, and bursts of twice as many after a pause."""

    def __init__(self, clock: Clock, per_second: int | None) -> None:
        """Set the limit; None means no limit."""
        self._clock = clock
        self._per_second = per_second
        self._burst = 2.0 * (per_second or 0)
        self._buckets: dict[str, RequestBucket] = {}

    def take(self, subject: str) -> None:
        """Count a request. Raise RateLimited if this identity is over its limit."""
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
            limit = f"{self._per_second} requests per second for {subject}"
            raise RateLimited(f"Rate limit exceeded: {limit}. The request was not executed.")
        bucket.tokens = tokens - 1.0

    def _forget(self, now: float) -> None:
        """Drop the identities whose buckets are full again."""
        full_after = self._burst / (self._per_second or 1)
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if now - bucket.at < full_after}
