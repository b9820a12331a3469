"""Packs: the objects of a snapshot, written in the format of git without starting git.

Objects are named by SHA-256, so that no two contents with one name can be made.
"""

import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

from athena_core.system.private_file import read, sync

Kind: TypeAlias = Literal["tree", "blob"]
KINDS: dict[Kind, int] = {"tree": 2, "blob": 3}
HASH_BYTES = 32
LEVEL = 1
"""Fast compression: snapshots are taken while a run waits."""

FAR = 1 << 31
"""Offset from which the index holds 8 bytes instead of 4."""

CONFIG = """[core]
repositoryFormatVersion = 1
bare = true
bigFileThreshold = 8m
[extensions]
objectFormat = sha256
"""
"""Files over the threshold count as binary in a diff: comparing their lines would take too long."""


def name_of(kind: Kind, content: bytes) -> bytes:
    """Return the name of an object."""
    return hashlib.sha256(b"%s %d\0" % (kind.encode(), len(content)) + content).digest()


SALT_NAME = "athena-salt"
SALT_BYTES = 32


def initialise(directory: Path, salt: bytes) -> None:
    """Make an empty bare repository. ``salt`` goes into the names of its snapshots."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (directory / folder).mkdir(parents=True)
    (directory / "HEAD").write_text("ref: refs/heads/main\n")
    (directory / "config").write_text(CONFIG)
    (directory / SALT_NAME).write_bytes(salt)


def salt_of(directory: Path) -> bytes:
    """Return the salt of a repository's snapshots. Raise OSError."""
    return read(directory / SALT_NAME, SALT_BYTES)


class Pack:
    """A pack while it is written. Use as a context manager; without ``finish`` nothing is left of it."""

    def __init__(self, directory: Path) -> None:
        """Write into ``objects/pack`` of a repository."""
        self._place = directory / "objects" / "pack"
        number, path = tempfile.mkstemp(prefix="tmp_pack_", dir=self._place)
        self._file = os.fdopen(number, "w+b")
        self._file.write(b"PACK" + struct.pack(">LL", 2, 0))
        self._objects: dict[bytes, tuple[int, int]] = {}
        self.path = Path(path)
        self._index_path = self.path.with_suffix(".idx")
        self.began_ns = os.fstat(self._file.fileno()).st_mtime_ns
        """The time of the file system when the pack was made."""
        self._finished = False

    def __enter__(self) -> "Pack":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self._finished:
            for path in (self.path, self._index_path):
                path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """The bytes written so far."""
        return self._file.tell()

    def add(self, kind: Kind, name: bytes, content: bytes) -> None:
        """Add an object under its name, once."""
        if name in self._objects:
            return
        data = _header(KINDS[kind], len(content)) + zlib.compress(content, LEVEL)
        self._objects[name] = (self._file.tell(), zlib.crc32(data))
        self._file.write(data)

    def finish(self) -> None:
        """Make the pack and its index part of the repository, durably. Nothing happens if it is empty."""
        if not self._objects:
            return
        self._file.seek(8)
        self._file.write(struct.pack(">L", len(self._objects)))
        self._file.flush()
        digest = self._digest()
        self._file.seek(0, os.SEEK_END)
        self._file.write(digest)
        self._file.flush()
        os.fsync(self._file.fileno())
        base = self._place / f"pack-{digest.hex()}"
        with self._index_path.open("wb") as file:
            file.write(_index(self._objects, digest))
            file.flush()
            os.fsync(file.fileno())
        self.path.rename(base.with_suffix(".pack"))
        self._finished = True
        self._index_path.rename(base.with_suffix(".idx"))
        sync(self._place)

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        self._file.seek(0)
        while piece := self._file.read(1 << 20):
            digest.update(piece)
        return digest.digest()


def tree_content(entries: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Return a tree of names, modes and objects; git sorts directories as if their names ended in a slash."""
    ordered = sorted(entries, key=lambda entry: entry[0] + b"/" if entry[1] == 0o40000 else entry[0])
    return b"".join(b"%o %s\0%s" % (mode, name, found) for name, mode, found in ordered)


def _header(kind: int, size: int) -> bytes:
    """Return the kind and size of an object as a number of 7 bits a byte."""
    byte, size = kind << 4 | size & 15, size >> 4
    data = bytearray()
    while size:
        data.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    data.append(byte)
    return bytes(data)


def _index(objects: dict[bytes, tuple[int, int]], digest: bytes) -> bytes:
    """Return the index of a pack, version 2."""
    names = sorted(objects)
    counts = [0] * 256
    for name in names:
        counts[name[0]] += 1
    totals, total = [], 0
    for count in counts:
        total += count
        totals.append(total)
    near, far = [], list[int]()
    for name in names:
        offset = objects[name][0]
        if offset >= FAR:
            far.append(offset)
            offset = FAR | len(far) - 1
        near.append(offset)
    data = b"".join(
        (
            b"\xfftOc" + struct.pack(">L", 2),
            struct.pack(">256L", *totals),
            *names,
            struct.pack(f">{len(names)}L", *(objects[name][1] for name in names)),
            struct.pack(f">{len(near)}L", *near),
            struct.pack(f">{len(far)}Q", *far),
            digest,
        )
    )
    return data + hashlib.sha256(data).digest()
