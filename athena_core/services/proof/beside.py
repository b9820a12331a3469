"""What stands beside the rows: commands that are whole, keys, guards and the description of the log."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from athena_core.clock import milliseconds
from athena_core.domain import run
from athena_core.event import Position
from athena_core.protocols import LogReader, Row, StoredKey
from athena_core.store.log import Guards
from athena_core.store.port import FORMAT

GuardRow = tuple[str, str, tuple[str | int, ...]]

_object = msgspec.json.Decoder(dict[str, Any]).decode


class Commands:
    """The commands in the order of their first events: the events of each are contiguous."""

    def __init__(self) -> None:
        """Before the first event."""
        self.starts = array("Q")
        self._hashes = array("Q")
        self._current = ""

    def see(self, row: Row) -> None:
        """Take an event in."""
        if row.command_id != self._current:
            self._current = row.command_id
            self.starts.append(row.position)
            short = hashlib.blake2b(row.command_id.encode(), digest_size=8).digest()
            self._hashes.append(int.from_bytes(short, "big"))

    def torn(self) -> list[Position]:
        """Where a command goes on after another one came between."""
        hashes = self._hashes
        order = sorted(range(len(hashes)), key=hashes.__getitem__)  # stable: equal ones stay in order
        pairs = zip(order, order[1:], strict=False)
        return sorted(self.starts[later] for earlier, later in pairs if hashes[earlier] == hashes[later])

    def end_of(self, start: Position, head: Position) -> Position | None:
        """The last position of the command that begins at a position, if one does."""
        index = bisect_left(self.starts, start)
        if index == len(self.starts) or self.starts[index] != start:
            return None
        return self.starts[index + 1] - 1 if index + 1 < len(self.starts) else head


def misbound(keys: Iterable[StoredKey], commands: Commands, head: Position, log: LogReader) -> Iterator[str]:
    """What is wrong with idempotency keys: each belongs to all events of one command in the log."""
    for key in keys:
        name = f"the key {key.key_hash.hex()[:12]}…"
        place = f"{name} names positions {key.first} to {key.last}"
        if not 0 <= key.first - 1 <= key.last or (key.last > head and key.last > log.head()):
            yield f"{place}, which the log does not hold"
        elif key.first <= key.last <= head and commands.end_of(key.first, head) != key.last:
            yield f"{place}, which are not one command"


def misguarded(stored: Iterable[GuardRow], folded: Guards, kinds: Collection[str]) -> Iterator[str]:
    """Where the guard rows differ from the fold of the log."""
    found = {(kind, key): value for kind, key, value in stored}
    expected = {(kind, key): value for kind in kinds for key, value in folded.of(kind).items()}
    _take_out_last_spent(found, expected)
    for kind, key in sorted(found.keys() | expected.keys()):
        if found.get((kind, key)) != expected.get((kind, key)):
            is_, due = found.get((kind, key)), expected.get((kind, key))
            yield f"the guard {kind} of {key} is {_shown(is_)} where the log says {_shown(due)}"


Values: TypeAlias = dict[tuple[str, str], tuple[str | int, ...]]


def _take_out_last_spent(found: Values, expected: Values) -> None:
    """Move the one ``spent`` row of release 0.1.0 to the days, and leave out the days before it: it had no others."""
    last = found.get(("spent", run.LAST_SPENT))
    if last is None or len(last) != 2:
        return
    day, spent = last
    for name in [name for name, value in expected.items() if name[0] == "spent" and str(value[0]) < str(day)]:
        del expected[name]
        found.pop(name, None)
    try:
        page = ("spent", run.page_of(milliseconds(str(day))))
    except ValueError:
        return
    due, since = expected.get(page), found.get(page, (day, 0))
    if due is not None and due[0] == day == since[0]:
        found[page] = (day, int(since[1]) + int(spent))
    if due is not None:  # of that day, or of one forty days later
        del found["spent", run.LAST_SPENT]


def _shown(value: tuple[str | int, ...] | None) -> str:
    return "absent" if value is None else str(list(value))


def misshapen(row: Row) -> Iterator[str]:
    """What is wrong with the JSON of an event of an unknown type, which the feed shows as it is."""
    for name, content in (("data", row.data), ("extra", row.extra)):
        try:
            if content is not None:
                _object(content)
        except RecursionError:
            yield f"{row.type}: {name} has JSON of too many levels"
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield f"{row.type}: {name}: {error}"


def misdescribed(meta: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the description of the log."""
    text = meta.get("format", "")
    if not text.isdigit() or not 1 <= int(text) <= FORMAT:
        yield f"the format is {text!r}; this release reads 1 to {FORMAT}"
    log_id = meta.get("log_id", "")
    if len(log_id) != 16 or not set(log_id) <= set("0123456789abcdef"):
        yield f"the log's id is {log_id!r}, not 16 hex digits"
