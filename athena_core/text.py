"""Text from models, tools and servers, made safe to store and to print."""

import re

UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
ACTIVE = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"
"""Characters beyond the C0 controls that a terminal may interpret: DEL, C1, line separators, bidi controls.

JSON may contain them unescaped.
"""
CONTROL = re.compile(rf"[\x00-\x1f{ACTIVE}]+")
UNPRINTABLE = re.compile(rf"[\x00-\x09\x0b-\x1f{ACTIVE}]")
ACTIVE_BYTES = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xaf]"  # ACTIVE in UTF-8
)


HIDDEN = re.compile(
    rf"[\x00-\x08\x0b\x0c\x0e-\x1f{ACTIVE}\u00ad\u180e\u200b-\u200d\u2060-\u2065\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
"""Characters that models read and people do not see, and those that terminals interpret, but no tab or line break."""


ERASED = "(erased)"
"""Placeholder shown for an erased text."""


def or_erased(text: str | None) -> str:
    """Return the text of an event that always has one, or ``ERASED``."""
    return ERASED if text is None else text


def clean(text: str) -> str:
    """Replace characters that cannot be stored (NUL, lone surrogates) with U+FFFD."""
    if "\0" not in text and (text.isascii() or len(text.encode(errors="ignore").decode()) == len(text)):
        return text  # the usual case, a tenth of the pattern
    return UNSTORABLE.sub("\ufffd", text)


def visible(text: str) -> str:
    """Remove characters that people cannot see. Line breaks and tabs stay."""
    return text if text.isascii() and text.isprintable() else HIDDEN.sub("", text)


def one_line(text: str) -> str:
    """Replace line breaks and other control characters with a space."""
    return text.strip() if text.isprintable() else CONTROL.sub(" ", clean(text)).strip()


def preview(text: str, chars_max: int) -> str:
    """Return the beginning of a text on one line, without control characters and repeated blanks."""
    return " ".join(one_line(text[: 4 * chars_max]).split())[:chars_max]


def printable(text: str) -> str:
    """Replace characters that a terminal may interpret, except line feeds, with U+FFFD."""
    return UNPRINTABLE.sub("\ufffd", text)


def escape_json(data: bytes) -> bytes:
    r"""Escape characters of encoded JSON that a terminal may interpret as ``\uXXXX``. The value stays the same."""
    if data.isascii() and b"\x7f" not in data:  # the usual case
        return data
    return ACTIVE_BYTES.sub(_escaped, data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def took_longer(timeout: str) -> str:
    """Return the end of the sentence "the run …" for a run that timed out."""
    return f"took longer than {timeout}"


UNITS = ((172_800, 86_400, "days"), (3_600, 3_600, "h"), (60, 60, "min"), (0, 1, "s"))
"""The units of time: the seconds from which each is used, its own seconds, and its name."""


def money(micro_usd: float | None) -> str:
    """Return an amount in dollars, rounded to cents; below ten cents to two digits, as in $0.012. "" for None.

    The console formats money and times alike: ``format.cases.json`` beside its functions holds what both must print.
    """
    if micro_usd is None:
        return ""
    micro = round(abs(micro_usd))
    step = min(10_000, 10 ** max(len(str(micro)) - 2, 0))
    whole, rest = divmod((micro + step // 2) // step * step, 1_000_000)
    digits = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro_usd < 0 else ''}${whole:,}.{digits}"


def duration(ms: float) -> str:
    """Return a duration in one or two units, rounded down: 12 ms, 3.4 s, 45 s, 2 min 5 s, 1 h 20 min, 3 days 4 h."""
    ms = max(int(ms), 0)
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms // 1_000}.{ms % 1_000 // 100} s"
    seconds = ms // 1_000
    for (least, size, unit), (_, smaller, part) in zip(UNITS, UNITS[1:], strict=False):
        if seconds >= least:
            rest = seconds % size // smaller
            return f"{seconds // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{seconds} s"


def distance(ms: float) -> str:
    """Return how far a time is, in one unit, rounded down: ``in 23 h``, or ``2 days ago`` for negative ``ms``."""
    seconds = int(abs(ms)) // 1_000
    number, unit = next((seconds // size, unit) for least, size, unit in UNITS if seconds >= least)
    return f"in {number} {unit}" if ms > 0 else f"{number} {unit} ago"
