"""The power cut: a file system for SQLite that records every write and sync, and the files after a cut.

Two rules beside the obvious: what a file held at its last sync is kept, of what came later any part may be (a write may
be torn, sectors may come without their neighbours, later ones without earlier ones). A deletion is final once a new
file of the log was synced after it, because that syncs the folder, which is out of sight here.
"""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

NAME = "recording"
BASE = "unix"
SECTOR = 512


class Write(NamedTuple):
    """Bytes at an offset of a file."""

    file: str
    offset: int
    content: bytes


class Truncate(NamedTuple):
    file: str
    size: int


class Sync(NamedTuple):
    """A sync that puts a file on disk."""

    file: str


class Delete(NamedTuple):
    """The deletion of a file, durable once the folder is synced."""

    file: str


class Told(NamedTuple):
    """An answer to a client: from here on its effect must be stored."""

    mark: str


Act = Write | Truncate | Sync | Delete | Told
Change = Write | Truncate


class Acts:
    """The file operations and answers of all threads, in order."""

    def __init__(self) -> None:
        self.acts: list[Act] = []
        self._lock = threading.Lock()

    def add(self, act: Act) -> None:
        with self._lock:
            self.acts.append(act)


class RecordingFile(apsw.VFSFile):
    """A file that records its operations."""

    def __init__(self, acts: Acts, filename: Any, flags: list[int]) -> None:
        path = filename if isinstance(filename, str) or filename is None else filename.filename()
        self._name = Path(path).name if path else ""
        self._acts = acts
        super().__init__(BASE, filename, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        super().xWrite(data, offset)
        self._acts.add(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._acts.add(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._acts.add(Sync(self._name))


class RecordingVfs(apsw.VFS):
    """The file system of new connections while it lasts."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        super().__init__(NAME, BASE, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return RecordingFile(self._acts, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._acts.add(Delete(Path(filename).name))


@contextmanager
def recorded() -> Iterator[Acts]:
    """Record every file operation of connections opened inside."""
    acts = Acts()
    vfs = RecordingVfs(acts)
    try:
        yield acts
    finally:
        vfs.unregister()
        assert NAME not in apsw.vfs_names()


class Disk:
    """The files as they are surely on disk, and the changes to each since its last sync."""

    def __init__(self) -> None:
        self.kept: dict[str, bytearray] = {}
        self.loose: dict[str, list[Change]] = {}
        self.doomed: dict[str, None] = {}
        self._created: set[str] = set()

    def follow(self, act: Act) -> None:
        match act:
            case Write() | Truncate():
                if act.file not in self.kept and act.file not in self.loose:
                    self._created.add(act.file)
                self.loose.setdefault(act.file, []).append(act)
            case Sync():
                content = self.kept.setdefault(act.file, bytearray())
                for change in self.loose.pop(act.file, []):
                    apply(content, change)
                if act.file in self._created:  # the first sync of a new file syncs the folder
                    self._created.discard(act.file)
                    for gone in self.doomed:
                        self.kept.pop(gone, None)
                    self.doomed.clear()
            case Delete():
                self.loose.pop(act.file, None)
                self._created.discard(act.file)
                if act.file in self.kept:
                    self.doomed[act.file] = None
            case Told():
                pass

    def images(self, rng: random.Random) -> dict[str, bytes]:
        """Yield the files as a power cut at this moment may leave them."""
        chance = rng.choice((nothing, a_prefix, some, shuffled, in_sectors))
        found: dict[str, bytes] = {}
        for name in {**self.kept, **self.loose}:
            if name in self.doomed and rng.random() < 0.5:
                continue
            content = bytearray(self.kept.get(name, b""))
            for change in chance(self.loose.get(name, []), rng):
                apply(content, change)
            if content:
                found[name] = bytes(content)
        return found


def apply(content: bytearray, change: Change) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        return
    end = change.offset + len(change.content)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.content


def nothing(changes: Sequence[Change], rng: random.Random) -> list[Change]:
    """Lose everything that was not synced."""
    return []


def a_prefix(changes: Sequence[Change], rng: random.Random) -> list[Change]:
    """Keep the changes up to one of them, which may be torn."""
    kept = list(changes[: rng.randint(0, len(changes))])
    if kept and isinstance(kept[-1], Write) and rng.random() < 0.5:
        torn = kept[-1]
        kept[-1] = torn._replace(content=torn.content[: rng.randrange(len(torn.content) + 1)])
    return kept


def some(changes: Sequence[Change], rng: random.Random) -> list[Change]:
    return [change for change in changes if rng.random() < 0.5]


def shuffled(changes: Sequence[Change], rng: random.Random) -> list[Change]:
    kept = some(changes, rng)
    rng.shuffle(kept)
    return kept


def in_sectors(changes: Sequence[Change], rng: random.Random) -> list[Change]:
    kept: list[Change] = []
    for change in changes:
        if isinstance(change, Truncate):
            kept += [change] if rng.random() < 0.5 else []
            continue
        for start in range(0, len(change.content), SECTOR):
            if rng.random() < 0.5:
                piece = change.content[start : start + SECTOR]
                kept.append(Write(change.file, change.offset + start, piece))
    return kept
