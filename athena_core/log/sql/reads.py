"""Reads shared by readers and the writer, for both databases."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from athena_core.event import Position
from athena_core.log.port import KEY_CLOCK, StoredGuard
from athena_core.log.sql.statements import Statements
from athena_core.protocols import Envelope, Row, StreamRow, TouchedStream, row_of

POSITION_MAX = 2**62

_from_json = msgspec.json.Decoder(tuple[str | int, ...]).decode


class Reads:
    """Reads through one connection; the writer sees its own uncommitted rows."""

    _sql: ClassVar[Statements]
    _read: Callable[..., Iterable[tuple[Any, ...]]]
    """Runs a statement with its values and returns the rows."""

    @staticmethod
    def _list(values: Sequence[object]) -> object:
        """Return the statement value that represents a list."""
        raise NotImplementedError

    def rows(self, after: Position, limit: int, until: Position | None = None) -> list[Row]:
        """Return the rows with ``after < position <= until`` in order, at most ``limit``."""
        last = until if until is not None else POSITION_MAX
        return list(map(row_of, self._read(self._sql.page, (after, last, limit))))

    def stream(self, stream: str, after: int = 0, until: int | None = None) -> list[Row]:
        """Return the rows of one stream with ``after < version <= until``."""
        last = until if until is not None else POSITION_MAX
        return list(map(row_of, self._read(self._sql.stream, (stream, after, last))))

    def guards(self, *kinds: str) -> list[StoredGuard]:
        """Return the guard rows of these kinds, or all, oldest first."""
        rows = self._read(self._sql.guards_of, (self._list(kinds),)) if kinds else self._read(self._sql.guards)
        return [(kind, key, _from_json(value)) for kind, key, value in rows]

    def row(self, position: Position) -> Row | None:
        """Return one row, if it is there."""
        return next(map(row_of, self._read(self._sql.row, (position,))), None)

    def checkpoint(self, name: str) -> Position | None:
        """Return the checkpoint of a reactor or a foreign follower, if any."""
        found = list(self._read(self._sql.checkpoint, (name,)))
        return int(found[0][0]) if found else None

    def token_uses(self, token_ids: Sequence[str]) -> dict[str, int]:
        """Return the stored last uses of tokens, in milliseconds since 1970. Logs without a use lack the table."""
        if not token_ids or not list(self._read(self._sql.has_token_uses))[0][0]:
            return {}
        return {str(name): int(at) for name, at in self._read(self._sql.token_uses, (self._list(token_ids),))}

    def part(self, stream: str, after: int, until: int, limit: int, *, backwards: bool) -> list[Row]:
        """Return at most ``limit`` rows of one stream with ``after < version <= until``, from one end or the other."""
        statement = self._sql.part_backwards if backwards else self._sql.part
        return list(map(row_of, self._read(statement, (stream, after, until, limit))))

    def of_types(self, types: Sequence[str], after: Position, until: Position, limit: int) -> list[Row]:
        """Return the first rows of some types with ``after < position <= until``."""
        return list(map(row_of, self._read(self._sql.of_types, (after, until, self._list(types), limit))))

    def touched(
        self,
        after: Position,
        until: Position,
        begins: Sequence[str],
        ends: Sequence[str],
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> list[TouchedStream]:
        """Return the streams with rows in ``after < position <= until``, of these sessions and runs; None is all."""
        values = (self._list(begins), self._list(ends), after, until, *self._scope(sessions, runs))
        return [TouchedStream(*row) for row in self._read(self._sql.touched, values)]

    def part_touched(
        self,
        stream: str,
        first: int,
        last: int,
        begins: Sequence[str],
        ends: Sequence[str],
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> TouchedStream:
        """Return the same of the rows of one stream with ``first <= version <= last``, and read each of them."""
        values = (self._list(begins), self._list(ends), stream, first, last)
        ((*cells,),) = self._read(self._sql.part_touched, (*values, *self._scope(sessions, runs)))
        return TouchedStream(*cells)

    def latest(
        self,
        after: Position,
        until: Position,
        end: Position,
        limit: int,
        sessions: Collection[str] | None,
        runs: Collection[str] | None,
    ) -> list[StreamRow]:
        """Return the rows with ``after < position <= until`` that are the last of their streams up to ``end``.

        The newest comes first. Rows of other sessions and runs do not count; None is all.
        """
        scope = self._scope(sessions, runs)
        found = self._read(self._sql.latest, (after, until, *scope, end, *scope, end, limit))
        return [StreamRow(*row) for row in found]

    def firsts(self, positions: Sequence[Position], after: Position) -> dict[Position, StreamRow]:
        """Return, for each of some rows, the first row of its stream after a position.

        Reads as many rows of a stream as the logarithm of their number.
        """
        found = self._read(self._sql.firsts, (self._list(positions), after, after))
        return {int(position): StreamRow(*row) for position, *row in found}

    def _scope(self, sessions: Collection[str] | None, runs: Collection[str] | None) -> list[object]:
        """Return the values of the condition of a scope."""
        return [None if names is None else self._list(tuple(names)) for names in (sessions, sessions, runs, runs)]

    def turns(
        self, stream: str, after: int, until: int, types: Sequence[str], limit: int
    ) -> list[tuple[Position, str]]:
        """Return positions and types of the last rows of some types with ``after < version <= until``, newest first."""
        found = self._read(self._sql.turns, (stream, after, until, self._list(types), limit))
        return [(int(position), str(kind)) for position, kind in found]

    def envelopes(self, positions: Sequence[Position]) -> list[Envelope]:
        """Return the envelopes of events."""
        return [
            (int(row[0]), row[1], row[2], row[3], row[4], bytes(row[5]))
            for row in self._read(self._sql.envelopes, (self._list(positions),))
        ]

    def holding(self, words: bytes, after: Position, until: Position) -> list[tuple[Position, bool]]:
        """Find the rows with ``after < position <= until`` that hold some bytes; True if the public payload does."""
        found = self._read(self._sql.holding, (words, after, until))
        return [(int(position), bool(public)) for position, public in found]

    def last_version(self, stream: str) -> int | None:
        """Return the version of the last row of a stream."""
        ((version,),) = self._read(self._sql.last_version, (stream,))
        return version  # type: ignore[no-any-return]

    def key_stamp(self) -> str | None:
        """Return the stored stamp of the key clock."""
        return next((str(stamp) for (stamp,) in self._read(self._sql.meta, (KEY_CLOCK,))), None)
