"""Patches: the files of a recorded diff with their counts, read from its text alone."""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

FileChange: TypeAlias = Literal["added", "deleted", "modified", "retyped"]

HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\([0-7]{3}|.)")
ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
HEADER = "diff --git "
NO_FILE = "/dev/null"


class PatchedFile(msgspec.Struct):
    """A file of a diff: its path, its kind of change, its added and removed lines, and True if it is binary."""

    path: str
    change: FileChange = "modified"
    added: int = 0
    removed: int = 0
    binary: bool = False


def files_of(text: str) -> list[PatchedFile]:
    """Return the files of a diff that ``git diff --no-renames`` wrote, in its order. The text may be cut anywhere.

    Only the header of a file is read for its path. Lines of the file are counted as hunks say, so none can pass for a
    header. A file that is replaced by another kind of file has two headers, and is one here.
    """
    files: dict[str, PatchedFile] = {}
    file = PatchedFile("")
    before = after = 0
    for line in _lines(text):
        if before > 0 or after > 0:
            if line.startswith("+"):
                file.added += 1
                after -= 1
            elif line.startswith("-"):
                file.removed += 1
                before -= 1
            elif not line.startswith("\\"):
                before -= 1
                after -= 1
        elif line.startswith(HEADER):
            if line in files:
                file = files[line]
                file.change = "retyped"
            else:
                file = files[line] = PatchedFile(_path_of(line))
        elif (hunk := HUNK.match(line)) is not None:
            before, after = (1 if count is None else int(count) for count in hunk.groups())
        elif file.change == "modified" and line.startswith("new file mode "):
            file.change = "added"
        elif file.change == "modified" and line.startswith("deleted file mode "):
            file.change = "deleted"
        elif line.startswith("Binary files ") or line == "GIT binary patch":
            file.binary = True
    return list(files.values())


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text without copying all of them first. Only a newline ends a line."""
    begin = 0
    while (end := text.find("\n", begin)) >= 0:
        yield text[begin:end]
        begin = end + 1
    if begin < len(text):
        yield text[begin:]


def _path_of(header: str) -> str:
    """Return the path of a header, in which it stands twice: ``diff --git a/PATH b/PATH``."""
    names = header.removeprefix(HEADER)
    if (quoted := QUOTED.match(names)) is not None:
        return _unquoted(quoted[1]).removeprefix("a/")
    return names[: len(names) // 2].removeprefix("a/")


def _unquoted(name: str) -> str:
    """Return a path that git quoted because of its characters."""
    data, begin = b"", 0
    for escape in ESCAPE.finditer(name):
        data += name[begin : escape.start()].encode()
        word = escape[1]
        byte = int(word, 8) & 255 if word.isdigit() else ESCAPES.get(word)
        data += word.encode() if byte is None else bytes((byte,))
        begin = escape.end()
    return (data + name[begin:].encode()).decode(errors="replace")
