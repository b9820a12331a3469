"""Checks of everything beside the rows: commands, idempotency keys, guards and the metadata of the log."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from athena_core.clock import milliseconds
from athena_core.domain import run
from athena_core.event import Position
from athena_core.log.guards import Guards
from athena_core.log.key_clock import KEPT_MS
from athena_core.log.port import FORMAT, KEY_CLOCK, MOVED_TO
from athena_core.protocols import LogReader, Row, StoredKey

PAGE_EVENTS = 1_000
KEYS_SHOWN = 5
META = frozenset({"log_id", "format", KEY_CLOCK, MOVED_TO, "executor", "generation"})
"""The names that describe a log; PostgreSQL adds two counters, of its processes and of view generations."""
META_CHARS = 80

ReadRows = Callable[[Position, int], list[Row]]
"""Return the rows after a position, at most this many."""

GuardRow = tuple[str, str, tuple[str | int, ...]]

_object = msgspec.json.Decoder(dict[str, Any]).decode


class CommandIndex:
    """The commands in the order of their first events; the events of each are contiguous."""

    def __init__(self) -> None:
        self.starts = array("Q")
        self._hashes = array("Q")
        self._current = ""

    def see(self, row: Row) -> None:
        if row.command_id != self._current:
            self._current = row.command_id
            self.starts.append(row.position)
            short = hashlib.blake2b(row.command_id.encode(), digest_size=8).digest()
            self._hashes.append(int.from_bytes(short, "big"))

    def torn(self) -> list[Position]:
        """Return the positions at which a command continues after another one interrupted it."""
        hashes = self._hashes
        order = sorted(range(len(hashes)), key=hashes.__getitem__)  # stable: equal hashes stay in order
        pairs = zip(order, order[1:], strict=False)
        return sorted(self.starts[later] for earlier, later in pairs if hashes[earlier] == hashes[later])

    def end_of(self, start: Position, head: Position) -> Position | None:
        """Return the last position of the command that begins at a position, None if none does."""
        index = bisect_left(self.starts, start)
        if index == len(self.starts) or self.starts[index] != start:
            return None
        return self.starts[index + 1] - 1 if index + 1 < len(self.starts) else head


def key_faults(
    keys: Iterable[StoredKey], commands: CommandIndex, head: Position, log: LogReader, read: ReadRows
) -> Iterator[str]:
    """Yield the faults of idempotency keys.

    A key belongs to all events of one command, and a command has one key. Keys were bound in the order of their
    commands, and the command names the subject of its key.
    """
    found: list[StoredKey] = []
    for key in keys:
        place = f"{_name(key)} names positions {key.first} to {key.last}"
        if not 0 <= key.first - 1 <= key.last or (key.last > head and key.last > log.head()):
            yield f"{place}, which are not in the log"
        elif key.first <= key.last <= head:
            if commands.end_of(key.first, head) == key.last:
                found.append(key)
            else:
                yield f"{place}, which are not one command"
    yield from _misplaced(sorted(found, key=attrgetter("first")), read)


def _misplaced(keys: Iterable[StoredKey], read: ReadRows) -> Iterator[str]:
    """Compare keys, in the order of their commands, with the rows of those commands."""
    page: list[Row] = []
    newest = bound = 0
    for key in keys:
        if key.first == bound:
            yield f"{_name(key)} and another key are both bound to the command at position {key.first}"
        bound = key.first
        if not page or key.last > page[-1].position:
            page = read(key.first - 1, max(PAGE_EVENTS, key.last - key.first + 1))
        start = key.first - page[0].position if page else 0
        rows = page[start : start + key.last - key.first + 1]
        if not rows:  # unreadable
            return
        if key.recorded_at < newest - KEPT_MS:  # clocks of keys may differ a little between machines
            yield f"{_name(key)} of position {key.first} was bound long before the key of an earlier position"
        newest = max(newest, key.recorded_at)
        if key.subject and not any(_names(row, key.subject) for row in rows):
            yield f"{_name(key)} refers to {key.subject}, but positions {key.first} to {key.last} do not name it"


def _names(row: Row, subject: str) -> bool:
    """Return True if the row is of the subject's stream, or its payload names the subject."""
    return row.stream == subject or row.stream.endswith(f":{subject}") or f'"{subject}"'.encode() in row.data


def _name(key: StoredKey) -> str:
    return f"the key {key.key_hash.hex()[:12]}…"


def guard_faults(stored: Iterable[GuardRow], folded: Guards, kinds: AbstractSet[str]) -> Iterator[str]:
    """Yield how the guard rows, or their order, differ from those that the log implies."""
    found = {(kind, key): value for kind, key, value in stored}
    expected = {(kind, key): value for kind in kinds for key, value in folded.of(kind).items()}
    for kind in kinds - {"spent"}:  # days have no order
        order, due_order = ([key for of, key in rows if of == kind] for rows in (found, expected))
        if order != due_order and sorted(order) == sorted(due_order):
            yield f"the guards {kind} have the order {_list(order)}; the log implies {_list(due_order)}"
    _take_out_last_spent(found, expected)
    for kind, key in sorted(found.keys() | expected.keys()):
        if found.get((kind, key)) != expected.get((kind, key)):
            stored_value, due = found.get((kind, key)), expected.get((kind, key))
            yield f"the guard {kind} of {key} is {_value_text(stored_value)}; the log implies {_value_text(due)}"


GuardValues: TypeAlias = dict[tuple[str, str], tuple[str | int, ...]]


def _take_out_last_spent(found: GuardValues, expected: GuardValues) -> None:
    """Count the one ``spent`` row of release 0.1.0 as its day, and ignore earlier days, which it did not keep."""
    last = found.get(("spent", run.LAST_SPENT_KEY))
    if last is None or len(last) != 2:
        return
    day, spent = last
    for name in [name for name, value in expected.items() if name[0] == "spent" and str(value[0]) < str(day)]:
        del expected[name]
        found.pop(name, None)
    try:
        page = ("spent", run.spent_key(milliseconds(str(day))))
    except ValueError:
        return
    due, since = expected.get(page), found.get(page, (day, 0))
    if due is not None and due[0] == day == since[0]:
        found[page] = (day, int(since[1]) + int(spent))
    if due is not None:  # of that day, or of one forty days later
        del found["spent", run.LAST_SPENT_KEY]


def holds_last_spent(stored: Iterable[GuardRow]) -> bool:
    """Return True if a row of release 0.1.0 holds the spending of the last day."""
    return any((kind, key) == ("spent", run.LAST_SPENT_KEY) for kind, key, _ in stored)


def _list(keys: list[str]) -> str:
    return ", ".join(keys[:KEYS_SHOWN]) + ("…" if len(keys) > KEYS_SHOWN else "")


def _value_text(value: tuple[str | int, ...] | None) -> str:
    return "absent" if value is None else str(list(value))


def payload_faults(row: Row) -> Iterator[str]:
    """Yield the JSON faults of an event of an unknown type, which the feed publishes unchanged."""
    for name, content in (("data", row.data), ("extra", row.extra)):
        try:
            if content is not None:
                _object(content)
        except RecursionError:
            yield f"{row.type}: {name} JSON is nested too deeply"
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield f"{row.type}: {name}: {error}"


def meta_faults(meta: Mapping[str, str]) -> Iterator[str]:
    """Yield the faults of the log's metadata."""
    text = meta.get("format", "")
    if not text.isdigit() or not 1 <= int(text) <= FORMAT:
        yield f"the format is {text!r}; this release reads 1 to {FORMAT}"
    log_id = meta.get("log_id", "")
    if len(log_id) != 16 or not set(log_id) <= set("0123456789abcdef"):
        yield f"the log's id is {log_id!r}, not 16 hex digits"
    for name in sorted(meta.keys() - META):
        yield f"the log's metadata has {name[:META_CHARS]!r}, which this release does not know"
