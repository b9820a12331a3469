"""The mask: hides this server's keys and text with the shape of a well-known secret before it is recorded.

A shape is the prefix of a kind of secret, followed by enough characters. Secrets without such a prefix are not found:
a password, a key split over two messages, a key in base64. Each pattern reads each character a bounded number of times.
"""

import base64
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, quote_plus

import msgspec

HIDDEN = "***"
MIN_KEY_CHARS = 8
"""Shorter keys are not hidden, because they would hide ordinary text."""
HELD_CHARS_MAX = 16_384
"""Maximum number of streamed characters that are held back because they may be a secret."""
LEARNED_MAX = 5
"""Number of secrets of one credential that stay masked: the current one, and those before it."""

UNNAMED = "server key"
"""The name of a key that was given without one."""

WORD, ALNUM, UPPER = "A-Za-z0-9_-", "A-Za-z0-9", "A-Z0-9"
DIGIT = "(?=[A-Za-z_.~+/-]{0,40}[0-9])"  # ordinary names have the same prefixes, but rarely a digit


class SecretPattern(NamedTuple):
    """A kind of secret: its prefix, its characters, their minimum number, and if one of them must be a digit."""

    begins: str
    letters: str
    least: int
    digit: bool = False

    @property
    def letter(self) -> str:
        """A pattern for one character; a slash may be escaped as in JSON."""
        return rf"(?:[{self.letters}]|\\/)" if "/" in self.letters else f"[{self.letters}]"

    @property
    def pattern(self) -> str:
        """A pattern for a whole secret."""
        return f"{self.begins}{DIGIT if self.digit else ''}{self.letter}{{{self.least},}}"


SECRET_PATTERNS = (
    SecretPattern("ath_", WORD, 40),  # this server's own tokens
    SecretPattern("sk-", WORD, 20, digit=True),  # OpenAI, Anthropic, and others
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
"""The place after the scheme of a URL, whose slashes may be escaped as in JSON."""
NAME, PASSWORD = r"""[^\s/?#@:"'<>`\\]{0,256}""", r"""[^\s/?#"'<>`\\]{1,256}"""
USER_INFO = rf"{AFTER_SCHEME}{NAME}:{PASSWORD}(?=@)"
"""A name and a password in a URL, as ``https://name:password@host``. A name alone is not a secret."""
CONTEXT_CHARS = 6
"""Characters before a place that decide if a secret can start there: a letter, an escape, or the end of a scheme."""

JWT = rf"eyJ[{WORD}]{{8,}}\.eyJ[{WORD}]{{8,}}\.[{WORD}]{{8,}}"
LABEL = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
NOTHING = "(?!)"
NO_PATTERN: tuple[list[str], re.Pattern[str]] = ([], re.compile(NOTHING))
URL_SAFE = str.maketrans("+/", "-_")
KEY_LINE = r"(?:(?:\\++[rn]|\s)*+(?:[A-Za-z0-9+/=]|\\++/){16,})"
"""A line of a key, with the break before it, also in a text in a text, where each escape is escaped again."""
KEY_BLOCK = rf"-----BEGIN {LABEL}(?:(?:[^-]|-(?!----))*+-----END {LABEL}|{KEY_LINE}*+)"  # the latter without an end
OPENED = rf"{LABEL}(?:[^-]|-(?!----END )|-----END [A-Z0-9 ]{{0,60}}-{{0,4}}\Z)*+"
MARKS = re.compile(  # by a rare character of each, because a text has few of them
    "_(?:(?<=ath_|gh[pousr]_|npm_)|(?<=[sr]k_)(?:live|test)_|(?<=hf_)|(?<=github_)pat_)"
    "|-(?:(?<=sk-)|(?<=xox[abeprs]-|pypi-)|(?<=glpat-))"
    "|I(?:(?<=A[KS]I)A|(?<=AI)za)|J(?<=eyJ)|V(?<=PRIV)ATE KEY| (?<=[Bb]earer )"
)
"""A text with none of these prefixes, and with no ``@`` after a scheme, holds no secret with a shape."""


def _nested(word: str, rest: str) -> str:
    """Return a pattern for a prefix of a word, followed by ``rest`` if the word is complete."""
    return f"{re.escape(word[0])}(?:{_nested(word[1:], rest)})?" if word else rest


def _any(patterns: Iterable[str]) -> str:
    """Return a pattern for any of these, not inside of a word."""
    return rf"(?<![{WORD}])(?:{'|'.join(patterns)})"


def _any_escaped(patterns: Iterable[str]) -> str:
    """Return a pattern for any of these in JSON text, where an escape sequence is not part of a word."""
    return rf"(?:(?<![{WORD}])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{{4}}))(?:{'|'.join(patterns)})"


URL_PASSWORD = rf"{AFTER_SCHEME}{NAME}:(?P<password>[A-Za-z0-9._~%+-]{{1,256}})(?=@)"
KEY_BODY = rf"-----BEGIN {LABEL}(?P<body>{KEY_LINE}++)"
PATTERNS = (USER_INFO, *(shape.pattern for shape in SECRET_PATTERNS), JWT, KEY_BLOCK)
DECISIVE_PATTERNS = (URL_PASSWORD, *(shape.pattern for shape in SECRET_PATTERNS), JWT, KEY_BODY)
"""Kinds of secrets in a text that is decided about. Each is made of the characters of its kind alone.

Two marks, such as the lines around a key, never hide what stands between them: the author of the text chose both.
"""
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
"""The end of a text that may become a secret, or a longer one, with the next characters."""


PatternUse: TypeAlias = Literal["plain", "escaped", "decisive"]
"""Use of a pattern: for text without escapes, for text with them, and for text that is decided about."""
SHAPES: Mapping[PatternUse, str] = {
    "plain": _any(PATTERNS),
    "escaped": _any_escaped(PATTERNS),
    "decisive": _any(DECISIVE_PATTERNS),
}


class DecisiveSpan(NamedTuple):
    """The place of a secret in a text that is decided about, and its name if Athena knows it."""

    first: int
    last: int
    name: str | None


class Mask:
    """A set of keys, and the functions that hide them and secrets with a shape.

    Safe from any thread: a call that runs while a secret is learned uses the keys before or after it.
    """

    def __init__(self, keys: Iterable[str] | Mapping[str, str] = (), *, shapes: bool = True) -> None:
        """Take the keys, as a mapping with a name for each. Without ``shapes`` only the keys are hidden."""
        self._given = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, UNNAMED)
        self._learned: dict[str, deque[str]] = {}
        self._lock = Lock()
        self._patterns: dict[PatternUse, tuple[list[str], re.Pattern[str]]] = {}
        """The pattern for each use, each with the keys that it was compiled from."""
        self._shapes = shapes
        self._compile()

    def learn(self, owner: str, secret: str) -> None:
        """Hide a secret from now on, in the forms in which it is sent and echoed.

        The last ``LEARNED_MAX`` secrets of an owner stay hidden.
        """
        with self._lock:
            learned = self._learned.setdefault(owner, deque(maxlen=LEARNED_MAX))
            if learned and learned[-1] == secret:
                return
            if secret in learned:
                learned.remove(secret)
            learned.append(secret)
            self._compile()

    def _compile(self) -> None:
        """Take the keys. The keys in JSON are replaced last, so that a pattern is never missing for what they find."""
        learned = {
            form: owner for owner, secrets in self._learned.items() for secret in secrets for form in forms(secret)
        }
        self._names = {key: name for key, name in (learned | self._given).items() if len(key) >= MIN_KEY_CHARS}
        in_order = sorted(self._names, key=lambda key: (-len(key), key))
        self._keys_in_bytes = tuple(key.encode() for key in in_order)
        self._keys = in_order
        self._keys_in_json = [msgspec.json.encode(key)[1:-1].decode("latin-1") for key in in_order]

    def _secret(self, use: PatternUse) -> re.Pattern[str]:
        """Return the pattern of all secrets. It is compiled at its first use, because that takes milliseconds."""
        keys, pattern = self._patterns.get(use, NO_PATTERN)
        if keys is not self._keys:
            keys = self._keys
            known, shapes = "|".join(map(re.escape, keys)), SHAPES[use] if self._shapes else ""
            parts = (f"(?P<known>{known})" if known else "", shapes) if use == "decisive" else (shapes, known)
            pattern = re.compile("|".join(filter(None, parts)) or NOTHING)
            self._patterns[use] = (keys, pattern)
        return pattern

    def hide(self, text: str, start: int = 0, *, lines: bool = False) -> str:
        """Return the text from ``start`` with secrets replaced by ``***``. The text before decides where words start.

        With ``lines`` a secret of several lines is replaced by as many lines.
        """
        if not start and "\ufffd" in text:  # U+FFFD may replace the NULs between the characters of UTF-16
            dense = text.replace("\ufffd", "")
            if (hidden := self.hide(dense, lines=lines)) != dense:
                return hidden
        if not self._suspected(text, self._keys):
            return text[start:]
        return self._masked(text, start, len(text), lines=lines)[0]

    def hide_cut(self, text: str) -> str:
        """Mask a text that was cut at its end. The possible start of a secret there is removed."""
        dense = text.replace("\ufffd", "")
        if len(dense) < len(text) and (hidden := self.hide_cut(dense)) != dense:  # UTF-16, as above
            return hidden
        return self._masked(text, 0, self._opening(text, max(len(text) - HELD_CHARS_MAX, 0)))[0]

    def without_opening(self, text: str) -> str:
        """Return a text that was cut at its end without the possible start of a secret there."""
        return text[: self._opening(text, max(len(text) - HELD_CHARS_MAX, 0))]

    def hide_part(self, text: str, first: int, last: int) -> str:
        """Mask the characters from ``first`` to ``last``. A secret that overlaps them is hidden as a whole."""
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
            if any(key in spelt for key in self._keys_in_bytes) or self._secret("escaped").search(
                spelt.decode("latin-1")
            ):
                return True
        return False

    def decisive_spans(self, text: str) -> Iterator[DecisiveSpan]:
        """Yield the secrets in a text that is decided about."""
        if not self._suspected(text, self._keys):
            return
        for match in self._secret("decisive").finditer(text):
            name = self._names.get(match[0], UNNAMED) if match.lastgroup == "known" else None
            yield DecisiveSpan(*match.span(match.lastgroup or 0), name)

    def hide_in(self, value: Any) -> Any:
        """Mask all strings in a JSON value, including member names."""
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
        """Return True if the bytes of a JSON text may hold a secret. Any escape counts as possible."""
        text = raw.decode("latin-1")
        return self._suspected(text, self._keys_in_json) or "\\u" in text or "\\/" in text

    def divide(self, text: str, start: int) -> tuple[str, int]:
        """Return the masked text from ``start`` that is safe to show, and the place where the undecided rest starts."""
        return self._masked(text, start, self._opening(text, start))

    def _suspected(self, text: str, keys: list[str]) -> bool:
        """Return True if a text may hold a secret. ``keys`` are the keys as such a text spells them."""
        shape = self._shapes and (MARKS.search(text) or "@" in text and URL.search(text))
        return bool(shape or keys and any(map(text.__contains__, keys)))

    def _secrets(self, text: str, start: int = 0) -> Iterator[re.Match[str]]:
        """Yield the secrets in a text. The pattern for text with escapes takes twice as long."""
        return self._secret("escaped" if "\\" in text else "plain").finditer(text, start)

    def _masked(self, text: str, start: int, end: int, *, lines: bool = False) -> tuple[str, int]:
        """Mask the text up to ``end``, or to the end of a secret there. Return it with its end."""
        parts: list[str] = []
        for match in self._secrets(text, start):
            if match.start() >= end:
                break
            parts += (text[start : match.start()], HIDDEN, "\n" * match[0].count("\n") if lines else "")
            start = match.end()
        end = max(start, end)
        return "".join((*parts, text[start:end])), end

    def _opening(self, text: str, start: int) -> int:
        """Return where a possible secret starts at the end of a text; the length if there is none or it is too long."""
        longest = max((_overlap(text, key, start) for key in self._keys), default=0)
        found = OPENING.search(text, start) if self._shapes else None
        opening = min(len(text) - longest, len(text) if found is None else found.start())
        return opening if len(text) - opening <= HELD_CHARS_MAX else len(text)


def forms(secret: str) -> set[str]:
    """Return a secret of printable ASCII as it is, and as JSON, URLs and base64 spell it.

    The base64 forms are the characters that depend on the secret alone, for each place where it may begin in a longer
    text. If the secret is itself ``user:password`` in base64, as for Basic, those two are returned as well.
    """
    in_url = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    in_json = msgspec.json.encode(secret)[1:-1].decode()
    found = {secret, in_json, in_json.replace("/", "\\/"), *in_url}
    found |= {re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), text) for text in in_url}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode()
        first, last = -(-8 * before // 6), (before + len(secret)) * 8 // 6
        found |= {encoded[first:last], encoded[first:last].translate(URL_SAFE)}
    with suppress(ValueError):  # no base64, or not ASCII in it
        plain = base64.b64decode(secret, validate=True).decode("ascii")
        _, colon, password = plain.partition(":")
        if colon and plain.isprintable():
            found |= {plain, password, quote(password, safe="")}
    return found


def _overlap(text: str, key: str, start: int) -> int:
    """Return the length of the longest proper prefix of a key at the end of a text."""
    place = max(start, len(text) - len(key) + 1)
    while (place := text.find(key[0], place)) >= 0:
        if key.startswith(text[place:]):
            return len(text) - place
        place += 1
    return 0


class StreamMask:
    """A mask for streamed text. It holds back the possible start of a secret."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._text = ""
        self._shown = 0
        """Length of the part that was returned already. Its last characters stay, to decide where words start."""

    def more(self, piece: str) -> str:
        """Add a piece. Return the text that is safe to show."""
        self._text += piece
        shown, end = self._mask.divide(self._text, self._shown)
        self._text = self._text[max(end - CONTEXT_CHARS, 0) :]
        self._shown = min(end, CONTEXT_CHARS)
        return shown

    def rest(self) -> str:
        """Return the rest at the end of the stream."""
        text, self._text = self._text, ""
        return self._mask.hide(text, self._shown)
