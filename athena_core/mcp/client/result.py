"""The result of a call: its text for the model, within limits."""

from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from athena_core.mcp.client.messages import CallAnswer
from athena_core.outside_text import OutsideText
from athena_core.rpc.peer import PARSE_ERRORS
from athena_core.text import clean, one_line

RESULT_BYTES_MAX = 1 << 20
"""Maximum size of the text of a result in UTF-8, and of its structured content. Longer texts are cut."""
PARTS_MAX = 10_000
"""Maximum number of parts of a result."""


class McpResult(NamedTuple):
    """The result of a call."""

    text: OutsideText
    """For the model. In a result without text it is the structured content as JSON."""
    structured: Any = None
    """Structured content; None if it is absent or larger than 1 MiB."""
    is_error: bool = False
    truncated: bool = False
    """True if the text was cut."""
    omitted: int = 0
    """Number of parts that are not text, such as images. A line in the text says what each was."""


def read_result(raw: Raw) -> McpResult:
    """Return the result of an answer. Raise ValueError if it has another shape than the protocol."""
    try:
        answer = msgspec.json.decode(raw, type=CallAnswer)
    except PARSE_ERRORS:
        raise ValueError("another shape than the protocol") from None
    lines: list[str] = []
    omitted = size = 0
    truncated = len(answer.content) > PARTS_MAX
    for part in answer.content[:PARTS_MAX]:
        shown, whole = _shown(part)
        omitted += not whole
        lines.append(shown)
        size += len(shown)
        if size > RESULT_BYTES_MAX:
            break
    structured, structured_text = _structured(answer)
    text = "\n".join(lines)
    if not lines and structured_text:
        text = structured_text
    text, cut = cut_text(clean(text))
    truncated = truncated or cut
    return McpResult(OutsideText(text, is_cut=truncated), structured, bool(answer.is_error), truncated, omitted)


def cut_text(text: str, bytes_max: int = RESULT_BYTES_MAX) -> tuple[str, bool]:
    """Return the beginning of a text that fits, and whether the rest is missing."""
    if len(text) * 4 <= bytes_max:  # the usual case
        return text, False
    data = text.encode()
    if len(data) <= bytes_max:
        return text, False
    return data[:bytes_max].decode(errors="ignore"), True


def _structured(answer: CallAnswer) -> tuple[Any, str]:
    found = answer.structured_content
    if found is UNSET or len(found) > RESULT_BYTES_MAX:
        return None, ""
    try:
        return msgspec.json.decode(found), bytes(found).decode()
    except PARSE_ERRORS:
        return None, ""


def _shown(part: Any) -> tuple[str, bool]:
    """Return a part as text, and whether that is all of it."""
    if not isinstance(part, dict):
        return "[a part of an unknown kind]", False
    kind = part.get("type")
    text = part.get("text")
    if kind == "text" and isinstance(text, str):
        return text, True
    if kind == "resource_link":
        return f"[link: {_word(part.get('name'))} {_word(part.get('uri'))}]", True
    resource = part.get("resource")
    if kind == "resource" and isinstance(resource, dict):
        uri, inner = _word(resource.get("uri")), resource.get("text")
        if isinstance(inner, str):
            return f"[resource {uri}]\n{inner}", True
        return f"[resource {uri} is not text and is not shown]", False
    if kind in ("image", "audio"):  # noqa: PLR6201 - it may be a list
        return f"[{kind} {_word(part.get('mimeType'))} is not shown]", False
    return "[a part of an unknown kind]", False


def _word(value: Any) -> str:
    return " ".join(one_line(value).split()) if isinstance(value, str) else "?"
