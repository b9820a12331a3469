"""Shapes of input: checks of bodies, compiled from their types, whose errors name the field."""

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from msgspec import inspect

from athena_core.errors import ConfigError, Fault
from athena_core.values import INTEGER_MAX

Check: TypeAlias = Callable[[Any], Any]

NAME_CHARS_MAX = 100  # of a client's own key in a message
INPUT_FAULTS_MAX = 20
"""Faults of one input that an error lists."""
KINDS: dict[type, str] = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class InputError(Exception):
    """An error in a part of the input. Its path grows as the stack unwinds."""

    def __init__(self, reason: str, remedy: str | None, *path: str | int) -> None:
        """Start with the path of the innermost part."""
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.path = list(path)

    @property
    def field(self) -> str:
        """The path of the wrong part, such as ``steps[2].id``. Empty if it is the whole input."""
        parts = [f"[{part}]" if isinstance(part, int) else "." + _shown(part) for part in reversed(self.path)]
        return "".join(parts).removeprefix(".")

    def error(self, context: str) -> ConfigError:
        """Return the error for the client."""
        return error_of([self], context)


def error_of(faults: Iterable[InputError], context: str) -> ConfigError:
    """Return the error for the client with the first faults, at least one; its message names the first."""
    found = list(islice(faults, INPUT_FAULTS_MAX + 1))
    first, further = found[0], len(found) - 1
    message = f"{context}.{first.field}: {first.reason}" if first.field else f"{context}: {first.reason}"
    if further >= INPUT_FAULTS_MAX:
        message += f" (the first of more than {INPUT_FAULTS_MAX} faults; see details)"
    elif further:
        message += f" (the first of {further + 1} faults; see details)"
    listed = (Fault(field=each.field or "body", reason=each.reason, remedy=each.remedy) for each in found)
    return ConfigError(message, *islice(listed, INPUT_FAULTS_MAX))


def _shown(name: str) -> str:
    return "".join([letter if letter.isprintable() else "?" for letter in name[:NAME_CHARS_MAX]]) or '""'


class InputShape:
    """The check of one place in the input. ``wants`` describes the expected value."""

    wants = "any value"

    def check(self, value: Any) -> Any:
        """Return the normalized value. Raise InputError."""
        raise NotImplementedError

    def faults(self, value: Any) -> Iterator[InputError]:
        """Yield the faults of a value, none if it is valid. Slower than ``check``, which stops at the first one."""
        try:
            self.check(value)
        except InputError as wrong:
            yield wrong

    def mismatch(self, value: Any, kind: str) -> InputError:
        """Return the error for a value of another JSON type."""
        return InputError(f"must be {kind}, not {KINDS[type(value)]}", self.wants)


class TextShape(InputShape):
    """A string. It is trimmed, and must not be blank unless it is optional. A string with a pattern is not trimmed."""

    optional = False

    def __init__(self, info: inspect.StrType) -> None:
        self.longest = INTEGER_MAX if info.max_length is None else info.max_length
        self.pattern = None if info.pattern is None else re.compile(info.pattern)
        self.wants = "a string" if info.max_length is None else f"a string of 1 to {info.max_length} characters"
        if self.pattern:
            self.wants += f" that matches {self.pattern.pattern}"

    def check(self, value: Any) -> Any:
        """Check the length before trimming, then the text."""
        if type(value) is not str:
            if value is None and self.optional:
                return None
            raise self.mismatch(value, "a string")
        if len(value) > self.longest:
            raise InputError(f"must have at most {self.longest} characters, not {len(value)}", self.wants)
        text = value.strip()
        if not text:
            if self.optional:
                return None
            raise InputError("must not be blank", self.wants)
        if self.pattern and (len(text) != len(value) or not self.pattern.search(value)):
            raise InputError(f"must match {self.pattern.pattern}", self.wants)
        return text


class ChoiceShape(InputShape):
    """One of a few fixed values."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)
        self.kind = KINDS[type(self.values[0])]
        self.wants = "one of " + ", ".join(map(str, self.values)) if len(self.values) > 1 else str(self.values[0])

    def check(self, value: Any) -> Any:
        """Return the value if it equals a choice and has its type."""
        for choice in self.values:
            if value == choice and type(value) is type(choice):
                return value
        if KINDS[type(value)] != self.kind:
            raise self.mismatch(value, self.kind)
        raise InputError(f"must be {self.wants}", self.wants)


class NumberShape(InputShape):
    """An integer or a number within bounds."""

    def __init__(self, info: inspect.IntType | inspect.FloatType) -> None:
        """Take the bounds of the type. Without bounds, an integer is limited to what every JSON reader keeps exact."""
        if info.gt is not None or info.lt is not None or info.multiple_of is not None:
            raise TypeError("bounds of numbers in an input are ge and le")
        self.whole = isinstance(info, inspect.IntType)
        bound = INTEGER_MAX if self.whole else math.inf
        self.least = -bound if info.ge is None else info.ge
        self.most = bound if info.le is None else info.le
        self.kind = "an integer" if self.whole else "a number"
        self.wants = self.kind if self.most == math.inf else f"{self.kind} from {self.least} to {self.most}"

    def check(self, value: Any) -> Any:
        """Check the kind of number, then the bounds; 1.0 is an integer."""
        if type(value) is float:
            if not math.isfinite(value):
                raise InputError("OUT_OF_RANGE: is too large", self.wants)
            if self.whole:
                if not value.is_integer():
                    raise InputError("must be an integer", self.wants)
                value = int(value)
        elif type(value) is not int:
            raise self.mismatch(value, self.kind)
        if value < self.least:
            raise InputError(f"OUT_OF_RANGE: must be at least {self.least}", self.wants)
        if value > self.most:
            raise InputError(f"OUT_OF_RANGE: must be at most {self.most}", self.wants)
        return value


class BooleanShape(InputShape):
    """True or false."""

    wants = "true or false"

    def check(self, value: Any) -> Any:
        """Return the value if it is a boolean."""
        if type(value) is not bool:
            raise self.mismatch(value, "a boolean")
        return value


class ListShape(InputShape):
    """A list whose items have one shape."""

    def __init__(self, item: InputShape, info: inspect.CollectionType) -> None:
        self.item = item.check
        self.inner = item
        self.least = info.min_length or 0
        self.most = INTEGER_MAX if info.max_length is None else info.max_length
        self.wants = "a list" if info.max_length is None else f"a list of {self.least} to {self.most} items"
        self.wants += f", each {item.wants}"

    def check(self, value: Any) -> Any:
        """Check the length, then each item."""
        if type(value) is not list:
            raise self.mismatch(value, "a list")
        if len(value) < self.least:
            raise InputError(f"must have at least {_counted(self.least, 'item')}", self.wants)
        if len(value) > self.most:
            raise InputError(f"must have at most {_counted(self.most, 'item')}, not {len(value)}", self.wants)
        items = []
        for item in value:
            try:
                items.append(self.item(item))
            except InputError as wrong:
                wrong.path.append(len(items))
                raise
        return items

    def faults(self, value: Any) -> Iterator[InputError]:
        """Yield the faults of the items, or a wrong kind or length."""
        if type(value) is not list or not self.least <= len(value) <= self.most:
            yield from super().faults(value)
            return
        for index, item in enumerate(value):
            yield from _inside(index, self.inner.faults(item))


class MapShape(InputShape):
    """An object with keys chosen by the client."""

    def __init__(self, key: InputShape, item: InputShape, info: inspect.DictType) -> None:
        self.key = key.check
        self.item = item.check
        self.inner = item
        self.least = info.min_length or 0
        self.most = INTEGER_MAX if info.max_length is None else info.max_length
        self.wants = f"an object whose values are each {item.wants}"

    def check(self, value: Any) -> Any:
        """Check the number of keys, then each key with its value."""
        if type(value) is not dict:
            raise self.mismatch(value, "an object")
        if len(value) < self.least:
            raise InputError(f"must have at least {_counted(self.least, 'key')}", self.wants)
        if len(value) > self.most:
            raise InputError(f"must have at most {_counted(self.most, 'key')}, not {len(value)}", self.wants)
        items = {}
        for name, item in value.items():
            try:
                key = self.key(name)
            except InputError as wrong:
                raise _key_error(wrong, name) from None
            try:
                items[key] = self.item(item)
            except InputError as wrong:
                wrong.path.append(name)
                raise
        return items

    def faults(self, value: Any) -> Iterator[InputError]:
        """Yield the faults of the values; a wrong key is reported alone."""
        if type(value) is not dict or not self.least <= len(value) <= self.most:
            yield from super().faults(value)
            return
        for name, item in value.items():
            try:
                self.key(name)
            except InputError as wrong:
                yield _key_error(wrong, name)
            else:
                yield from _inside(name, self.inner.faults(item))


def _key_error(wrong: InputError, name: str) -> InputError:
    return InputError("has a key that " + wrong.reason, wrong.remedy, *([name] if name.strip() else []))


class OptionalShape(InputShape):
    """A value that may be absent. Null counts as absent, and so does a blank string in place of a choice."""

    def __init__(self, inner: InputShape) -> None:
        self.inner = inner.check
        self.shape = inner
        self.word = isinstance(inner, ChoiceShape) and inner.kind == "a string"
        self.wants = inner.wants

    def check(self, value: Any) -> Any:
        """Return None, or the value as normalized by the inner shape."""
        if value is None or self.word and type(value) is str and (not value or value.isspace()):
            return None
        return self.inner(value)

    def faults(self, value: Any) -> Iterator[InputError]:
        """Yield the faults of the inner shape."""
        if value is not None and not (self.word and type(value) is str and (not value or value.isspace())):
            yield from self.shape.faults(value)


class AnyShape(InputShape):
    """Any JSON value. Its numbers must keep their value in every JSON reader."""

    def check(self, value: Any) -> Any:
        if type(value) is int and not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise InputError(f"OUT_OF_RANGE: must be within ±{INTEGER_MAX}", self.wants)
        if type(value) is float and not math.isfinite(value):
            raise InputError("OUT_OF_RANGE: is too large", self.wants)
        parts: Iterable[tuple[str | int, Any]] = ()
        if type(value) is dict:
            parts = value.items()
        elif type(value) is list:
            parts = enumerate(value)
        for name, part in parts:
            try:
                self.check(part)
            except InputError as wrong:
                wrong.path.append(name)
                raise
        return value


class ObjectShape(InputShape):
    """An object with named fields. The fields are set after construction, so that types may be recursive."""

    def __init__(self, info: inspect.StructType) -> None:
        self.closed = info.forbid_unknown_fields
        self.shapes: dict[str, InputShape] = {}
        self.checks: dict[str, Check] = {}
        self.required = tuple(field.encode_name for field in info.fields if field.required)
        self.names = frozenset(self.required)
        self.wants = "an object with " + ", ".join(field.encode_name for field in info.fields)

    def fill(self, fields: Mapping[str, InputShape]) -> None:
        """Set the shapes of the fields."""
        self.shapes.update(fields)
        self.checks.update((name, shape.check) for name, shape in fields.items())

    def check(self, value: Any) -> Any:
        """Check the fields that are present, then those that are required."""
        if type(value) is not dict:
            raise self.mismatch(value, "an object")
        fields = {}
        for name, content in value.items():
            check = self.checks.get(name)
            if check is None:
                if self.closed:
                    raise InputError("is not a known field", "one of " + ", ".join(self.shapes), name)
                continue
            try:
                tidy = check(content)
            except InputError as wrong:
                wrong.path.append(name)
                raise
            if tidy is not None or name in self.names:
                fields[name] = tidy
        if not self.names <= fields.keys():
            missing = next(name for name in self.required if name not in fields)
            raise InputError("is required", self.shapes[missing].wants, missing)
        return fields

    def faults(self, value: Any) -> Iterator[InputError]:
        """Yield the faults of each field, then the missing fields."""
        if type(value) is not dict:
            yield self.mismatch(value, "an object")
            return
        for name, content in value.items():
            shape = self.shapes.get(name)
            if shape is not None:
                yield from _inside(name, shape.faults(content))
            elif self.closed:
                yield InputError("is not a known field", "one of " + ", ".join(self.shapes), name)
        for name in self.required:
            if name not in value:
                yield InputError("is required", self.shapes[name].wants, name)


def _inside(part: str | int, faults: Iterable[InputError]) -> Iterator[InputError]:
    """Yield the faults with the path of the part that contains them."""
    for wrong in faults:
        wrong.path.append(part)
        yield wrong


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# Types to shapes


@functools.cache
def shape_of(type_: type) -> ObjectShape:
    """Return the shape of a struct, compiled once. Raise TypeError for a type that is not supported in input."""
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType), type_
    return _record(info, {})


def _record(info: inspect.StructType, seen: dict[type, ObjectShape]) -> ObjectShape:
    if info.cls not in seen:
        seen[info.cls] = record = ObjectShape(info)
        fields = {}
        for field in info.fields:
            shape = _shape(field.type, seen)
            fields[field.encode_name] = shape if field.required else _optional(shape)
        record.fill(fields)
    return seen[info.cls]


def _shape(info: inspect.Type, seen: dict[type, ObjectShape]) -> InputShape:
    match info:
        case inspect.Metadata():
            return _shape(info.type, seen)
        case inspect.StrType():
            return TextShape(info)
        case inspect.IntType() | inspect.FloatType():
            return NumberShape(info)
        case inspect.BoolType():
            return BooleanShape()
        case inspect.LiteralType():
            return ChoiceShape(info.values)
        case inspect.EnumType():
            return ChoiceShape(member.value for member in info.cls)
        case inspect.ListType() | inspect.VarTupleType():
            return ListShape(_shape(info.item_type, seen), info)
        case inspect.DictType():
            return MapShape(_shape(info.key_type, seen), _shape(info.value_type, seen), info)
        case inspect.StructType():
            return _record(info, seen)
        case inspect.AnyType():
            return AnyShape()
        case inspect.UnionType() if len(members := [part for part in info.types if not is_null(part)]) == 1:
            return _optional(_shape(members[0], seen))
    raise TypeError(f"{info} is not supported as the type of an input")


def _optional(shape: InputShape) -> InputShape:
    if isinstance(shape, TextShape):
        shape.optional = True
        return shape
    return shape if isinstance(shape, OptionalShape) else OptionalShape(shape)


def is_null(info: inspect.Type) -> bool:
    """Return True if a member of a union is null."""
    return isinstance(info, inspect.NoneType)
