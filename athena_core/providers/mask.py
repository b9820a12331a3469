"""The mask: what must not be recorded is hidden: keys of this server, and what has the shape of a well-known secret.

A shape is a beginning that the makers of a kind of secret chose so that it is recognised, and letters enough after it.
What has no such beginning (a password, a key cut into two messages, one inside base64) is not found. No pattern here
looks at a character more than a bounded number of times, whatever the text is.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

HIDDEN = "***"
MIN_KEY_CHARS = 8
"""Shorter keys are not hidden: ordinary text would suffer."""
HELD_CHARS_MAX = 16_384
"""How much of a text that arrives in pieces is held back because it may be a secret."""

WORD, ALNUM, UPPER = "A-Za-z0-9_-", "A-Za-z0-9", "A-Z0-9"
DIGIT = "(?=[A-Za-z_.~+/-]{0,40}[0-9])"  # names of things begin like that, too, but seldom hold a digit


class SecretPattern(NamedTuple):
    """A kind of secret: how it begins, the letters that follow (at least so many), whether a digit is among them."""

    begins: str
    letters: str
    least: int
    digit: bool = False

    @property
    def letter(self) -> str:
        """One of its letters, a slash also as JSON may escape it."""
        return rf"(?:[{self.letters}]|\\/)" if "/" in self.letters else f"[{self.letters}]"

    @property
    def pattern(self) -> str:
        """A whole one."""
        return f"{self.begins}{DIGIT if self.digit else ''}{self.letter}{{{self.least},}}"


SECRET_PATTERNS = (
    SecretPattern("sk-", WORD, 20, digit=True),  # OpenAI, Anthropic, and many that followed them
    *(SecretPattern(f"{kind}_{mode}_", ALNUM, 16) for kind in ("sk", "rk") for mode in ("live", "test")),  # Stripe
    *(SecretPattern(f"gh{kind}_", ALNUM, 36) for kind in "pousr"),  # GitHub
    SecretPattern("github_pat_", WORD, 22),
    SecretPattern("glpat-", WORD, 20),  # GitLab
    *(SecretPattern(kind, UPPER, 16) for kind in ("AKIA", "ASIA")),  # AWS
    SecretPattern("AIza", WORD, 35),  # Google
    *(SecretPattern(f"xox{kind}-", WORD, 10, digit=True) for kind in "abeprs"),  # Slack
    SecretPattern("hf_", ALNUM, 30),  # Hugging Face
    SecretPattern("npm_", ALNUM, 36),
    SecretPattern("pypi-", WORD, 50),
    *(SecretPattern(f"{word} ", ".~+/=" + WORD, 20, digit=True) for word in ("Bearer", "bearer")),
)

AFTER_SCHEME = r"(?:(?<=://)|(?<=:\\/\\/))"
"""After the scheme of a URL, also with its slashes escaped as in JSON."""
NAME, PASSWORD = r"""[^\s/?#@:"'<>`\\]{0,256}""", r"""[^\s/?#"'<>`\\]{1,256}"""
USER_INFO = rf"{AFTER_SCHEME}{NAME}:{PASSWORD}(?=@)"
"""A name and a password in a URL, as ``https://name:password@host``; a name alone is no secret."""
CONTEXT_CHARS = 6
"""How much before a place tells what begins there: a letter (no word does), an escape, or the end of a scheme."""

JWT = rf"eyJ[{WORD}]{{8,}}\.eyJ[{WORD}]{{8,}}\.[{WORD}]{{8,}}"
LABEL = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
NOTHING = "(?!)"
KEY_BLOCK = (
    rf"-----BEGIN {LABEL}(?:(?:[^-]|-(?!----))*+-----END {LABEL}"
    r"|(?:(?:\\[rn]|\s)*+[A-Za-z0-9+/=]{16,})*+)"  # its end is missing
)
OPENED = rf"{LABEL}(?:[^-]|-(?!----END )|-----END [A-Z0-9 ]{{0,60}}-{{0,4}}\Z)*+"
MARKS = (*(shape.begins for shape in SECRET_PATTERNS), "eyJ", "PRIVATE KEY")
"""A text that holds none of these, and no ``@`` after a scheme, holds no secret with a shape."""


def _nested(word: str, rest: str) -> str:
    """A pattern for a word as far as it has come, with the rest once it is whole."""
    return f"{re.escape(word[0])}(?:{_nested(word[1:], rest)})?" if word else rest


def _any(patterns: Iterable[str]) -> str:
    """One of the patterns, not within a word."""
    return rf"(?<![{WORD}])(?:{'|'.join(patterns)})"


def _any_escaped(patterns: Iterable[str]) -> str:
    """The same in JSON as text, where the letters of an escape are no part of a word."""
    return rf"(?:(?<![{WORD}])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{{4}}))(?:{'|'.join(patterns)})"


PATTERNS = (USER_INFO, *(shape.pattern for shape in SECRET_PATTERNS), JWT, KEY_BLOCK)
URL = re.compile(rf":(?://|\\/\\/){NAME}:{PASSWORD}@")
"""A URL that may hold a secret."""
OPENING = re.compile(
    _any_escaped(
        [
            *(_nested(shape.begins, f"{shape.letter}*") for shape in SECRET_PATTERNS),
            _nested("eyJ", f"[.{WORD}]*"),
            _nested("-----BEGIN ", rf"(?:{OPENED}|[A-Z0-9 ]{{0,60}}-{{0,4}})"),
            rf"{AFTER_SCHEME}{NAME}(?::(?:{PASSWORD})?)?",
        ]
    )
    + r"\Z"
)
"""The end of a text that may become a secret, or a longer one, with what follows."""


class Mask:
    """Some keys, and how they and what looks like one are hidden."""

    def __init__(self, keys: Iterable[str] = (), *, shapes: bool = True) -> None:
        """Remember the keys; a key that holds another one goes first. Without ``shapes`` nothing else is hidden."""
        self._keys = sorted({key for key in keys if len(key) >= MIN_KEY_CHARS}, key=len, reverse=True)
        self._shapes = shapes
        self._marks = (*(MARKS if shapes else ()), *self._keys)
        self._marks_in_json = tuple(msgspec.json.encode(mark)[1:-1].decode("latin-1") for mark in self._marks)
        keys = [re.escape(key) for key in self._keys]
        self._secret = re.compile("|".join([*([_any(PATTERNS)] if shapes else []), *keys]) or NOTHING)
        self._secret_in_json = re.compile("|".join([*([_any_escaped(PATTERNS)] if shapes else []), *keys]) or NOTHING)
        self._keys_in_bytes = tuple(key.encode() for key in self._keys)

    def hide(self, text: str, start: int = 0, *, lines: bool = False) -> str:
        """The text from ``start`` on, with ``***`` in the place of secrets; what is before tells where words begin.

        With ``lines`` a secret of several lines leaves as many behind.
        """
        if not start and "\ufffd" in text:  # it may stand for the NULs between the letters of UTF-16
            dense = text.replace("\ufffd", "")
            if (hidden := self.hide(dense, lines=lines)) != dense:
                return hidden
        if not self._suspected(text, self._marks):
            return text[start:]
        return self._masked(text, start, len(text), lines=lines)[0]

    def hide_cut(self, text: str) -> str:
        """Mask a text that was cut off at its end: without what may be the beginning of a secret there."""
        return self._masked(text, 0, self._opening(text, max(len(text) - HELD_CHARS_MAX, 0)))[0]

    def hide_part(self, text: str, first: int, last: int) -> str:
        """Mask the characters from ``first`` to ``last``; a secret that reaches into them is hidden whole."""
        if "\ufffd" in text and next(self._secrets(dense := text.replace("\ufffd", "")), None):  # UTF-16, as above
            first, last = (len(text[:place].replace("\ufffd", "")) for place in (first, last))
            text = dense
        parts: list[str] = []
        for match in self._secrets(text):
            if match.start() >= last:
                break
            if match.end() > first:
                parts += (text[first : max(match.start(), first)], HIDDEN)
                first = match.end()
        return "".join((*parts, text[first:last]))

    def holds(self, data: bytes) -> bool:
        """Return True if bytes hold a secret, in ASCII, UTF-8 or UTF-16."""
        for spelt in (data, data.replace(b"\0", b"")) if b"\0" in data else (data,):
            if any(key in spelt for key in self._keys_in_bytes) or self._secret_in_json.search(spelt.decode("latin-1")):
                return True
        return False

    def hide_in(self, value: Any) -> Any:
        """A value of JSON with its texts, also those that name members, masked."""
        match value:
            case str():
                return self.hide(value)
            case list():
                return [self.hide_in(part) for part in value]
            case dict():
                return {self.hide(name): self.hide_in(part) for name, part in value.items()}
            case _:
                return value

    def suspects(self, raw: bytes) -> bool:
        """Whether the bytes of a JSON text may hold a secret; escapes may hide one from this look."""
        text = raw.decode("latin-1")
        return self._suspected(text, self._marks_in_json) or "\\u" in text or "\\/" in text

    def divide(self, text: str, start: int) -> tuple[str, int]:
        """What of a text from ``start`` on may be shown, masked, and from where on nobody knows yet."""
        return self._masked(text, start, self._opening(text, start))

    def _suspected(self, text: str, marks: Iterable[str]) -> bool:
        """Whether a text may hold a secret."""
        for mark in marks:
            if mark in text:
                return True
        return self._shapes and "@" in text and URL.search(text) is not None

    def _secrets(self, text: str, start: int = 0) -> Iterator[re.Match[str]]:
        """The secrets in a text; looking for them among escapes takes twice as long."""
        return (self._secret_in_json if "\\" in text else self._secret).finditer(text, start)

    def _masked(self, text: str, start: int, end: int, *, lines: bool = False) -> tuple[str, int]:
        """The text up to ``end``, or to the end of the secret that holds it."""
        parts: list[str] = []
        for match in self._secrets(text, start):
            if match.start() >= end:
                break
            parts += (text[start : match.start()], HIDDEN, "\n" * match[0].count("\n") if lines else "")
            start = match.end()
        end = max(start, end)
        return "".join((*parts, text[start:end])), end

    def _opening(self, text: str, start: int) -> int:
        """Where the end of a text begins that may become a secret; its length if there is none, or it is too long."""
        longest = max((_overlap(text, key, start) for key in self._keys), default=0)
        found = OPENING.search(text, start) if self._shapes else None
        opening = min(len(text) - longest, len(text) if found is None else found.start())
        return opening if len(text) - opening <= HELD_CHARS_MAX else len(text)


def _overlap(text: str, key: str, start: int) -> int:
    """How many characters at the end of a text are the beginning of a key, and not all of it."""
    longest = min(len(text) - start, len(key) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(key[:length])), 0)


class StreamMask:
    """Text that arrives in pieces; what may be the beginning of a secret waits for more."""

    def __init__(self, mask: Mask) -> None:
        """Nothing has arrived."""
        self._mask = mask
        self._text = ""
        self._shown = 0
        """How much of the text is past; a few characters of that stay, because they tell what begins."""

    def more(self, piece: str) -> str:
        """Take a piece; what may go on."""
        self._text += piece
        shown, end = self._mask.divide(self._text, self._shown)
        self._text = self._text[max(end - CONTEXT_CHARS, 0) :]
        self._shown = min(end, CONTEXT_CHARS)
        return shown

    def rest(self) -> str:
        """What is still held, as nothing more arrives."""
        text, self._text = self._text, ""
        return self._mask.hide(text, self._shown)
