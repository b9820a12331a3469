"""Problems: the failures of what runs beside the requests, logged and counted until each loop works again."""

import logging
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from athena_core.clock import Clock
from athena_core.errors import AthenaError
from athena_core.event import Value

LOOPS: Mapping[str, str] = {
    "anchors.send": "sends anchors of the log to the places that `ATHENA_ANCHOR_TO` names",
    "log.anchor": "writes the head of the log into a file, so that a cut tail is noticed",
    "log.checkpoint": "moves the WAL into the database file",
    "log.clock": "compares the machine's clock with the time that has passed",
    "log.format": "looks for a process of an older release, which would write as if the format had not risen",
    "log.keeper": "checks that the database file is in its place",
    "log.watch": "reads what other processes commit",
    "log.write": "writes the log; the server is not ready while this fails",
    "memory.index": "builds the index of the memory",
    "reactors": "starts the reactors in one process of all",
    "reactors.drains": "drains work queues and delivers messages",
    "reactors.redrives": "puts dead letters back into their queues",
    "reactors.reviews": "completes reviews",
    "reactors.schedules": "starts the runs of schedules and records how they ended",
    "reactors.workflows": "starts the steps of workflow runs",
    "refusals.flush": "records how many refused requests were not recorded one by one",
    "relay.receive": "receives the live text of other processes",
    "relay.send": "sends live text to other processes",
    "runner.claim": "leases runs that wait for an executor",
    "runner.run": "executes runs; a failure is a bug and ends a run with `INTERNAL_ERROR`; the next good run clears it",
    "runner.sweep": "looks for runs whose executor is lost, and writes the heartbeat",
    "runner.take-over": "takes such runs over, and cancels those that should have ended",
    "schedules.alarm": "wakes the schedules when they are due",
    "views": "follows the log and writes the views",
}
"""What each loop does, by its stable name; metrics show each of them from the start."""

KEYS_MAX = 1_000
"""How many failing keys of a loop are known apart."""

LINES_MAX = 1_000
"""How many kinds of failures are remembered as logged."""

LINE_SECONDS = 60.0
"""How far two log lines about the same failure of a loop are apart."""

MESSAGE_CHARS_MAX = 500

LOGGER = logging.getLogger("athena.background")


class Problem(Value):
    """A loop that fails now.

    ``since`` is the first failure in milliseconds since 1970 UTC, ``message`` the last one, ``count`` how many there
    were since then.
    """

    loop: str
    since: int
    message: str
    count: int


class FailingLoop:
    """The failures of one loop since it worked last, and the keys that fail."""

    __slots__ = ("count", "keys", "logged", "message", "since")

    def __init__(self, since: int) -> None:
        """Begin with no failure."""
        self.since = since
        self.message = ""
        self.count = 0
        self.keys: set[str] = set()
        self.logged = False


class Problems:
    """The failing loops of one process; safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        """Begin with no failure."""
        self._clock = clock
        self._lock = Lock()
        self._episodes: dict[str, FailingLoop] = {}
        self._totals = dict.fromkeys(LOOPS, 0)
        self._lines: OrderedDict[tuple[str, str], float] = OrderedDict()

    def report(self, loop: str, error: BaseException, key: str = "") -> None:
        """Record a failure of a loop, or of one key of it; log it at most once a minute for each kind.

        A retryable AthenaError names its own reason and is a warning. Everything else is logged with its traceback.
        """
        message = reason(error)
        with self._lock:
            self._totals[loop] = self._totals.get(loop, 0) + 1
            episode = self._episodes.get(loop)
            if episode is None:
                episode = self._episodes[loop] = FailingLoop(self._clock.now())
            if len(episode.keys) < KEYS_MAX:
                episode.keys.add(key)
            episode.message = message
            episode.count += 1
            count = episode.count
            due = self._due((loop, described(error)))
            episode.logged |= due
        if due and isinstance(error, AthenaError) and error.retryable:
            LOGGER.warning("%s failed (failure %d): %s", loop, count, message)
        elif due:
            LOGGER.error("%s failed (failure %d): %s", loop, count, message, exc_info=error)

    def _due(self, kind: tuple[str, str]) -> bool:
        """Return True if a failure of this kind is to be logged now."""
        now = self._clock.monotonic()
        if now - self._lines.get(kind, now - LINE_SECONDS) < LINE_SECONDS:
            return False
        self._lines[kind] = now
        self._lines.move_to_end(kind)
        if len(self._lines) > LINES_MAX:
            self._lines.popitem(last=False)
        return True

    def recovered(self, loop: str, key: str | None = "") -> None:
        """Record that a loop, or one key of it, works. Cheap while the loop does not fail.

        None stands for all keys of a loop that ended here, which is not logged.
        """
        if loop not in self._episodes:
            return
        with self._lock:
            episode = self._episodes.get(loop)
            if episode is None:
                return
            if key is None:
                episode.keys.clear()
            else:
                episode.keys.discard(key)
            if episode.keys:
                return
            del self._episodes[loop]
        if episode.logged and key is not None:
            LOGGER.warning("%s works again (failures: %d)", loop, episode.count)

    def failing(self) -> tuple[Problem, ...]:
        """Return the loops that fail now, by name."""
        with self._lock:
            return tuple(
                Problem(loop=loop, since=one.since, message=one.message, count=one.count)
                for loop, one in sorted(self._episodes.items())
            )

    def totals(self) -> Mapping[str, int]:
        """Return the number of failures of each loop since the process started."""
        with self._lock:
            return dict(self._totals)


def reason(error: BaseException) -> str:
    """Return the error in one line: code and message of ours, else its type and where it was raised."""
    if isinstance(error, AthenaError):
        said = f"{error.code}: {error.message}"
    elif isinstance(error, OSError):
        said = f"{described(error)}: {error.strerror}"
    else:
        said = described(error)
    return said[:MESSAGE_CHARS_MAX]


def described(error: BaseException) -> str:
    """Return the error's type and where it was raised; its own message may quote what a model wrote."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    places = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{place}"
