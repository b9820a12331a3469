"""Ignored files: the patterns of ``.gitignore`` files, matched as git does, in bounded time for any pattern.

git is not asked, because it would open the files of a hostile tree: a ``.gitignore`` that is a pipe blocks it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

IGNORE_NAME = ".gitignore"
IGNORE_BYTES_MAX = 262_144
"""Maximum size of all ignore files of a snapshot together. Patterns of files beyond it do not count."""

LINES_MAX = 5_000
LINE_BYTES_MAX = 1_000
DIRECTORIES = re.compile(rb"\*\*+")
AFTER_LITERAL = re.compile(rb"([^*?\[\\]*[^*?\[\\/])\*\*+(?:\\?/|\Z)")
CLASSES = {
    b"alnum": rb"0-9A-Za-z",
    b"alpha": rb"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": rb"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\x0b\x0c",
    b"upper": rb"A-Z",
    b"xdigit": rb"0-9A-Fa-f",
}
NEVER = b"(?!)"


class _Rule(NamedTuple):
    """A pattern: its regular expression, and what it is about."""

    expression: bytes
    negative: bool
    directories: bool
    by_path: bool


class _Alternatives(NamedTuple):
    """Patterns as one expression, the last pattern first, so that the group that matched is the one that counts."""

    expression: re.Pattern[bytes] | None
    numbers: tuple[int, ...]

    def last(self, text: bytes) -> int:
        """Return the number of the last pattern that matches, -1 if none does."""
        if self.expression is None or (found := self.expression.match(text)) is None:
            return -1
        return self.numbers[(found.lastindex or 1) - 1]


class IgnoreFile:
    """The patterns of one ignore file."""

    def __init__(self, content: bytes) -> None:
        rules = _rules(content)
        self._negative = tuple(rule.negative for rule in rules)
        self._found = {
            (by_path, directory): _alternatives(rules, by_path=by_path, directory=directory)
            for by_path in (False, True)
            for directory in (False, True)
        }

    def decision(self, path: bytes, name: bytes, *, directory: bool) -> bool | None:
        """Return True if an entry is ignored, False if it is named as not ignored, None if no pattern matches.

        ``path`` leads to it from the directory of the file.
        """
        last = max(self._found[False, directory].last(name), self._found[True, directory].last(path))
        return None if last < 0 else not self._negative[last]


@lru_cache(maxsize=256)
def ignore_file(content: bytes) -> IgnoreFile:
    """Return the patterns of a file. The last ones are cached, because they are slow to compile."""
    return IgnoreFile(content)


def _alternatives(rules: list[_Rule], *, by_path: bool, directory: bool) -> _Alternatives:
    chosen = [
        (number, rule)
        for number, rule in enumerate(rules)
        if rule.by_path == by_path and (directory or not rule.directories)
    ]
    if not chosen:
        return _Alternatives(None, ())
    chosen.reverse()
    words = b"|".join(b"(" + rule.expression + b")\\Z" for _, rule in chosen)
    return _Alternatives(re.compile(words, re.DOTALL), tuple(number for number, _ in chosen))


def _rules(content: bytes) -> list[_Rule]:
    rules: list[_Rule] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:LINES_MAX]:
        pattern = _without_blanks(line.removesuffix(b"\r"))
        if not pattern or pattern.startswith(b"#") or len(pattern) > LINE_BYTES_MAX:
            continue
        negative = pattern.startswith(b"!")
        pattern = pattern[negative:]
        directories = pattern.endswith(b"/")
        pattern = pattern[: len(pattern) - directories]
        by_path = b"/" in pattern
        expression = _path_expression(pattern.removeprefix(b"/")) if by_path else _name_expression(pattern)
        rules.append(_Rule(expression, negative, directories, by_path))
    return rules


def _without_blanks(line: bytes) -> bytes:
    """Return a line without the blanks at its end, except an escaped one."""
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if escapes % 2 and len(bare) < len(line) else bare


def _path_expression(pattern: bytes) -> bytes:
    """Translate a pattern with slashes. ``**`` between slashes stands for any number of directories."""
    done, segment, anchored = b"", b"", True
    if found := AFTER_LITERAL.match(pattern):  # git sets a literal beginning aside, and then sees "**" as a whole part
        done, anchored, pattern = re.escape(found[1]), False, pattern[found.end() :]
        if not pattern or DIRECTORIES.fullmatch(pattern):
            return done + b".*"
    *above, end = _parts(pattern)
    for part in above:
        if DIRECTORIES.fullmatch(part):
            done += segment if anchored else _leftmost(segment)
            segment, anchored = b"", False
        else:
            segment += _name_expression(part) + b"/"
    if DIRECTORIES.fullmatch(end):
        return done + (segment if anchored else _leftmost(segment)) + b".+"
    return done + (b"" if anchored else b"(?:[^/]*/)*") + segment + _name_expression(end)


def _parts(pattern: bytes) -> list[bytes]:
    """Split a pattern at its slashes, also escaped ones, but not in sets."""
    parts, begin, at = list[bytes](), 0, 0
    while at < len(pattern):
        sign = pattern[at : at + 1]
        if sign == b"[" and (found := _bracket(pattern, at + 1)) is not None:
            at = found[1]
            continue
        length = 2 if sign == b"\\" else 1
        if pattern[at : at + length].endswith(b"/"):
            parts.append(pattern[begin:at])
            begin = at + length
        at += length
    return [*parts, pattern[begin:]]


def _leftmost(segment: bytes) -> bytes:
    """Return an expression for the first place of a segment: a later place can never match where the first fails."""
    return b"(?>(?:[^/]*/)*?" + segment + b")" if segment else b""


def _name_expression(pattern: bytes) -> bytes:
    """Translate a pattern without slashes. Stars take as little as possible, so that matching takes linear time."""
    pieces: list[bytes] = [b""]
    at = 0
    while at < len(pattern):
        sign = pattern[at : at + 1]
        at += 1
        if sign == b"*":
            if len(pieces) == 1 or pieces[-1]:
                pieces.append(b"")
        elif sign == b"?":
            pieces[-1] += b"[^/]"
        elif sign == b"[":
            found = _bracket(pattern, at)
            if found is None:
                return NEVER
            pieces[-1] += found[0]
            at = found[1]
        else:
            if sign == b"\\":
                if at == len(pattern):
                    return NEVER
                sign = pattern[at : at + 1]
                at += 1
            pieces[-1] += re.escape(sign)
    first, *others = pieces
    if not others:
        return first
    *middle, end = others
    return first + b"".join(b"(?>[^/]*?" + piece + b")" for piece in middle) + b"[^/]*" + end


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int] | None:
    """Translate a set of bytes that begins after its ``[``. Return it and its end, None if git accepts it nowhere."""
    negative = pattern[at : at + 1] in {b"!", b"^"}
    at += negative
    chosen: set[int] = set()
    before = 0
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        sign = pattern[at : at + 1]
        if sign == b"\\":
            at += 1
            sign = pattern[at : at + 1]
        elif sign == b"-" and before and pattern[at + 1 : at + 2] not in {b"", b"]"}:
            at += 1 + (pattern[at + 1 : at + 2] == b"\\")
            if at >= len(pattern):
                return None
            chosen |= set(range(before, pattern[at] + 1))
            at, before = at + 1, 0
            continue
        elif sign == b"[" and pattern[at + 1 : at + 2] == b":":
            end = pattern.find(b"]", at + 2)
            if end < 0:
                return None
            if pattern[end - 1 : end] == b":" and end - 1 > at + 1:
                if (found := CLASSES.get(pattern[at + 2 : end - 1])) is None:
                    return None
                chosen |= {byte for byte in range(256) if re.match(b"[" + found + b"]", bytes((byte,)), re.DOTALL)}
                at, before = end + 1, 0
                continue
        if not sign:
            return None
        chosen.add(sign[0])
        before = sign[0]
        at += 1
    kept = (set(range(256)) - chosen if negative else chosen) - {0x2F}
    words = b"".join(b"\\x%02x" % byte for byte in sorted(kept))
    return (b"[" + words + b"]" if kept else NEVER), at + 1
