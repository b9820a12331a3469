"""The registry of places that keep text, and an eraser for each, so that erased text leaves every file."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

from anyio import to_thread

from athena_core.agents.homes import FOLDER, AgentHome, AgentHomes
from athena_core.clock import Clock
from athena_core.domain import plane, review
from athena_core.errors import AthenaError
from athena_core.event import Position, Value, says
from athena_core.log.codec import Codec
from athena_core.log.port import StoreReader
from athena_core.log.tools.backup import open_log_file
from athena_core.log.writer import Log
from athena_core.protocols import Generations, MemorySearch, Row
from athena_core.system.private_file import matching
from athena_core.system.problems import described
from athena_core.tools.workspace import MIRRORS

PAGE_ROWS = 500
RETRY_SECONDS = 0.05
AGAIN = "repeat the command once that has ended"
TURN = "turn"
"""The guard kind of sessions with an admitted run."""
REST_PARTS = 10
"""The pause after a pass over the files, as a multiple of its duration."""


class TextTrace(Value):
    """A place that may still hold erased text: why, and how to remove it."""

    place: Annotated[str, says("Where the text may remain.")]
    reason: Annotated[str, says("Why it may remain.")]
    remedy: Annotated[str, says("What to do.")]


class Erasure:
    """Removes erased text from the files of a state directory and the caches of this process."""

    def __init__(
        self,
        directory: Path,
        log: Log,
        generations: Generations,
        recall: MemorySearch,
        caches: Mapping[str, Callable[[], None]],
        clock: Clock,
        homes: AgentHomes,
        remove_workspaces: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect the parts; ``caches`` maps names in the registry to functions that empty caches of this process.

        ``remove_workspaces`` deletes the directories of cleaned workspaces on this machine.
        """
        self.homes = homes
        self._clock = clock
        self.directory = directory
        self.log = log
        self.generations = generations
        self.recall = recall
        self.caches = caches
        self.remove_workspaces = remove_workspaces
        self._lock = asyncio.Lock()
        self._asked = self._done = 0
        self._left: tuple[TextTrace, ...] = ()
        self._rests_until = 0.0
        self._clean: Position = 0
        """This process has seen that text erased up to here has left every file."""

    def forget(self, rows: Sequence[Row]) -> None:
        """Empty the caches of this process, because ``rows`` of any process erase text."""
        for empty in self.caches.values():
            empty()

    async def scrub(self, seconds: float, seen: Position) -> tuple[TextTrace, ...]:
        """Run every eraser at least once. Return the places that still hold text after ``seconds``.

        The views reflect erasures up to ``seen``. Concurrent callers share the next pass, which begins after all of
        them have erased, because a pass under way may have left a place already.

        A pass rewrites the views, so none is made if nothing was erased since the last clean one. A clean pass is
        followed by a pause of ten times its duration. So erasures slow other work down by a tenth at most.
        """
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._done < mine:
                if not await to_thread.run_sync(self._due):
                    return ()
                rest = max(self._rests_until - self._clock.monotonic(), 0.0)
                if rest > seconds:
                    reason = f"the files were just rewritten; the next time is possible in {rest:.0f} s"
                    return (TextTrace(place="views", reason=reason, remedy="repeat the command then"),)
                await asyncio.sleep(rest)
                begun, began = self._asked, self._clock.monotonic()
                self._left = await to_thread.run_sync(self._pass, seconds, seen)
                self._done = begun
                if not self._left:  # otherwise it already waited, and is retried
                    now = self._clock.monotonic()
                    self._rests_until = now + REST_PARTS * (now - began)
            return self._left

    def _due(self) -> bool:
        """Return True if something was erased since all files were clean."""
        with closing(self.log.reader()) as reader:
            head = reader.head()
            due = bool(reader.of_types((plane.PayloadRedacted.TYPE,), self._clean, head, 1))
        if not due:
            self._clean = head
        return due

    def _pass(self, seconds: float, seen: Position) -> tuple[TextTrace, ...]:
        left = tuple(self._run(seconds))
        if not left:
            self._clean = max(self._clean, seen)
        return left

    def _run(self, seconds: float) -> Iterator[TextTrace]:
        until = time.monotonic() + seconds
        for place in PLACES:
            if place.erase is not None:
                try:
                    yield from place.erase(self, max(until - time.monotonic(), 0.0))
                except (OSError, AthenaError) as error:
                    yield TextTrace(place=place.name, reason=str(error), remedy=AGAIN)
                except Exception as error:  # the erasure in the log stands, whatever a file still holds
                    yield TextTrace(place=place.name, reason=described(error), remedy=AGAIN)


# The erasers

Eraser: TypeAlias = Callable[[Erasure, float], Iterator[TextTrace]]


def _log(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    erasure.log.store.scrub(seconds)
    return iter(())


def _views(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    """Rewrite the serving generations; delete the others, unless one is being built."""
    generations = erasure.generations
    builder = generations.builder_lock()
    until = time.monotonic() + seconds
    while not (free := builder.acquire()) and time.monotonic() < until:
        time.sleep(RETRY_SECONDS)
    if free:
        try:
            for name in generations.leftovers():
                generations.remove(name, builder)
            with generations.scratch(builder):
                pass  # a killed process may have left files there; entering deletes them
        finally:
            builder.release()
    else:
        yield TextTrace(place="views", reason="a generation is being built", remedy=AGAIN)
    serving = {name for name in (generations.current(), generations.candidate()) if name is not None}
    for name in sorted(serving):
        if generations.identity(name) is not None:
            generations.scrub(name, seconds)


def _memory(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    erasure.recall.scrub(seconds)
    return iter(())


def _cache(name: str) -> Eraser:
    """Return the eraser of a cache in this process; other processes empty theirs as they follow the log."""

    def erase(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
        erasure.caches[name]()
        return iter(())

    return erase


def _reviews(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    """Delete the files of reviews whose text was erased."""
    with closing(erasure.log.reader()) as reader:
        for folder in matching(erasure.directory / review.FOLDER, "*"):
            rows = [*reader.stream(folder.name), *reader.stream(review.PREFIX + folder.name)]
            if any(row.text is None and row.text_hash is not None for row in rows):
                shutil.rmtree(folder)
    return iter(())


def _workspaces(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    """Delete cleaned workspaces. A workspace of erased text is cleaned with it."""
    erasure.remove_workspaces()
    return iter(())


def erased_homes(homes: AgentHomes, reader: StoreReader, codec: Codec) -> Iterator[AgentHome]:
    """Yield the homes on this machine that may hold text which was erased after they were made."""
    entries = list(homes.entries())
    position, head = min((home.position for home in entries), default=0), reader.head()
    erased: dict[str | None, Position] = {}
    while entries and (rows := reader.of_types((plane.PayloadRedacted.TYPE,), position, head, PAGE_ROWS)):
        for row in rows:
            event = codec.decode(row, text=False).event
            target = reader.row(event.target) if isinstance(event, plane.PayloadRedacted) else None
            if target is not None:
                erased[target.session_id] = row.position
        position = rows[-1].position
    yield from (home for home in entries if erased.get(home.session_id, 0) > home.position)


def _homes(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    """Delete the homes of agents whose session had text that was erased, unless a run of it is admitted."""
    erasure.homes.remove_rests()
    with closing(erasure.log.reader()) as reader:
        sessions = {session_id for _, session_id, _ in reader.guards(TURN)}
        for home in erased_homes(erasure.homes, reader, erasure.log.codec):
            if home.session_id in sessions:
                reason = f"a run of session {home.session_id} uses the home of its agent"
                yield TextTrace(place="agents", reason=reason, remedy=AGAIN)
            else:
                erasure.homes.remove(home.session_id)


def _copies(erasure: Erasure, seconds: float) -> Iterator[TextTrace]:
    """Find logs that ``athena restore`` set aside and that hold text erased since."""
    for path in (*matching(erasure.directory, "log-*.db"), *matching(erasure.directory, "*.part")):
        with closing(erasure.log.reader()) as reader:
            if _holds_erased(path, reader, erasure.log):
                yield TextTrace(place=path.name, reason="a copy of the log from before the erasure", remedy="delete it")


def _holds_erased(path: Path, reader: StoreReader, log: Log) -> bool:
    try:
        return _repeats(path, reader, log)
    except Exception:  # a damaged copy may hold the text
        return True


def _repeats(path: Path, reader: StoreReader, log: Log) -> bool:
    copy, _ = open_log_file(path)
    with closing(copy):
        position, head = 0, reader.head()
        while rows := reader.of_types((plane.PayloadRedacted.TYPE,), position, head, PAGE_ROWS):
            for row in rows:
                event = log.codec.decode(row).event
                assert isinstance(event, plane.PayloadRedacted)
                mine, other = reader.row(event.target), copy.row(event.target)
                if mine and other and other.text is not None and other.text_hash == mine.text_hash:
                    return True
            position = rows[-1].position
    return False


# The registry


class StoragePlace(NamedTuple):
    """Files of the state directory, by patterns of their paths; without an eraser they hold no text.

    A place without patterns is in the memory of processes.
    """

    name: str
    patterns: tuple[str, ...]
    erase: Eraser | None = None


PLACES = (
    StoragePlace(
        "log", ("log.db", "log.db-wal", "log.db-shm", "snapshots.db", "snapshots.db-wal", "snapshots.db-shm"), _log
    ),
    StoragePlace(
        "views", ("views/views-*.db", "views/views-*.db-wal", "views/views-*.db-shm", "views/scratch/*"), _views
    ),
    StoragePlace("memory", ("memory/index.sqlite", "memory/index.sqlite-wal", "memory/index.sqlite-shm"), _memory),
    StoragePlace("histories", (), _cache("histories")),
    StoragePlace("past", (), _cache("past")),
    StoragePlace("answers", (), _cache("answers")),
    StoragePlace("recent rows", (), _cache("recent rows")),
    StoragePlace("segments of the feed", (), _cache("segments of the feed")),
    StoragePlace("permission rules", (), _cache("permission rules")),
    StoragePlace("MCP servers", (), _cache("MCP servers")),
    StoragePlace("inputs of workflows", (), _cache("inputs of workflows")),
    StoragePlace("reviews", (f"{review.FOLDER}/*/*",), _reviews),
    StoragePlace("workspaces", ("workspaces/**/*",), _workspaces),
    StoragePlace("mirrors", (f"{MIRRORS}/**/*",)),
    StoragePlace("agents", (f"{FOLDER}/**/*",), _homes),
    StoragePlace("copies", ("log-*.db", "log-*.db-wal", "log-*.db-shm", "*.part"), _copies),
    StoragePlace("anchors", ("*.anchor", "*.anchor.*")),
    StoragePlace("locks", ("log.lock", "log.turnstile", "reactor.lock", "executors/*.lock", "views/*.lock")),
    StoragePlace(
        "pointers",
        tuple(f"views/{name}{suffix}" for name in ("current", "candidate", "damaged") for suffix in ("", ".new")),
    ),
    StoragePlace("contracts", ("api/contracts.v1.json",)),
    StoragePlace("settings of git", ("git-*/*",)),
)
"""Every kind of file in a state directory, and the caches of text. A test fails for any other file."""
