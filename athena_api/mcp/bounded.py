"""Answers of tools as JSON of a bounded size: they cost the context of the model that reads them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from athena_api.edge.replies import encode
from athena_core.mcp.served import ServedResult

Json: TypeAlias = Any

ANSWER_BYTES_MAX = 24_000
"""Size of an answer as JSON, about 6,000 tokens. Common clients take 10,000 without a warning."""
TEXT_CHARS: tuple[int, ...] = (16_000, 8_000, 4_000, 2_000, 1_000, 500, 200)
"""Lengths to which texts are cut, one after the other, until the answer fits."""
NEXT = "next"
"""The member that says what to do next."""
CUT = "Texts are cut where they say so."


def bounded(answer: Json, hint: str | None = None, bytes_max: int = ANSWER_BYTES_MAX) -> str:
    """Return an answer as JSON text of at most ``bytes_max`` bytes. ``hint`` says what to do next.

    Long texts are cut first. If that is not enough, the ends of long lists are left out, and the hint says so.
    """
    shown: Mapping[str, Json] = answer if isinstance(answer, dict) else {"items": answer}
    text = _encoded(shown, hint)
    if len(text) <= bytes_max:
        return text.decode()
    for chars in TEXT_CHARS:
        text = _encoded(_with_texts(shown, _cutter(chars)), hint, CUT)
        if len(text) <= bytes_max:
            return text.decode()
    return _with_fewer(_with_texts(shown, _cutter(TEXT_CHARS[-1])), hint, bytes_max)


def result_of(answer: Json, hint: str | None = None, *, is_error: bool = False) -> ServedResult:
    """Return an answer as the result of a tool: the same bounded JSON for a model and for a program."""
    text = bounded(answer, hint)
    return ServedResult(text, msgspec.Raw(text.encode()), is_error=is_error)


def _encoded(answer: Mapping[str, Json], *hints: str | None) -> bytes:
    hint = " ".join(filter(None, hints))
    return encode({**answer, NEXT: hint} if hint else answer)


def _cutter(chars: int) -> Callable[[str], str]:
    def cut(text: str) -> str:
        if len(text) <= chars:
            return text
        return f"{text[:chars]} [cut: {len(text) - chars:,} of {len(text):,} characters are left out]"

    return cut


def _with_texts(value: Json, cut: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return cut(value)
    if isinstance(value, dict):
        return {name: _with_texts(part, cut) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_texts(part, cut) for part in value]
    return value


def _with_fewer(answer: Mapping[str, Json], hint: str | None, bytes_max: int) -> str:
    """Return the answer with the beginning of its lists, or without its parts if that is still too much."""
    least, most = -1, max((len(part) for part in answer.values() if isinstance(part, list)), default=0) - 1
    while least < most:
        middle = (least + most + 1) // 2
        if len(_fewer(answer, middle, hint)) <= bytes_max:
            least = middle
        else:
            most = middle - 1
    if least >= 0:
        return _fewer(answer, least, hint).decode()
    small = {key: part for key, part in answer.items() if not isinstance(part, dict | list)}
    return _encoded(small, hint, "The answer was too large, so its parts are left out.").decode()


def _fewer(answer: Mapping[str, Json], count: int, hint: str | None) -> bytes:
    shown = {key: part for key, part in answer.items() if key not in ("nextCursor", "cursor")}
    cut = {name: part for name, part in shown.items() if isinstance(part, list) and len(part) > count}
    parts = " and ".join(f"{count} of {len(part)} `{name}`" for name, part in cut.items())
    said = f"Only the first {parts} are shown. Ask again with a smaller `limit` to page through all."
    return _encoded({**shown, **{name: part[:count] for name, part in cut.items()}}, hint, CUT, said)
