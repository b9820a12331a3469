"""Threads of a log: the writer, which commits, and the watcher, which checks what writes do not reveal."""

import threading
from queue import Empty, SimpleQueue
from typing import Protocol

WATCH_SECONDS = 0.5


class Turns(Protocol):
    """The steps of a log, for one writer and one watcher."""

    @property
    def idle_seconds(self) -> float:
        """The time after which the writer takes an idle turn."""

    def turn(self, *, idle: bool) -> bool:
        """Commit what waits, or check whether writes work. Return True while turns are wanted."""

    def watch(self) -> bool:
        """Check the store and write the anchor. Return True while this is wanted."""


class LogDriver(Protocol):
    """Takes the turns of a log."""

    @property
    def is_writer(self) -> bool:
        """True in the writer, and for every thread before the start."""

    def start(self, log: Turns) -> None:
        """Take turns from now on."""

    def wake(self) -> None:
        """Take a turn soon. Safe from any thread."""

    def rest(self, seconds: float) -> bool:
        """Let the writer wait. Return True if the log is closing."""

    def close(self) -> None:
        """Let the writer take its last turns, and return after them."""


class WriterThreads:
    """Takes the turns in two threads of their own."""

    def __init__(self) -> None:
        self._ready: SimpleQueue[None] = SimpleQueue()
        self._closed = threading.Event()
        self._threads: tuple[threading.Thread, ...] = ()

    @property
    def is_writer(self) -> bool:
        """True in the writer's thread, and in every thread before the start."""
        return not self._threads or self._threads[0].ident == threading.get_ident()

    def start(self, log: Turns) -> None:
        self._threads = (
            threading.Thread(target=self._write, args=(log,), name="athena-writer", daemon=True),
            threading.Thread(target=self._watch, args=(log,), name="athena-keeper", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Wake the writer, unless it was woken already."""
        if self._ready.empty():  # the writer empties it before it reads the queue
            self._ready.put(None)

    def rest(self, seconds: float) -> bool:
        """Wait. Return True as soon as the log is closing."""
        return self._closed.wait(seconds)

    def close(self) -> None:
        """Wake both threads, and wait for their ends."""
        self._ready.put(None)
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _write(self, log: Turns) -> None:
        idle = False
        while log.turn(idle=idle):
            try:
                self._ready.get(timeout=log.idle_seconds)
                idle = False
            except Empty:
                idle = True

    def _watch(self, log: Turns) -> None:
        while not self._closed.wait(WATCH_SECONDS) and log.watch():
            pass
