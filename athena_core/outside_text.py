"""Text from outside: written by a model, an agent, an MCP server, a repository or a request.

It has two forms, derived here and nowhere else. The *exact* form is decided, hashed, executed, applied and sent. The
*shown* form is for people and for records. Where the shown form hides a part of a text that is decided about, a
mark stands in its place with the length and the hash of the part, and the decision needs the exact form.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

import msgspec

from athena_core.errors import SubjectChanged
from athena_core.event import Value, says
from athena_core.mask import HELD_CHARS_MAX, DecisiveSpan, Mask
from athena_core.text import HIDDEN as INVISIBLE
from athena_core.text import clean, preview

SHA256_SHOWN = 12
"""Characters of the hash in a mark. The whole hash stands beside the text."""
LAST_WORDS_CHARS_MAX = 200
HIDDEN_SPANS_MAX = 100
"""Maximum number of hidden parts of a diff that are recorded with their hash."""


class HiddenSpan(Value):
    """A part that a shown text hides. ``sha256`` is the hash of the salt and the part."""

    chars: Annotated[int, says("Length of the part, in characters.")]
    sha256: Annotated[str, says("Hash of a secret salt and the part, hex. Its first 12 characters stand in the mark.")]

    def mark(self, how: str) -> str:
        """Return the mark that stands in the place of the part."""
        return f"[{how}: {self.chars} characters, sha256 {self.sha256[:SHA256_SHOWN]}]"


class DecidedText(NamedTuple):
    """A text that is decided about.

    In both forms the name of a secret of Athena stands in its place, because the log never holds one. ``secrets`` are
    these names in their order. ``hidden`` are the parts that only the exact form has.
    """

    exact: str
    shown: str
    hidden: tuple[HiddenSpan, ...] = ()
    secrets: tuple[str, ...] = ()


class OutsideText:
    """A text from outside. It has no string form, so it can only be shown through the mask, or taken as it is.

    A secret is hidden as a whole, wherever the shown part begins or ends. Only that part of a long text is masked, and
    ``HELD_CHARS_MAX`` characters around it.
    """

    __slots__ = ("_is_cut", "_start", "_text")

    def __init__(self, text: str, *, start: int = 0, is_cut: bool = False) -> None:
        """Take a text. It is shown from ``start`` on: the characters before it belong to secrets that reach into it.

        ``is_cut``: the end of the text is missing, so that it may end with a part of a secret.
        """
        self._text = text
        self._start = start
        self._is_cut = is_cut

    def __repr__(self) -> str:
        return f"OutsideText({len(self._text)} characters)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        raise TypeError("Text from outside has no string form. Use shown() or line().")

    @property
    def exact(self) -> str:
        """The text, as it can be stored."""
        return clean(self._text[self._start :])

    def shown(self, mask: Mask, chars_max: int | None = None) -> str:
        """Return the text, or its first ``chars_max`` characters, without secrets."""
        if self._start:
            return mask.hide_part(clean(self._text), self._start, len(self._text))[:chars_max]
        most = None if chars_max is None else chars_max + HELD_CHARS_MAX
        begin = clean(self._text[:most])
        is_cut = self._is_cut or len(begin) < len(self._text)
        return (mask.hide_cut if is_cut else mask.hide)(begin)[:chars_max]

    def line(self, mask: Mask, chars_max: int) -> str:
        """Return the beginning of the text on one line without secrets."""
        return preview(self.shown(mask, 4 * chars_max), chars_max)

    def tail(self, mask: Mask, chars_max: int) -> str:
        """Return at most the last ``chars_max`` characters without secrets."""
        end = self._text[-chars_max - HELD_CHARS_MAX :]
        return OutsideText(end, start=max(len(end) - chars_max, 0)).shown(mask)[-chars_max:]

    def decided(self, mask: Mask, salt: str, chars_max: int | None = None) -> DecidedText:
        """Return the forms for a decision. ``salt`` is hexadecimal. A part after ``chars_max`` is hidden."""
        return Forms(mask, salt, chars_max).of(self.exact)


def last_words(mask: Mask) -> Callable[[str], str]:
    """Return the function that shows the last error output of a program, without secrets."""
    return lambda said: OutsideText(said).tail(mask, LAST_WORDS_CHARS_MAX).strip()


def decided_json(value: Any, mask: Mask, salt: str) -> DecidedText:
    """Return the forms of a JSON value for a decision, as canonical JSON. Strings and member names are masked."""
    with suppress(UnicodeEncodeError):  # a lone surrogate
        encoded = msgspec.json.encode(value, order="deterministic")
        if not mask.suspects(encoded):  # the usual case
            text = encoded.decode()
            return DecidedText(text, text)
    forms = Forms(mask, salt)
    exact, shown = forms.in_value(value)
    text = _canonical(exact)
    return DecidedText(text, _canonical(shown) if forms.hidden else text, tuple(forms.hidden), tuple(forms.secrets))


def visible_marks(text: str) -> str:
    """Return a text in which each character that people cannot see stands as a mark, such as ``[U+202E]``."""
    return text if text.isascii() and text.isprintable() else INVISIBLE.sub(lambda it: f"[U+{ord(it[0]):04X}]", text)


def marked_form(form: dict[str, Any]) -> dict[str, Any]:
    """Return a form in which each character that people cannot see stands as a mark."""
    properties: dict[str, dict[str, Any]] = form.get("properties") or {}
    fields = {
        visible_marks(name): {member: _marked(value) for member, value in field.items()}
        for name, field in properties.items()
    }
    return {name: fields if name == "properties" else _marked(value) for name, value in form.items()}


def _marked(value: Any) -> Any:
    match value:
        case str():
            return visible_marks(value)
        case list():
            return [_marked(one) for one in value]
        case _:
            return value


def values_of_form(form: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return values for a form that was shown with marks: the names of fields and their choices as the form has them.

    Values that fit no field stay as they are.
    """
    fields: dict[str, dict[str, Any]] = msgspec.json.decode(form)["properties"]
    names = {visible_marks(name): name for name in fields}
    found: dict[str, Any] = {}
    for shown, value in values.items():
        name = names.get(shown, shown)
        choices = {visible_marks(one): one for one in fields.get(name, {}).get("enum", ())}
        found[name] = choices.get(value, value) if isinstance(value, str) else value
    return found


def subject_hash(kind: str, *parts: str) -> str:
    """Return the hash by which a request names what was shown. ``kind`` separates subjects with the same parts."""
    return hashlib.sha256(msgspec.json.encode([kind, *parts])).hexdigest()


def check_subject(given: str | None, subject: str, what: str) -> None:
    """Raise SubjectChanged if a request names another subject than ``subject``. Without a name it is accepted."""
    if given is not None and given != subject:
        problem = f"{what} is not what this subjectHash names. Nothing was changed. Look at it again, then repeat."
        raise SubjectChanged(problem, {"subjectHash": subject})


def span_sha256(salt: str, part: str | bytes) -> str:
    """Return the hash of a hidden part: of the salt (hexadecimal), and the part in UTF-8."""
    data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
    return hashlib.sha256(bytes.fromhex(salt) + data).hexdigest()


class Forms:
    """The forms of one or more strings, and what they hide together."""

    def __init__(self, mask: Mask, salt: str, chars_max: int | None = None) -> None:
        self._mask = mask
        self._salt = salt
        self._chars_max = chars_max
        self.hidden: list[HiddenSpan] = []
        self.secrets: list[str] = []

    def of(self, text: str) -> DecidedText:
        """Return the forms of one string."""
        exact, shown = self.in_text(text)
        return DecidedText(exact, shown, tuple(self.hidden), tuple(self.secrets))

    def in_value(self, value: Any) -> tuple[Any, Any]:
        """Return the exact and the shown form of a JSON value."""
        match value:
            case str():
                return self.in_text(_encodable(value))
            case list() | tuple():
                pairs = [self.in_value(part) for part in value]
                return [exact for exact, _ in pairs], [shown for _, shown in pairs]
            case dict():
                members = [(self.in_text(_encodable(name)), self.in_value(part)) for name, part in value.items()]
                exact, shown = ([(name[form], part[form]) for name, part in members] for form in (0, 1))
                return _members(exact), _members(shown)
            case _:
                return value, value

    def in_text(self, text: str) -> tuple[str, str]:
        """Return the exact and the shown form of a string."""
        exact, shown = self.around(text, self._mask.decisive_spans(text))
        return exact, self._cut(shown)

    def around(self, text: str, secrets: Iterable[DecisiveSpan]) -> tuple[str, str]:
        """Return the exact and the shown form of a string with these secrets."""
        exact: list[str] = []
        shown: list[str] = []
        start = 0
        for first, last, name in secrets:
            between, part = text[start:first], text[first:last]
            start = last
            if name is None:
                exact += (between, part)
                shown += (between, self._mark("hidden", part))
            else:
                self.secrets.append(name)
                exact += (between, f"[secret {name}]")
                shown += (between, f"[secret {name}]")
        exact.append(text[start:])
        shown.append(text[start:])
        return "".join(exact), "".join(shown)

    def _cut(self, shown: str) -> str:
        if self._chars_max is None or len(shown) <= self._chars_max:
            return shown
        return f"{shown[: self._chars_max]} {self._mark('cut', shown[self._chars_max :])}"

    def _mark(self, how: str, part: str) -> str:
        span = HiddenSpan(chars=len(part), sha256=span_sha256(self._salt, part))
        self.hidden.append(span)
        return span.mark(how)


def _members(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object. Two names that became the same keep both of their values."""
    found: dict[str, Any] = {}
    for name, value in members:
        found[name if name not in found else f"{name} #{len(found) + 1}"] = value
    return found


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON cannot have. It can have a NUL, as an escape."""
    return "\0".join(map(clean, text.split("\0")))


def _canonical(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
