"""Values of every type of an event's fields, for hypothesis."""

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

TEXT = st.characters(codec="utf-8")
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


def made(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a type; those with a limit keep it."""
    return _made(inspect.type_info(kind))


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT), inner, max_size=3)


def _made(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata(type=inner):
            return _made(inner)
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return st.recursive(
                st.none() | st.booleans() | st.integers(INTEGER_MIN, INTEGER_MAX) | st.text(TEXT), _nested
            )
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(INTEGER_MIN if low is None else low, INTEGER_MAX if high is None else high)
        case inspect.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case inspect.StrType(pattern=pattern, min_length=low, max_length=high):
            if pattern is not None:
                return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= (high or len(text)))
            return st.text(TEXT, min_size=low or 0, max_size=min(high or 20, (low or 0) + 20))
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_made, types))
        case inspect.VarTupleType(item_type=item, min_length=low):
            return st.lists(_made(item), min_size=low or 0, max_size=(low or 0) + 3).map(tuple)
        case inspect.DictType(key_type=key, value_type=value, min_length=low):
            return st.dictionaries(_made(key), _made(value), min_size=low or 0, max_size=(low or 0) + 3)
        case inspect.StructType(cls=cls, fields=fields):
            required = {field.name: _made(field.type) for field in fields if field.required}
            optional = {field.name: _made(field.type) for field in fields if not field.required}
            return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))
        case _:
            raise NotImplementedError(f"say how to make {info}")
