"""The updater of the views: it follows the log, builds new generations and switches to them, under the updater lock."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from athena_core.errors import NotCaughtUp
from athena_core.event import Position
from athena_core.protocols import Connection, DatabaseDamaged, LogReader
from athena_core.system.problems import Problems
from projections.engine import generation
from projections.engine.projection import Projection
from projections.engine.projector import PAGE_EVENTS_MAX, Projector
from projections.engine.views import DAMAGED, Views

LOCK_SECONDS = 1.0
CHECK_SECONDS = 0.25
HURRY_SECONDS = 0.01
GATHER_SECONDS = 0.25
"""Longest wait for more commits while no reader waits. A page of 1,800 events costs 0.76 of pages of 400."""
RETIRE_SECONDS = 60.0
TROUBLE_SECONDS = 1.0
REST_SECONDS_MIN = 60.0
REST_SECONDS_MAX = 3_600.0
"""Maximum rest between two replacements of damaged generations. The rest doubles if the next one is damaged soon."""

BACKGROUND_EVENTS_MAX = 1_000
FAR: Position = 2**62


class Rest(NamedTuple):
    """A rest until the log reaches a position, at most for some seconds."""

    position: Position
    seconds: float


class ViewsLost(NotCaughtUp):
    """The current generation was moved, deleted, replaced or damaged."""


LOOP = "views"
JOIN_SECONDS = 5.0


class ViewUpdater:
    """Keeps the views up to date, one page per turn: the current generation first, then the next one.

    ``run`` is the loop of a thread, and ``step`` its body. ``alone`` returns True if no other process reads these
    views. Only then, and if no reader is waiting, commits are batched.
    """

    def __init__(self, views: Views, alone: Callable[[], bool], problems: Problems) -> None:
        self._views = views
        self._problems = problems
        self._generations = views.generations
        self._alone = alone
        self._lock = views.generations.updater_lock()
        self._builder = views.generations.builder_lock()
        self._log: LogReader | None = None
        self._name: str | None = None
        self._identity: object = None
        self._live: Projector | None = None
        self._next_name: str | None = None
        self._next: Projector | None = None
        self._stale = False
        self._lost = False
        """True if the current generation must be replaced, whatever is in its place now."""
        self._condemned = False
        """True if the current generation is damaged, so that another one is built beside it."""
        self._rest_seconds = REST_SECONDS_MIN
        self._rests_until = 0.0
        self._check_at = 0.0
        self._retired: dict[str, float] = {}

    def run(self, stop: threading.Event) -> None:
        """Update the views until ``stop`` is set (then nudge the log's signal)."""
        views = self._views
        try:
            while not stop.is_set():
                rest = self.step()
                if rest is None:
                    continue
                if views.failure is not None:
                    stop.wait(rest.seconds)
                    continue
                views.log_signal.wait_in_thread(rest.position, HURRY_SECONDS if views.hurry.is_set() else rest.seconds)
                if rest.position != FAR and self._alone():
                    views.hurry.wait(GATHER_SECONDS)  # for more commits
        finally:
            self.close()

    def step(self) -> Rest | None:
        """Take the lock, or do one turn with it. Return the rest before the next step; None if there may be more.

        While the database fails (a full disk), readers get the error and the lock is free. The updater tries again each
        second.
        """
        seen = self._views.log_signal.position
        try:
            updating = self.start()
            more = updating and self.turn()
        except Exception as failure:
            error = self._rebuilding(failure) if isinstance(failure, DatabaseDamaged) else failure
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            # answers quote it, so it must not contain a path
            self._views.failure = f"{type(error).__name__}: {reason}"
            self._problems.report(LOOP, error)
            self.close()
            return Rest(FAR, TROUBLE_SECONDS)
        self._views.failure = None  # the updates succeed again, or another process does them
        if not self._condemned:
            self._problems.recovered(LOOP)
        if not updating:
            return Rest(FAR, LOCK_SECONDS)
        return None if more else Rest(seen + 1, CHECK_SECONDS)

    def start(self) -> bool:
        """Take the lock if it is free, and open the current generation or create the first. Return True if held."""
        if self._lock.held:
            return True
        if not self._lock.acquire():
            return False
        self._log = self._views.logs()
        self._name = None if self._lost else self._generations.current()
        if self._name is None:
            self._stale = True
            self._begin_next()
            if self._next is not None:
                self._switch()
        else:
            self._open(self._name)
        due = self._views.clock.monotonic() + RETIRE_SECONDS
        if self._builder.acquire():
            self._retired = {name: due for name in self._generations.leftovers()}
            self._builder.release()
        self._views.updated_here = True
        return True

    def _open(self, name: str) -> None:
        """Continue with the current generation if it fits this log and these projections."""
        projector = self._open_projector(name)
        self._identity = self._generations.identity(name)
        if projector is None:
            self._stale = True
            return
        self._stale = not projector.fits()
        if self._stale:
            projector = self._projector_over(projector.connection, projector.fitting())
        self._live = projector
        self._views.signal.advance(projector.position)

    def _open_projector(self, name: str) -> Projector | None:
        """Return a projector of a generation, or None if it belongs to another log."""
        connection = self._generations.write(name, self._lock)
        try:
            ours = generation.is_of(connection, self._reader())
        except DatabaseDamaged:
            ours = False
        if not ours:
            connection.close()
            return None
        return self._projector_over(connection, self._views.projections)

    def _projector_over(self, connection: Connection, projections: tuple[Projection, ...]) -> Projector:
        views = self._views
        return Projector(connection, projections, self._reader(), views.decode, views.clock)

    def _reader(self) -> LogReader:
        assert self._log is not None
        return self._log

    def turn(self) -> bool:
        """Do pending work, at most a page of each generation. Return True if there may be more."""
        moved = False
        if self._live is not None and (position := self._live.step()) is not None:
            self._views.signal.advance(position)
            moved = True
        self._check()
        if self._stale and self._next is None:
            self._begin_next()
        if self._next is not None:
            head = self._reader().head()  # a fixed target: writers may move the head faster than it can be reached
            position = self._next.step()
            moved |= position is not None
            if (position is None or position >= head) and self._next.covers(self._live):
                self._switch()
                moved = True
        return moved

    def _check(self) -> None:
        """From time to time, check the current generation, delete retired ones and switch to a candidate.

        Raise ViewsLost if the current generation is gone.
        """
        now = self._views.clock.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + CHECK_SECONDS
        self._check_place()
        self._check_condemned()
        for name in [name for name, due in self._retired.items() if due <= now]:
            self._generations.remove(name, self._lock)
            del self._retired[name]
        candidate = self._generations.candidate()
        if candidate is None or candidate == self._next_name:
            return
        if candidate == self._name:
            self._generations.withdraw(self._lock)
            return
        projector = self._open_projector(candidate)
        if projector is None or not projector.fits():
            if projector is not None:
                projector.connection.close()
            self._generations.withdraw(self._lock)
            return
        self._drop_next()
        self._take_next(candidate, projector)

    def _check_place(self) -> None:
        """Raise ViewsLost if the current generation is not the one that was opened.

        Writes and reads through the open file would still succeed, and hide the loss. The next generation is built even
        if another file is in its place, because that may be of any age.
        """
        name, generations = self._name, self._generations
        if name is None or (generations.current() == name and generations.identity(name) == self._identity):
            return
        self._lost = True
        raise ViewsLost(f"{name} was moved, deleted or replaced while in use; the views are being rebuilt")

    def _check_condemned(self) -> None:
        """Build a generation beside one that a reader of any process found damaged. Its intact part still serves.

        A fault of the disk or of this program would damage the next one, too, so there is a rest between two of them.
        """
        if self._stale or self._name is None or self._generations.condemned() != self._name:
            return
        if not self._condemned:
            self._condemned = True
            self._problems.report(LOOP, ViewsLost(DAMAGED.format(name=self._name)))
        self._stale = self._views.clock.monotonic() >= self._rests_until

    def _rebuilding(self, error: Exception) -> "ViewsLost":
        """Schedule a new generation, because the current one is damaged or gone. Return the error to report."""
        self._lost = True
        return ViewsLost(f"{self._name} cannot be used: {error}; the views are being rebuilt")

    def _begin_next(self) -> None:
        """Start to build a generation, unless another process is building one."""
        if not self._builder.acquire():
            return
        for name in self._generations.leftovers():
            if name not in self._retired:
                self._generations.remove(name, self._lock)
        name = self._generations.fresh()
        connection = self._generations.write(name, self._lock)
        projections = self._views.projections
        generation.create(connection, projections, self._reader().log_id, self._views.clock.now())
        self._take_next(name, self._projector_over(connection, projections))

    def _take_next(self, name: str, projector: Projector) -> None:
        projector.page_events_max = BACKGROUND_EVENTS_MAX
        self._next_name, self._next = name, projector

    def _drop_next(self) -> None:
        if self._next is not None and self._next_name is not None:
            self._next.connection.close()
            with suppress(Exception):  # whatever the error is: the next build removes it
                if self._next_name != self._generations.candidate():
                    self._generations.remove(self._next_name, self._lock)
            self._builder.release()
        self._next_name, self._next = None, None

    def _switch(self) -> None:
        """Make the next generation current. The old one is deleted once no reader can be opening it."""
        assert self._next is not None and self._next_name is not None
        if self._live is not None:
            self._live.connection.close()
        self._generations.switch(self._next_name, self._lock)
        if self._name is not None:
            self._retired[self._name] = self._views.clock.monotonic() + RETIRE_SECONDS
        self._name, self._live, self._stale = self._next_name, self._next, False
        self._identity = self._generations.identity(self._name)
        if self._condemned:
            self._begin_rest()
        self._lost = self._condemned = False
        self._live.page_events_max = PAGE_EVENTS_MAX
        self._next_name, self._next = None, None
        self._builder.release()
        self._views.signal.advance(self._live.position)

    def _begin_rest(self) -> None:
        """Start a rest, twice as long as the last one if that ended recently."""
        now = self._views.clock.monotonic()
        soon = now < self._rests_until + REST_SECONDS_MAX and self._rests_until > 0
        self._rest_seconds = min(2 * self._rest_seconds, REST_SECONDS_MAX) if soon else REST_SECONDS_MIN
        self._rests_until = now + self._rest_seconds

    def close(self) -> None:
        """Close everything and let another process take over."""
        self._views.updated_here = False
        self._drop_next()
        if self._live is not None:
            self._live.connection.close()
        if self._log is not None:
            self._log.close()
        self._live, self._log, self._name, self._stale, self._condemned = None, None, None, False, False
        self._builder.release()
        self._lock.release()


@contextmanager
def in_thread(updater: ViewUpdater, nudge: Callable[[], None]) -> Iterator[None]:
    """Update the views in a thread of their own. ``nudge`` wakes those that wait for the log."""
    stop = threading.Event()
    thread = threading.Thread(target=updater.run, args=(stop,), name="athena-view-updater", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        nudge()
        thread.join(JOIN_SECONDS)
