"""Limits of recorded refusals: repeated ones are only counted, so that they fill no disk and cost no commits."""

from collections.abc import Mapping

from athena_core.clock import Clock, Ids, iso
from athena_core.decider import record
from athena_core.domain import plane
from athena_core.errors import AthenaError, RateLimited
from athena_core.event import Meta
from athena_core.log.writer import Log
from athena_core.system.timer import Timer

WINDOW_SECONDS = 1.0
DAY_SECONDS = 86_400.0
IDENTITIES_MAX = 10_000
SUPPRESSED_MAX = 1_000
"""The most identities and operations that are counted separately until the next summary."""
SUMMARY_EVENTS_MAX = 10
SUMMARIES_BURST = 10
SUMMARY_SECONDS = 60.0
"""The interval of summaries while refusals continue, after a burst of one a second."""
EVERYBODY_ELSE = EVERYTHING_ELSE = "*"
LOOP = "refusals.flush"

CallerOperation = tuple[str, str]
"""An identity and an operation."""


class RefusalCount:
    """The refusals of an identity in one operation, in the current window."""

    __slots__ = ("refusals", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.refusals = 0


class TokenBucket:
    """A token bucket: tokens return at a constant rate, up to a burst."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, at: float, burst: float, per_second: float) -> None:
        self._at = at
        self._tokens = self._burst = burst
        self._per_second = per_second

    def has(self, at: float) -> bool:
        """Return True if a token is available."""
        return self._level(at) >= 1.0

    def take(self, at: float) -> None:
        """Take a token; the balance may become negative."""
        self._tokens, self._at = self._level(at) - 1.0, at

    def _level(self, at: float) -> float:
        return min(self._tokens + (at - self._at) * self._per_second, self._burst)


class RefusalLimits:
    """Bounds the cost of refusals, and records how many were suppressed.

    Only a number of refusals a second is processed for each identity and operation; further requests raise RateLimited.
    They are counted by operation, so a client that may not start another run can still cancel one.

    Only a number of refusals a day is recorded individually, for each identity and for all together. Further ones are
    answered as usual, and counted.

    Counts are recorded once a second at first, and once a minute while refusals continue, in at most ten events. A
    process that is killed loses the counts of the last minute.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        ids: Ids,
        refusals_max: int,
        per_day: int = 2_000,
        per_day_in_all: int = 20_000,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Process ``refusals_max`` refusals a second of each identity and operation; record up to the other limits.

        ``names`` are the names of operations in recorded counts, by operation id.
        """
        self._names = names or {}
        self._log = log
        self._clock = clock
        self._ids = ids
        self.timer = Timer(LOOP, WINDOW_SECONDS, self.tick, log.problems)
        self._refusals_max = refusals_max
        self._per_day = per_day
        now = clock.monotonic()
        self._identities: dict[str, TokenBucket] = {}
        self._all = TokenBucket(now, per_day_in_all, per_day_in_all / DAY_SECONDS)
        self._summaries = TokenBucket(now, SUMMARIES_BURST, 1 / SUMMARY_SECONDS)
        self._counts: dict[CallerOperation, RefusalCount] = {}
        self._suppressed: dict[CallerOperation, int] = {}
        self._since = 0

    def check(self, subject: str, operation: str) -> None:
        """Raise RateLimited if this identity was refused this operation too often within the last second."""
        if self._counts and self._stopped(subject, operation):
            self.suppress(subject, operation)
            limit = f"{self._refusals_max} refusals a second"
            why = f"Too many refused requests: {subject} had more than {limit} of {operation}."
            raise RateLimited(f"{why} The request was not executed.")

    def spares(self, subject: str, operation: str) -> bool:
        """Return True if one more refusal may be recorded individually; if not, count it."""
        if not self._stopped(subject, operation) and not self.exhausted(subject):
            return True
        self.suppress(subject, operation)
        return False

    def _stopped(self, subject: str, operation: str) -> bool:
        key = (subject, operation)
        count = self._counts.get(key)
        if count is None or count.refusals < self._refusals_max:
            return False
        if self._clock.monotonic() - count.since >= WINDOW_SECONDS:
            del self._counts[key]
            return False
        return True

    def exhausted(self, subject: str) -> bool:
        """Return True if no refusal of an identity may be recorded individually now."""
        if not self._identities:
            return False
        now = self._clock.monotonic()
        bucket = self._identities.get(subject)
        return not self._all.has(now) or (bucket is not None and not bucket.has(now))

    def suppress(self, subject: str, operation: str) -> None:
        """Count a request that is not recorded individually."""
        key = (subject, operation)
        if key not in self._suppressed and len(self._suppressed) >= SUPPRESSED_MAX:
            key = (EVERYBODY_ELSE, EVERYTHING_ELSE)
        if not self._suppressed:
            self._since = self._clock.now()
        self._suppressed[key] = self._suppressed.get(key, 0) + 1

    def refused(self, subject: str, operation: str, *, recorded: bool = True) -> None:
        """Count a refusal that was processed, and recorded individually or not."""
        now = self._clock.monotonic()
        count = self._counts.get((subject, operation))
        if count is None or now - count.since >= WINDOW_SECONDS:
            count = self._counts[subject, operation] = RefusalCount(now)
        count.refusals += 1
        if not recorded:
            self.suppress(subject, operation)
            return
        bucket = self._identities.pop(subject, None) or TokenBucket(now, self._per_day, self._per_day / DAY_SECONDS)
        self._identities[subject] = bucket  # the most recently refused identity is last
        if len(self._identities) > IDENTITIES_MAX:
            del self._identities[next(iter(self._identities))]
        bucket.take(now)
        self._all.take(now)

    async def tick(self) -> bool:
        """Drop windows that are over, and record the counts if a summary is due. Return True if none is left."""
        now = self._clock.monotonic()
        self._counts = {key: count for key, count in self._counts.items() if now - count.since < WINDOW_SECONDS}
        if self._suppressed and self._summaries.has(now):
            await self.flush()
            self._summaries.take(now)
        return not self._suppressed

    async def flush(self) -> None:
        """Record the suppressed counts; a count that cannot be recorded now is kept."""
        left, since, self._suppressed = _summary(self._suppressed), self._since, {}
        for key in list(left):
            subject, operation = key
            name = self._names.get(operation, operation)
            event = plane.RequestsSuppressed(count=left[key], subject=subject, operation=name, since=iso(since))
            try:
                await self._log.submit(record(plane.STREAM, event), Meta(actor=subject, correlation=self._ids.trace()))
            except AthenaError as error:
                self._log.problems.report(LOOP, error)
                break
            del left[key]
        for key, count in left.items():
            self._suppressed[key] = self._suppressed.get(key, 0) + count
            self._since = since


def _summary(suppressed: dict[CallerOperation, int]) -> dict[CallerOperation, int]:
    """Return the largest counts, and one sum for all others."""
    ranked = sorted(suppressed.items(), key=lambda item: item[1], reverse=True)
    if len(ranked) <= SUMMARY_EVENTS_MAX:
        return dict(ranked)
    summary, rest = dict(ranked[: SUMMARY_EVENTS_MAX - 1]), ranked[SUMMARY_EVENTS_MAX - 1 :]
    subjects, operations = ({key[place] for key, _ in rest} for place in (0, 1))
    subject = subjects.pop() if len(subjects) == 1 else EVERYBODY_ELSE
    operation = operations.pop() if len(operations) == 1 else EVERYTHING_ELSE
    summary[subject, operation] = summary.get((subject, operation), 0) + sum(count for _, count in rest)
    return summary
