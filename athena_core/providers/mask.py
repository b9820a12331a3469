"""The mask: what must not be recorded is hidden: keys of this server, and what has the shape of a well-known secret.

A shape is a beginning that the makers of a kind of secret chose so that it is recognised, and letters enough after it.
What has no such beginning (a password, a key cut into two messages, one inside base64) is not found. No pattern here
looks at a character more than a bounded number of times, whatever the text is.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

HIDDEN = "***"
MIN_KEY_CHARS = 8
"""Shorter keys are not hidden: ordinary text would suffer."""
HELD_CHARS_MAX = 16_384
"""How much of a text that arrives in pieces is held back because it may be a secret."""

WORD, ALNUM, UPPER = "A-Za-z0-9_-", "A-Za-z0-9", "A-Z0-9"
DIGIT = "(?=[A-Za-z_.~+/-]{0,40}[0-9])"  # names of things begin like that, too, but seldom hold a digit


class Shape(NamedTuple):
    """A kind of secret: how it begins, the letters that follow (at least so many), whether a digit is among them."""

    begins: str
    letters: str
    least: int
    digit: bool = False

    @property
    def pattern(self) -> str:
        """A whole one."""
        return f"{self.begins}{DIGIT if self.digit else ''}[{self.letters}]{{{self.least},}}"


SHAPES = (
    Shape("sk-", WORD, 20, digit=True),  # OpenAI, Anthropic, and many that followed them
    *(Shape(f"{kind}_{mode}_", ALNUM, 16) for kind in ("sk", "rk") for mode in ("live", "test")),  # Stripe
    *(Shape(f"gh{kind}_", ALNUM, 36) for kind in "pousr"),  # GitHub
    Shape("github_pat_", WORD, 22),
    Shape("glpat-", WORD, 20),  # GitLab
    *(Shape(kind, UPPER, 16) for kind in ("AKIA", "ASIA")),  # AWS
    Shape("AIza", WORD, 35),  # Google
    *(Shape(f"xox{kind}-", WORD, 10, digit=True) for kind in "abeprs"),  # Slack
    Shape("hf_", ALNUM, 30),  # Hugging Face
    Shape("npm_", ALNUM, 36),
    Shape("pypi-", WORD, 50),
    *(Shape(f"{word} ", ".~+/=" + WORD, 20, digit=True) for word in ("Bearer", "bearer")),
)

JWT = rf"eyJ[{WORD}]{{8,}}\.eyJ[{WORD}]{{8,}}\.[{WORD}]{{8,}}"
LABEL = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
KEY_BLOCK = (
    rf"-----BEGIN {LABEL}(?:(?:[^-]|-(?!----))*+-----END {LABEL}"
    r"|(?:(?:\\[rn]|\s)*+[A-Za-z0-9+/=]{16,})*+)"  # its end is missing
)
OPENED = rf"{LABEL}(?:[^-]|-(?!----END )|-----END [A-Z0-9 ]{{0,60}}-{{0,4}}\Z)*+"
MARKS = (*(shape.begins for shape in SHAPES), "eyJ", "PRIVATE KEY")
"""A text that holds none of these holds no secret with a shape."""


def _nested(word: str, rest: str) -> str:
    """A pattern for a word as far as it has come, with the rest once it is whole."""
    return f"{re.escape(word[0])}(?:{_nested(word[1:], rest)})?" if word else rest


def _any(patterns: Iterable[str]) -> str:
    """One of the patterns, not within a word."""
    return rf"(?<![{WORD}])(?:{'|'.join(patterns)})"


SHAPED = _any([*(shape.pattern for shape in SHAPES), JWT, KEY_BLOCK])
OPENING = re.compile(
    _any(
        [
            *(_nested(shape.begins, f"[{shape.letters}]*") for shape in SHAPES),
            _nested("eyJ", f"[.{WORD}]*"),
            _nested("-----BEGIN ", rf"(?:{OPENED}|[A-Z0-9 ]{{0,60}}-{{0,4}})"),
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
        self._secret = re.compile("|".join([*([SHAPED] if shapes else []), *map(re.escape, self._keys)]))

    def hide(self, text: str, start: int = 0) -> str:
        """The text from ``start`` on, with ``***`` in the place of secrets; what is before tells where words begin."""
        for mark in self._marks:
            if mark in text:
                return self._masked(text, start, len(text))[0]
        return text[start:]

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
        for mark in self._marks_in_json:
            if mark in text:
                return True
        return "\\u" in text or "\\/" in text

    def divide(self, text: str, start: int) -> tuple[str, int]:
        """What of a text from ``start`` on may be shown, masked, and from where on nobody knows yet."""
        return self._masked(text, start, self._opening(text, start))

    def _masked(self, text: str, start: int, end: int) -> tuple[str, int]:
        """The text up to ``end``, or to the end of the secret that holds it."""
        parts: list[str] = []
        for match in self._secret.finditer(text, start):
            if match.start() >= end:
                break
            parts += (text[start : match.start()], HIDDEN)
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


class Held:
    """Text that arrives in pieces; what may be the beginning of a secret waits for more."""

    def __init__(self, mask: Mask) -> None:
        """Nothing has arrived."""
        self._mask = mask
        self._text = ""
        self._shown = 0
        """How much of the text is past; one character of that stays, because it tells whether a word begins."""

    def more(self, piece: str) -> str:
        """Take a piece; what may go on."""
        self._text += piece
        shown, end = self._mask.divide(self._text, self._shown)
        self._text = self._text[max(end - 1, 0) :]
        self._shown = min(end, 1)
        return shown

    def rest(self) -> str:
        """What is still held, as nothing more arrives."""
        text, self._text = self._text, ""
        return self._mask.hide(text, self._shown)
