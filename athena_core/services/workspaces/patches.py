"""Patches: the changes of a run as a subject of decisions, and the files and shown form of a diff, from its text."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from athena_core.domain.workspace import DIFF_BYTES_MAX
from athena_core.mask import DecisiveSpan, Mask
from athena_core.outside_text import DecidedText, Forms, HiddenSpan, check_subject, span_sha256, subject_hash
from athena_core.services.workspaces.snapshots import TreeDiff

FileChange: TypeAlias = Literal["added", "deleted", "modified", "retyped"]

HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r"\\([0-7]{3}|.)")
ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
HEADER = "diff --git "

SHOWN_CHARS_MAX = 2 * DIFF_BYTES_MAX
"""Maximum length of the shown form of a diff."""


class PatchedFile(msgspec.Struct):
    """A file of a diff: its path, its kind of change, its added and removed lines, and True if it is binary."""

    path: str
    change: FileChange = "modified"
    added: int = 0
    removed: int = 0
    binary: bool = False


class ChangesOfRun(NamedTuple):
    """The run whose changes are applied, its workspace, and the snapshots of it before and after the run."""

    run_id: str
    workspace_id: str
    before: str
    after: str
    applied: bool = False
    """True if an earlier apply of the run is recorded."""

    hides: bool = False
    """True if the recorded diff does not show all that is written."""

    @property
    def subject_hash(self) -> str:
        """The hash of the changes. The names of snapshots are salted, so that it confirms no guess of contents."""
        return subject_hash("changes", self.before, self.after)

    def check(self, shown: str | None) -> None:
        """Raise SubjectChanged if other changes were shown."""
        check_subject(shown, self.subject_hash, f"What run {self.run_id} changed")


def files_of(text: str) -> list[PatchedFile]:
    """Return the files of a diff that ``git diff --no-renames`` wrote, in its order. The text may be cut anywhere.

    Only the header of a file is read for its path. Lines of the file are counted as hunks say, so none can pass for a
    header. A file that is replaced by another kind of file has two headers, and is one here.
    """
    files: dict[str, PatchedFile] = {}
    file = PatchedFile("")
    for line, side in _sided(text):
        if side:
            file.added += side == "+"
            file.removed += side == "-"
        elif line.startswith(HEADER):
            if line in files:
                file = files[line]
                file.change = "retyped"
            else:
                file = files[line] = PatchedFile(_path_of(line))
        elif file.change == "modified" and line.startswith("new file mode "):
            file.change = "added"
        elif file.change == "modified" and line.startswith("deleted file mode "):
            file.change = "deleted"
        elif line.startswith("Binary files ") or line == "GIT binary patch":
            file.binary = True
    return list(files.values())


def decided_changes(diff: TreeDiff, mask: Mask, salt: str) -> DecidedText:
    """Return the forms of the changes of a run for a decision. A file that is not UTF-8 counts as hidden."""
    text = mask.without_opening(diff.text) if diff.truncated else diff.text
    exact, shown, hidden, secrets = decided_diff(text, mask, salt)
    hidden += tuple(HiddenSpan(chars=len(one.data), sha256=span_sha256(salt, one.data)) for one in diff.inexact)
    if len(shown) > SHOWN_CHARS_MAX:  # marks are longer than the shortest secrets
        rest = HiddenSpan(chars=len(shown) - SHOWN_CHARS_MAX, sha256=span_sha256(salt, shown[SHOWN_CHARS_MAX:]))
        shown, hidden = f"{shown[:SHOWN_CHARS_MAX]}\n{rest.mark('cut')}\n", (*hidden, rest)
    return DecidedText(exact, shown, hidden, secrets)


def decided_diff(text: str, mask: Mask, salt: str) -> DecidedText:
    """Return the forms of a diff for a decision. ``salt`` is hexadecimal.

    Secrets are looked for in both sides of a file, as they stand there, so that one over several lines is found. Each
    line has marks of its own and keeps its first character, so that the shown form has the files and lines of the diff.
    """
    lines = list(_sided(text))
    secrets = _secrets_on("-", lines, mask)
    for number, found in _secrets_on("+", lines, mask).items():
        secrets.setdefault(number, set()).update(found)
    if not secrets:
        return DecidedText(text, text)
    forms = Forms(mask, salt)
    pairs = [
        forms.around(line, _apart(secrets[number])) if number in secrets else (line, line)
        for number, (line, _) in enumerate(lines)
    ]
    end = "\n" if text.endswith("\n") else ""
    exact, shown = ("\n".join(side) + end for side in zip(*pairs, strict=True))
    return DecidedText(exact, shown, tuple(forms.hidden), tuple(forms.secrets))


def _secrets_on(side: str, lines: list[tuple[str, str]], mask: Mask) -> dict[int, set[DecisiveSpan]]:
    """Return the secrets on a side of a diff, by the number of the line. Lines outside of hunks belong to both."""
    numbers = [number for number, (_, own) in enumerate(lines) if own in ("", " ", side)]
    texts = [lines[number][0][1 if lines[number][1] else 0 :] for number in numbers]
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    found: dict[int, set[DecisiveSpan]] = {}
    for first, last, name in mask.decisive_spans("\n".join(texts)):
        for at in range(bisect_right(starts, first) - 1, len(texts)):
            if starts[at] >= last:
                break
            shift = starts[at] - (1 if lines[numbers[at]][1] else 0)
            begin, end = max(first, starts[at]), min(last, starts[at] + len(texts[at]))
            if begin < end:
                found.setdefault(numbers[at], set()).add(DecisiveSpan(begin - shift, end - shift, name))
    return found


def _apart(spans: Iterable[DecisiveSpan]) -> list[DecisiveSpan]:
    """Return the spans of a line in order. Spans that overlap become one, with the name of either."""
    apart: list[DecisiveSpan] = []
    for span in sorted(spans, key=lambda one: (one.first, one.last)):
        if apart and span.first < apart[-1].last:
            before = apart.pop()
            apart.append(DecisiveSpan(before.first, max(span.last, before.last), before.name or span.name))
        else:
            apart.append(span)
    return apart


def _sided(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield each line with its side: ``+``, ``-``, a blank for both, ``\`` for a remark; empty outside of hunks.

    Lines are counted as hunks say, without copying all of them first. Only a newline ends a line.
    """
    before = after = begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        line = text[begin:] if end < 0 else text[begin:end]
        begin = len(text) if end < 0 else end + 1
        side = ""
        if before > 0 or after > 0:
            side = line[:1] if line.startswith(("+", "-", "\\")) else " "
            before -= side in "- "
            after -= side in "+ "
        elif (hunk := HUNK.match(line)) is not None:
            before, after = (1 if count is None else int(count) for count in hunk.groups())
        yield line, side


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
