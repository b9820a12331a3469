"""The control plane as it was at a position: the same handlers read the log and the views up to there."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from athena_api.edge.replies import JSON_TYPE
from athena_api.endpoint.etag import ANY, MARK, unchanged, unmarked
from athena_api.endpoint.operation import ApiCall, Operation, Reply
from athena_api.plane import ControlPlane
from athena_api.streams.lines import Lines
from athena_core import __version__
from athena_core.clock import Clock, iso
from athena_core.errors import ConfigError
from athena_core.event import Position
from athena_core.log.port import BoundedReader, StoreReader
from athena_core.protocols import Connection, PublicCells, Row
from athena_core.values import PAGE_BYTES_MAX, Identity
from projections import feed
from projections.engine.past import erased_until

T = TypeVar("T")

NO_PAST = "has no past"


def as_of(plane: ControlPlane, operation: Operation[Any, Any], parameters: Mapping[str, str]) -> Position:
    """Return the position that ``asOf`` names. Raise ConfigError where it cannot be used."""
    if not operation.past:
        raise ConfigError.of("asOf", f"{operation.method} {operation.path} {NO_PAST}", "a request without asOf")
    for other in ("minPosition", "stale", "wait"):
        if other in parameters:
            raise ConfigError.of(other, "cannot be combined with asOf", f"a request without {other}")
    return feed.position_of(parameters["asOf"], plane.reader, "asOf")


async def answer_as_of(
    plane: ControlPlane, operation: Operation[Any, Any], call: ApiCall[Any, Any], who: Identity, known: bytes | None
) -> Reply:
    """Return what a read showed at its position, without what was erased since.

    It is 304 if the client has it by ``known``, the field ``If-None-Match``.
    """
    names, position = operation.reads or ("feed",), call.position
    await plane.caught_up(names, plane.reader.head())  # what was erased until now is erased there, too
    past = PastPlane.of(plane, position)
    headers = (("athena-as-of", iso(past.clock.now())),) if position else ()
    tag = _tag(plane, names, who, position)
    sent = "" if known is None else known.decode("latin-1").strip()
    if sent != ANY and unchanged(tags := unmarked(sent), tag):
        tag = tag if tags == sent else f'{tag[:-1]}{MARK}"'
        return Reply(data=b"", status=304, content_type=JSON_TYPE, position=position, headers=(*headers, ("etag", tag)))
    reply = await operation.handle(past, call)
    if not isinstance(reply.data, Lines):
        headers = (*headers, ("etag", tag))
    own = ((name, value) for name, value in reply.headers if name != "etag")
    return replace(reply, position=position, headers=(*own, *headers))


def _tag(plane: ControlPlane, names: tuple[str, ...], who: Identity, position: Position) -> str:
    """Return the ETag of an answer: it changes with an erasure, a release, and the caller with its rights.

    It is made before the read, so an answer from before an erasure never has the tag of one from after it.
    """
    erased_at, _ = plane.views_reader.query(names, erased_until)
    shape = zlib.crc32(repr((__version__, who.subject, who.role, who.scope)).encode())
    return f'"{position}-{erased_at}-{shape:08x}"'


class PastLog:
    """A reader of the log that ends at a position (``port.BoundedReader``). Reads of the present are not there."""

    def __init__(self, log: BoundedReader, position: Position) -> None:
        """Read through ``log``."""
        self._log = log
        self._position = position

    @property
    def log_id(self) -> str:
        """The id of the log, 16 hex digits."""
        return self._log.log_id

    def head(self) -> Position:
        return self._position

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return the rows with ``after < position <= until`` in order, at most ``limit``."""
        return self._log.rows(after, limit, self._until(until))

    def shown(
        self, after: Position, limit: int, until: Position | None = None, bytes_max: int = PAGE_BYTES_MAX
    ) -> Sequence[PublicCells]:
        """Return the public columns of these rows, at most ``bytes_max`` bytes; at least one row."""
        return self._log.shown(after, limit, self._until(until), bytes_max)

    def row(self, position: Position) -> Row | None:
        """Return one row, if it is there."""
        return self._log.row(position) if position <= self._position else None

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """Return the rows of one stream with ``after < version <= until``."""
        return self._before(self._log.stream(stream, after, until))

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """Return at most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""
        if backwards:  # the newest rows may all be later
            until = self._last(stream, after, until)
        return self._before(self._log.part(stream, after, until, limit, backwards=backwards))

    def session(self, session_id: str, before: Position, after: Position = 0) -> Iterator[Row]:
        """Yield the rows of one session with ``after < position < before``, newest first."""
        return self._log.session(session_id, min(before, self._position + 1), after)

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """Return the first rows of some types with ``after < position <= until``."""
        return self._log.of_types(types, after, min(until, self._position), limit)

    def close(self) -> None:
        self._log.close()

    def _until(self, until: Position | None) -> Position:
        return self._position if until is None else min(until, self._position)

    def _last(self, stream: str, after: int, until: int) -> int:
        """Return the last version of a stream at the position, with ``after <= version <= until``."""
        rows = self._log.part(stream, after, until, 1, backwards=True)
        until = rows[0].version if rows else after
        while after < until:
            middle = (after + until + 1) // 2
            found = self._log.part(stream, middle - 1, middle, 1, backwards=False)
            if self._before(found):
                after = middle
            else:
                until = middle - 1
        return after

    def _before(self, rows: list[Row]) -> list[Row]:
        return [row for row in rows if row.position <= self._position]


class StoppedClock:
    """The clock at a moment in the past (``clock.Clock``)."""

    def __init__(self, clock: Clock, now: int) -> None:
        """Stop at ``now``, in milliseconds since 1970 UTC."""
        self._clock = clock
        self._now = now
        self.boot_id = clock.boot_id

    @property
    def ahead(self) -> int:
        """Return how far the machine's clock is ahead now."""
        return self._clock.ahead

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        """Return the time of the running clock."""
        return self._clock.monotonic()

    def elapsed(self) -> float:
        """Return the time of the running clock."""
        return self._clock.elapsed()

    def accept(self, wall: int) -> None:
        """Raise TypeError: a read accepts no clock."""
        raise TypeError("A read of the past cannot accept the clock of the machine.")


class PastPlane(ControlPlane):
    """A control plane whose reads end at a position. Its handlers only read."""

    position: Position

    @classmethod
    def of(cls, plane: ControlPlane, position: Position) -> "PastPlane":
        """Return the plane as it was at a position. Its clock shows when the last event was recorded."""
        row = plane.reader.row(position)
        moment = StoppedClock(plane.clock, 0 if row is None else row.recorded_at)
        found = cls(*plane._replace(reader=PastLog(plane.reader, position), clock=moment))
        found.position = position
        return found

    async def reached(self, position: Position) -> None:
        """Return at once: the past is over."""

    async def caught_up(self, names: tuple[str, ...], position: Position) -> None:
        """Return at once: the caller has waited for the head."""

    async def query(self, names: tuple[str, ...], read: Callable[[Connection], T]) -> tuple[T, Position]:
        """Return the result of a read, which runs in a thread, and the position."""
        return await self.search(names, lambda rows, _: read(rows))

    async def read(
        self, names: tuple[str, ...], position: Position, read: Callable[[Connection], T]
    ) -> tuple[T, Position]:
        """Return the result of a read, and the position."""
        return await self.query(names, read)

    async def search(
        self, names: tuple[str, ...], read: Callable[[Connection, BoundedReader], T]
    ) -> tuple[T, Position]:
        """Return the result of a read of views and log, which runs in a thread, and the position."""

        def work() -> T:
            return self.past.query(self.position, names, lambda rows, log: read(rows, PastLog(log, self.position)))

        return await self.in_thread(work), self.position

    async def scan(self, read: Callable[[BoundedReader], T]) -> T:
        """Return the result of a read of the log, which runs in a thread."""
        return await super().scan_now(lambda log: read(PastLog(log, self.position)))

    async def scan_now(self, read: Callable[[StoreReader], T]) -> T:
        """Raise TypeError: these reads have no past."""
        raise TypeError("A read of the past cannot read the log of the present. Use scan.")
