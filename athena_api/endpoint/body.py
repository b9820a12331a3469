"""Input of a request: JSON bodies and query strings, decoded to checked values.

Every error names its field.

The shape of the type trims and checks each field; msgspec then builds the value. If an object repeats a key, the last
one counts. No other parser reads bodies, so all code agrees on that.
"""

import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from athena_api.endpoint.shapes import Check, InputError, InputShape, ObjectShape, error_of, is_null, shape_of
from athena_core.clock import milliseconds
from athena_core.mask import Mask
from athena_core.values import (
    CLIENT_ID_CHARS_MAX,
    ID_PATTERN,
    INTEGER_MAX,
    JSON_DEPTH_MAX,
    MEMBER_CHARS_MAX,
    PAGE_ITEMS_MAX,
)

T = TypeVar("T")

Time: TypeAlias = Annotated[int, msgspec.Meta(extra={"query": "time"})]
"""A query parameter in ISO-8601, in UTC unless it has an offset, as milliseconds since 1970 UTC."""

STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
STEP = {91: 1, 123: 1, 93: -1, 125: -1}  # [ { ] }
ID = re.compile(ID_PATTERN)
BLANKS = b" \t\n\r"  # the only whitespace of JSON
LIMIT = re.compile(r"\s*([+-]?[0-9]{1,18})")
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
REASONS = ("auditComment", "auditNote", "note", "reason")
"""Fields of commands that hold a reason or note."""


class InputRules(NamedTuple):
    """Rules for every input: its limits, and the mask that replaces secrets in it."""

    mask: Mask
    depth_max: int = JSON_DEPTH_MAX
    reason_chars_max: int = MEMBER_CHARS_MAX


INPUT_RULES = InputRules(Mask())


def decode_body(type_: type[T], raw: bytes, context: str, rules: InputRules = INPUT_RULES) -> T:
    """Return a value of ``type_`` from the bytes of a body.

    Raise ConfigError with every fault, up to a limit; ``context`` starts its message.
    """
    struct: type = type_
    shape = shape_of(struct)
    try:
        value = _parse(raw, shape, rules)
    except InputError as wrong:
        raise wrong.error(context) from None
    try:
        if isinstance(value, dict):
            for too_long in _long_reasons(value, shape, rules.reason_chars_max):
                raise too_long
        return msgspec.convert(shape.check(value), type_)
    except InputError:
        reasons = list(_long_reasons(value, shape, rules.reason_chars_max)) if isinstance(value, dict) else []
        long = {fault.field for fault in reasons}
        others = (fault for fault in shape.faults(value) if fault.field not in long)
        raise error_of(itertools.chain(reasons, others), context) from None
    except msgspec.ValidationError as error:  # a rule that only msgspec checks
        raise InputError(str(error).replace("`", ""), None).error(context) from None


def decode_query(type_: type[T], pairs: Iterable[tuple[str, str]], context: str) -> T:
    """Return a value of ``type_`` from query parameters.

    Unknown parameters are ignored, and blank ones count as absent. Of a repeated parameter the last one counts.
    """
    struct: type = type_
    shape, readers = _query_of(struct)
    given: dict[str, Any] = {}
    unread: dict[str, InputError] = {}
    for name, text in dict(pairs).items():
        if name in readers:
            try:
                value = _read(name, text, readers[name])
            except InputError as wrong:
                wrong.remedy = wrong.remedy or shape.shapes[name].wants
                unread[name] = wrong
            else:
                if value is not None:  # blank counts as absent
                    given[name] = value
    try:
        if not unread:
            return msgspec.convert(shape.check(given), type_)
    except InputError:
        pass
    others = (fault for fault in shape.faults(given) if fault.field not in unread)
    raise error_of([*unread.values(), *others], context) from None


def check_path(
    path: Mapping[str, str], context: str, rules: InputRules = INPUT_RULES, named: Set[str] = frozenset()
) -> None:
    """Check path parameters. Raise ConfigError for one that is not an id, or in ``named`` a name, or is a secret."""
    for name, text in path.items():
        fits = text.isprintable() and "\ufffd" not in text if name in named else ID.fullmatch(text)
        if len(text) > CLIENT_ID_CHARS_MAX or not fits:
            what = "printable characters" if name in named else "letters, digits, dots, underscores or dashes"
            remedy = f"1 to {CLIENT_ID_CHARS_MAX} {what}"
            raise InputError(f"INVALID_ID: must be {remedy}", remedy, name).error(context)
        if rules.mask.hide(text) != text:
            raise InputError("INVALID_ID: must not contain a secret", "an id without a secret", name).error(context)


def clamp_limit(text: str | None, default: int) -> int:
    """Return the page size: the integer at the start of ``text``, clamped to 1 and 500, or else the default."""
    match = LIMIT.match(text or "")
    return min(max(int(match[1]), 1), PAGE_ITEMS_MAX) if match else default


# JSON


def _parse(raw: bytes, shape: ObjectShape, rules: InputRules) -> Any:
    if not raw:
        return {}
    if raw.count(b"[") + raw.count(b"{") > rules.depth_max:
        _check_depth(raw, rules.depth_max)
    try:
        value = msgspec.json.decode(raw)
    except UnicodeDecodeError:
        raise InputError("is not valid UTF-8", "JSON in UTF-8") from None
    except RecursionError:
        raise _too_deep(rules.depth_max) from None
    except msgspec.ValidationError:
        raise _too_large(raw, shape) from None
    except msgspec.DecodeError as error:
        if not raw.strip(BLANKS):
            return {}
        raise _malformed(raw, error) from None
    if b"\\u0000" in raw:
        _refuse_nul(value)
    return rules.mask.hide_in(value) if rules.mask.suspects(raw) else value


def _long_reasons(value: Mapping[str, Any], shape: ObjectShape, chars_max: int) -> Iterator[InputError]:
    for name in REASONS:
        text = value.get(name)
        if isinstance(text, str) and len(text) > chars_max and name in shape.shapes:
            reason = f"REASON_TOO_LONG: must have at most {chars_max} characters, not {len(text)}"
            yield InputError(reason, f"shorten it to {chars_max} characters", name)


def _check_depth(raw: bytes, depth_max: int) -> None:
    brackets = STRING.sub(b"", raw).translate(None, NOT_BRACKETS)
    if max(itertools.accumulate(map(STEP.__getitem__, brackets)), default=0) > depth_max:
        raise _too_deep(depth_max)


def _too_deep(depth_max: int) -> InputError:
    return InputError(f"JSON_TOO_DEEP: is nested more than {depth_max} levels deep", f"at most {depth_max} levels")


def _too_large(raw: bytes, shape: InputShape) -> InputError:
    """Return the error for a number too large for a double, with its field if the standard library finds it."""
    try:
        shape.check(json.loads(raw, parse_int=lambda digits: int(digits[:400])))
    except InputError as wrong:
        return wrong
    except (ValueError, RecursionError):
        pass
    return InputError("OUT_OF_RANGE: contains a number that is too large", f"at most {INTEGER_MAX}")


def _malformed(raw: bytes, error: msgspec.DecodeError) -> InputError:
    if raw.startswith(b"\xef\xbb\xbf"):
        return InputError("starts with a byte order mark", "JSON in UTF-8 without one")
    reason = str(error).removeprefix("JSON is malformed: ").replace("(byte ", "(at byte ")
    if reason == "Input data was truncated":
        reason = "it ends too early, or a surrogate escape lacks its other half"
    return InputError(f"is not valid JSON: {reason}", "a JSON object in UTF-8")


def _refuse_nul(value: Any) -> None:
    if isinstance(value, str) and "\0" in value:
        raise InputError("holds a NUL character", "text without NUL characters")
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, part in parts:
        try:
            _refuse_nul(name)
            _refuse_nul(part)
        except InputError as wrong:
            wrong.path.append(name)
            raise


# Query parameters


@functools.cache
def _query_of(type_: type) -> tuple[ObjectShape, dict[str, Check]]:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType), type_
    return shape_of(type_), {field.encode_name: _reader(query_kind(field.type)) for field in info.fields}


def query_kind(info: inspect.Type) -> inspect.Type:
    """Return the type of one query parameter without null and description. A time keeps its mark."""
    if isinstance(info, inspect.Metadata) and not is_time(info):
        return query_kind(info.type)
    if isinstance(info, inspect.UnionType):
        (info,) = [part for part in info.types if not is_null(part)]
        return query_kind(info)
    return info


def is_time(info: inspect.Type) -> bool:
    """Return True if a query parameter is a ``Time``."""
    return isinstance(info, inspect.Metadata) and (info.extra or {}).get("query") == "time"


def _reader(info: inspect.Type) -> Check:
    match info:
        case inspect.Metadata():
            return _time
        case inspect.IntType():
            return _integer
        case inspect.FloatType():
            return _number
        case inspect.BoolType():
            return _boolean
        case inspect.VarTupleType():
            return functools.partial(_list, most=info.max_length or INTEGER_MAX)
        case inspect.StrType() | inspect.LiteralType() | inspect.EnumType():
            return str
    raise TypeError(f"{info} is not supported as the type of a query parameter")


def _read(name: str, text: str, read: Check) -> Any:
    try:
        text.encode()
        if "\0" in text:
            raise InputError("holds a NUL character", "text without NUL characters")
        if not text.strip():
            return None
        return text if read is str else read(text.strip())  # a shape of strings decides about whitespace itself
    except UnicodeEncodeError:
        raise InputError("is not valid UTF-8", "percent-encoded UTF-8", name) from None
    except InputError as wrong:
        wrong.path.append(name)
        raise


def _integer(text: str) -> int:
    if not INTEGER.fullmatch(text):
        raise InputError("must be an integer", None)
    return int(text)


def _number(text: str) -> float:
    if not NUMBER.fullmatch(text):
        raise InputError("must be a number", None)
    return float(text)


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError("must be true or false", "true or false")
    return text == "true"


def _list(text: str, most: int) -> list[str] | None:
    parts = text.split(",")
    if len(parts) > most:  # blank items are dropped below, but the limit in the API document counts them
        raise InputError(f"must have at most {most} items, not {len(parts)}", f"a list of at most {most} items")
    return [part.strip() for part in parts if part.strip()] or None


def _time(text: str) -> int:
    remedy = "ISO-8601, such as 2026-01-31T12:00:00Z"
    try:
        return milliseconds(text)
    except ValueError:
        raise InputError("must be an ISO-8601 time", remedy) from None
