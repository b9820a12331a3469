"""Problems: failures of background loops, logged and counted until each loop works again."""

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
    "agents": "reads the file of outside agents again on SIGHUP; the old agents stay in use",
    "agents.memory": "measures the memory of outside agents, and frees it for runs that wait",
    "anchors.send": "sends anchors of the log to the destinations in `ATHENA_ANCHOR_TO`",
    "authentication.flush": "records the number of failed authentications",
    "credentials": "reads the credentials file and its secrets; the last good ones stay in use",
    "log.anchor": "writes the head of the log to a file, so that a truncated log is noticed",
    "log.checkpoint": "moves the WAL into the database file",
    "log.clock": "compares the machine's clock with the time that has passed",
    "log.format": "detects a process of an older release, which would write the old format",
    "log.keeper": "checks that the database file was not moved or replaced",
    "log.pages": "reads and writes the pages of the log's database; a damaged one stays reported until a restart",
    "log.watch": "reads events that other processes commit",
    "log.write": "writes the log; the server is not ready while this fails",
    "mcp": "reads the file of MCP servers again on SIGHUP; the old servers stay in use",
    "memory.index": "updates the index of the memory",
    "reactors": "runs the reactors, in one of all processes",
    "reactors.asks": "expires asks and permission rules",
    "reactors.drains": "drains work queues and delivers messages",
    "reactors.redrives": "requeues dead letters",
    "reactors.reviews": "completes reviews",
    "reactors.schedules": "starts the runs of schedules and records how they ended",
    "reactors.workflows": "starts the steps of workflow runs",
    "reactors.workspaces": "cleans workspaces that were unused for too long",
    "refusals.flush": "records the number of refusals that were not recorded one by one",
    "relay.receive": "receives the live text of other processes",
    "relay.send": "sends live text to other processes",
    "runner.claim": "leases runs that wait for an executor",
    "runner.run": "executes runs; a failure is a bug and ends a run with `INTERNAL_ERROR`; the next good run clears it",
    "runner.sweep": "finds runs whose executor is lost, and writes the heartbeat",
    "runner.take-over": "takes over these runs, and cancels overdue ones",
    "tls.certificate": "reads the TLS certificate again on SIGHUP, and checks once an hour if it has expired",
    "tokens.uses": "records the last uses of tokens, and ends the streams of expired ones",
    "views": "follows the log and writes the views",
    "workspaces.removal": "removes the directories of cleaned workspaces",
}
"""The task of each loop by its stable name. Metrics show all of them from the start."""

KEYS_MAX = 1_000
"""Maximum number of failing keys that are tracked per loop."""

LINES_MAX = 1_000
"""Maximum number of kinds of failures whose last log time is kept."""

LINE_SECONDS = 60.0
"""Minimum time between two log lines about the same failure of a loop."""

MESSAGE_CHARS_MAX = 500

LOGGER = logging.getLogger("athena.background")


class Problem(Value):
    """A failing loop.

    ``since`` is the time of the first failure in milliseconds since 1970 UTC, ``message`` is about the last one, and
    ``count`` is the number of failures.
    """

    loop: str
    since: int
    message: str
    count: int


class FailingLoop:
    """The failures of one loop since it last worked, and its failing keys."""

    __slots__ = ("count", "keys", "logged", "message", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.message = ""
        self.count = 0
        self.keys: set[str] = set()
        self.logged = False


class Problems:
    """The failing loops of a process. Safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._episodes: dict[str, FailingLoop] = {}
        self._totals = dict.fromkeys(LOOPS, 0)
        self._lines: OrderedDict[tuple[str, str], float] = OrderedDict()

    def report(self, loop: str, error: BaseException, key: str = "") -> None:
        """Record a failure of a loop, or of one of its keys. Log it at most once a minute for each kind.

        A retryable AthenaError is logged as a warning without a traceback. Any other error is logged with its
        traceback.
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
        """Return True if a failure of this kind should be logged now."""
        now = self._clock.monotonic()
        if now - self._lines.get(kind, now - LINE_SECONDS) < LINE_SECONDS:
            return False
        self._lines[kind] = now
        self._lines.move_to_end(kind)
        if len(self._lines) > LINES_MAX:
            self._lines.popitem(last=False)
        return True

    def recovered(self, loop: str, key: str | None = "") -> None:
        """Record that a loop, or one of its keys, works. Cheap while the loop does not fail.

        None means all keys of a loop that ended in this process, which is not logged.
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
        """Return the failing loops by name."""
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
    """Return an error in one line: code and message of an AthenaError, else its type and location."""
    if isinstance(error, AthenaError):
        said = f"{error.code}: {error.message}"
    elif isinstance(error, OSError):
        said = f"{described(error)}: {error.strerror}"
    else:
        said = described(error)
    return said[:MESSAGE_CHARS_MAX]


def described(error: BaseException) -> str:
    """Return the exception's type and location; its message may quote model output."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    places = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(places[-1].filename).name}:{places[-1].lineno}" if places else ""
    return f"{type(error).__name__}{place}"
